#!/usr/bin/env python3
"""The programs of `target: command` for an AWS Application Load Balancer with two ECS services, one per target group.

A rule of the listener forwards to both target groups; its weights are what users get. Which service is stable, canary
or in reserve stands in tags of the rule, and which release a service runs in tags of its target group, so no machine
has to remember anything. Needs boto3, and credentials where boto3 looks for them.

Every effect does what is missing and no more, so one that was killed is finished by calling it again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TRY_AGAIN = 75
NONE = "-"
PASSING = ("Throttling", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure", "ServerException")
COPIED = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
    "placementConstraints", "requiresCompatibilities", "cpu", "memory", "runtimePlatform", "ephemeralStorage",
    "pidMode", "ipcMode", "proxyConfiguration",
)  # fmt: skip
"""What a new revision of a task definition takes over from the one before."""
Json = dict[str, Any]


def fail(message: str, *, hint: str = "", code: int = 1) -> NoReturn:
    """End, and say why in the words of the contract."""
    print(json.dumps({"error": message[:2000], "hint": hint}))
    sys.exit(code)


@dataclass(frozen=True)
class Roles:
    """Which slot has which role: tags of the rule, which change in one call."""

    stable: str = NONE
    canary: str = NONE
    reserve: str = NONE
    rollout: str = NONE


@dataclass(frozen=True)
class Slot:
    """An ECS service and its target group, as they are."""

    name: str
    group: str
    container: str
    definition: str
    wanted: int
    running: int
    deployments: int
    failed: int
    healthy: tuple[Json, ...]
    release: Json | None
    rollout: str

    @property
    def is_ready(self) -> bool:
        """Whether every task that is wanted runs and is healthy for the load balancer."""
        return 0 < self.wanted <= min(self.running, len(self.healthy)) and self.deployments == 1


class Amazon:
    """The rule, the services and their tags."""

    def __init__(self, rule: str, cluster: str, slots: tuple[str, ...]) -> None:
        settings = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
        self.balancer = boto3.client("elbv2", config=settings)
        self.ecs = boto3.client("ecs", config=settings)
        self.rule, self.cluster, self.slots = rule, cluster, slots

    def roles(self) -> Roles:
        """As the rule's tags say."""
        tags = self._tags(self.rule)
        return Roles(**{role: tags.get(f"rollout:{role}", NONE) for role in Roles.__dataclass_fields__})

    def set_roles(self, roles: Roles) -> None:
        """In one call."""
        self._tag(self.rule, {f"rollout:{role}": getattr(roles, role) for role in Roles.__dataclass_fields__})

    def slot(self, name: str) -> Slot:
        """A service with its target group."""
        found = self.ecs.describe_services(cluster=self.cluster, services=[name])["services"]
        if not found or not found[0]["loadBalancers"]:
            fail(f"there is no ECS service {name} with a target group in the cluster {self.cluster}")
        service = found[0]
        group = service["loadBalancers"][0]["targetGroupArn"]
        tags = self._tags(group)
        health = self.balancer.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        known = "rollout:digest" in tags
        return Slot(
            name=name,
            group=group,
            container=service["loadBalancers"][0]["containerName"],
            definition=service["taskDefinition"],
            wanted=service["desiredCount"],
            running=service["runningCount"],
            deployments=len(service["deployments"]),
            failed=sum(each.get("failedTasks", 0) for each in service["deployments"]),
            healthy=tuple(each["Target"] for each in health if each["TargetHealth"]["State"] == "healthy"),
            release={key: tags[f"rollout:{key}"] for key in ("tag", "image", "digest")} if known else None,
            rollout=tags.get("rollout:rollout", NONE),
        )

    def note(self, slot: Slot, release: Json, rollout: str) -> None:
        """Which release a slot is to run, in one call."""
        kept = {f"rollout:{key}": release[key] for key in ("tag", "image", "digest")}
        self._tag(slot.group, {**kept, "rollout:rollout": rollout})

    def run(self, slot: Slot, reference: str, count: int) -> None:
        """Have the service run that image, and nothing where it does."""
        definition = self.ecs.describe_task_definition(taskDefinition=slot.definition)["taskDefinition"]
        new = {key: definition[key] for key in COPIED if definition.get(key)}
        (container,) = (each for each in new["containerDefinitions"] if each["name"] == slot.container)
        revision = slot.definition
        if container["image"] != reference:
            container["image"] = reference
            revision = self.ecs.register_task_definition(**new)["taskDefinition"]["taskDefinitionArn"]
        self.ecs.update_service(cluster=self.cluster, service=slot.name, taskDefinition=revision, desiredCount=count)

    def scale(self, slot: Slot, count: int) -> None:
        """Have so many tasks."""
        if slot.wanted != count:
            self.ecs.update_service(cluster=self.cluster, service=slot.name, desiredCount=count)

    def shares(self) -> dict[str, int]:
        """Target groups and their weights, as the rule has them."""
        return {each["TargetGroupArn"]: each.get("Weight", 1) for each in self._forward()["TargetGroups"]}

    def share(self, first: Slot, second: Slot, permille: int) -> None:
        """Give `second` so many of a thousand requests and `first` the rest; what else the rule says is kept."""
        # A weight of the load balancer is at most 999, so all is 1 to 0.
        parts = {0: (1, 0), 1000: (0, 1)}.get(permille, (1000 - permille, permille))
        forward = self._forward()
        forward["TargetGroups"] = [
            {"TargetGroupArn": slot.group, "Weight": part} for slot, part in zip((first, second), parts, strict=True)
        ]
        self.balancer.modify_rule(RuleArn=self.rule, Actions=[{"Type": "forward", "ForwardConfig": forward}])

    def _forward(self) -> Json:
        (rule,) = self.balancer.describe_rules(RuleArns=[self.rule])["Rules"]
        for action in rule["Actions"]:
            if action["Type"] == "forward" and len(rule["Actions"]) == 1:
                forward: Json = action["ForwardConfig"]
                return forward
        fail("the rule does something other than to forward", hint="Name a rule with one forward action.")

    def _tags(self, arn: str) -> dict[str, str]:
        (told,) = self.balancer.describe_tags(ResourceArns=[arn])["TagDescriptions"]
        return {tag["Key"]: tag["Value"] for tag in told["Tags"]}

    def _tag(self, arn: str, tags: dict[str, str]) -> None:
        self.balancer.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


