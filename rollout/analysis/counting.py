"""Counters of both versions to aligned blocks of counts, sample by sample.

It decides nothing: what a block says about the canary is for `evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from rollout.analysis.blocks import Block, Part, Timeline, Version
from rollout.analysis.dispersion import NO_SCATTER, Scatter, scatter
from rollout.core.plan import EVERYTHING

_NEWBORN: Final = 2.0
"""A process first seen after the start is new if it brings at most so many times the requests it has grown by next."""

_Labels = tuple[str, ...]


@dataclass(slots=True)
class _Cell:
    """What was counted in one cell of the grid, or in several; always requests and failures."""

    since: float = math.inf
    until: float = -math.inf
    canary: list[float] = field(default_factory=lambda: [0.0, 0.0])
    warm: dict[_Labels, list[float]] = field(default_factory=dict)
    """The canary's by part, of warmed-up instances."""
    stable: dict[tuple[str, _Labels], list[float]] = field(default_factory=dict)
    """Stable's by instance and part."""
    saw: set[Version] = field(default_factory=set)
    """Which versions were scraped in it."""

    def add(self, other: _Cell) -> None:
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        self.saw |= other.saw
        self.canary[0] += other.canary[0]
        self.canary[1] += other.canary[1]
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
        found = {part: [*two, 0.0, 0.0] for part, two in self.warm.items()}
        for (_, part), two in self.stable.items():
            four = found.get(part)
            if four is None:
                four = found[part] = [0.0] * 4
            four[2] += two[0]
            four[3] += two[1]
        return found


_Key = TypeVar("_Key")


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
        self._part = part
        self._key = (instance, part)
        self._weights = (total, failures)
        self._base: tuple[float, float] | None = None
        self._untold = False
        self._pending: list[tuple[float, float]] = []

    def take(self, samples: Iterable[tuple[float, float]]) -> None:
        """More samples, oldest first, as (seconds since 1970, value).

        The last one at or before the start is the base of what follows. NaN and negative values are passed over, as
        no counter can have them. A value that falls is a reset and counts in full.
        """
        fit = [(at, value) for at, value in samples if 0 <= value < math.inf]
        if not fit:
            return
        counting = self._counting
        if fit[0][0] < self._instance.first:
            counting.meet(self._version, self._instance, fit[0][0])
        if self._weights[0]:
            counting.scraped(
                self._version, first=next((at for at, _ in fit if at > counting.start), None), last=fit[-1][0]
            )
        if counting.origin is None:
            self._pending += fit
        else:
            self._count(fit)

    @property
    def counts_requests(self) -> bool:
        """Whether it is a counter of requests, and not only of failures."""
        return bool(self._weights[0])

    def expect(self, samples: Iterable[tuple[float, float]]) -> None:
        """Know beforehand when its process is first scraped, where one counter is read after the other."""
        counting, version = self._counting, self._version
        for at, value in samples:
            if not 0 <= value < math.inf:
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
        pending, self._pending = self._pending, []
        self._count(pending)

    def _count(self, samples: Sequence[tuple[float, float]]) -> None:
        start, base, counts_requests = self._counting.start, self._base, self.counts_requests
        grown: list[tuple[float, float, float]] = []
        for sample in samples:
            at, value = sample
            if base is not None:
                amount = value - base[1]
                if amount < 0:
                    amount = value
                if self._untold:
                    self._tell(at, amount)
                if amount or counts_requests:
                    grown.append((base[0], at, amount))
            elif at > start:
                self._first(at, value)
            base = sample
        self._base = base
        self._put(grown)

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
        self._put(((since, at, amount),))

    def _put(self, grown: Iterable[tuple[float, float, float]]) -> None:
        """Into the cells: the earlier and the later scrape, and the growth between them. This runs for every sample."""
        counting, version = self._counting, self._version
        cells, index_of = counting.cells, counting.index_of
        total, failures = self._weights
        warm = self._instance.warm if version == "canary" else -math.inf
        for since, at, amount in grown:
            index = index_of(at)
            cell = cells.get(index)
            if cell is None:
                cell = cells[index] = _Cell()
            cell.since = since if since < cell.since else cell.since
            cell.until = at if at > cell.until else cell.until
            if total:
                cell.saw.add(version)
            if not amount:
                continue
            requests, failed = total * amount, failures * amount
            if version == "canary":
                cell.canary[0] += requests
                cell.canary[1] += failed
                if since < warm:
                    continue
                two = cell.warm.get(self._part)
                if two is None:
                    two = cell.warm[self._part] = [0.0, 0.0]
            else:
                two = cell.stable.get(self._key)
                if two is None:
                    two = cell.stable[self._key] = [0.0, 0.0]
            two[0] += requests
            two[1] += failed


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
        self._interval = interval.total_seconds()
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
        self._newest = -1
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
        start, interval = self.start, self._interval
        edge = first + interval / 10
        self.origin = edge + math.floor((start + interval / 5 - edge) / interval) * interval
        for channel in self._channels:
            channel.flush()

    def index_of(self, at: float) -> int:
        """The cell that holds a moment; the first one after the start holds what came before its edge as well."""
        assert self.origin is not None
        index = math.ceil((at - self.origin) / self._interval) - 1
        if at <= self.start:
            return index if index < 0 else -1
        index = max(index, 0)
        self._newest = index if index > self._newest else self._newest
        return index

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
        while self._next < self._newest:
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
        if self._newest < self._next:
            return None
        index = self._newest
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
        n, s = cell.canary
        m = q = 0.0
        for four in parts.values():
            m += four[2]
            q += four[3]
        whole, overfull = _cut((n, s, m, q))
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
        return self.origin + index * self._interval


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _cut(four: Sequence[float]) -> tuple[Part, bool]:
    """Counts whose failures are no more than their requests, and whether they had been more."""
    n, s, m, q = four
    part = Part(n, min(max(s, 0.0), n), m, min(max(q, 0.0), m))
    return part, s > n + 0.5 or q > m + 0.5
