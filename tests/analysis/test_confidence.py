"""Bounds hold at all looks at once, and are those that a direct search finds."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.confidence import ERROR, bounds

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def excluded(failures: int, total: int, rate: float, *, error: float = ERROR) -> bool:
    """Whether the mixture of likelihood ratios against a rate has reached 1/error, by numerical integration.

    The mixture is over beta(1/2, 1/2): with p = sin²(t), t is uniform.
    """
    cells = 4000
    at = [math.sin((cell + 0.5) * math.pi / 2 / cells) ** 2 for cell in range(cells)]
    log = [failures * math.log(p / rate) + (total - failures) * math.log((1 - p) / (1 - rate)) for p in at]
    highest = max(log)
    return highest + math.log(sum(math.exp(one - highest) for one in log) / cells) >= -math.log(error)


@pytest.mark.parametrize(
    ("failures", "total"), [(0, 1), (0, 200), (1, 1), (3, 10), (2, 450), (40, 1000), (990, 1000), (7, 7)]
)
def test_the_bounds_are_where_a_direct_search_stops_excluding(failures: int, total: int) -> None:
    """Just outside is excluded, just inside is not."""
    low, high = bounds(failures, total)
    step = 0.002
    if low > 0:
        assert excluded(failures, total, low * (1 - step))
        assert not excluded(failures, total, low * (1 + step))
    if high < 1:
        assert excluded(failures, total, 1 - (1 - high) * (1 - step) if high > 0.5 else high * (1 + step))
        assert not excluded(failures, total, 1 - (1 - high) * (1 + step) if high > 0.5 else high * (1 - step))
    assert (low == 0, high == 1) == (failures == 0, failures == total)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
def test_whole_paths_stay_within_the_bounds_nineteen_times_of_twenty(rate: float) -> None:
    """200 rollouts of 120 looks each: one look outside anywhere on the way counts as a miss."""
    dice, missed = random.Random(19), 0
    for _ in range(200):
        failures = total = 0
        for _ in range(120):
            total += 30
            failures += sum(dice.random() < rate for _ in range(30))
            low, high = bounds(failures, total)
            if not low <= rate <= high:
                missed += 1
                break
    assert missed <= ERROR * 200


@given(pair=counts, dispersion=st.floats(1, 20))
def test_the_rate_that_was_seen_is_always_inside(pair: tuple[int, int], dispersion: float) -> None:
    failures, total = pair
    low, high = bounds(failures, total, dispersion=dispersion)
    assert 0 <= low <= failures / total <= high <= 1


@given(pair=counts)
def test_bursts_widen_them_and_more_requests_narrow_them(pair: tuple[int, int]) -> None:
    failures, total = pair
    low, high = bounds(failures, total)
    wide, narrow = bounds(failures, total, dispersion=3.0), bounds(4 * failures, 4 * total)
    assert wide[0] <= low + 1e-12
    assert high <= wide[1] + 1e-12
    assert narrow[1] - narrow[0] <= high - low + 1e-12


def test_nothing_served_is_any_rate() -> None:
    assert bounds(0, 0) == (0.0, 1.0)