class Platform:
    """The orders."""

    def __init__(self, amazon: Amazon, *, patience: float, poll: float) -> None:
        self.amazon, self.patience, self.poll = amazon, patience, poll

    def deploy(self, order: Json) -> None:
        """Into the service that is not stable; a reserve there gives way."""
        amazon, rollout = self.amazon, order["rollout"]
        roles = amazon.roles()
        if roles.stable == NONE:
            fail("no service is stable", hint="Tag the rule as the README says.")
        stable = amazon.slot(roles.stable)
        slot = amazon.slot(self._other(roles.stable))
        if amazon.shares().get(slot.group, 0) > 0:
            fail(f"{slot.name} still gets traffic", hint="Abort its rollout first.")
        if slot.rollout != rollout:
            roles = replace(roles, canary=NONE, reserve=NONE)
            amazon.set_roles(roles)
            amazon.scale(slot, 0)
            amazon.note(slot, order["release"], rollout)
        roles = replace(roles, canary=slot.name, rollout=rollout)
        amazon.set_roles(roles)
        amazon.run(slot, order["reference"], max(stable.wanted, 1))
        if not self._becomes_ready(slot.name):
            amazon.scale(amazon.slot(slot.name), 0)
            amazon.set_roles(replace(roles, canary=NONE))
            fail(
                f"{order['release']['tag']} is not ready after {self.patience:g} s",
                hint="See the events of the service.",
            )

    def set_weight(self, order: Json) -> None:
        """Two weights of one rule, which change in one call."""
        roles = self.amazon.roles()
        canary = self._canary(roles, order["rollout"])
        self.amazon.share(self.amazon.slot(roles.stable), canary, order["permille"])

    def get_weight(self, _order: Json) -> None:
        """From the rule."""
        roles, shares = self.amazon.roles(), self.amazon.shares()
        groups = {
            role: self.amazon.slot(name).group
            for role, name in (("stable", roles.stable), ("canary", roles.canary))
            if name != NONE
        }
        strange = sum(weight for group, weight in shares.items() if group not in groups.values())
        whole = sum(shares.values())
        if strange or not whole:
            print(
                json.dumps(
                    {"weight": None, "problem": "the rule sends users to a service that is neither stable nor canary"}
                )
            )
            return
        print(json.dumps({"weight": round(1000 * shares.get(groups.get("canary", ""), 0) / whole) / 10}))

    def status(self, _order: Json) -> None:
        """From the tags, the services and the health of the targets."""
        roles = self.amazon.roles()
        reserve = self.amazon.slot(roles.reserve) if roles.reserve != NONE else None
        print(
            json.dumps(
                {
                    "rollout": None if roles.rollout == NONE else roles.rollout,
                    "stable": self._version(roles.stable),
                    "canary": self._version(roles.canary),
                    "reserve": {"release": reserve.release, "rollout": reserve.rollout} if reserve else None,
                }
            )
        )

    def promote(self, order: Json) -> None:
        """All users to the canary first, then the names."""
        roles = self.amazon.roles()
        canary = self._canary(roles, order["rollout"])
        self.amazon.share(self.amazon.slot(roles.stable), canary, 1000)
        self.amazon.set_roles(replace(roles, stable=canary.name, canary=NONE, reserve=roles.stable))

    def rollback(self, order: Json) -> None:
        """To stable, or to the reserve, which is ready first."""
        roles, rollout = self.amazon.roles(), order["rollout"]
        if roles.canary != NONE:
            canary = self.amazon.slot(roles.canary)
        elif roles.reserve != NONE:
            canary = self.amazon.slot(roles.stable)
        else:
            return
        if canary.rollout != rollout:
            return
        stable = self.amazon.slot(roles.stable if roles.canary != NONE else roles.reserve)
        if not stable.is_ready:
            self.amazon.scale(stable, max(canary.wanted, stable.wanted, 1))
            if not self._becomes_ready(stable.name):
                fail(f"traffic stays where it is: {stable.name} is not ready", code=TRY_AGAIN)
        self.amazon.set_roles(replace(roles, stable=stable.name, canary=canary.name, reserve=NONE))
        self.amazon.share(stable, canary, 0)

    def retire(self, order: Json) -> None:
        """No task is left of a canary; a reserve can be scaled up again."""
        roles = self.amazon.roles()
        name = roles.canary if order["what"] == "canary" else roles.reserve
        if name == NONE:
            return
        slot = self.amazon.slot(name)
        if slot.rollout != order["rollout"] or self.amazon.shares().get(slot.group, 0) > 0:
            fail(f"{name} is not what is to be retired, or still gets traffic")
        self.amazon.scale(slot, 0)
        if order["what"] == "canary":
            self.amazon.set_roles(replace(roles, canary=NONE))

    def discard(self, _order: Json) -> None:
        """Forget the reserve."""
        roles = self.amazon.roles()
        if roles.reserve != NONE:
            self.amazon.scale(self.amazon.slot(roles.reserve), 0)
            self.amazon.set_roles(replace(roles, reserve=NONE))

    def _canary(self, roles: Roles, rollout: str) -> Slot:
        if roles.canary != NONE and (slot := self.amazon.slot(roles.canary)).rollout == rollout:
            return slot
        fail(f"the canary is not that of {rollout}")

    def _other(self, stable: str) -> str:
        return next(name for name in self.amazon.slots if name != stable)

    def _becomes_ready(self, name: str) -> bool:
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if self.amazon.slot(name).is_ready:
                return True
            time.sleep(self.poll)  # AWS tells nobody when a task is ready; it can only be asked
        return False

    def _version(self, name: str) -> Json | None:
        if name == NONE:
            return None
        slot = self.amazon.slot(name)
        if slot.release is None:
            fail(f"the target group of {name} does not say which release it runs", hint="Tag it as the README says.")
        gone = slot.wanted == 0 or (slot.failed > 0 and not slot.healthy)
        at = slot.healthy[0] if slot.healthy else {"Id": f"{name}.invalid", "Port": 80}
        return {
            "release": slot.release,
            "rollout": slot.rollout,
            "url": f"http://{at['Id']}:{at['Port']}",
            "health": "ready" if slot.is_ready else "dead" if gone else "unready",
            "restarts": slot.failed,
            "ready": len(slot.healthy),
            "wanted": slot.wanted,
        }


