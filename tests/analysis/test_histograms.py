"""Which bucket makes a request slow, and how many of stable's are then to be expected."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.histograms import NEEDED, NoCut, choose, quantile_of
from tests.analysis.histogram import FINE, LAYOUT, P95, lognormal, shares

TOTAL = 100_000.0


def exponential(mean: float) -> Callable[[float], float]:
    return lambda duration: 1 - math.exp(-duration / mean)


def normal_tail(p95: float = P95, sigma: float = 0.7) -> Callable[[float], float]:
    """The distribution that `lognormal` draws from."""
    return lambda duration: 0.5 * (1 + math.erf((math.log(duration / p95) / sigma + 1.645) / math.sqrt(2)))


def above(cumulative: Callable[[float], float], point: float) -> float:
    return 1 - cumulative(point)


SHAPES = [normal_tail(), normal_tail(0.9, 0.4), normal_tail(1.7, 1.0), exponential(0.13), exponential(0.8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounds", [LAYOUT, FINE, (0.2, 0.3, 0.4, 0.52, 0.7, 1.2, 1.9, 2.6, 3.5)])
def test_the_bound_lies_in_the_tail_or_there_is_none(shape: Callable[[float], float], bounds: Sequence[float]) -> None:
    """Between a fifth and 2.4 times of the 5 % that a p95 leaves."""
    counts = shares(shape, bounds, TOTAL)
    try:
        cut = choose(counts, quantile=0.95, max_increase=0.3)
    except NoCut:
        return
    assert cut.bound in bounds
    assert 0.01 < _expected(counts, cut.lower, cut.upper, cut.share) < 0.12


def _expected(counts: dict[float, float], lower: float, upper: float, share: float) -> float:
    """The share of stable's requests that count as slow."""
    beyond = 1 - counts[upper] / TOTAL
    within = (counts[upper] - counts.get(lower, 0.0)) / TOTAL if lower != upper else 0.0
    return beyond + share * within


@pytest.mark.parametrize("shape", SHAPES)
def test_with_fine_buckets_the_share_is_nearly_the_true_one(shape: Callable[[float], float]) -> None:
    counts = shares(shape, FINE, TOTAL)
    cut = choose(counts, quantile=0.95, max_increase=0.3)
    assert _expected(counts, cut.lower, cut.upper, cut.share) == pytest.approx(above(shape, cut.bound / 1.3), rel=0.06)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounds", [LAYOUT, FINE])
def test_the_tolerance_holds_what_is_really_tolerated(shape: Callable[[float], float], bounds: Sequence[float]) -> None:
    """The increase at which a canary has exactly as many slow requests as are expected lies between its ends."""
    counts = shares(shape, bounds, TOTAL)
    try:
        cut = choose(counts, quantile=0.95, max_increase=0.3)
    except NoCut:
        return
    expected = _expected(counts, cut.lower, cut.upper, cut.share)
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above(shape, cut.bound / (1 + middle)) < expected else (low, middle)
    assert cut.tolerance[0] - 0.02 <= low <= cut.tolerance[1] + 0.02
    assert cut.tolerance[0] <= 0.3 + 1e-9 <= cut.tolerance[1] + 1e-6


def test_where_the_limit_falls_on_a_bound_nothing_is_interpolated() -> None:
    """0.52 s is 1.3 times 0.4 s."""
    counts = shares(normal_tail(), (0.1, 0.4, 0.52, 5.0), TOTAL)
    cut = choose(counts, quantile=0.95, max_increase=0.3)
    assert (cut.bound, cut.lower, cut.upper, cut.share) == (0.52, 0.4, 0.4, 0.0)
    assert list(cut.tolerance) == pytest.approx([0.3, 0.3])


def test_the_share_lies_between_two_interpolations() -> None:
    """Linear, as `histogram_quantile` has it, and log-log; in between it is their geometric mean."""
    counts = {0.25: 80_000.0, 0.5: 97_000.0, 1.0: 99_500.0, math.inf: TOTAL}
    cut = choose(counts, quantile=0.95, max_increase=0.3)
    point = cut.bound / 1.3
    assert (cut.lower, cut.upper) == (0.25, 0.5)
    assert cut.bound == 0.5
    linear = 0.2 + (0.03 - 0.2) * (point - 0.25) / 0.25
    log_log = 0.2 * math.exp(math.log(0.03 / 0.2) * math.log(point / 0.25) / math.log(2))
    expected = math.sqrt(linear * log_log)
    assert _expected(counts, cut.lower, cut.upper, cut.share) == pytest.approx(expected)
    assert log_log < expected < linear


