"""Counters become increments: nothing is counted twice, nothing that happened after the start is lost."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.counters import increments
from tests.analysis.traffic import START, counter

amounts = st.lists(st.integers(0, 1000), min_size=1, max_size=30)
nonsense = st.sampled_from([math.nan, math.inf, -math.inf, -1.0])


def amount(values: list[float], *, born: bool, first: float = 0.0) -> float:
    return sum(one.amount for one in increments(counter(values, first=first), start=START, born=born))


@given(grown=amounts, base=st.integers(0, 10**9))
def test_with_a_base_exactly_what_came_after_it_counts(grown: list[int], base: int) -> None:
    values = [float(base)]
    for one in grown:
        values.append(values[-1] + one)
    assert amount(values, born=False) == sum(grown)
    assert amount(values, born=True) == sum(grown)


@given(grown=amounts)
def test_a_counter_born_after_the_start_counts_in_full(grown: list[int]) -> None:
    values = [float(sum(grown[: index + 1])) for index in range(len(grown))]
    assert amount(values, born=True, first=1) == sum(grown)
    assert amount(values, born=False, first=1) == sum(grown[1:])


@given(before=amounts, after=amounts)
def test_a_restart_loses_only_what_was_not_scraped(before: list[int], after: list[int]) -> None:
    """Both lives of the process count; a new life that is higher already at its first scrape looks like none."""
    first = [float(sum(before[: index + 1])) for index in range(len(before))]
    second = [float(sum(after[: index + 1])) for index in range(len(after))]
    seen = amount([0.0, *first, *second], born=False)
    everything = sum(before) + sum(after)
    assert seen == (everything if second[0] < first[-1] else max(everything - first[-1], 0))


@given(grown=amounts, junk=st.lists(st.tuples(st.integers(0, 29), nonsense), max_size=5))
def test_values_that_no_counter_can_have_are_passed_over(grown: list[int], junk: list[tuple[int, float]]) -> None:
    values = [0.0]
    for one in grown:
        values.append(values[-1] + one)
    for place, value in junk:
        values.insert(1 + place % len(values), value)
    assert amount(values, born=False) == sum(grown)


@given(grown=amounts, born=st.booleans())
def test_no_increment_is_negative_and_each_says_when_it_began(grown: list[int], born: bool) -> None:
    values = [float(one) for one in grown]
    for one in increments(counter(values, first=-3), start=START, born=born):
        assert one.amount >= 0
        assert one.since <= one.at
        assert one.at > START
