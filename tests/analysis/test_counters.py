"""How much a counter grew between two moments: what a histogram's quantiles and a bucket's choice rest on."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.counters import growth
from tests.analysis.traffic import LATE, START, counter, second

amounts = st.lists(st.integers(0, 1000), min_size=1, max_size=30)
nonsense = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e300])


def grown(values: list[float], *, first: float = 0.0, since: float = 0.0, until: float = LATE) -> float:
    return growth(counter(values, first=first), since=second(since), until=second(until))


def running(base: float, grows: list[int]) -> list[float]:
    values = [base]
    for one in grows:
        values.append(values[-1] + one)
    return values


@given(grows=amounts, base=st.integers(0, 10**9))
def test_with_a_base_exactly_what_came_after_it_counts(grows: list[int], base: int) -> None:
    assert grown(running(float(base), grows)) == sum(grows)


@given(grows=amounts, base=st.integers(0, 10**9))
def test_without_one_the_first_value_is_the_base(grows: list[int], base: int) -> None:
    assert grown(running(float(base), grows), first=1) == sum(grows)


@given(grows=amounts, since=st.integers(-2, 32), length=st.integers(0, 34))
def test_only_what_was_scraped_between_the_two_moments_counts(grows: list[int], since: int, length: int) -> None:
    """After the one and up to the other."""
    got = grown(running(5.0, grows), since=since, until=since + length)
    assert got == sum(one for at, one in enumerate(grows, start=1) if since < at <= since + length)


@given(before=amounts, after=amounts)
def test_a_restart_loses_only_what_was_not_scraped(before: list[int], after: list[int]) -> None:
    """Both lives of the process count; a new life that is higher already at its first scrape looks like none."""
    first, then = running(0.0, before), running(0.0, after)[1:]
    everything = sum(before) + sum(after)
    assert grown([*first, *then]) == (everything if then[0] < first[-1] else everything - first[-1])


@given(grows=amounts, junk=st.lists(st.tuples(st.integers(0, 29), nonsense), max_size=5))
def test_values_that_no_counter_can_have_are_passed_over(grows: list[int], junk: list[tuple[int, float]]) -> None:
    values = running(0.0, grows)
    for place, value in junk:
        values.insert(1 + place % len(values), value)
    assert grown(values) == sum(grows)


@given(shown=st.lists(st.one_of(st.integers(0, 1000).map(float), nonsense), max_size=20))
def test_no_growth_is_negative_or_no_number(shown: list[float]) -> None:
    got = growth(counter(shown, first=-3), since=START, until=second(LATE))
    assert 0 <= got < math.inf
