"""Counters of both versions become blocks that may be compared."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.blocks import Block, Timeline
from rollout.analysis.counters import Series
from rollout.analysis.readings import Counters, Reading
from rollout.core.verdict import Counts
from tests.analysis.traffic import (
    LATE,
    counter,
    counters,
    gate,
    growing,
    idle,
    merged,
    plan,
    second,
    timeline,
    tried,
    until,
)

ALL = timeline((0, 5))


def blocks(canary: Counters, stable: Counters, *, when: Timeline = ALL, interval: float = 1.0) -> tuple[Block, ...]:
    subject = gate()
    read = Reading(gate=subject, canary=canary, stable=stable)
    return tried(read, policy=plan(subject, interval=interval), when=when).blocks


def pairs(many: tuple[Block, ...]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [((b.canary.total, b.canary.failures), (b.stable.total, b.stable.failures)) for b in many]


def total(*series: Series) -> Counters:
    return Counters(total=series)


def test_each_block_holds_what_both_versions_served_in_it() -> None:
    got = blocks(counters([(5, 1), (6, 0)], instance="two"), counters([(90, 0), (80, 2)], instance="one"))
    assert pairs(got) == [((5, 1), (90, 0)), ((6, 0), (80, 2))]
    assert [block.at for block in got] == [second(1.1), second(2.1)]


@pytest.mark.parametrize("offset", [-0.9, -0.7, -0.5, -0.2])
def test_what_the_canary_was_scraped_for_is_judged_at_once_wherever_stable_is_scraped(offset: float) -> None:
    """Its newest scrape waits for none of stable's: the one before it, less than an interval ago, is its partner."""
    canary = counters([(5, 0), (6, 0), (7, 0)], instance="two", first=-0.5)
    stable = counters([(90, 0), (80, 0), (70, 0)], instance="one", first=offset)
    got = blocks(canary, until(stable, second(2.5)))
    assert got[-1].canary.total == 7
    assert got[-1].stable.total > 0
    assert sum(block.canary.total for block in got) == 18


def test_a_block_waits_until_both_versions_were_scraped_in_it() -> None:
    """Stable's second scrape is late: the canary's requests are not compared with nothing."""
    canary = total(growing([5, 5, 5], first=-0.5, every=1))
    stable = total(counter([0, 90, 270], first=-0.5, every=1))
    late = Series(labels=stable.total[0].labels, samples=(*stable.total[0].samples[:2],))
    assert pairs(blocks(canary, total(late))) == [((5, 0), (90, 0))]
    missed = Series(labels=late.labels, samples=(*late.samples, stable.total[0].samples[2]))
    assert pairs(blocks(canary, total(missed)))[0] == ((5, 0), (90, 0))


def test_scrapes_that_are_rarer_than_the_grid_still_pair_both_versions() -> None:
    """Looked at each second, scraped every five seconds at different offsets."""
    canary = total(growing([25, 25, 25], first=0.5, every=5))
    stable = total(growing([450, 450, 450], first=-1.5, every=5))
    got = blocks(canary, stable)
    assert all(block.stable.total for block in got if block.canary.total)
    assert sum(block.canary.total for block in got) == 75


def test_a_scrape_that_was_lost_joins_two_blocks() -> None:
    canary = growing([5, 5, 5], first=0)
    holed = Series(labels=canary.labels, samples=(canary.samples[0], canary.samples[1], canary.samples[3]))
    got = blocks(total(holed), total(growing([90, 90, 90])))
    assert pairs(got) == [((5, 0), (90, 0)), ((10, 0), (180, 0))]


def test_instances_are_differenced_before_they_are_summed() -> None:
    """The restart of one of two instances is no restart of their sum."""
    one, two = counter([100, 110, 3], instance="a"), counter([500, 510, 520], instance="b")
    assert [block.stable.total for block in blocks(idle(2), total(one, two))] == [20, 13]


def test_a_version_that_never_was_scraped_is_not_waited_for() -> None:
    """Blocks begin with the canary's first scrape: without one there is nothing to be judged."""
    assert [block.canary.total for block in blocks(total(growing([9, 8])), Counters())] == [9, 8]
    assert blocks(Counters(), total(growing([9, 8]))) == ()
    assert blocks(Counters(), Counters()) == ()


