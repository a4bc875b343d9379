"""Clauses of a gate: a clear regression inside the limit, and the emergency for those who want a plain threshold."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest

from rollout.analysis.blocks import Block
from rollout.analysis.clauses import Case, Kind, Weighing
from rollout.core.gates import Emergency, FailureGate, OnRegression
from rollout.core.verdict import Verdict
from tests.analysis.traffic import Pairs, block, gate, poisson
from tests.analysis.verdicts import one

BUDGET, BETA = 0.01, 0.05


def weighed(subject: FailureGate, blocks: Sequence[Block], *, dispersion: float = 1.0, advance: bool = False) -> Case:
    """The case after these blocks."""
    weighing = Weighing(subject, budget=BUDGET, beta=BETA, dispersion=dispersion, advance=advance)
    for each in blocks:
        weighing.add(each)
    return weighing.case


# --- a clear regression -------------------------------------------------------------------------------------------

WORSE_INSIDE = [(200, 3)] * 200, [(3800, 8)] * 200
"""1.5 % against 0.2 %: inside the limit of 2 %, and seven times stable's."""


def test_a_clear_regression_inside_the_limit_is_taken_back() -> None:
    result = one(*WORSE_INSIDE, subject=gate(regression=OnRegression.ROLL_BACK))
    assert result.verdict is Verdict.UNHEALTHY
    assert "allowed is at most 2 %, and above 1 % at most 1.5 times stable's rate" in result.sentence


def test_a_gate_can_only_hold_for_it() -> None:
    result = one(*WORSE_INSIDE, subject=gate(regression=OnRegression.HOLD))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.endswith("the gate only holds the rollout for that")
    assert result.log_e < result.log_threshold


def test_a_gate_can_let_it_pass() -> None:
    assert one(*WORSE_INSIDE, subject=gate(regression=OnRegression.OFF)).verdict is Verdict.HEALTHY


@pytest.mark.parametrize("regression", list(OnRegression))
def test_a_canary_beyond_the_limit_is_taken_back_whatever_regressions_do(regression: OnRegression) -> None:
    result = one([(200, 16)] * 40, [(3800, 8)] * 40, subject=gate(regression=regression))
    assert result.verdict is Verdict.UNHEALTHY


@pytest.mark.parametrize(
    ("canary", "stable"),
    [((200, 1), (3800, 4)), ((200, 3), (3800, 45))],
    ids=["five times stable's, and under half of the limit", "over half of the limit, and 1.27 times stable's"],
)
def test_what_is_no_clear_regression_passes(canary: tuple[int, int], stable: tuple[int, int]) -> None:
    assert one([canary] * 300, [stable] * 300).verdict is Verdict.HEALTHY


# --- the emergency ------------------------------------------------------------------------------------------------


def emergency(**changes: int) -> FailureGate:
    """At 3 % over ten seconds; the limit is 2 %, and regressions are let pass."""
    rule = Emergency(max=0.03, over=timedelta(seconds=10), **{"min_requests": 100, "min_failures": 5, **changes})
    return gate(emergency=rule, regression=OnRegression.OFF)


def test_an_emergency_takes_back_what_the_limit_alone_would_still_weigh() -> None:
    canary, stable = [(50, 2)] * 10, [(950, 1)] * 10
    assert one(canary, stable, subject=gate(regression=OnRegression.OFF)).verdict is Verdict.HEALTHY
    result = one(canary, stable, subject=emergency())
    assert result.verdict is Verdict.UNHEALTHY
    assert result.sentence.startswith(
        "emergency: 4 % of 500 requests failed in 10 s, from 3 % on the canary is taken back; the canary fails 4 %"
    )
    assert "a canary no worse than stable would look this bad" in result.sentence


def test_the_threshold_of_an_emergency_is_literal() -> None:
    """2.8 % over the window are no emergency, however clearly it is more than stable's."""
    canary, stable = [(250, 7)] * 40, [(4750, 1)] * 40
    kinds = {
        weighed(subject, _blocks(canary, stable)).kind for subject in (emergency(), gate(regression=OnRegression.OFF))
    }
    assert Kind.EMERGENCY not in kinds


