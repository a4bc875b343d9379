"""Curves lose no request, and labels never cover each other."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.blocks import Block, Part
from rollout.core.plan import Weight
from rollout.report.curves import failing, nice_ceiling, of_canary, of_stable, time_step, traffic
from rollout.report.plot import LEFT, MOST_LANES, RIGHT, WIDTH, Mark, TimeAxis, lanes, short
from tests.report.stories import NOON, SECOND


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Block, ...]:
    """Blocks of uneven length with any traffic."""
    made: list[Block] = []
    at = NOON
    for _ in range(draw(st.integers(0, 150))):
        before, at = at, at + draw(st.integers(1, 90)) * SECOND
        total = draw(st.sampled_from((0, 0, 1, 3, 30, 500)))
        part = Part(total, draw(st.integers(0, total)), 7, 0)
        weight = Weight(draw(st.sampled_from((0, 5, 5, 5, 100))))
        made.append(Block(since=before, at=at, weight=weight, whole=part, parts=(part,)))
    return tuple(made)


@given(blocks())
def test_a_curve_of_failures_holds_every_request_once(many: tuple[Block, ...]) -> None:
    """Bins are in order, do not overlap, and sum to what was counted."""
    bins = failing(many, of_canary)
    assert sum(one.counts.total for one in bins) == sum(block.canary.total for block in many)
    assert sum(one.counts.failures for one in bins) == sum(block.canary.failures for block in many)
    assert all(one.counts.total for one in bins)
    assert all(before.until <= after.since for before, after in itertools.pairwise(bins))


@given(blocks())
def test_a_curve_of_traffic_covers_the_whole_time(many: tuple[Block, ...]) -> None:
    """Also the time when nothing was served: it is part of the picture."""
    bins = traffic(many, of_stable)
    assert sum(one.counts.total for one in bins) == 7 * len(many)
    assert all(before.until == after.since for before, after in itertools.pairwise(bins))


def test_an_idle_time_is_a_gap_and_no_zero() -> None:
    """Ten busy seconds, a minute of nothing, ten busy seconds: no failure rate in between."""
    many = [
        Block(
            since=NOON + index * SECOND,
            at=NOON + (index + 1) * SECOND,
            weight=Weight(5),
            whole=(part := Part(50 if index < 10 or index >= 70 else 0)),
            parts=(part,),
        )
        for index in range(80)
    ]
    bins = failing(many, of_canary)
    gaps = [(a.until, b.since) for a, b in itertools.pairwise(bins) if b.since > a.until]
    assert len(gaps) == 1
    assert gaps[0][1] - gaps[0][0] >= 50 * SECOND


@given(st.floats(1e-6, 1e9))
def test_an_axis_ends_at_a_round_number_not_far_above(value: float) -> None:
    """Nothing is cut off, and at least half of the paper is used."""
    assert value * 0.999 <= nice_ceiling(value) <= value * 2.001


@pytest.mark.parametrize("length", [timedelta(0), SECOND, 90 * SECOND, timedelta(hours=3), timedelta(days=400)])
def test_a_time_axis_has_few_ticks_that_ascend(length: timedelta) -> None:
    """From a second to a year."""
    axis = TimeAxis(begin=NOON + 13 * SECOND, end=NOON + 13 * SECOND + length)
    places = [x for x, _ in axis.ticks()]
    assert len(places) <= 10
    assert places == sorted(places)
    assert all(LEFT <= x <= WIDTH - RIGHT for x in places)
    if length > SECOND:
        assert time_step(length, 8) * 8 >= length


offsets = st.lists(st.integers(0, 600), max_size=14)
labels = st.sampled_from(("→ 5 %", "✗ roll back", "paused by a-person", "aborted by somebody with a long name"))


@given(offsets, st.data())
def test_no_label_meets_another_label_or_line(seconds: list[int], data: st.DataObject) -> None:
    """In its lane a label is alone, and the lines of later marks begin below it."""
    axis = TimeAxis(begin=NOON, end=NOON + 600 * SECOND)
    marks = [_mark(NOON + second * SECOND, data.draw(labels)) for second in sorted(seconds)]
    chosen = lanes(axis, marks)
    for index, mark in enumerate(marks):
        reach = axis.x(mark.at) + 4 + len(short(mark.label)) * 6.4
        for later in range(index + 1, len(marks)):
            if axis.x(marks[later].at) < reach:
                assert chosen[later] < chosen[index]
    assert MOST_LANES > 0


def _mark(at: datetime, label: str) -> Mark:
    return Mark(at=at, label=label, sort="move", tooltip="")
