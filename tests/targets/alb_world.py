"""AWS for one test: moto's server, what a person sets up, and a stand-in for the agents that run tasks.

Run by a Python that has moto. It prints one line of JSON when all is there, then answers a line for each line that it
is sent: `ask` (what a new user gets), `shares` (the weights of the rule) or `turn N` (somebody else sets the canary's).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3  # type: ignore[import-not-found]  # not in the project's environment
from moto.server import ThreadedMotoServer  # type: ignore[import-not-found]  # not in the project's environment

SLOTS = ("chat-blue", "chat-green")


class World:
    """The rule, two target groups, two services, and the tasks that would run."""

    def __init__(self) -> None:
        network = boto3.client("ec2")
        self.balancer, self.ecs = boto3.client("elbv2"), boto3.client("ecs")
        vpc = network.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            network.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for number, zone in enumerate(("eu-central-1a", "eu-central-1b"))
        ]
        balancer = self.balancer.create_load_balancer(Name="chat", Subnets=subnets)["LoadBalancers"][0]
        self.groups = {
            name: self.balancer.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")[
                "TargetGroups"
            ][0]["TargetGroupArn"]
            for name in SLOTS
        }
        listener = self.balancer.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
        )["Listeners"][0]["ListenerArn"]
        self.rule = self.balancer.create_rule(
            ListenerArn=listener,
            Priority=1,
            Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
            Actions=[self.forward(1, 0)],
        )["Rules"][0]["RuleArn"]
        self.servers: dict[tuple[str, str], int] = {}
        self.registered: dict[str, int] = {}
        self.lock = threading.Lock()

    def forward(self, blue: int, green: int) -> dict[str, Any]:
        """The action of the rule."""
        parts = zip(SLOTS, (blue, green), strict=True)
        groups = [{"TargetGroupArn": self.groups[name], "Weight": weight} for name, weight in parts]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    def set_up(self, stable: dict[str, str]) -> None:
        """The services, and the tags that the README has a person set once."""
        self.ecs.create_cluster(clusterName="chat")
        for name, count in zip(SLOTS, (1, 0), strict=True):
            definition = self.ecs.register_task_definition(
                family=name,
                containerDefinitions=[
                    {"name": "chat", "image": f"{stable['image']}@{stable['digest']}", "memory": 64, "essential": True}
                ],
            )["taskDefinition"]["taskDefinitionArn"]
            self.ecs.create_service(
                cluster="chat",
                serviceName=name,
                taskDefinition=definition,
                desiredCount=count,
                loadBalancers=[{"targetGroupArn": self.groups[name], "containerName": "chat", "containerPort": 80}],
            )
            self.ecs.update_service(cluster="chat", service=name, desiredCount=count)
        tags = {**{f"rollout:{key}": stable[key] for key in ("tag", "image", "digest")}, "rollout:rollout": "first"}
        self.tag(self.groups[SLOTS[0]], tags)
        self.tag(self.rule, {"rollout:stable": SLOTS[0]})

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """As a person does on the command line."""
        self.balancer.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": tags[key]} for key in tags])

    def run_tasks(self, tags_of: dict[str, str]) -> None:
        """What the agents of ECS do: a task that is wanted runs and is registered; moto keeps the books only."""
        for name in SLOTS:
            service = self.ecs.describe_services(cluster="chat", services=[name])["services"][0]
            told = self.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
            digest = told["containerDefinitions"][0]["image"].partition("@")[2]
            tag = tags_of.get(digest, "broken")
            port = self.serve(name, tag) if service["desiredCount"] and tag != "broken" else 0
            before = self.registered.get(name, 0)
            if port == before:
                continue
            if before:
                self.balancer.deregister_targets(TargetGroupArn=self.groups[name], Targets=[_target(before)])
            if port:
                self.balancer.register_targets(TargetGroupArn=self.groups[name], Targets=[_target(port)])
            self.registered[name] = port

    def serve(self, name: str, tag: str) -> int:
        """The port of a real service that answers its tag."""
        if (name, tag) not in self.servers:

            class Page(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(tag)))
                    self.end_headers()
                    self.wfile.write(tag.encode())

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers[name, tag] = server.server_port
        return self.servers[name, tag]

    def shares(self) -> dict[str, int]:
        """The weights by service."""
        (rule,) = self.balancer.describe_rules(RuleArns=[self.rule])["Rules"]
        told = {each["TargetGroupArn"]: each["Weight"] for each in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]}
        return {name: told[group] for name, group in self.groups.items()}

    def ask(self) -> str:
        """What the load balancer would do with one request; empty where it would answer 503."""
        shares = self.shares()
        (name,) = random.choices(list(shares), weights=list(shares.values()))
        health = self.balancer.describe_target_health(TargetGroupArn=self.groups[name])["TargetHealthDescriptions"]
        for each in health:
            with urllib.request.urlopen(f"http://{each['Target']['Id']}:{each['Target']['Port']}/") as answer:
                return str(answer.read().decode())
        return ""


def _target(port: int) -> dict[str, Any]:
    return {"Id": "127.0.0.1", "Port": port}


def main() -> None:
    """Until stdin ends. The first line is what is stable at first and which tag each digest has."""
    told = json.loads(sys.stdin.readline())
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with contextlib.redirect_stdout(sys.stderr):
        server.start()
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    world = World()
    world.set_up(told["stable"])
    enough = threading.Event()

    def agents() -> None:
        while not enough.wait(0.1):
            world.run_tasks(told["tags"])

    world.run_tasks(told["tags"])
    thread = threading.Thread(target=agents)
    thread.start()
    print(json.dumps({"endpoint": os.environ["AWS_ENDPOINT_URL"], "rule": world.rule}), flush=True)
    try:
        for line in sys.stdin:
            match line.split():
                case ["ask"]:
                    print(json.dumps(world.ask()), flush=True)
                case ["shares"]:
                    print(json.dumps(world.shares()), flush=True)
                case ["turn", blue, green]:
                    action = world.forward(int(blue), int(green))
                    world.balancer.modify_rule(RuleArn=world.rule, Actions=[action])
                    print(json.dumps("turned"), flush=True)
                case _:
                    raise ValueError(line)
    finally:
        enough.set()
        thread.join()
        server.stop()


if __name__ == "__main__":
    main()
