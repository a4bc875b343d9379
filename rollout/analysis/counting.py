"""Counters of both versions to aligned blocks of counts, sample by sample.

It decides nothing: what a block says about the canary is for `evidence`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.analysis.blocks import Block, Part, Timeline, Version
from rollout.analysis.counters import LARGEST
from rollout.analysis.dispersion import NO_SCATTER, Scatter, scatter
from rollout.core.plan import EVERYTHING

_NEWBORN: Final = 2.0
"""A process first seen after the start is new if it brings at most so many times the requests it has grown by next."""

_Labels = tuple[str, ...]
_Key = tuple[str, _Labels]
"""An instance and a part of what it served."""


@dataclass(slots=True)
class _Cell:
    """What was counted in one cell of the grid, or in several; always requests and failures."""

    since: float = math.inf
    until: float = -math.inf
    total: float = 0.0
    """The canary's requests."""
    failures: float = 0.0
    warm: dict[_Key, list[float]] = field(default_factory=dict)
    """The canary's by instance and part, of warmed-up instances."""
    stable: dict[_Key, list[float]] = field(default_factory=dict)
    """Stable's by instance and part."""
    saw: set[Version] = field(default_factory=set)
    """Which versions were scraped in it."""

    def add(self, other: _Cell) -> None:
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        self.saw |= other.saw
        self.total += other.total
        self.failures += other.failures
        _pour(other.warm, self.warm)
        _pour(other.stable, self.stable)

    def instances(self) -> Iterable[Sequence[float]]:
        """Requests and failures of each of stable's instances."""
        found: dict[str, list[float]] = {}
        for (instance, _), two in self.stable.items():
            mine = found.setdefault(instance, [0.0, 0.0])
            mine[0] += two[0]
            mine[1] += two[1]
        return found.values()

    def parts(self) -> dict[_Labels, list[float]]:
        """Requests and failures of the canary and of stable that may be compared, by part."""
        found: dict[_Labels, list[float]] = {}
        for (_, part), two in self.warm.items():
            four = found.get(part)
            if four is None:
                four = found[part] = [0.0] * 4
            four[0] += two[0]
            four[1] += two[1]
        for (_, part), two in self.stable.items():
            four = found.get(part)
            if four is None:
                four = found[part] = [0.0] * 4
            four[2] += two[0]
            four[3] += two[1]
        return found


def _pour(source: dict[_Key, list[float]], into: dict[_Key, list[float]]) -> None:
    for key, two in source.items():
        mine = into.get(key)
        if mine is None:
            into[key] = list(two)
        else:
            mine[0] += two[0]
            mine[1] += two[1]


@dataclass(slots=True)
class _Instance:
    """One process of a version."""

    first: float = math.inf
    """When it was first scraped."""
    warm: float = -math.inf
    """From when on it is judged in full."""
    untold: list[tuple[Channel, float, float]] = field(default_factory=list)
    """First values of stable's counters of which it is not known yet whether they hold a past: when, and how much."""
    next: float = math.inf
    """When one of these that count requests was scraped again."""
    grown: float = 0.0
    """How much they had grown by then."""


