"""Processes and label sets that come and go: what is new counts, a past that was never seen does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.readings import Counters, Reading
from rollout.analysis.trial import Trial
from tests.analysis.traffic import counter, counters, gate, growing, idle, merged, plan, second, timeline, tried

AT_5 = timeline((0, 5))


def stable_of(*many: Counters, seconds: int = 3) -> Trial:
    """These processes of stable, beside a canary that serves nothing."""
    return tried(Reading(gate=gate(), canary=idle(seconds), stable=merged(*many)), when=AT_5)


def totals(trial: Trial) -> list[int]:
    return [block.stable.total for block in trial.blocks]


def failures(trial: Trial) -> list[int]:
    return [block.stable.failures for block in trial.blocks]


def total(values: list[float], *, first: float = 0.0, instance: str = "one", route: str = "/") -> Counters:
    return Counters(total=(counter(values, first=first, instance=instance, route=route),))


def failed(values: list[float], *, first: float = 0.0, instance: str = "one") -> Counters:
    return Counters(failures=(counter(values, first=first, instance=instance, code="500"),))


OLD = total([0, 90, 180, 270])


def test_a_new_label_set_of_a_known_stable_process_counts_in_full() -> None:
    """The first failure ever of stable brings a series into being: it is no past that was never seen."""
    assert failures(stable_of(OLD, failed([4], first=2))) == [0, 4, 0]


def test_a_stable_process_first_seen_after_the_start_does_not_bring_its_past() -> None:
    seen_late = total([1_000_000, 1_000_090], first=2, instance="other")
    assert totals(stable_of(OLD, seen_late)) == [90, 90, 180]


def test_label_sets_that_appear_together_with_their_process_bring_no_past_either() -> None:
    """Neither was there before the other, so nothing says that the process is new."""
    late = merged(total([10_000, 10_090], first=2, instance="other"), failed([300, 301], first=2, instance="other"))
    assert failures(stable_of(OLD, late)) == [0, 0, 1]


def test_a_label_set_that_nobody_asks_for_does_not_make_its_old_process_new() -> None:
    """Client libraries show label sets at 0 that were never used: they neither grow nor prove anything."""
    late = merged(
        total([0, 0], first=2, instance="other", route="/never"),
        total([10_000, 10_090], first=2, instance="other"),
        failed([300, 301], first=2, instance="other"),
    )
    got = stable_of(OLD, late)
    assert (totals(got), failures(got)) == ([90, 90, 180], [0, 0, 1])


def test_a_route_that_was_asked_for_once_does_not_make_its_old_process_new_either() -> None:
    late = merged(
        total([1, 2], first=2, instance="other", route="/rare"),
        total([10_000, 10_090], first=2, instance="other"),
        failed([300, 301], first=2, instance="other"),
    )
    got = stable_of(OLD, late)
    assert (totals(got), failures(got)) == ([90, 90, 181], [0, 0, 1])


def test_a_stable_process_that_is_new_counts_from_its_first_value_on() -> None:
    """It shows no more than twice what it grows by next: its whole life is of this rollout, with its failures."""
    new = merged(total([120, 180], first=2, instance="other"), failed([7, 8], first=2, instance="other"))
    got = stable_of(OLD, new)
    assert (totals(got), failures(got)) == ([90, 90, 90 + 180], [0, 0, 8])
    old = merged(total([121, 181], first=2, instance="other"), failed([7, 8], first=2, instance="other"))
    got = stable_of(OLD, old)
    assert (totals(got), failures(got)) == ([90, 90, 90 + 60], [0, 0, 1])


def test_a_stable_process_with_a_sample_before_the_start_has_a_base() -> None:
    assert totals(stable_of(OLD, total([40, 50, 60], first=-0.5, instance="other"))) == [100, 100, 90]


def test_a_canary_counts_from_its_first_value_on() -> None:
    read = Reading(gate=gate(), canary=total([7, 9], first=2), stable=total([0, 90, 180, 270]))
    assert [block.canary.total for block in tried(read, when=AT_5).blocks] == [0, 7, 2]


def test_what_was_served_before_the_start_is_in_no_block() -> None:
    """Also where the first block reaches back before it: scrapes at x.5 and x.7 s, the grid at x.6 s."""
    canary = counters([(50, 50), (5, 0), (5, 0)], instance="two", first=-1.5)
    stable = counters([(70, 70), (90, 0), (90, 0)], instance="one", first=-1.3)
    got = tried(Reading(gate=gate(), canary=canary, stable=stable), when=AT_5).blocks
    assert [(block.canary.total, block.canary.failures) for block in got] == [(5, 0), (5, 0)]
    assert sum(block.stable.failures for block in got) == 0


@given(
    before=st.lists(st.integers(1, 100), min_size=1, max_size=10),
    after=st.lists(st.integers(0, 100), min_size=1, max_size=10),
)
def test_a_restart_loses_only_what_was_not_scraped(before: list[int], after: list[int]) -> None:
    """Both lives of the canary's process count; a new one that is higher at its first scrape looks like none."""
    first = [float(sum(before[: index + 1])) for index in range(len(before))]
    then = [float(sum(after[: index + 1])) for index in range(len(after))]
    read = Reading(gate=gate(), canary=total([0.0, *first, *then], instance="two"))
    seen = sum(block.canary.total for block in tried(read, when=AT_5).blocks)
    everything = sum(before) + sum(after)
    assert seen == (everything if then[0] < first[-1] else everything - first[-1])