def test_among_bounds_that_can_serve_the_one_is_chosen_that_shows_most() -> None:
    """By the divergence of what a canary a fifth beyond the limit shows from what is expected."""
    counts = shares(normal_tail(), FINE, TOTAL)
    cut = choose(counts, quantile=0.95, max_increase=0.3)

    def shown(bound: float) -> float:
        expected, seen = above(normal_tail(), bound / 1.3), above(normal_tail(), bound / 1.6)
        return seen * math.log(seen / expected) + (1 - seen) * math.log((1 - seen) / (1 - expected))

    fit = [bound for bound in FINE if 0.01 < above(normal_tail(), bound / 1.3) < 0.12]
    assert shown(cut.bound) >= 0.95 * max(shown(bound) for bound in fit)


# --- refused ------------------------------------------------------------------------------------------------------


def test_too_few_requests_are_refused_with_their_number() -> None:
    counts = shares(normal_tail(), LAYOUT, NEEDED - 1.0)
    with pytest.raises(NoCut, match="only 499 of the 500 requests of stable"):
        choose(counts, quantile=0.95, max_increase=0.3)
    choose(shares(normal_tail(), LAYOUT, float(NEEDED)), quantile=0.95, max_increase=0.3)


def test_a_histogram_that_cannot_serve_is_told_which_bound_would() -> None:
    """All durations are far below the first bound: the advice is 1.3 times the p95, as far as the buckets tell it."""
    counts = {1.0: 50_000.0, 10.0: TOTAL, math.inf: TOTAL}
    with pytest.raises(NoCut, match=r"a bound at 12 s would serve, or a native histogram") as refused:
        choose(counts, quantile=0.95, max_increase=0.3)
    bound = 1.3 * (quantile_of(counts, 0.95) or 0.0)
    assert f"{bound:.2g} s" in str(refused.value)


@pytest.mark.parametrize("quantile", [0.9, 0.95, 0.99])
def test_the_bound_that_is_advised_would_have_served(quantile: float) -> None:
    """As close as the quantile that the buckets give: here they give it well."""
    shape = normal_tail()
    p = quantile_of(shares(shape, FINE, TOTAL), quantile) or 0.0
    advised = sorted({*FINE[:4], p, p * 1.3})
    choose(shares(shape, advised, TOTAL), quantile=quantile, max_increase=0.3)


def test_where_the_quantile_is_beyond_all_bounds_more_are_asked_for_and_none_is_guessed() -> None:
    """A model that answers in minutes, in buckets that end at ten seconds."""
    counts = {5.0: 300.0, 10.0: 700.0, math.inf: 1000.0}
    with pytest.raises(NoCut, match=r"30% of stable's requests are slower than the highest bound, 10 s; bounds beyond"):
        choose(counts, quantile=0.95, max_increase=0.3)


def test_a_canary_with_other_buckets_is_judged_by_those_that_both_have() -> None:
    counts = shares(normal_tail(), FINE, TOTAL)
    without = choose(counts, quantile=0.95, max_increase=0.3)
    common = [bound for bound in FINE if bound != without.bound]
    other = choose(counts, quantile=0.95, max_increase=0.3, known=common)
    assert other.bound != without.bound
    assert other.bound in common


# --- quantiles ----------------------------------------------------------------------------------------------------


@given(quantile=st.floats(0.5, 0.99), shape=st.sampled_from(SHAPES))
def test_a_quantile_lies_in_the_bucket_that_holds_it(quantile: float, shape: Callable[[float], float]) -> None:
    counts = shares(shape, FINE, TOTAL)
    value = quantile_of(counts, quantile)
    assert value is not None
    upper = min((bound for bound in FINE if shape(bound) >= quantile), default=FINE[-1])
    lower = max((bound for bound in FINE if shape(bound) < quantile), default=0.0)
    assert lower - 1e-9 <= value <= upper + 1e-9


def test_quantiles_are_interpolated_as_the_query_language_does() -> None:
    """90 of 100 below 0.1, 10 between 0.1 and 0.5: half of the bucket is the 95th percentile."""
    assert quantile_of({0.1: 90.0, 0.5: 100.0, math.inf: 100.0}, 0.95) == pytest.approx(0.3)
    assert quantile_of({0.1: 50.0, math.inf: 100.0}, 0.95) == 0.1, "in the highest bucket, its lower bound"
    assert quantile_of({0.1: 0.0, math.inf: 0.0}, 0.95) is None


def test_the_quantile_of_many_draws_is_that_of_their_distribution() -> None:
    dice = random.Random(31)
    drawn = [lognormal(dice) for _ in range(20_000)]
    counts = {bound: float(sum(one <= bound for one in drawn)) for bound in FINE}
    assert quantile_of({**counts, math.inf: 20_000.0}, 0.95) == pytest.approx(P95, rel=0.05)