def test_what_stable_served_before_the_canary_was_first_scraped_is_shown_too() -> None:
    """The canary's first scrape lays the grid; it is not waited for where it does not run yet."""
    got = blocks(total(counter([7, 9], first=3)), total(growing([90, 80, 70, 60])))
    assert pairs(got) == [((0, 0), (90, 0)), ((0, 0), (80, 0)), ((7, 0), (70, 0)), ((2, 0), (60, 0))]


def test_stable_is_not_waited_for_once_the_canary_has_all_traffic() -> None:
    when = timeline((0, 50), (2, 100))
    got = blocks(total(growing([5, 5, 5, 5, 5])), total(growing([9, 9])), when=when)
    assert [block.canary.total for block in got] == [5, 5, 5, 5, 5]


def test_series_of_another_release_are_left_out() -> None:
    both = Counters(
        total=(growing([5], release="v2"), growing([50], release="v1"), growing([3], instance="unlabelled")),
        failures=(growing([1], release="v2", code="500"), growing([40], release="v1", code="500")),
    )
    assert pairs(blocks(both.of_release("v2"), Counters())) == [((8, 1), (0, 0))]


@pytest.mark.parametrize(
    ("weights", "shifted"),
    [
        (((0, 5),), [False, False, False, False]),
        (((1.5, 5),), [False, False, False, False]),
        (((0, 5), (1.5, 25)), [False, True, False, False]),
        (((0, 5), (1.5, 5)), [False, False, False, False]),
        (((0, 5), (2.0, 25), (3.1, 50)), [False, True, False, True]),
    ],
)
def test_a_block_is_shifted_by_a_change_of_weight_but_not_by_the_first_traffic(
    weights: tuple[tuple[float, float], ...], shifted: list[bool]
) -> None:
    many = growing([5, 5, 5, 5])
    got = blocks(total(many), total(many), when=timeline(*weights))
    assert [block.shifted for block in got] == shifted


def test_an_increment_that_began_before_the_change_shifts_its_block() -> None:
    """Scrapes at x.5 s: what was counted at 2.5 s began at 1.5 s, before the change at 1.8 s."""
    many = growing([5, 5, 5], first=0.5)
    got = blocks(total(many), total(many), when=timeline((0, 5), (1.8, 25)))
    assert [block.shifted for block in got] == [False, False, True, False]


def test_failures_beyond_the_requests_are_cut_and_marked() -> None:
    canary = Counters(total=(growing([5, 5]),), failures=(growing([7, 1], code="500"),))
    got = blocks(canary, Counters())
    assert [(block.canary.failures, block.overfull) for block in got] == [(5, True), (1, False)]


def test_failures_of_parts_that_have_no_requests_are_marked_too() -> None:
    """The failures lack the label that the requests are told apart by, and no part of them can be judged."""
    subject = gate(by=("route",))
    canary = Counters(total=(growing([5, 5], route="/"),), failures=(growing([3, 1], code="500"),))
    got = tried(Reading(gate=subject, canary=canary), when=ALL).blocks
    assert [block.overfull for block in got] == [True, True]


def test_not_a_number_is_as_good_as_no_scrape() -> None:
    canary = merged(total(counter([math.nan, math.nan, math.nan], instance="three")), idle(2))
    assert pairs(blocks(canary, total(growing([9, 9])))) == [((0, 0), (9, 0)), ((0, 0), (9, 0))]
    assert blocks(total(counter([math.nan, math.nan, math.nan])), total(growing([9, 9]))) == ()


@given(
    grown=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    offset=st.floats(-0.9, 0.0),
    every=st.floats(0.5, 4.0),
    interval=st.floats(0.5, 5.0),
)
def test_no_request_is_lost_or_counted_twice_whatever_the_spacing(
    grown: list[int], offset: float, every: float, interval: float
) -> None:
    """Both versions are scraped at once here, so every block closes."""
    series = growing([float(one) for one in grown], first=offset, every=every)
    after = [one for index, one in enumerate(grown) if series.samples[index + 1].at > second(0)]
    got = blocks(total(series), total(series), interval=interval)
    counted = Counts(total=sum(block.canary.total for block in got))
    # A second scrape before the start moves the base: what lies between them is not of this rollout.
    assert counted.total == sum(after)
    assert all(before.at < later.at for before, later in itertools.pairwise(got))
    assert all(block.at <= second(LATE) for block in got)
