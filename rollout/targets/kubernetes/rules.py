"""The rules of an HTTPRoute with a canary in them: pure, from the rules as they are to the rules as they should be.

Source of the fields: https://gateway-api.sigs.k8s.io/reference/spec/ (HTTPRouteRule, HTTPBackendRef).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import Json

_MOST: Final = 1_000_000
"""The largest weight that the API takes."""
_GRAIN: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What is to be split, and between whom."""

    route: str
    service: str
    canary: str
    rule: int | Literal["all"] | None = None
    header: str = ""
    value: str = ""
    mirror: float | None = None
    """The part of the requests, 0 to 1, that is copied to a canary at weight 0."""


def weight_of(rules: Sequence[Json], split: Split) -> Weight | None:
    """The canary's share of what goes to the service; None where no rule has the canary.

    Where several rules are split and differ, the largest.
    """
    shares = [_share(rule, split) for rule in _split_rules(rules, split) if _ref(rule, split.canary) is not None]
    return max(shares) if shares else None


def are_even(rules: Sequence[Json], split: Split) -> bool:
    """Whether the rules that are split all have the same share."""
    return len({_share(rule, split) for rule in _split_rules(rules, split)}) <= 1


def weighed(rules: Sequence[Json], split: Split, weight: Weight) -> list[Json]:
    """The rules with that share for the canary, and a rule for testers before each that is split."""
    chosen = _split_rules(rules, split)
    made: list[Json] = []
    for rule in _without_ours(rules, split):
        if not any(rule is each for each in chosen):
            made.append(rule)
            continue
        if split.header:
            made.append(_for_testers(rule, split))
        made.append(_weighed(rule, split, weight))
    return made


def unwired(rules: Sequence[Json], split: Split) -> list[Json]:
    """The rules without the canary, as they were before it came."""
    return [_unwired(rule, split) for rule in _without_ours(rules, split)]


def candidates(rules: Sequence[Json], split: Split) -> tuple[tuple[int, Json], ...]:
    """The rules that name the service, with their numbers from 1 as a person counts who knows nothing of ours."""
    own = _without_ours(rules, split)
    return tuple((at, rule) for at, rule in enumerate(own, 1) if _ref(rule, split.service) is not None)


def _split_rules(rules: Sequence[Json], split: Split) -> list[Json]:
    """The rules to be split. Raises TargetFailed where there is none, or where it is not said which."""
    found = candidates(rules, split)
    if not found:
        names = sorted({str(ref.get("name")) for rule in rules for ref in rule.get("backendRefs") or ()})
        there = ", ".join(names) or "none"
        raise TargetFailed(
            f"HTTPRoute {split.route} has no rule with the backend {split.service}; it has {there}",
            hint="Name the Service that the route sends requests to as `service`.",
        )
    if split.rule == "all" or (split.rule is None and len(found) == 1):
        return [rule for _, rule in found]
    if split.rule is None:
        numbers = ", ".join(f"{at} ({_paths(rule)})" for at, rule in found)
        raise TargetFailed(
            f"{len(found)} rules of HTTPRoute {split.route} have the backend {split.service}: {numbers}",
            hint="Set `rule` to the number of the one to split, or to `all`.",
        )
    for at, rule in found:
        if at == split.rule:
            return [rule]
    numbers = ", ".join(str(at) for at, _ in found)
    raise TargetFailed(
        f"rule {split.rule} of HTTPRoute {split.route} does not have the backend {split.service}; these do: {numbers}",
        hint="Correct `rule`.",
    )


def _paths(rule: Json) -> str:
    paths = [str(match.get("path", {}).get("value", "/")) for match in _matches(rule)]
    return " ".join(paths)


def _matches(rule: Json) -> list[dict[str, Any]]:
    """A rule without any matches every request."""
    return list(rule.get("matches") or ({},))