ORDERS = {
    "deploy": Platform.deploy,
    "set_weight": Platform.set_weight,
    "get_weight": Platform.get_weight,
    "status": Platform.status,
    "promote": Platform.promote,
    "rollback": Platform.rollback,
    "retire": Platform.retire,
    "discard": Platform.discard,
}


def main() -> None:
    """One order, from stdin."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--rule", required=True, help="the ARN of the listener's rule")
    read.add_argument("--cluster", required=True, help="the ECS cluster")
    read.add_argument("--slots", required=True, help="the two ECS services, such as chat-blue,chat-green")
    read.add_argument("--patience", type=float, default=540.0, help="seconds until tasks must be healthy")
    read.add_argument("--poll", type=float, default=5.0, help="seconds between two looks")
    given = read.parse_args()
    order = json.load(sys.stdin)
    try:
        amazon = Amazon(given.rule, given.cluster, tuple(given.slots.split(",")))
        ORDERS[order["order"]](Platform(amazon, patience=given.patience, poll=given.poll), order)
    except ClientError as wrong:
        code = wrong.response["Error"]["Code"]
        fail(str(wrong), code=TRY_AGAIN if code.startswith(PASSING) else 1)
    except BotoCoreError as wrong:
        fail(str(wrong), hint="Are the region and the credentials set?", code=TRY_AGAIN)


if __name__ == "__main__":
    main()
