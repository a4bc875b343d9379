"""Monitoring that is away makes blind, and what is there decides first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rollout.analysis.readings import Counters
from rollout.core.verdict import Counts, Verdict
from tests.analysis.traffic import (
    counter,
    counters,
    gate,
    growing,
    judged,
    plan,
    reading,
    second,
    timeline,
)
from tests.analysis.verdicts import GOOD, GOOD_STABLE, seen


def test_a_source_that_is_away_is_blind_with_its_reason() -> None:
    got = seen(reading(gate(), problem="the server does not answer"), now=20)
    assert got.verdict is Verdict.BLIND
    assert got.reason == "http 5xx: the metrics cannot be had: the server does not answer"
    assert got.until is None


@pytest.mark.parametrize("version", ["canary", "stable"])
def test_a_version_whose_samples_stop_makes_blind_after_ten_seconds(version: str) -> None:
    full = reading(gate(), canary=GOOD, stable=GOOD_STABLE)
    short = reading(gate(), canary=GOOD[:10], stable=GOOD_STABLE[:10])
    stopped = (
        replace(full, canary=short.canary, stable=full.stable)
        if version == "canary"
        else replace(full, stable=short.stable)
    )
    assert seen(stopped, now=20).verdict is Verdict.HEALTHY
    got = seen(stopped, now=20.6)
    assert (got.verdict, got.gates[0].sentence) == (Verdict.BLIND, f"the newest sample of {version} is 11 s old")
    assert got.until == second(10)


def test_with_rare_looks_blindness_takes_four_of_them() -> None:
    full = reading(gate(), canary=GOOD, stable=GOOD_STABLE)
    assert seen(full, now=79, interval=15).verdict is Verdict.HEALTHY
    assert seen(full, now=81, interval=15).verdict is Verdict.BLIND


def test_once_the_canary_has_all_traffic_stable_may_fall_silent() -> None:
    subject = reading(gate(), canary=[(20, 0)] * 40, stable=GOOD_STABLE)
    assert judged(subject, policy=plan(gate()), when=timeline((0, 50), (15, 100)), now=40).verdict is Verdict.HEALTHY


def test_evidence_that_is_there_decides_even_if_the_samples_stopped() -> None:
    got = seen(reading(gate(), canary=[(20, 20)] * 5, stable=[(380, 0)] * 5), now=60)
    assert got.verdict is Verdict.UNHEALTHY


def test_a_canary_without_series_is_waited_for_and_then_missed() -> None:
    early = seen(reading(gate(), stable=GOOD_STABLE[:10]), now=10)
    assert (early.verdict, early.gates[0].sentence) == (
        Verdict.INCONCLUSIVE,
        "the canary has no series that the selectors name yet",
    )
    late = seen(reading(gate(), stable=GOOD_STABLE), now=20)
    assert late.verdict is Verdict.BLIND
    assert late.gates[0].sentence.startswith("the canary has had traffic for 20 s")


def test_a_counter_that_only_shows_nan_is_no_series() -> None:
    silent = Counters(total=(counter([math.nan] * 20, instance="two"),))
    got = seen(replace(reading(gate(), stable=GOOD_STABLE), canary=silent), now=20)
    assert got.verdict is Verdict.BLIND


def test_samples_from_the_future_tell_of_clocks_that_differ() -> None:
    got = seen(reading(gate(), canary=[(20, 20)] * 20, stable=GOOD_STABLE), now=15)
    assert got.verdict is Verdict.BLIND
    assert got.gates[0].sentence.startswith("the newest sample of canary is 5 s in the future")


def test_what_an_earlier_canary_left_behind_is_not_this_one() -> None:
    """Its samples ended before the start, and it carried no release label."""
    old = Counters(total=(growing([20] * 5, first=-60, instance="old"),))
    got = seen(replace(reading(gate(), stable=GOOD_STABLE), canary=old), now=20, weight=0)
    assert got.verdict is Verdict.HEALTHY
    assert got.gates[0].canary.total == 0


def test_failures_of_another_release_under_the_same_version_do_not_reach_this_one() -> None:
    former = growing([20] * 20, instance="two", code="500", release="v1.9")
    mine = counters(GOOD, instance="two")
    got = seen(
        replace(
            reading(gate(), stable=GOOD_STABLE),
            canary=Counters(total=(*mine.total, former), failures=(*mine.failures, former)),
        ),
        now=20,
    )
    assert (got.verdict, got.gates[0].canary) == (Verdict.HEALTHY, Counts(total=400))
