"""What takes a canary back, how soon, and in which words."""

from __future__ import annotations

import math

import pytest

from rollout.core.gates import FailureGate, OnRegression
from rollout.core.verdict import Counts, Verdict
from tests.analysis.traffic import (
    gate,
    judged,
    plan,
    reading,
)
from tests.analysis.verdicts import AT_5, decided_after, one


@pytest.mark.parametrize("gates", [1, 2, 4])
@pytest.mark.parametrize("weight", [1, 5, 10, 25])
@pytest.mark.parametrize(
    "subject", [gate(), gate(ratio=1.5), gate(limit=0.02, ratio=1.5)], ids=["max", "ratio", "both"]
)
def test_a_canary_that_fails_every_request_is_taken_back_after_two_blocks(
    subject: FailureGate, weight: int, gates: int
) -> None:
    """Five requests a block are enough as long as stable has at least three quarters of the traffic."""
    stable = (5 * (100 - weight) // weight, 0)
    assert decided_after(subject, canary=(5, 5), stable=stable, gates=gates) == 2


def test_one_block_never_decides() -> None:
    assert one([(10_000, 10_000)], [(100_000, 0)]).verdict is not Verdict.UNHEALTHY


def test_at_half_the_traffic_a_total_failure_takes_ten_requests_a_block() -> None:
    """With as many failures as successes between the versions, each failure shows no more than a coin does."""
    assert decided_after(gate(), canary=(10, 10), stable=(10, 0), gates=4) == 2
    assert decided_after(gate(), canary=(5, 5), stable=(5, 0), gates=4) > 2


def test_the_sentence_of_a_rollback_holds_the_numbers_and_how_rare_they_are() -> None:
    result = one([(20, 4)] * 30, [(380, 1)] * 30, subject=gate(regression=OnRegression.OFF))
    assert result.verdict is Verdict.UNHEALTHY
    assert result.sentence == (
        "the canary fails 20 % of 600 requests, stable 0.26 % of 11,400; allowed is at most 2 %; "
        "a canary no worse than stable would look this bad less than once in 1,000,000 rollouts"
    )
    assert result.log_e >= result.log_threshold == pytest.approx(math.log(100))
    assert (result.canary, result.stable) == (Counts(total=600, failures=120), Counts(total=11_400, failures=30))


def test_the_sentence_of_a_late_fault_counts_from_its_beginning() -> None:
    result = one([(20, 0)] * 200 + [(20, 10)] * 10, [(380, 0)] * 210)
    assert result.verdict is Verdict.UNHEALTHY
    assert "since 12:03:20 UTC the canary fails 50 % of 200 requests, stable 0 % of 3,800" in result.sentence


def test_a_verdict_once_reached_stays() -> None:
    """The evidence counts as it was at its highest: a later lull takes nothing back."""
    bad, lull = [(20, 10)] * 10, [(20, 0)] * 300
    assert one(bad + lull, [(380, 0)] * 310).verdict is Verdict.UNHEALTHY


def test_a_canary_slightly_over_the_ratio_is_only_taken_back_by_a_gate_that_limits_the_ratio() -> None:
    canary, stable = [(200, 3)] * 200, [(3800, 8)] * 200
    assert one(canary, stable, subject=gate(regression=OnRegression.OFF)).verdict is Verdict.HEALTHY
    assert one(canary, stable, subject=gate(limit=0.02, ratio=1.5)).verdict is Verdict.UNHEALTHY
    assert one(canary, stable, subject=gate(ratio=1.5)).verdict is Verdict.UNHEALTHY


def test_more_gates_make_each_gate_slower_and_observed_gates_cost_nothing() -> None:
    policy = plan(gate(), gate(name="watched", observe=True), gate(name="second"))
    good = [(20, 0)] * 5
    readings = tuple(reading(each, canary=good, stable=good) for each in policy.gates)
    got = judged(*readings, policy=policy, when=AT_5, now=5)
    assert [result.log_threshold for result in got.gates] == [pytest.approx(math.log(200))] * 3


def test_an_observed_gate_tells_and_does_not_act() -> None:
    watched = gate(name="watched", observe=True)
    policy = plan(gate(), watched)
    got = judged(
        reading(gate(), canary=[(20, 0)] * 10, stable=[(380, 0)] * 10),
        reading(watched, canary=[(20, 20)] * 10, stable=[(380, 0)] * 10),
        policy=policy,
        when=AT_5,
        now=10,
    )
    assert got.verdict is Verdict.HEALTHY
    assert [(result.verdict, result.observe) for result in got.gates] == [
        (Verdict.HEALTHY, False),
        (Verdict.UNHEALTHY, True),
    ]