def test_the_window_of_an_emergency_ends_behind() -> None:
    """Failures that are more than ten seconds old are no emergency any more: those of the window alone count."""
    rule = emergency()
    bad, good = [(50, 5)] * 3, [(50, 0)] * 12
    within = weighed(rule, _blocks(bad + good[:5], [(950, 1)] * 8))
    assert within.kind is Kind.EMERGENCY
    slow = [(5, 1), *[(50, 0)] * 12, (50, 1), (50, 1)]
    beyond = weighed(rule, _blocks(slow, [(950, 0)] * 15))
    assert beyond.kind is not Kind.EMERGENCY


@pytest.mark.parametrize("minimum", [{"min_requests": 600}, {"min_failures": 50}])
def test_an_emergency_needs_its_minimum_sample(minimum: dict[str, int]) -> None:
    canary, stable = _blocks([(50, 4)] * 10, [(950, 1)] * 10), emergency(**minimum)
    assert weighed(stable, canary).kind is not Kind.EMERGENCY
    assert weighed(emergency(), canary).kind is Kind.EMERGENCY


def test_an_incident_that_both_versions_share_is_no_emergency_of_the_canary() -> None:
    result = one([(50, 15)] * 60, [(950, 285)] * 60, subject=emergency())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.endswith("the cause may be shared")


def _blocks(canary: Pairs, stable: Pairs) -> list[Block]:
    return [block(i, *pair) for i, pair in enumerate(zip(canary, stable, strict=True))]


# --- the budget ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("canary", "stable"),
    [(0.02, 0.02), (0.3, 0.3), (0.004, 0.004)],
    ids=["at the limit", "in an incident", "well"],
)
@pytest.mark.parametrize("subject", [gate(ratio=1.5, limit=0.02), emergency()], ids=["both", "emergency"])
def test_a_canary_like_stable_is_taken_back_no_more_often_than_the_budget_says(
    subject: FailureGate, canary: float, stable: float
) -> None:
    """All clauses of a gate together: 60 rollouts of 100 blocks, against a budget of 1 %."""
    dice, taken = random.Random(3), 0
    for _ in range(60):
        blocks = [
            block(i, _served(dice, 40, canary), _served(dice, 400, stable), weight=10 if i < 50 else 25)
            for i in range(100)
        ]
        taken += weighed(subject, blocks).log_e >= -math.log(BUDGET)
    assert taken <= 1


def _served(dice: random.Random, requests: int, rate: float) -> tuple[int, int]:
    return requests, min(requests, poisson(dice, requests * rate))


def test_no_clause_can_act_on_a_single_block() -> None:
    """The most that one block brings is 75, times a share: less than the 100 of a budget of 1 %."""
    for subject in (gate(), gate(ratio=1.5), emergency()):
        assert weighed(subject, [block(0, (10_000, 10_000), (10_000, 0))]).log_e < -math.log(BUDGET)


def test_a_look_ahead_does_not_change_what_is_remembered() -> None:
    weighing = Weighing(gate(), budget=BUDGET, beta=BETA, dispersion=1.0)
    weighing.add(block(0, (50, 1), (950, 1)))
    before = weighing.case
    peeked = weighing.peek(block(1, (50, 50), (950, 1)))
    assert (weighing.case, len(weighing.blocks)) == (before, 1)
    weighing.add(block(1, (50, 50), (950, 1)))
    assert weighing.case == peeked


def test_a_block_in_which_the_weight_changed_is_no_evidence() -> None:
    quiet = [block(i, (50, 0), (950, 1)) for i in range(3)]
    shifted = block(3, (50, 50), (950, 1), shifted=True)
    assert weighed(gate(), [*quiet, shifted]) == weighed(gate(), quiet)


@pytest.mark.parametrize("stable", [0.002, 0.01])
def test_a_canary_that_is_worse_and_keeps_its_limit_is_taken_back_no_more_often_than_beta_says(stable: float) -> None:
    """100 rollouts of 100 blocks at exactly the limit of 2 %, against a beta of 5 %; regressions are let pass."""
    dice, taken, subject = random.Random(13), 0, gate(regression=OnRegression.OFF)
    for _ in range(100):
        failures = [sum(dice.random() < 0.02 for _ in range(40)) for _ in range(100)]
        blocks = [block(i, (40, failed), _served(dice, 400, stable)) for i, failed in enumerate(failures)]
        taken += weighed(subject, blocks).log_e >= -math.log(BUDGET)
    assert taken <= BETA * 100
