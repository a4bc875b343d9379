"""One gate on its way through a rollout: samples to blocks to evidence, up to any moment.

A look at a later moment goes on from the one before, and gives what a look from nothing would: so the live loop, which
begins anew each time, and a replay, which goes from scrape to scrape, are the same code.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, NamedTuple

from rollout.analysis.blocks import Block, Part, Timeline, Version
from rollout.analysis.clauses import Case, Weighing
from rollout.analysis.counters import LARGEST, Series, growth
from rollout.analysis.counting import Channel, Counting
from rollout.analysis.histograms import NEEDED, Cut, NoCut, choose
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate, LatencyGate, QueryGate
from rollout.core.plan import NOTHING, Advance, Plan

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What was counted up to a moment."""

    whole: Part
    """Since the start."""
    step: Part
    """At this step, in blocks that are judged."""
    judged: Part
    """In all blocks that are judged."""
    busy: int
    """Blocks in which anything was served."""
    overfull: int
    """Blocks with more failures than requests."""


class Trial:
    """The evidence of one gate, look by look.

    `reading` may hold samples of later moments than a look is for; they are left alone until then.
    """

    def __init__(self, reading: Reading, *, plan: Plan, timeline: Timeline) -> None:
        gate = reading.gate
        assert not isinstance(gate, QueryGate)
        self.gate = gate
        self.reading = reading
        self.cut: Cut | None = None
        """Of a latency gate, where slow begins; None while that is not known."""
        self.refusal = ""
        """Of a latency gate, why no bucket can serve (yet)."""
        self.refused = False
        """No bucket of this histogram can serve."""
        self._plan = plan
        self._chosen: datetime | None = None
        self._begin(timeline)

    def _begin(self, timeline: Timeline) -> None:
        """Count from the beginning."""
        plan = self._plan
        self._counting = Counting(
            start=timeline.start, deployed_at=timeline.deployed_at, interval=plan.interval, warm_up=plan.warm_up
        )
        self._weighing: Weighing | None = None
        self._newest: Block | None = None
        self._feeds: list[_Feed] = []
        self._sums: list[_Sums] = []
        self._ends: list[datetime] = []
        by = self.gate.by if isinstance(self.gate, FailureGate) else ()
        for version, counters in _versions(self.reading):
            for series in counters.total:
                self._feed(version, series, by=by, total=1.0)
            for series in counters.failures:
                self._feed(version, series, by=by, failures=1.0)
            for series in counters.buckets:
                if bound_of(series) == math.inf:
                    self._feed(version, series, total=1.0)

    def look(self, timeline: Timeline, now: datetime) -> Case:
        """What the samples up to `now` say. Looks come in the order of time."""
        if isinstance(self.gate, LatencyGate) and self.cut is None:
            self._choose(self.gate, timeline, now)
        until = now.timestamp()
        for feed in self._feeds:
            feed.advance(until)
        if self._weighing is None:
            if self._counting.origin is None:
                return Case(dispersion=self._plan.dispersion)
            self._weighing = Weighing(
                self.gate,
                budget=self._plan.budget,
                beta=self._plan.beta,
                dispersion=self._plan.dispersion,
                history=self._counting.history(),
                advance=self._plan.advance is Advance.EVIDENCE,
            )
        for block in self._counting.closed(timeline):
            fit = self._fit(block)
            self._weighing.add(fit)
            self._ends.append(fit.at)
            self._sums.append(_added(self._sums[-1] if self._sums else _NOTHING, fit))
        newest = self._counting.newest_block(timeline)
        self._newest = self._fit(newest) if newest is not None else None
        return self._weighing.peek(self._newest) if self._newest is not None else self._weighing.case

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Everything that was weighed by the last look."""
        kept = tuple(self._weighing.blocks) if self._weighing is not None else ()
        return kept if self._newest is None else (*kept, self._newest)

    def newest(self, version: Version) -> datetime | None:
        """The newest scrape of a version after the start, up to the last look."""
        at = self._counting.newest.get(version)
        return datetime.fromtimestamp(at, UTC) if at is not None else None

    def totals(self, timeline: Timeline) -> Totals:
        """The sums over the blocks up to the last look."""
        sums = self._sums[-1] if self._sums else _NOTHING
        if self._newest is not None:
            sums = _added(sums, self._newest)
        step = Part()
        if timeline.seen_at is not None:
            at = bisect_right(self._ends, timeline.seen_at)
            before = self._sums[at - 1].judged if at else Part()
            step = Part(*(now - then for now, then in zip(sums.judged, before, strict=True)))
        return Totals(whole=sums.whole, judged=sums.judged, step=step, busy=sums.busy, overfull=sums.overfull)

    def _fit(self, block: Block) -> Block:
        """A block that began before the bucket was chosen is no evidence, as the choice rests on it."""
        if self._chosen is None or block.since >= self._chosen:
            return block
        return replace(block, shifted=True)

    def _choose(self, gate: LatencyGate, timeline: Timeline, now: datetime) -> None:
        """Choose the bucket by what stable served before the first canary traffic; where that is little, soon after."""
        traffic = next((at for at, weight in timeline.weights if weight > NOTHING and at <= now), None)
        stable = self.reading.stable.buckets
        moment = _enough(stable, traffic or now, now)
        if moment is None:
            self.refusal = f"stable has served fewer than {NEEDED:,} requests from which a bucket can be chosen"
            return
        canary = self.reading.canary.buckets
        known = {bound_of(series) for series in canary if series.samples and series.samples[0].at <= now}
        try:
            cut = choose(
                by_bound(stable, until=moment), known=known, quantile=gate.quantile, max_increase=gate.max_increase
            )
        except NoCut as none:
            self.refusal, self.refused = str(none), True
            return
        self.refusal, self.refused = "", False
        if traffic is not None and known:  # until then a later look may choose better
            self.cut = cut
            self._chosen = moment if moment > traffic else None
            self._begin(timeline)  # what was counted without the slow requests has to be counted anew
            self._open(cut)

    def _open(self, cut: Cut) -> None:
        """Slow requests are all but those up to a bound; stable's bound lies between two.

        An instance of the canary without that very bound (other buckets, or a native histogram that had none of its
        requests there) is judged by the next one above: fewer of its requests count as slow, so it is never blamed for
        its buckets.
        """
        above: dict[frozenset[tuple[str, str]], float] = {}
        for series in self.reading.canary.buckets:
            if cut.bound <= bound_of(series):
                above[_owner(series)] = min(bound_of(series), above.get(_owner(series), math.inf))
        for series in self.reading.canary.buckets:
            bound = bound_of(series)
            if part := float(bound == math.inf) - float(bound == above.get(_owner(series))):
                self._feed("canary", series, failures=part)
        slow = {math.inf: 1.0, cut.upper: cut.share - 1.0}
        slow[cut.lower] = -1.0 if cut.lower == cut.upper else -cut.share
        for series in self.reading.stable.buckets:
            if part := slow.get(bound_of(series), 0.0):
                self._feed("stable", series, failures=part)

    def _feed(
        self,
        version: Version,
        series: Series,
        *,
        by: tuple[str, ...] = (),
        total: float = 0.0,
        failures: float = 0.0,
    ) -> None:
        channel = self._counting.channel(version, series.labels, by=by, total=total, failures=failures)
        self._feeds.append(_Feed(channel, series))


_MOMENT: Final = attrgetter("at")


class _Feed:
    """A series that is handed to its channel look by look."""

    __slots__ = ("_at", "_channel", "_times", "_values")

    def __init__(self, channel: Channel, series: Series) -> None:
        self._channel = channel
        self._times = [*map(datetime.timestamp, map(_MOMENT, series.samples))]  # of all samples there are
        self._values = [sample.value for sample in series.samples]
        self._at = 0
        channel.expect(self._times, self._values)

    def advance(self, until: float) -> None:
        times, begin = self._times, self._at
        if begin == len(times) or times[begin] > until:
            return
        self._at = end = bisect_right(times, until, lo=begin)
        self._channel.take(times[begin:end], self._values[begin:end])


class _Sums(NamedTuple):
    whole: Part
    judged: Part
    busy: int
    overfull: int


_NOTHING: Final = _Sums(Part(), Part(), 0, 0)


def _added(sums: _Sums, block: Block) -> _Sums:
    whole = block.whole
    served = whole.canary_total or whole.stable_total or block.overfull
    return _Sums(
        _plus(sums.whole, whole),
        sums.judged if block.shifted else _plus(sums.judged, block.judged),
        sums.busy + bool(served),
        sums.overfull + block.overfull,
    )


def _plus(one: Part, other: Part) -> Part:
    return Part(one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def _versions(reading: Reading) -> tuple[tuple[Version, Counters], ...]:
    return ("canary", reading.canary), ("stable", reading.stable)


def bound_of(series: Series) -> float:
    """The upper bound of a bucket in seconds; NaN where its label is no number."""
    try:
        return float(series.labels.get("le", ""))
    except ValueError:
        return math.nan


def _owner(series: Series) -> frozenset[tuple[str, str]]:
    """Which histogram a bucket belongs to."""
    return frozenset(item for item in series.labels.items() if item[0] != "le")


def by_bound(buckets: Sequence[Series], *, until: datetime, since: datetime = LONG_AGO) -> dict[float, float]:
    """How many durations were counted up to each bound, in scrapes after `since` and up to `until`."""
    counts: dict[float, float] = {}
    for series in buckets:
        bound = bound_of(series)
        counts[bound] = counts.get(bound, 0.0) + growth(series, since=since, until=until)
    return counts


def _enough(buckets: Sequence[Series], at_least: datetime, now: datetime) -> datetime | None:
    """The first moment from `at_least` to `now` by which enough was counted to choose a bucket from."""
    everything = [series for series in buckets if bound_of(series) == math.inf]
    counted = by_bound(everything, until=at_least).get(math.inf, 0.0)
    if counted >= NEEDED:
        return at_least
    later = [
        (after.at, after.value - before.value if after.value >= before.value else after.value)
        for series in everything
        for before, after in itertools.pairwise(sample for sample in series.samples if 0 <= sample.value <= LARGEST)
        if at_least < after.at <= now
    ]
    for at, grown in sorted(later):
        counted += grown
        if counted >= NEEDED:
            return at
    return None