class Channel:
    """One counter on its way into the blocks of a gate."""

    def __init__(
        self,
        counting: Counting,
        *,
        version: Version,
        instance: str,
        part: tuple[str, ...],
        total: float,
        failures: float,
    ) -> None:
        self._counting = counting
        self._version = version
        self._name = instance
        self._instance = counting.instance(version, instance)
        self._key = (instance, part)
        self._weights = (total, failures)
        self._base: tuple[float, float] | None = None
        self._untold = False
        self._pending: tuple[list[float], list[float]] = ([], [])

    def take(self, times: Sequence[float], values: Sequence[float]) -> None:
        """More samples, oldest first, their times in seconds since 1970.

        The last one at or before the start is the base of what follows. NaN, negative values and ones beyond
        `LARGEST` are passed over, as no counter can have them. A value that falls is a reset and counts in full.
        """
        if not values:
            return
        if not (0 <= min(values) <= max(values) <= LARGEST) or math.isnan(sum(values)):
            fit = [(at, value) for at, value in zip(times, values, strict=True) if 0 <= value <= LARGEST]
            if not fit:
                return
            times, values = [at for at, _ in fit], [value for _, value in fit]
        counting = self._counting
        if times[0] < self._instance.first:
            counting.meet(self._version, self._instance, times[0])
        if self._weights[0]:
            after = bisect_right(times, counting.start)
            counting.scraped(self._version, first=times[after] if after < len(times) else None, last=times[-1])
        if counting.origin is None:
            self._pending[0].extend(times)
            self._pending[1].extend(values)
        else:
            self._count(times, values)

    @property
    def counts_requests(self) -> bool:
        """Whether it is a counter of requests, and not only of failures."""
        return bool(self._weights[0])

    def expect(self, times: Sequence[float], values: Sequence[float]) -> None:
        """Know beforehand when its process is first scraped, where one counter is read after the other."""
        counting, version = self._counting, self._version
        for at, value in zip(times, values, strict=True):
            if not 0 <= value <= LARGEST:
                continue
            if at < self._instance.first:
                counting.meet(version, self._instance, at)
            if version == "stable" or not self.counts_requests:
                return
            if at > counting.start:
                counting.expected = min(at, counting.expected)
                return

    def flush(self) -> None:
        """Count what came before the grid was known."""
        (times, values), self._pending = self._pending, ([], [])
        if times:
            self._count(times, values)

    def _count(self, times: Sequence[float], values: Sequence[float]) -> None:
        if self._base is None:
            if times[0] > self._counting.start:
                self._first(times[0], values[0])
            self._base = times[0], values[0]
            times, values = times[1:], values[1:]
            if not times:
                return
        since, before = self._base
        self._base = times[-1], values[-1]
        if self._untold:
            self._tell(times[0], values[0] - before if values[0] >= before else values[0])
        self._grow(since, before, times, values)

    def _first(self, at: float, value: float) -> None:
        """A counter that was not there before the start. The canary's began after it, and so did a new label set.

        Of another one it is known when its process is scraped again: one that is merely seen for the first time
        brings its whole past with it.
        """
        instance = self._instance
        if self._version == "canary" or instance.first < at:
            self.add(at, at, value)
        else:
            instance.untold.append((self, at, value))
            self._untold = self.counts_requests
            self._counting.unsettled.add(self._name)
            self.add(at, at, 0.0)

    def _tell(self, at: float, amount: float) -> None:
        """The second scrape: the first of the process's counters of requests that have one."""
        self._untold = False
        instance = self._instance
        if at < instance.next:
            instance.next, instance.grown = at, amount
        elif at == instance.next:
            instance.grown += amount

    def add(self, since: float, at: float, amount: float) -> None:
        """What it grew by between two scrapes."""
        self._grow(since, 0.0, (at,), (amount,))

    def _grow(self, since: float, before: float, times: Sequence[float], values: Sequence[float]) -> None:
        """Into the cells: the differences of values to the ones before them. This runs for every sample."""
        counting, version, ceil = self._counting, self._version, math.ceil
        cells, start, interval, origin = counting.cells, counting.start, counting.interval, counting.origin
        assert origin is not None
        total, failures = self._weights
        is_canary = version == "canary"
        warm = self._instance.warm
        key = self._key
        index = -1
        for at, value in zip(times, values):  # noqa: B905  (as many)
            amount = value - before if value >= before else value
            before, earlier, since = value, since, at
            if not amount and not total:
                continue
            index = ceil((at - origin) / interval) - 1
            if at > start:
                index = index if index > 0 else 0  # the first one also holds what came before its edge
            elif index > -1:
                index = -1
            cell = cells.get(index)
            if cell is None:
                cell = cells[index] = _Cell()
            cell.since = earlier if earlier < cell.since else cell.since
            cell.until = at if at > cell.until else cell.until
            if total:
                cell.saw.add(version)
                if not amount:
                    continue
            if is_canary:
                cell.total += total * amount
                cell.failures += failures * amount
                if earlier < warm:
                    continue
                served = cell.warm
            else:
                served = cell.stable
            two = served.get(key)
            if two is None:
                served[key] = [total * amount, failures * amount]
            else:
                two[0] += total * amount
                two[1] += failures * amount
        counting.reached = max(counting.reached, index)


