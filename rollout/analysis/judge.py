"""From what a source read to a verdict. No data is never healthy, and trouble that stable shares is never the canary's.

Stateless: everything is computed anew from the counters since the start, so a missed look loses nothing and two
runners come to the same verdict. It reads no clock and remembers nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rollout.analysis.blocks import Block, Counters, Timeline, to_blocks
from rollout.analysis.clauses import Case, case_against
from rollout.analysis.wording import (
    accusation,
    allowance,
    clock,
    comparison,
    seconds,
    share,
    summed,
)
from rollout.core.plan import EVERYTHING, NOTHING, Gate, Plan
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict, combine

_STALE_INTERVALS: Final = 4
_STALE_FLOOR: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a source knows for one gate."""

    gate: Gate
    canary: Counters = field(default_factory=Counters)
    stable: Counters = field(default_factory=Counters)
    problem: str = ""
    """Why the source could not be asked, in a sentence without secrets; empty where it answered."""

    @property
    def empty(self) -> bool:
        """Whether neither version has any series."""
        versions = (self.canary, self.stable)
        return not self.problem and not any(one.total or one.failures for one in versions)


def judge(
    plan: Plan,
    readings: Sequence[Reading],
    *,
    timeline: Timeline,
    canary_release: str,
    stable_release: str,
    now: datetime,
) -> Judgement:
    """The verdict over all gates of the plan at `now`.

    `readings` holds one for each gate of the plan, else ValueError. `canary_release` and `stable_release` are what
    the series' `release` label says where they have one; others are left out. Each acting gate of the plan gets an
    equal part of `plan.false_rollback`, whether it has its metric or not: one that appears later is paid for already.
    """
    by_gate = {reading.gate.name: reading for reading in readings}
    missing = [gate.name for gate in plan.gates if gate.name not in by_gate]
    if missing:
        raise ValueError(f"no reading for {', '.join(missing)}")
    ours = tuple(
        of_releases(by_gate[gate.name], canary_release=canary_release, stable_release=stable_release)
        for gate in plan.gates
    )
    acting = sum(not gate.observe for gate in plan.gates)
    threshold = math.log(max(1, acting) / plan.false_rollback)
    views = tuple(_view(reading, plan=plan, timeline=timeline, now=now) for reading in ours)
    results = tuple(_judge_gate(view, threshold=threshold) for view in views)
    return combine(results, until=_until(views))


def blocks_of(
    reading: Reading, *, plan: Plan, timeline: Timeline, canary_release: str, stable_release: str
) -> tuple[Block, ...]:
    """The counts that a gate is judged by, block by block: what a chart shows."""
    ours = of_releases(reading, canary_release=canary_release, stable_release=stable_release)
    return to_blocks(ours.canary, ours.stable, timeline=timeline, interval=plan.interval)


