"""A latency limit over whole rollouts: what is found, what passes, and what cannot be judged."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import LatencyGate
from rollout.core.verdict import GateResult, Unit, Verdict
from tests.analysis.histogram import FINE, LAYOUT, P95, histogram, latency, lognormal, served
from tests.analysis.traffic import judged, known_by, merged, plan, second, timeline, tried
from tests.analysis.verdicts import AT_5

SECONDS = 90
BEFORE = 30
"""For so many seconds before the start stable's samples are read."""


def read_of(
    dice: random.Random,
    *,
    slower: float,
    bounds: Sequence[float] = LAYOUT,
    canary_bounds: Sequence[float] | None = None,
    stable_factor: float = 1.0,
    subject: LatencyGate | None = None,
    seconds: int = SECONDS,
) -> Reading:
    """100 canary requests a second that take so many times as long as stable's 400."""
    return Reading(
        gate=subject or latency(),
        canary=histogram(
            served(seconds, 100, lambda: slower * stable_factor * lognormal(dice)),
            bounds=canary_bounds or bounds,
            instance="two",
        ),
        stable=histogram(
            served(seconds + BEFORE, 400, lambda: stable_factor * lognormal(dice)),
            bounds=bounds,
            instance="one",
            first=-BEFORE,
        ),
    )


def verdict(
    read: Reading, *, when: Timeline = AT_5, now: float = SECONDS + 0.5, dispersion: float = 1.0, warm_up: float = 0.0
) -> GateResult:
    assert isinstance(read.gate, LatencyGate)
    policy = plan(read.gate, dispersion=dispersion, warm_up=warm_up)
    return judged(known_by(read, second(now)), policy=policy, when=when, now=now).gates[0]


@pytest.mark.parametrize("bounds", [LAYOUT, FINE], ids=["default buckets", "fine buckets"])
def test_a_canary_that_takes_twice_as_long_is_found(bounds: Sequence[float]) -> None:
    result = verdict(read_of(random.Random(41), slower=2.0, bounds=bounds))
    assert result.verdict is Verdict.UNHEALTHY
    assert "of the canary" in result.sentence
    assert "if it were as slow as allowed" in result.sentence
    assert "allowed is a p95 at most 30 % above stable's" in result.sentence


@pytest.mark.parametrize("bounds", [LAYOUT, FINE], ids=["default buckets", "fine buckets"])
@pytest.mark.parametrize("slower", [1.0, 1.2])
def test_a_canary_within_its_limit_passes(slower: float, bounds: Sequence[float]) -> None:
    """A fifth more is allowed: 6 rollouts of each."""
    for seed in range(6):
        result = verdict(read_of(random.Random(seed), slower=slower, bounds=bounds))
        assert result.verdict is Verdict.HEALTHY


def test_with_fine_buckets_half_as_much_again_is_found_as_well() -> None:
    assert verdict(read_of(random.Random(43), slower=1.5, bounds=FINE)).verdict is Verdict.UNHEALTHY


def test_an_incident_that_slows_both_versions_is_not_the_canarys() -> None:
    """From the tenth second on everything takes four times as long."""
    dice = random.Random(44)

    def durations(seconds: int, requests: int, slow_from: int) -> list[list[float]]:
        return [[(4.0 if at >= slow_from else 1.0) * lognormal(dice) for _ in range(requests)] for at in range(seconds)]

    read = Reading(
        gate=latency(),
        canary=histogram(durations(SECONDS, 100, 10), instance="two"),
        stable=histogram(durations(SECONDS + BEFORE, 400, 10 + BEFORE), instance="one", first=-BEFORE),
    )
    assert verdict(read).verdict is Verdict.HEALTHY


def test_the_estimates_are_quantiles_with_bounds_around_them() -> None:
    result = verdict(read_of(random.Random(45), slower=1.0, bounds=FINE))
    measured = result.measured
    assert measured is not None
    assert measured.unit is Unit.SECONDS
    assert measured.canary is not None
    assert measured.stable is not None
    assert measured.stable.value == pytest.approx(P95, rel=0.05)
    for estimate in (measured.canary, measured.stable):
        assert estimate.low <= P95 <= estimate.high
    assert measured.canary.high - measured.canary.low >= measured.stable.high - measured.stable.low
    assert measured.bound in FINE
    assert measured.tolerance is not None
    assert measured.tolerance[0] <= 0.3 + 1e-9 <= measured.tolerance[1] + 1e-6


def test_the_slow_requests_of_both_versions_are_its_failures() -> None:
    """Stable's are those to be expected of a canary that is as slow as allowed: 1.3 times its own."""
    read = read_of(random.Random(46), slower=1.3, bounds=FINE)
    result = verdict(read)
    assert result.canary.total == 100 * SECONDS
    assert result.canary.rate == pytest.approx(result.stable.rate, rel=0.2)


# --- the choice of the bucket -------------------------------------------------------------------------------------


