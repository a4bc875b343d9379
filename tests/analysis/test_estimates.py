"""Estimates are what a person needs to check a gate: rates with bounds, and the window and queries they rest on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.core.verdict import Measured, Unit
from tests.analysis.traffic import Pairs, gate, judged, plan, reading, second, timeline
from tests.analysis.verdicts import AT_5

QUERIES = ('requests_total{version="canary"}', 'requests_total{version="stable"}')


def measured(canary: Pairs, stable: Pairs, *, warm_up: float = 0.0, dispersion: float = 1.0) -> Measured:
    subject = gate()
    read = replace(reading(subject, canary=canary, stable=stable), queries=QUERIES)
    policy = plan(subject, warm_up=warm_up, dispersion=dispersion)
    found = judged(read, policy=policy, when=AT_5, now=max(len(canary), len(stable)) + 0.5).gates[0].measured
    assert found is not None
    return found


def test_both_rates_come_with_bounds_their_window_and_the_queries() -> None:
    got = measured([(50, 1)] * 20, [(950, 2)] * 20)
    assert (got.unit, got.queries, got.dispersion) == (Unit.RATIO, QUERIES, 1.0)
    assert got.canary is not None
    assert got.stable is not None
    assert got.canary.value == pytest.approx(0.02)
    assert got.stable.value == pytest.approx(40 / 19_000)
    assert got.canary.low < 0.02 < got.canary.high
    assert got.stable.high - got.stable.low < got.canary.high - got.canary.low
    assert (got.since, got.until) == (second(0), second(20))
    assert (got.bound, got.tolerance) == (None, None)


def test_what_is_not_judged_is_not_in_the_estimates() -> None:
    """Neither the warm-up nor blocks in which the weight changed."""
    cold = measured([(50, 50)] * 10 + [(50, 1)] * 10, [(950, 2)] * 20, warm_up=10)
    assert cold.canary is not None
    assert cold.canary.value == pytest.approx(0.02)
    subject = gate()
    read = reading(subject, canary=[(50, 0)] * 5 + [(50, 25)] + [(50, 0)] * 5, stable=[(950, 2)] * 11)
    when = timeline((0, 5), (5.05, 25))
    got = judged(read, policy=plan(subject), when=when, now=11.5).gates[0]
    assert got.measured is not None
    assert got.measured.canary is not None
    assert got.measured.canary.value == 0.0
    assert got.canary.failures == 25, "it is shown all the same"


def test_bursts_widen_the_bounds() -> None:
    calm = measured([(50, 1)] * 20, [(950, 2)] * 20)
    bursty = measured([(50, 1)] * 20, [(950, 2)] * 20, dispersion=9.0)
    assert calm.canary is not None
    assert bursty.canary is not None
    assert bursty.dispersion == 9.0
    assert bursty.canary.high > calm.canary.high
    assert bursty.canary.low < calm.canary.low


def test_a_version_that_served_nothing_has_no_rate() -> None:
    got = measured([(0, 0)] * 9, [(950, 2)] * 9)
    assert got.canary is None
    assert got.stable is not None
