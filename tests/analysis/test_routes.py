"""Versions are compared route by route, as the canary may serve another mix of them than stable."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate
from rollout.core.verdict import GateResult, Verdict
from tests.analysis.traffic import counters, gate, growing, judged, merged, plan, poisson
from tests.analysis.verdicts import AT_5

RATES = {"/chat": 0.001, "/upload": 0.08}
"""How often each route fails, on both versions alike."""
MIX = {"canary": {"/chat": 20, "/upload": 30}, "stable": {"/chat": 900, "/upload": 50}}
"""Requests a second: the canary's are mostly uploads."""
SECONDS = 60


def simpson(dice: random.Random, rates: dict[str, dict[str, float]] | None = None) -> dict[str, Counters]:
    """Both versions' counters; each route fails alike on both, unless other rates are named."""

    def version(name: str) -> Counters:
        return merged(
            *(
                counters(
                    [(n, min(n, poisson(dice, n * (rates or {}).get(name, RATES)[route]))) for _ in range(SECONDS)],
                    instance=name,
                    route=route,
                )
                for route, n in MIX[name].items()
            )
        )

    return {name: version(name) for name in MIX}


def verdict(subject: FailureGate, both: dict[str, Counters]) -> GateResult:
    read = Reading(gate=subject, canary=both["canary"], stable=both["stable"])
    return judged(read, policy=plan(subject, dispersion=1.0), when=AT_5, now=SECONDS + 0.5).gates[0]


def test_another_mix_of_routes_is_a_fault_only_to_those_who_pool_them() -> None:
    """Simpson's paradox: each route fails as often as stable's, and the canary ten times as often in all."""
    dice = random.Random(5)
    for _ in range(12):
        both = simpson(dice)
        assert verdict(gate(ratio=1.5), both).verdict is Verdict.UNHEALTHY
        assert verdict(gate(ratio=1.5, by=("route",)), both).verdict is Verdict.HEALTHY


def test_a_route_that_is_worse_is_found_in_any_mix() -> None:
    """Chats fail on the canary as often as uploads do anyway: pooled, it would look like stable."""
    both = simpson(random.Random(6), {"canary": {"/chat": 0.2, "/upload": 0.08}})
    assert verdict(gate(ratio=1.5, by=("route",)), both).verdict is Verdict.UNHEALTHY


def test_an_absolute_limit_is_about_all_routes_together() -> None:
    """The witness "worse" goes by route, and the limit is the whole gate's: neither alone takes the canary back."""
    subject = gate(by=("route",))
    assert verdict(subject, simpson(random.Random(8))).verdict is not Verdict.UNHEALTHY
    broken = simpson(random.Random(8), {"canary": {"/chat": 0.3, "/upload": 0.4}})
    assert verdict(subject, broken).verdict is Verdict.UNHEALTHY


def test_a_route_that_only_one_version_serves_says_nothing() -> None:
    subject = gate(ratio=1.5, by=("route",))
    new = counters([(50, 10)] * SECONDS, instance="canary", route="/new")
    both = simpson(random.Random(9))
    assert verdict(subject, {**both, "canary": merged(both["canary"], new)}).verdict is Verdict.HEALTHY


@pytest.mark.parametrize("label", ["handler", "Route"])
def test_failures_that_do_not_tell_their_route_are_not_taken_for_none(label: str) -> None:
    """Else the canary's failures would never meet its requests, and it would pass whatever it does."""
    subject = gate(by=("route",))
    whole = simpson(random.Random(10))
    failures = growing([10] * SECONDS, instance="canary", code="500")
    unlabelled = Counters(
        total=whole["canary"].total,
        failures=(replace(failures, labels={**failures.labels, label: "/chat"}),),
    )
    result = verdict(subject, {**whole, "canary": unlabelled})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.endswith("check the selectors")
