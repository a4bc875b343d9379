"""While instances warm up, only catastrophes count."""

from __future__ import annotations

from rollout.core.verdict import GateResult, Verdict
from tests.analysis.traffic import (
    Pairs,
    gate,
    judged,
    plan,
    reading,
)
from tests.analysis.verdicts import AT_5


def warming(canary: Pairs, stable: Pairs, *, now: float) -> GateResult:
    policy = plan(gate(), warm_up=60)
    return judged(reading(gate(), canary=canary, stable=stable), policy=policy, when=AT_5, now=now).gates[0]


def test_errors_while_warming_up_are_forgiven() -> None:
    """Ten percent for a minute, and good from then on."""
    cold, warm = [(50, 5)] * 60, [(50, 0)] * 60
    result = warming(cold, [(950, 0)] * 60, now=59.5)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("the canary warms up until 12:01:00 UTC")
    assert warming(cold + warm, [(950, 0)] * 120, now=120).verdict is Verdict.HEALTHY


def test_a_catastrophe_while_warming_up_is_not() -> None:
    assert warming([(5, 5)] * 2, [(95, 0)] * 2, now=2).verdict is Verdict.UNHEALTHY
