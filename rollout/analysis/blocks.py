"""Counters of both versions to aligned blocks of counts, because two versions can only be compared in the same minutes.

It decides nothing: what a block says about the canary is for `evidence`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.analysis.counters import Increment, Series, increments
from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.core.verdict import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When what happened to the traffic, as far as the judge must know it."""

    start: datetime
    """Counting begins here: a time before the canary's first process."""
    deployed_at: datetime
    """The canary was ready; its warm-up counts from here."""
    seen_at: datetime | None = None
    """The gateway was first seen to serve the weight of the current step; None where it has not been yet."""
    weights: tuple[tuple[datetime, Weight], ...] = ()
    """When the gateway was first seen to serve which weight, oldest first; before the first one it was 0."""

    def weight_at(self, moment: datetime) -> Weight:
        """The weight that was last seen at or before a moment."""
        weight = NOTHING
        for at, seen in self.weights:
            if at <= moment:
                weight = seen
        return weight

    def shifts(self) -> tuple[datetime, ...]:
        """When the weight changed while the canary already had traffic.

        The first traffic is no shift: whatever the canary counted around it was served after it.
        """
        before = NOTHING
        moments: list[datetime] = []
        for at, weight in self.weights:
            if before not in (weight, NOTHING):
                moments.append(at)
            before = weight
        return tuple(moments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What one version's counters showed, for one gate."""

    total: tuple[Series, ...] = ()
    failures: tuple[Series, ...] = ()

    def of_release(self, release: str) -> Counters:
        """Without the series that carry the `release` label of another release."""

        def ours(many: tuple[Series, ...]) -> tuple[Series, ...]:
            return tuple(one for one in many if one.labels.get("release", "") in ("", release))

        return Counters(total=ours(self.total), failures=ours(self.failures))

    def scrapes(self) -> Iterator[datetime]:
        """When the total was scraped and showed a number, in no order."""
        for series in self.total:
            for sample in series.samples:
                if math.isfinite(sample.value) and sample.value >= 0:
                    yield sample.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What both versions served between two moments."""

    since: datetime
    """The earliest scrape that its counts are differences to, or the block's beginning where that is earlier."""
    at: datetime
    """The block's end."""
    weight: Weight
    """The canary's share of traffic at its last scrape."""
    canary: Counts
    stable: Counts
    shifted: bool = False
    """The weight changed within: it is shown, and never evidence."""
    overfull: bool = False
    """More failures than requests were counted in it; the failures are cut to the requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """What was counted, as the counters' floating-point numbers, and between which scrapes."""

    since: datetime | None = None
    until: datetime | None = None
    canary_total: float = 0.0
    canary_failures: float = 0.0
    stable_total: float = 0.0
    stable_failures: float = 0.0

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            since=self.since if not other.since else min(self.since or other.since, other.since),
            until=self.until if not other.until else max(self.until or other.until, other.until),
            canary_total=self.canary_total + other.canary_total,
            canary_failures=self.canary_failures + other.canary_failures,
            stable_total=self.stable_total + other.stable_total,
            stable_failures=self.stable_failures + other.stable_failures,
        )


def to_blocks(canary: Counters, stable: Counters, *, timeline: Timeline, interval: timedelta) -> tuple[Block, ...]:
    """The blocks from the timeline's start to the newest moment that both versions' samples tell of.

    Edges lie on a grid of `interval`, each just after a scrape of the canary. A block takes as many cells of the grid
    as it needs for both versions to have been scraped in it, so scrapes that are rarer than the grid, late or lost
    never pair one version's requests with nothing. A version that was never scraped is not waited for, a canary that
    does not run yet neither, nor is stable once the canary has all traffic. An increment belongs to the block of its
    later scrape; series are differenced one by one and summed then.
    """
    grid = _grid(canary, start=timeline.start, interval=interval)
    cells = _cells(canary, stable, start=timeline.start, grid=grid)
    of_canary = _scraped(canary, start=timeline.start, grid=grid)
    of_stable = _scraped(stable, start=timeline.start, grid=grid)
    if not of_canary and not of_stable:
        return ()
    first_canary, first_stable = min(of_canary, default=None), min(of_stable, default=None)
    shifts = timeline.shifts()
    blocks: list[Block] = []
    sums, begin, saw_canary, saw_stable = _Sums(), 0, False, False
    for index in range(max(of_canary | of_stable) + 1):
        if index in cells:
            sums += cells[index]
        saw_canary |= index in of_canary
        saw_stable |= index in of_stable
        end = grid.edge(index + 1)
        alone = timeline.weight_at(end) == EVERYTHING
        waits_canary = first_canary is not None and first_canary <= index and not saw_canary
        waits_stable = first_stable is not None and first_stable <= index and not saw_stable and not alone
        if waits_canary or waits_stable:
            continue
        whole = sums + _Sums(since=grid.edge(begin))
        blocks.append(_block(whole, at=end, timeline=timeline, shifts=shifts))
        sums, begin, saw_canary, saw_stable = _Sums(), index + 1, False, False
    return tuple(blocks)