def test_the_bucket_is_chosen_by_what_stable_served_before_the_canarys_traffic() -> None:
    """What stable serves later does not change it: else the choice would know what it is to judge."""
    dice = random.Random(47)
    read = read_of(dice, slower=1.0, bounds=FINE)
    slow = histogram(served(SECONDS, 400, lambda: 3 * lognormal(dice)), bounds=FINE, instance="new", first=0.0)
    one = tried(read, when=AT_5).cut
    other = tried(Reading(gate=read.gate, canary=read.canary, stable=merged(read.stable, slow)), when=AT_5).cut
    assert one is not None
    assert one == other


def test_where_that_is_little_the_first_blocks_serve_for_the_choice_and_are_no_evidence() -> None:
    dice = random.Random(48)
    read = Reading(
        gate=latency(),
        canary=histogram(served(20, 100, lambda: lognormal(dice)), instance="two"),
        stable=histogram(served(20, 100, lambda: lognormal(dice)), instance="one"),
    )
    early = verdict(read, now=4.5)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert early.sentence == "stable has served fewer than 500 requests from which a bucket can be chosen"
    trial = tried(read, when=AT_5)
    assert [block.shifted for block in trial.blocks] == [True] * 5 + [False] * 15
    assert verdict(read, now=20.5).verdict is Verdict.HEALTHY


def test_values_that_are_none_do_not_keep_the_choice_waiting() -> None:
    dice = random.Random(49)
    stable = histogram(served(20, 100, lambda: lognormal(dice)), instance="one")
    none = Sample(at=second(1.5), value=math.nan)
    holed = Counters(
        buckets=tuple(
            Series(labels=one.labels, samples=(*one.samples[:2], none, *one.samples[2:])) for one in stable.buckets
        )
    )
    canary = histogram(served(20, 100, lambda: lognormal(dice)), instance="two")
    assert tried(Reading(gate=latency(), canary=canary, stable=holed), when=AT_5).cut is not None


def test_a_histogram_that_cannot_serve_holds_and_advises() -> None:
    read = read_of(random.Random(50), slower=1.0, bounds=(5.0, 10.0))
    result = verdict(read)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "would serve, or a native histogram" in result.sentence


def test_a_built_in_gate_whose_histogram_cannot_serve_does_not_apply() -> None:
    read = read_of(random.Random(51), slower=1.0, bounds=(5.0, 10.0), subject=latency(if_present=True))
    result = verdict(read)
    assert result.verdict is Verdict.HEALTHY
    assert result.sentence.startswith("not judged: no bucket's bound lies where")


@pytest.mark.parametrize(("slower", "expected"), [(1.0, Verdict.HEALTHY), (3.0, Verdict.UNHEALTHY)])
def test_a_canary_with_other_buckets_is_never_blamed_for_them(slower: float, expected: Verdict) -> None:
    """It has few bounds in common with stable."""
    other = (0.2, 0.4, 0.8, 1.6, 3.2)
    read = read_of(random.Random(52), slower=slower, bounds=LAYOUT, canary_bounds=other)
    assert verdict(read).verdict is expected


def test_a_second_canary_instance_with_other_buckets_is_not_blamed_for_them_either() -> None:
    dice = random.Random(53)
    read = read_of(dice, slower=1.0)
    other = histogram(served(SECONDS, 50, lambda: lognormal(dice)), bounds=(0.2, 0.4, 0.8, 1.6), instance="three")
    both = Reading(gate=read.gate, canary=merged(read.canary, other), stable=read.stable)
    assert verdict(both).verdict is Verdict.HEALTHY


# --- the phases of a rollout --------------------------------------------------------------------------------------


def test_before_the_first_traffic_nothing_is_asked_of_a_histogram() -> None:
    read = read_of(random.Random(54), slower=1.0)
    idle = histogram([[] for _ in range(SECONDS)], instance="two")
    at_0 = verdict(Reading(gate=read.gate, canary=idle, stable=read.stable), when=timeline((0, 0)))
    assert (at_0.verdict, at_0.sentence) == (Verdict.HEALTHY, "the canary has no traffic yet")


def test_slow_starts_are_forgiven_while_the_canary_warms_up() -> None:
    dice = random.Random(55)
    slow_start = [[(5.0 if at < 40 else 1.0) * lognormal(dice) for _ in range(100)] for at in range(SECONDS)]
    read = read_of(dice, slower=1.0)
    warm = Reading(gate=read.gate, canary=histogram(slow_start, instance="two"), stable=read.stable)
    assert verdict(warm).verdict is Verdict.UNHEALTHY
    assert verdict(warm, warm_up=41).verdict is Verdict.HEALTHY


def test_at_all_traffic_there_is_nothing_new_to_compare_with() -> None:
    read = read_of(random.Random(56), slower=1.0)
    result = verdict(read, when=timeline((0, 50), (60, 100)))
    assert result.verdict is Verdict.HEALTHY
    assert result.sentence.startswith("the canary has all traffic, so there is nothing new to compare it with; before")
