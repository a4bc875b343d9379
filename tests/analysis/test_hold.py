"""A cause that both versions share holds the rollout, and is never blamed on the canary."""

from __future__ import annotations

from rollout.analysis.readings import Reading
from rollout.core.verdict import Verdict
from tests.analysis.traffic import counters, gate, judged, plan, timeline
from tests.analysis.verdicts import one


def test_an_incident_that_hits_both_versions_holds_and_says_so() -> None:
    result = one([(20, 6)] * 60, [(380, 114)] * 60)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence == (
        "the canary fails 30 % of 1,200 requests, and allowed is at most 2 %; "
        "stable is failing too, 30 % of 22,800: the cause may be shared"
    )


def test_a_hold_ends_when_the_incident_does() -> None:
    incident, calm = ([(20, 6)] * 10, [(380, 114)] * 10), ([(20, 0)] * 300, [(380, 0)] * 300)
    result = one(incident[0] + calm[0], incident[1] + calm[1])
    assert result.verdict is Verdict.HEALTHY


def test_two_thirds_of_failures_on_both_sides_are_no_catastrophe_of_the_canary() -> None:
    assert one([(30, 20)] * 60, [(570, 380)] * 60).verdict is Verdict.INCONCLUSIVE


def test_a_canary_within_the_allowed_ratio_is_no_catastrophe_however_much_fails() -> None:
    """Forty percent against thirty: more than a quarter fails, and 1.5 times stable's rate is allowed."""
    result = one([(100, 40)] * 120, [(1900, 570)] * 120, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.HEALTHY
    assert one([(100, 60)] * 120, [(1900, 570)] * 120, subject=gate(ratio=1.5)).verdict is Verdict.UNHEALTHY


def test_a_stable_release_that_was_last_scraped_just_before_the_start_is_known() -> None:
    """The first look comes sooner than the first scrape after the start: nothing is missing."""
    before = counters([(90, 0), (90, 0)], instance="one", first=-2.5)
    given = Reading(gate=gate(), canary=counters([(0, 0)], instance="two", first=-0.7), stable=before)
    assert judged(given, policy=plan(), when=timeline((0, 0)), now=0.4).verdict is Verdict.HEALTHY