@given(
    grown=st.lists(st.integers(0, 100), min_size=1, max_size=20),
    junk=st.lists(st.tuples(st.integers(0, 19), st.sampled_from([math.nan, math.inf, -math.inf, -1.0])), max_size=5),
)
def test_values_that_no_counter_can_have_are_passed_over(grown: list[int], junk: list[tuple[int, float]]) -> None:
    values = [0.0]
    for one in grown:
        values.append(values[-1] + one)
    for place, value in junk:
        values.insert(1 + place % len(values), value)
    read = Reading(gate=gate(), canary=total(values, instance="two"))
    assert sum(block.canary.total for block in tried(read, when=AT_5).blocks) == sum(grown)


# --- warm-up ------------------------------------------------------------------------------------------------------


def judged_of(canary: Counters, *, warm_up: float, deployed: float = 0.0) -> list[float]:
    """How many requests of the canary are judged in full, block by block."""
    subject = gate()
    read = Reading(gate=subject, canary=canary, stable=counters([(90, 0)] * 12, instance="one"))
    when = timeline((0, 5), deployed=deployed)
    return [block.judged.canary_total for block in tried(read, policy=plan(warm_up=warm_up), when=when).blocks]


def test_the_first_instances_warm_up_from_the_deployment_on() -> None:
    """An increment that reaches back into it does not count in full."""
    assert judged_of(counters([(5, 0)] * 6, instance="two"), warm_up=3) == [0, 0, 0, 5, 5, 5]
    assert judged_of(counters([(5, 0)] * 6, instance="two"), warm_up=3, deployed=1) == [0, 0, 0, 0, 5, 5]


def test_an_instance_that_joins_later_has_a_warm_up_of_its_own() -> None:
    """First scraped at 6 s, after the first one's warm-up had ended at 3 s: judged from 9 s on."""
    first = counters([(5, 0)] * 12, instance="two")
    joined = counters([(0, 0), *[(100, 0)] * 5], instance="three", first=6)
    assert judged_of(merged(first, joined), warm_up=3) == [0, 0, 0, 5, 5, 5, 5, 5, 5, 105, 105, 105]


def test_an_instance_that_is_scraped_within_the_first_warm_up_shares_it() -> None:
    first = counters([(5, 0)] * 12, instance="two")
    second_one = counters([(100, 0)] * 6, instance="three", first=2)
    assert judged_of(merged(first, second_one), warm_up=3)[3:6] == [105, 105, 105]


def test_a_new_label_set_of_a_warm_instance_is_judged_at_once() -> None:
    """Its first failure ever comes after the warm-up, and is no cold start."""
    canary = merged(counters([(5, 0)] * 12, instance="two"), failed([3], first=7, instance="two"))
    read = Reading(gate=gate(), canary=canary, stable=counters([(90, 0)] * 12, instance="one"))
    blocks = tried(read, policy=plan(warm_up=3), when=AT_5).blocks
    assert [block.judged.canary_failures for block in blocks][6] == 3


@pytest.mark.parametrize("offsets", [(0.3, 0.8), (0.8, 0.3)])
def test_the_grid_lies_after_the_earliest_scrape_of_any_canary_instance(offsets: tuple[float, float]) -> None:
    """Whatever order the source names them in."""
    canary = merged(*(growing_counters(first, name) for first, name in zip(offsets, ("two", "three"), strict=True)))
    read = Reading(gate=gate(), canary=canary, stable=counters([(90, 0)] * 4, instance="one"))
    assert tried(read, when=AT_5).blocks[0].at == second(0.4)


def growing_counters(first: float, name: str) -> Counters:
    return Counters(total=(growing([5, 5, 5], first=first, instance=name),))