class Counting:
    """The blocks of one gate, from samples that may come one scrape after another or all at once.

    Edges lie on a grid of `interval`, each just after a scrape of the canary. A block takes as many cells of the grid
    as it needs for both versions to have been scraped in it, so scrapes that are rarer than the grid, late or lost
    never pair one version's requests with nothing. A version that was never scraped is not waited for, a canary that
    does not run yet neither, nor is stable once the canary has all traffic. An increment belongs to the block of its
    later scrape; counters are differenced one by one and summed then.
    """

    def __init__(self, *, start: datetime, deployed_at: datetime, interval: timedelta, warm_up: timedelta) -> None:
        self.start: Final = start.timestamp()
        self._deployed = deployed_at.timestamp()
        self.interval: Final = interval.total_seconds()
        self._warm_up = warm_up.total_seconds()
        self.origin: float | None = None
        self.expected = math.inf
        """When the canary is first scraped after the start, as far as that is known beforehand."""
        self.unsettled: set[str] = set()
        """Stable's instances that may have begun after the start."""
        self._instances: dict[tuple[Version, str], _Instance] = {}
        self._channels: list[Channel] = []
        self.cells: dict[int, _Cell] = {}
        """By their number on the grid; those before the start are negative."""
        self._open = _Cell()
        self._next = 0
        self._begin = 0
        self.reached = -1
        """The newest cell in which anything was counted."""
        self._first: dict[Version, float] = {}
        self.newest: dict[Version, float] = {}
        """The newest scrape of each version; of the canary after the start, as an earlier one may have left samples."""

    def channel(
        self,
        version: Version,
        labels: Mapping[str, str],
        *,
        by: tuple[str, ...] = (),
        total: float = 0.0,
        failures: float = 0.0,
    ) -> Channel:
        """A counter that adds `total` times its growth to the requests and `failures` times it to the failures."""
        channel = Channel(
            self,
            version=version,
            instance=f"{labels.get('job', '')}/{labels.get('instance', '')}",
            part=tuple(labels.get(label, "") for label in by),
            total=total,
            failures=failures,
        )
        self._channels.append(channel)
        return channel

    def instance(self, version: Version, name: str) -> _Instance:
        """What is known of one process."""
        return self._instances.setdefault((version, name), _Instance())

    def meet(self, version: Version, instance: _Instance, at: float) -> None:
        """A process was scraped at a moment. One that joins after the first ones' warm-up has a warm-up of its own."""
        instance.first = min(instance.first, at)
        if version == "canary":
            joined = self._deployed if instance.first <= self._deployed + self._warm_up else instance.first
            instance.warm = joined + self._warm_up

    def scraped(self, version: Version, *, first: float | None, last: float) -> None:
        """A counter of requests was scraped, the first time after the start and the last time at these moments."""
        if version == "stable" or first is not None:
            self.newest[version] = max(last, self.newest.get(version, -math.inf))
        if first is None:
            return
        self._first[version] = min(first, self._first.get(version, math.inf))
        if version == "canary" and self.origin is None:
            self._lay(min(first, self.expected))

    def _lay(self, first: float) -> None:
        """Lay the grid, its edges a little after the canary's scrapes, and count what has come so far.

        So stable's scrape of the same interval comes earlier in the cell, wherever the two lie, and the newest
        failures of the canary can be judged as soon as they are scraped. The little is for scrapes that are late now
        and then.
        """
        start, interval = self.start, self.interval
        edge = first + interval / 10
        self.origin = edge + math.floor((start + interval / 5 - edge) / interval) * interval
        for channel in self._channels:
            channel.flush()

    def history(self) -> Scatter:
        """How unevenly stable's instances failed before the start."""
        found = NO_SCATTER
        for index in [index for index in self.cells if index < 0]:
            found += scatter(self.cells.pop(index).instances())
        return found

    def closed(self, timeline: Timeline) -> Iterator[Block]:
        """The blocks that were closed since the last call: those before the newest cell."""
        self._settle()
        shifts = timeline.shifts()
        while self._next < self.reached:
            index = self._next
            self._next += 1
            cell = self.cells.pop(index, None)
            if cell is not None and self._begin == index:
                self._open = cell
            elif cell is not None:
                self._open.add(cell)
            if self._is_whole(index, self._open, timeline):
                yield self._block(self._open, index, timeline, shifts)
                self._open, self._begin = _Cell(), index + 1

    def newest_block(self, timeline: Timeline) -> Block | None:
        """The block that ends with the newest cell, as far as it was scraped by now; None where a version waits."""
        if self.reached < self._next:
            return None
        index = self.reached
        cell = _Cell()
        cell.add(self._open)
        if index in self.cells:
            cell.add(self.cells[index])
        return self._block(cell, index, timeline, timeline.shifts()) if self._is_whole(index, cell, timeline) else None

    def _settle(self) -> None:
        """Count the first values of stable's instances that turned out to be new, with their second scrape.

        Not with the first one: the block of that may be closed.
        """
        for name in [*self.unsettled]:
            instance = self.instance("stable", name)
            if instance.next == math.inf:
                continue
            brought = sum(value for channel, _, value in instance.untold if channel.counts_requests)
            if brought <= _NEWBORN * instance.grown:
                for channel, at, value in instance.untold:
                    channel.add(at, instance.next, value)
            instance.untold.clear()
            self.unsettled.discard(name)

    def _is_whole(self, index: int, cell: _Cell, timeline: Timeline) -> bool:
        end = self._edge(index + 1)
        if "canary" not in cell.saw and self._first.get("canary", math.inf) <= end:
            return False
        if "stable" in cell.saw or self._first.get("stable", math.inf) > end:
            return True
        return timeline.weight_at(_moment(end)) == EVERYTHING

    def _block(self, cell: _Cell, index: int, timeline: Timeline, shifts: Sequence[datetime]) -> Block:
        end = self._edge(index + 1)
        since = _moment(min(cell.since, self._edge(self._begin)))
        until = _moment(cell.until if cell.until > -math.inf else end)
        parts = cell.parts()
        m = q = 0.0
        for four in parts.values():
            m += four[2]
            q += four[3]
        whole, overfull = _cut((cell.total, cell.failures, m, q))
        compared = [_cut(four) for four in parts.values()]
        return Block(
            since=since,
            at=_moment(end),
            weight=timeline.weight_at(until),
            whole=whole,
            parts=tuple(part for part, _ in compared) or (Part(),),
            scatter=scatter(cell.instances()) if q else NO_SCATTER,
            shifted=any(since < shift <= until for shift in shifts),
            overfull=overfull or any(too_full for _, too_full in compared),
        )

    def _edge(self, index: int) -> float:
        assert self.origin is not None
        return self.origin + index * self.interval


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _cut(four: Sequence[float]) -> tuple[Part, bool]:
    """Counts whose failures are no more than their requests, and whether they had been more."""
    n, s, m, q = four
    part = Part(n, min(max(s, 0.0), n), m, min(max(q, 0.0), m))
    return part, s > n + 0.5 or q > m + 0.5
