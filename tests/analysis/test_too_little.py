"""Too little data is neither healthy nor unhealthy."""

from __future__ import annotations

from dataclasses import replace

from rollout.core.verdict import Verdict
from tests.analysis.traffic import (
    gate,
    judged,
    plan,
    reading,
    second,
    timeline,
)
from tests.analysis.verdicts import AT_5, one


def test_too_few_requests_are_inconclusive_with_their_number() -> None:
    result = one([(1, 0)] * 9, [(19, 0)] * 9)
    assert (result.verdict, result.sentence) == (
        Verdict.INCONCLUSIVE,
        "only 9 of 10 requests at this step so far",
    )
    assert one([(1, 0)] * 10, [(19, 0)] * 10).verdict is Verdict.HEALTHY


def test_requests_of_an_earlier_step_do_not_count_for_this_one() -> None:
    subject = gate()
    when = timeline((0, 5), (20, 25))
    many = reading(subject, canary=[(20, 0)] * 20 + [(1, 0)] * 4, stable=[(380, 0)] * 24)
    got = judged(many, policy=plan(subject), when=when, now=24)
    assert got.gates[0].sentence == "only 4 of 10 requests at this step so far"


def test_a_weight_that_was_not_seen_yet_has_no_requests() -> None:
    subject = gate()
    when = replace(AT_5, seen_at=None)
    got = judged(reading(subject, canary=[(20, 0)] * 9, stable=[(380, 0)] * 9), policy=plan(subject), when=when, now=9)
    assert got.gates[0].sentence == "only 0 of 10 requests at this step so far"


def test_at_weight_0_no_requests_are_needed() -> None:
    subject = gate()
    got = judged(reading(subject, stable=[(400, 0)] * 9), policy=plan(subject), when=timeline((0, 0)), now=9)
    assert (got.verdict, got.gates[0].sentence) == (Verdict.HEALTHY, "the canary has no traffic yet")
    assert got.until == second(9)


def test_at_weight_0_the_requests_of_a_few_testers_are_enough() -> None:
    subject = gate()
    few = reading(subject, canary=[(1, 0)] * 3, stable=[(400, 0)] * 3)
    assert judged(few, policy=plan(subject), when=timeline((0, 0)), now=3).verdict is Verdict.HEALTHY


def test_a_ratio_without_stable_requests_is_not_healthy() -> None:
    result = one([(20, 0)] * 9, [(0, 0)] * 9, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("stable served no requests at this step")


def test_stable_without_series_cannot_be_compared_with() -> None:
    result = one([(20, 0)] * 9, [])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("stable has no series")
    failing = one([(20, 20)] * 9, [])
    assert failing.verdict is Verdict.INCONCLUSIVE
    assert failing.sentence.endswith("stable has no requests to compare with")


def test_failures_that_exceed_the_total_again_and_again_accuse_the_selectors() -> None:
    result = one([(1, 5)] * 9, [(380, 0)] * 9)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence == "failures exceed total in 9 of 9 blocks: check the selectors"
    once = one([(20, 0)] * 5 + [(0, 1)], [(380, 0)] * 6)
    assert once.verdict is Verdict.HEALTHY