def _ref(rule: Json, service: str) -> dict[str, Any] | None:
    for ref in rule.get("backendRefs") or ():
        if ref.get("name") == service and ref.get("kind", "Service") == "Service":
            return dict(ref)
    return None


def _weight(ref: Json | None) -> int:
    return int(ref.get("weight", 1)) if ref is not None else 0


def _share(rule: Json, split: Split) -> Weight:
    stable, canary = _weight(_ref(rule, split.service)), _weight(_ref(rule, split.canary))
    return Weight(round(100 * canary / (stable + canary), 1)) if canary else NOTHING


def _weighed(rule: Json, split: Split, weight: Weight) -> Json:
    clean = _without_mirror(rule, split)
    stable = _ref(rule, split.service)
    assert stable is not None
    others = [ref for ref in rule["backendRefs"] if ref.get("name") not in (split.service, split.canary)]
    pool = _weight(stable) + _weight(_ref(rule, split.canary))
    busy = [ref for ref in others if _weight(ref) > 0]
    factor = _GRAIN // math.gcd(pool, _GRAIN) if busy else 1
    total = pool * factor if busy else _GRAIN
    if max(total, *(_weight(ref) * factor for ref in busy), 0) > _MOST:
        raise TargetFailed(
            f"the weights of HTTPRoute {split.route} are too large to split them in tenths of a percent",
            hint="Write smaller weights of the same proportion.",
        )
    part = total * weight.permille // _GRAIN
    refs = [
        {**stable, "weight": total - part},
        {**stable, "name": split.canary, "weight": part},
        *({**ref, "weight": _weight(ref) * factor} for ref in others),
    ]
    filters = list(clean.get("filters") or ())
    if split.mirror is not None and weight == NOTHING:
        filters.append(_mirror(stable, split))
    return {**clean, "backendRefs": refs} | ({"filters": filters} if filters else {})


def _unwired(rule: Json, split: Split) -> Json:
    stable, canary = _ref(rule, split.service), _ref(rule, split.canary)
    if stable is None or canary is None:
        return rule
    clean = _without_mirror(rule, split)
    others = [ref for ref in rule["backendRefs"] if ref.get("name") not in (split.service, split.canary)]
    pool = _weight(stable) + _weight(canary)
    common = math.gcd(pool, *(_weight(ref) for ref in others)) or 1
    refs = [{**stable, "weight": pool // common}, *({**ref, "weight": _weight(ref) // common} for ref in others)]
    return {**clean, "backendRefs": refs}


def _for_testers(rule: Json, split: Split) -> Json:
    """A rule for the same requests with the testers' header: it has one match more, so it comes first."""
    header = {"type": "Exact", "name": split.header, "value": split.value}
    matches = [{**one, "headers": [*(one.get("headers") or ()), header]} for one in _matches(rule)]
    stable = _ref(rule, split.service)
    assert stable is not None
    clean = _without_mirror(rule, split)
    return {**clean, "matches": matches, "backendRefs": [{**stable, "name": split.canary, "weight": 1}]}


def _without_ours(rules: Sequence[Json], split: Split) -> list[Json]:
    """The rules without those for testers: they alone have the canary for their only backend."""
    return [rule for rule in rules if [ref.get("name") for ref in rule.get("backendRefs") or ()] != [split.canary]]


def _mirror(stable: Json, split: Split) -> Json:
    ref = {key: value for key, value in stable.items() if key in ("group", "kind", "port", "namespace")}
    percent = round(100 * (split.mirror or 0))
    copied = {"percent": percent} if percent < 100 else {}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {**ref, "name": split.canary}, **copied}}


def _without_mirror(rule: Json, split: Split) -> Json:
    filters = [
        each
        for each in rule.get("filters") or ()
        if each.get("requestMirror", {}).get("backendRef", {}).get("name") != split.canary
    ]
    rest = {key: value for key, value in rule.items() if key != "filters"}
    return rest | ({"filters": filters} if filters else {})