def _block(sums: _Sums, *, at: datetime, timeline: Timeline, shifts: tuple[datetime, ...]) -> Block:
    since = sums.since if sums.since is not None else at
    until = sums.until if sums.until is not None else at
    canary, canary_over = _counts(sums.canary_total, sums.canary_failures)
    stable, stable_over = _counts(sums.stable_total, sums.stable_failures)
    return Block(
        since=since,
        at=at,
        weight=timeline.weight_at(until),
        canary=canary,
        stable=stable,
        shifted=any(since < shift <= until for shift in shifts),
        overfull=canary_over or stable_over,
    )


def _counts(total: float, failures: float) -> tuple[Counts, bool]:
    requests, failed = round(total), round(failures)
    return Counts(total=requests, failures=min(failed, requests)), failed > requests


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Cells of time, (edge i, edge i + 1]."""

    origin: datetime
    interval: timedelta

    def edge(self, index: int) -> datetime:
        return self.origin + index * self.interval

    def index(self, at: datetime) -> int:
        """The cell that holds a moment; the first one holds what came before it as well."""
        return max(0, -((self.origin - at) // self.interval) - 1)


def _grid(canary: Counters, *, start: datetime, interval: timedelta) -> _Grid:
    """Edges a little after the times at which the canary is scraped, the first one near the start.

    So stable's scrape of the same interval comes earlier in the cell, wherever the two lie, and the newest failures
    of the canary can be judged as soon as they are scraped. The little is for scrapes that are late now and then.
    """
    first = min((at for at in canary.scrapes() if at > start), default=start)
    edge = first + interval / 10 if first > start else start
    return _Grid(origin=edge + ((start + interval / 5 - edge) // interval) * interval, interval=interval)


def _scraped(counters: Counters, *, start: datetime, grid: _Grid) -> set[int]:
    return {grid.index(at) for at in counters.scrapes() if at > start}


def _cells(canary: Counters, stable: Counters, *, start: datetime, grid: _Grid) -> dict[int, _Sums]:
    def grown(series: Series, *, born: bool) -> Iterator[tuple[int, Increment]]:
        for increment in increments(series, start=start, born=born):
            yield grid.index(increment.at), increment

    cells: defaultdict[int, _Sums] = defaultdict(_Sums)
    for series in canary.total:
        for index, new in grown(series, born=True):
            cells[index] += _Sums(since=new.since, until=new.at, canary_total=new.amount)
    for series in canary.failures:
        for index, new in grown(series, born=True):
            cells[index] += _Sums(since=new.since, until=new.at, canary_failures=new.amount)
    for series in stable.total:
        for index, new in grown(series, born=_joined_later(series, stable)):
            cells[index] += _Sums(since=new.since, until=new.at, stable_total=new.amount)
    for series in stable.failures:
        for index, new in grown(series, born=_joined_later(series, stable)):
            cells[index] += _Sums(since=new.since, until=new.at, stable_failures=new.amount)
    return cells


def _joined_later(series: Series, counters: Counters) -> bool:
    """Whether the series' process was scraped before without it: then it is a new label set and began at 0."""
    first = _first(series)
    if first is None:
        return False
    for other in (*counters.total, *counters.failures):
        if other is not series and other.instance == series.instance:
            earlier = _first(other)
            if earlier is not None and earlier < first:
                return True
    return False


def _first(series: Series) -> datetime | None:
    return series.samples[0].at if series.samples else None
