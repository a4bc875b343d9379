"""With all traffic on the canary there is nothing to compare it with, and the absolute limit decides."""

from __future__ import annotations

from rollout.core.gates import FailureGate
from rollout.core.verdict import GateResult, Judgement, Verdict
from tests.analysis.traffic import (
    Pairs,
    gate,
    judged,
    plan,
    reading,
    second,
    timeline,
)


def at_100(canary: Pairs, *, subject: FailureGate, warm_up: float = 0, deployed: float = 0) -> GateResult:
    """Ten good seconds at 50 %, then these with all traffic and a stable release that is scraped and idle."""
    before = [(100, 1)] * 10
    policy = plan(subject, warm_up=warm_up)
    got = judged(
        reading(subject, canary=[*before, *canary], stable=before + [(0, 0)] * len(canary)),
        policy=policy,
        when=timeline((0, 50), (10, 100), deployed=deployed),
        now=10 + len(canary),
    )
    return got.gates[0]


def test_at_all_traffic_the_absolute_limit_decides_alone() -> None:
    result = at_100([(100, 40)] * 5, subject=gate())
    assert result.verdict is Verdict.UNHEALTHY
    assert "which has all traffic, fails 40 % of" in result.sentence
    assert at_100([(100, 1)] * 5, subject=gate()).verdict is Verdict.HEALTHY


def test_at_all_traffic_a_total_failure_is_taken_back_after_two_blocks_even_in_warm_up() -> None:
    assert at_100([(5, 5)] * 2, subject=gate(), warm_up=3600).verdict is Verdict.UNHEALTHY


def test_a_first_release_is_judged_by_its_limit_alone() -> None:
    subject = gate()

    def verdict(failures: int) -> Judgement:
        alone = reading(subject, canary=[(100, failures)] * 5)
        return judged(alone, policy=plan(subject), when=timeline((0, 100)), now=5)

    assert verdict(40).verdict is Verdict.UNHEALTHY
    good = verdict(1)
    assert (good.verdict, good.until) == (Verdict.HEALTHY, second(5))
    assert good.gates[0].sentence.startswith("the canary fails 1 % of 500 requests, and stable served nothing")


def test_at_all_traffic_a_ratio_learns_nothing_new_and_says_so() -> None:
    result = at_100([(100, 40)] * 5, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.HEALTHY
    assert result.sentence.startswith("the canary has all traffic, so there is nothing new to compare it with; before")