def of_releases(reading: Reading, *, canary_release: str, stable_release: str) -> Reading:
    """Without the series that carry the `release` label of another release than the version's."""
    return Reading(
        gate=reading.gate,
        canary=reading.canary.of_release(canary_release),
        stable=reading.stable.of_release(stable_release),
        problem=reading.problem,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One gate's data as they stand now."""

    reading: Reading
    plan: Plan
    timeline: Timeline
    now: datetime
    blocks: tuple[Block, ...]
    canary_newest: datetime | None
    """The newest scrape of the canary in this rollout: an earlier canary may have left samples behind."""
    stable_newest: datetime | None

    @property
    def gate(self) -> Gate:
        return self.reading.gate

    @property
    def weightless(self) -> bool:
        return self.timeline.weight_at(self.now) == NOTHING

    @property
    def alone(self) -> bool:
        return self.timeline.weight_at(self.now) == EVERYTHING

    @property
    def measured(self) -> bool:
        return not (self.gate.if_present and self.reading.empty)

    @property
    def tolerance(self) -> timedelta:
        """How old the newest sample may be: four intervals, and never less than ten seconds."""
        return max(_STALE_INTERVALS * self.plan.interval, _STALE_FLOOR)

    @property
    def warm_until(self) -> datetime:
        return self.timeline.deployed_at + self.plan.warm_up

    def of_this_step(self) -> tuple[Counts, Counts]:
        """What was served at this step and is judged in full."""
        seen_at = self.timeline.seen_at
        if seen_at is None:
            return Counts(), Counts()
        return summed(
            [
                block
                for block in self.blocks
                if block.at > seen_at and not block.shifted and block.since >= self.warm_until
            ]
        )


def _view(reading: Reading, *, plan: Plan, timeline: Timeline, now: datetime) -> _View:
    return _View(
        reading=reading,
        plan=plan,
        timeline=timeline,
        now=now,
        blocks=to_blocks(reading.canary, reading.stable, timeline=timeline, interval=plan.interval),
        canary_newest=max((at for at in reading.canary.scrapes() if at > timeline.start), default=None),
        stable_newest=max(reading.stable.scrapes(), default=None),
    )


def _judge_gate(view: _View, *, threshold: float) -> GateResult:
    """Data that cannot be trusted come first, then what they prove, then whether they are all there and enough."""
    case = case_against(view.gate, view.blocks, warm_until=view.warm_until, dispersion=view.plan.dispersion)
    verdict, sentence = _weigh(view, case, threshold=threshold)
    canary, stable = summed(view.blocks)
    return GateResult(
        gate=view.gate.name,
        verdict=verdict,
        sentence=sentence,
        canary=canary,
        stable=stable,
        log_e=case.log_e,
        log_threshold=threshold,
        observe=view.gate.observe,
    )


def _weigh(view: _View, case: Case, *, threshold: float) -> tuple[Verdict, str]:
    if not view.measured:
        return Verdict.HEALTHY, "not measured: neither version has such a series"
    if wrong := _wrong_clock(view):
        return Verdict.BLIND, wrong
    if wrong := _wrong_selectors(view):
        return Verdict.INCONCLUSIVE, wrong
    if case.log_e >= threshold:
        return Verdict.UNHEALTHY, accusation(view.gate, case)
    if lost := _lost_sight(view):
        return Verdict.BLIND, lost
    if open_question := _undecided(view, case, threshold=threshold):
        return Verdict.INCONCLUSIVE, open_question
    return Verdict.HEALTHY, _acquittal(view)


def _wrong_clock(view: _View) -> str:
    for version, newest in (("canary", view.canary_newest), ("stable", view.stable_newest)):
        if newest is not None and newest > view.now + view.plan.interval:
            ahead = seconds(newest - view.now)
            return f"the newest sample of {version} is {ahead} in the future: the clocks of the machines differ"
    return ""


def _wrong_selectors(view: _View) -> str:
    """Scrapes that are not quite simultaneous put failures before their requests now and then, not again and again."""
    busy = [block for block in view.blocks if block.canary.total or block.stable.total or block.overfull]
    overfull = sum(block.overfull for block in busy)
    if overfull >= 3 and overfull * 10 >= len(busy):
        return f"failures exceed total in {overfull:,} of {len(busy):,} blocks: check the selectors"
    return ""


def _lost_sight(view: _View) -> str:
    if view.reading.problem:
        return f"the metrics cannot be had: {view.reading.problem}"
    watched = [("canary", view.canary_newest)] + ([] if view.alone else [("stable", view.stable_newest)])
    for version, newest in watched:
        if newest is not None and view.now - newest > view.tolerance:
            return f"the newest sample of {version} is {seconds(view.now - newest)} old"
    seen_at = view.timeline.seen_at
    if view.canary_newest is None and not view.weightless and seen_at is not None:
        waited = view.now - seen_at
        if waited > view.tolerance:
            return f"the canary has had traffic for {seconds(waited)} and no series that the selectors name"
    return ""


def _undecided(view: _View, case: Case, *, threshold: float) -> str:
    canary, stable = view.of_this_step()
    if view.canary_newest is None:
        return "" if view.weightless else "the canary has no series that the selectors name yet"
    if case.log_over_limit >= threshold:
        return _shared_trouble(view)
    if view.stable_newest is None and not view.alone:
        return "stable has no series that the selectors name: the canary cannot be compared"
    if view.weightless:
        return ""
    if canary.total < view.gate.min_requests:
        if view.now < view.warm_until:
            return f"the canary warms up until {clock(view.warm_until)} and is judged only for catastrophes till then"
        return f"only {canary.total:,} of {view.gate.min_requests:,} requests at this step so far"
    if view.gate.max_ratio is not None and not stable.total and not view.alone:
        return "stable served no requests at this step that the canary could be compared with"
    return ""


def _shared_trouble(view: _View) -> str:
    canary, stable = summed([block for block in view.blocks if block.since >= view.warm_until])
    found = f"the canary fails {share(canary)}, and {allowance(view.gate)}"
    if stable.rate is None:
        return f"{found}; stable has no requests to compare with"
    if canary.rate is not None and stable.rate * 2 >= canary.rate:
        return f"{found}; stable is failing too, {share(stable, unit='')}: the cause may be shared"
    return f"{found}; stable fails {share(stable, unit='')}, which is not yet shown to be better"


def _acquittal(view: _View) -> str:
    canary, stable = summed(view.blocks)
    if view.weightless and not canary.total:
        return "the canary has no traffic yet"
    if view.alone and view.gate.max is None:
        return (
            "the canary has all traffic, so there is nothing new to compare it with; "
            f"before, {comparison(canary, stable)}; {allowance(view.gate)}"
        )
    return f"{comparison(canary, stable)}; {allowance(view.gate)}"


def _until(views: Sequence[_View]) -> datetime | None:
    """The newest moment of which every gate's samples tell, without versions that are not needed or not there yet."""
    moments: list[datetime] = []
    for view in views:
        if not view.measured:
            continue
        watched = [view.canary_newest] + ([] if view.alone else [view.stable_newest])
        newest = [moment for moment in watched if moment is not None]
        if not newest or view.reading.problem:
            return None
        moments.append(min(newest))
    return min(moments, default=None)
