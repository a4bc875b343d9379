"""The weights of an HTTPRoute (`gateway.networking.k8s.io/v1`): read, changed by server-side apply, waited for.

A change is done once every gateway of the route has said in its status that it has taken it up. A route that no
gateway reports on is taken at its word; `diagnose` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rollout.core.finding import Finding, Severity
from rollout.core.plan import NOTHING, Weight
from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets.kubernetes import rules as in_rules
from rollout.targets.kubernetes.client import HTTP_ROUTE, Cluster, Json
from rollout.targets.kubernetes.names import get
from rollout.targets.kubernetes.owners import RULES, apply, require_free
from rollout.targets.kubernetes.refusals import Stale
from rollout.targets.kubernetes.routing import Routing
from rollout.targets.kubernetes.rules import Split
from rollout.targets.kubernetes.waiting import Patience

TRIES: Final = 5
"""How often a change is tried that somebody else's change overtakes."""
UPTAKE: Final = timedelta(seconds=30)
"""How long gateways may take to follow an order."""
LAG: Final = timedelta(seconds=3)
"""How long a look waits for gateways that are about to follow somebody else's change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """`routing.Router` for one HTTPRoute."""

    cluster: Cluster
    namespace: str
    split: Split
    take_over: tuple[str, ...]
    patience: Patience

    def read(self) -> Routing:
        """See Router."""
        route = self._get()
        if (problem := _problem(route)) and _is_behind(route):
            self.patience.until(lambda: not _is_behind(self._get()), limit=LAG)
            route = self._get()
            problem = _problem(route)
        share = in_rules.weight_of(_rules(route), self.split)
        weight = share if share is not None else NOTHING
        return Routing(weight=None if problem else weight, is_wired=share is not None, problem=problem)

    def weigh(self, weight: Weight) -> None:
        """See Router."""
        self._change(lambda rules: in_rules.weighed(rules, self.split, weight))

    def unwire(self) -> None:
        """See Router."""
        self._change(lambda rules: in_rules.unwired(rules, self.split))

    def diagnose(self) -> Iterator[Finding]:
        """See Router."""
        subject = f"HTTPRoute {self.split.route}"
        try:
            if not self.cluster.knows(HTTP_ROUTE):
                yield Finding(
                    subject=subject,
                    severity=Severity.ERROR,
                    message="the cluster does not know HTTPRoute (gateway.networking.k8s.io/v1)",
                    hint="Install the Gateway API's CustomResourceDefinitions and a gateway that implements them.",
                )
                return
            route = self._get()
            in_rules.weight_of(_rules(route), self.split)
            in_rules.weighed(_rules(route), self.split, Weight(0.1))
            require_free(HTTP_ROUTE, route, RULES, take_over=self.take_over)
        except RolloutError as wrong:
            yield Finding(subject=subject, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)
            return
        yield _acceptance(subject, route)
        yield _persistence(subject, in_rules.candidates(_rules(route), self.split))

    def _get(self) -> Json:
        return get(self.cluster, HTTP_ROUTE, self.namespace, self.split.route)

    def _change(self, change: Callable[[list[Json]], list[Json]]) -> None:
        for _ in range(TRIES):
            route = self._get()
            rules = change(_rules(route))
            if rules == _rules(route):
                break
            metadata = {"name": self.split.route, "resourceVersion": route["metadata"]["resourceVersion"]}
            try:
                body = {"metadata": metadata, "spec": {"rules": rules}}
                route = apply(self.cluster, HTTP_ROUTE, self.namespace, body, take_over=self.take_over)
            except Stale:
                continue
            break
        else:
            raise TargetBusy(f"HTTPRoute {self.split.route} is changed by others all the time", hint="Look by whom.")
        self._wait_for(route)

    def _wait_for(self, route: Json) -> None:
        def is_taken_up() -> bool:
            nonlocal route
            if not _is_behind(route):
                return True
            route = self._get()
            return not _is_behind(route)

        if not self.patience.until(is_taken_up, limit=UPTAKE):
            raise TargetBusy(_problem(route), hint="Look into the gateway's own log; `rollout doctor` says more.")
        if problem := _problem(route):
            raise TargetFailed(problem, hint="Correct the route or its gateway; users are where they were.")


def _rules(route: Json) -> list[Json]:
    return list(route.get("spec", {}).get("rules") or ())


def _accepted(route: Json) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The Accepted condition of each gateway that reports on the route, with the gateway's name."""
    wanted = {_parent(ref) for ref in route.get("spec", {}).get("parentRefs") or ()}
    return tuple(
        (str(parent["parentRef"].get("name")), condition)
        for parent in (route.get("status") or {}).get("parents") or ()
        if _parent(parent["parentRef"]) in wanted
        for condition in parent.get("conditions") or ()
        if condition.get("type") == "Accepted"
    )


def _parent(ref: dict[str, Any]) -> tuple[object, ...]:
    return (ref.get("name"), ref.get("sectionName"), ref.get("port"))


def _is_behind(route: Json) -> bool:
    generation = int(route["metadata"].get("generation") or 0)
    return any(int(condition.get("observedGeneration") or 0) < generation for _, condition in _accepted(route))


def _problem(route: Json) -> str:
    """Why the gateways do not serve what the route says; empty where they do, or where none reports on it."""
    name = route["metadata"]["name"]
    if _is_behind(route):
        return f"the gateway has not yet taken up the last change of HTTPRoute {name}"
    for gateway, condition in _accepted(route):
        if condition.get("status") != "True":
            why = str(condition.get("message") or condition.get("reason") or "it does not say why")[:300]
            return f"the gateway {gateway} does not accept HTTPRoute {name}: {why}"
    return ""


def _acceptance(subject: str, route: Json) -> Finding:
    problem = _problem(route)
    if problem:
        hint = "Look at `status.parents` of the route, and into the gateway's log."
        return Finding(subject=subject, severity=Severity.ERROR, message=problem, hint=hint)
    accepted = _accepted(route)
    if not accepted:
        return Finding(
            subject=subject,
            severity=Severity.WARNING,
            message="no gateway says in its status that it serves this route, so weights are taken at their word",
            hint="Check its parentRefs, and that the gateway's controller runs.",
        )
    gateways = ", ".join(sorted({gateway for gateway, _ in accepted}))
    return Finding(subject=subject, severity=Severity.OK, message=f"accepted by {gateways}")


def _persistence(subject: str, found: tuple[tuple[int, Json], ...]) -> Finding:
    if all(rule.get("sessionPersistence") for _, rule in found):
        return Finding(
            subject=subject, severity=Severity.OK, message="its session persistence keeps users on a version"
        )
    return Finding(
        subject=subject,
        severity=Severity.WARNING,
        message="has no session persistence: each request is split anew, so one user may meet both versions",
        hint="Set sessionPersistence in the rule where your gateway has it; otherwise both versions must be able to "
        "serve the same session.",
    )
