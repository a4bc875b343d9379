"""From what a source read to a verdict. No data is never healthy, and trouble that stable shares is never the canary's.

Stateless: everything is computed anew from the samples since the start, so a missed look loses nothing and two runners
come to the same verdict. It reads no clock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rollout.analysis import wording
from rollout.analysis.blocks import Block, Timeline
from rollout.analysis.clauses import Case
from rollout.analysis.estimates import measured
from rollout.analysis.queries import judge_query
from rollout.analysis.readings import Reading
from rollout.analysis.trial import Totals, Trial
from rollout.core.gates import FailureGate, LatencyGate, QueryGate
from rollout.core.plan import EVERYTHING, NOTHING, Plan
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict, combine

_STALE_INTERVALS: Final = 4
_STALE_FLOOR: Final = timedelta(seconds=10)


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
    the series' `release` label says where they have one; others are left out. Each gate of the plan that acts on
    evidence gets an equal part of `plan.false_rollback`, whether it has its metric or not: one that appears later is
    paid for already.
    """
    ahead = _ahead(readings, now=now, interval=plan.interval)
    hearing = Hearing(plan, readings, timeline=timeline, canary_release=canary_release, stable_release=stable_release)
    judged = hearing.judge(timeline, now)
    if not ahead:
        return judged
    blinded = tuple(
        replace(result, verdict=Verdict.BLIND, sentence=ahead[result.gate]) if result.gate in ahead else result
        for result in judged.gates
    )
    return combine(blinded, until=judged.until)


class Hearing:
    """All gates of a plan, judged at one moment after another.

    Raises ValueError where a gate has no reading.
    """

    def __init__(
        self,
        plan: Plan,
        readings: Sequence[Reading],
        *,
        timeline: Timeline,
        canary_release: str,
        stable_release: str,
    ) -> None:
        by_gate = {reading.gate.name: reading for reading in readings}
        missing = [gate.name for gate in plan.gates if gate.name not in by_gate]
        if missing:
            raise ValueError(f"no reading for {', '.join(missing)}")
        self.plan = plan
        self._threshold = -math.log(plan.budget)
        ours = [by_gate[gate.name].of_releases(canary=canary_release, stable=stable_release) for gate in plan.gates]
        self._trials = tuple(
            reading if isinstance(reading.gate, QueryGate) else Trial(reading, plan=plan, timeline=timeline)
            for reading in ours
        )

    def judge(self, timeline: Timeline, now: datetime) -> Judgement:
        """The verdict at a moment, with what a person needs to check it."""
        views = self._look(timeline, now)
        results = tuple(
            self._query(view, timeline, now) if isinstance(view, Reading) else self._result(view) for view in views
        )
        return combine(results, until=_until(views))

    def verdict(self, timeline: Timeline, now: datetime) -> tuple[Verdict, str | None]:
        """Only the verdict at a moment, and the name of the gate that it rests on: cheap, for a look at each scrape."""
        views = self._look(timeline, now)
        found = [
            (result.verdict, result.gate)
            for result in (
                self._query(view, timeline, now)
                if isinstance(view, Reading)
                else GateResult(gate=view.gate.name, verdict=_verdict(view), sentence="", observe=view.gate.observe)
                for view in views
            )
            if not result.observe
        ]
        for verdict in (Verdict.UNHEALTHY, Verdict.BLIND, Verdict.INCONCLUSIVE):
            for mine, gate in found:
                if mine is verdict:
                    return verdict, gate
        return Verdict.HEALTHY, None

    def counts(self, timeline: Timeline) -> tuple[Counts, ...]:
        """The canary's counts of each gate at the last look."""
        return tuple(
            Counts() if isinstance(trial, Reading) else _counts(trial.totals(timeline))[0] for trial in self._trials
        )

    def _look(self, timeline: Timeline, now: datetime) -> tuple[Reading | _View, ...]:
        return tuple(
            trial
            if isinstance(trial, Reading)
            else _view(trial, plan=self.plan, timeline=timeline, now=now, threshold=self._threshold)
            for trial in self._trials
        )

    def _query(self, reading: Reading, timeline: Timeline, now: datetime) -> GateResult:
        assert isinstance(reading.gate, QueryGate)
        traffic = timeline.weight_at(now) > NOTHING
        return judge_query(
            reading.gate,
            reading,
            start=timeline.start,
            now=now,
            interval=self.plan.interval,
            traffic=traffic,
        )

    def _result(self, view: _View) -> GateResult:
        verdict = _verdict(view)
        canary, stable = _counts(view.totals)
        return GateResult(
            gate=view.gate.name,
            verdict=verdict,
            sentence=_sentence(view, verdict),
            canary=canary,
            stable=stable,
            log_e=view.case.log_e,
            log_threshold=self._threshold,
            observe=view.gate.observe,
            advance=not view.measured or (not view.alone and view.case.log_kept >= -math.log(self.plan.beta)),
            measured=measured(view.trial, view.case, totals=view.totals, since=view.timeline.start, until=view.now),
        )


def blocks_of(
    reading: Reading, *, plan: Plan, timeline: Timeline, canary_release: str, stable_release: str, now: datetime
) -> tuple[Block, ...]:
    """The counts that a gate is judged by up to `now`, block by block: what a chart shows; none of a query gate."""
    if isinstance(reading.gate, QueryGate):
        return ()
    ours = reading.of_releases(canary=canary_release, stable=stable_release)
    trial = Trial(ours, plan=plan, timeline=timeline)
    trial.look(timeline, now)
    return trial.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One gate's data as they stand at one moment."""

    trial: Trial
    case: Case
    totals: Totals
    plan: Plan
    timeline: Timeline
    now: datetime
    threshold: float
    weightless: bool
    """The canary has no traffic."""
    alone: bool
    """The canary has all traffic."""
    canary_newest: datetime | None
    """The newest scrape of the canary in this rollout: an earlier canary may have left samples behind."""
    stable_newest: datetime | None

    @property
    def gate(self) -> FailureGate | LatencyGate:
        return self.trial.gate

    @property
    def measured(self) -> bool:
        """Whether the gate applies: one of the built-in policy does only where its metric is there and can serve."""
        if not self.gate.if_present:
            return True
        return not self.trial.reading.empty and not self.refused

    @property
    def refused(self) -> bool:
        """Whether a latency gate cannot be judged with the buckets there are."""
        return isinstance(self.gate, LatencyGate) and self.trial.cut is None and self.trial.refused

    @property
    def tolerance(self) -> timedelta:
        """How old the newest sample may be: four intervals, and never less than ten seconds."""
        return max(_STALE_INTERVALS * self.plan.interval, _STALE_FLOOR)

    @property
    def warm_until(self) -> datetime:
        return self.timeline.deployed_at + self.plan.warm_up


def _view(trial: Trial, *, plan: Plan, timeline: Timeline, now: datetime, threshold: float) -> _View:
    case = trial.look(timeline, now)
    weight = timeline.weight_at(now)
    return _View(
        trial=trial,
        case=case,
        totals=trial.totals(timeline),
        plan=plan,
        timeline=timeline,
        now=now,
        threshold=threshold,
        weightless=weight == NOTHING,
        alone=weight == EVERYTHING,
        canary_newest=trial.newest("canary"),
        stable_newest=trial.newest("stable"),
    )


def _verdict(view: _View) -> Verdict:
    """Data that cannot be trusted come first, then what they prove, then whether they are all there and enough."""
    if not view.measured:
        return Verdict.HEALTHY
    if _wrong_selectors(view):
        return Verdict.INCONCLUSIVE
    if view.case.log_e >= view.threshold:
        return Verdict.UNHEALTHY
    if _lost_sight(view):
        return Verdict.BLIND
    return Verdict.INCONCLUSIVE if _undecided(view) else Verdict.HEALTHY


def _sentence(view: _View, verdict: Verdict) -> str:
    match verdict:
        case Verdict.UNHEALTHY:
            return wording.accusation(view.gate, view.case, view.trial.blocks, view.trial.cut)
        case Verdict.BLIND:
            return _lost_sight(view)
        case Verdict.INCONCLUSIVE:
            return _wrong_selectors(view) or _undecided(view)
        case Verdict.HEALTHY:
            return _acquittal(view)


def _wrong_selectors(view: _View) -> str:
    """Scrapes that are not quite simultaneous put failures before their requests now and then, not again and again."""
    overfull, busy = view.totals.overfull, view.totals.busy
    if overfull >= 3 and overfull * 10 >= busy:
        return f"failures exceed total in {overfull:,} of {busy:,} blocks: check the selectors"
    return ""


def _lost_sight(view: _View) -> str:
    if view.trial.reading.problem:
        return f"the metrics cannot be had: {view.trial.reading.problem}"
    watched = [("canary", view.canary_newest)] + ([] if view.alone else [("stable", view.stable_newest)])
    for version, newest in watched:
        if newest is not None and view.now - newest > view.tolerance:
            return f"the newest sample of {version} is {wording.seconds(view.now - newest)} old"
    seen_at = view.timeline.seen_at
    if view.canary_newest is None and not view.weightless and seen_at is not None:
        waited = view.now - seen_at
        if waited > view.tolerance:
            return f"the canary has had traffic for {wording.seconds(waited)} and no series that the selectors name"
    return ""


def _undecided(view: _View) -> str:
    if view.canary_newest is None:
        return "" if view.weightless else "the canary has no series that the selectors name yet"
    if view.case.log_over_limit >= view.threshold:
        return wording.shared_trouble(view.gate, view.totals.judged)
    if view.case.log_regression >= view.threshold:
        return wording.held_regression(view.gate, view.totals.judged)
    if view.stable_newest is None and not view.alone:
        return "stable has no series that the selectors name: the canary cannot be compared"
    if isinstance(view.gate, LatencyGate) and view.trial.refusal and (not view.weightless or view.refused):
        return view.trial.refusal
    if view.weightless:
        return ""
    return _too_little(view)


def _too_little(view: _View) -> str:
    step, needed = view.totals.step, view.gate.min_requests
    if step.canary_total < needed:
        if view.now < view.warm_until:
            until = wording.clock(view.warm_until)
            return f"the canary warms up until {until} and is judged only for catastrophes till then"
        return f"only {step.canary_total:,.0f} of {needed:,} requests at this step so far"
    compared = isinstance(view.gate, LatencyGate) or view.gate.max_ratio is not None
    if compared and not step.stable_total and not view.alone:
        return "stable served no requests at this step that the canary could be compared with"
    return ""


def _acquittal(view: _View) -> str:
    if not view.measured:
        if view.trial.reading.empty:
            return "not measured: neither version has such a series"
        return f"not judged: {view.trial.refusal}"
    if view.weightless and not view.totals.whole.canary_total:
        return "the canary has no traffic yet"
    found = wording.comparison(view.gate, view.totals, view.trial.cut)
    allowed = wording.allowance(view.gate, view.trial.cut)
    if view.alone and (isinstance(view.gate, LatencyGate) or view.gate.max is None):
        return f"the canary has all traffic, so there is nothing new to compare it with; before, {found}; {allowed}"
    return f"{found}; {allowed}"


def _counts(totals: Totals) -> tuple[Counts, Counts]:
    whole = totals.whole
    return (
        Counts(total=round(whole.canary_total), failures=round(whole.canary_failures)),
        Counts(total=round(whole.stable_total), failures=round(whole.stable_failures)),
    )


def _until(views: Sequence[Reading | _View]) -> datetime | None:
    """The newest moment of which every gate's samples tell, without versions that are not needed or not there yet."""
    moments: list[datetime] = []
    for view in views:
        if isinstance(view, Reading) or not view.measured:
            continue
        watched = [view.canary_newest] + ([] if view.alone else [view.stable_newest])
        newest = [moment for moment in watched if moment is not None]
        if not newest or view.trial.reading.problem:
            return None
        moments.append(min(newest))
    return min(moments, default=None)


def _ahead(readings: Sequence[Reading], *, now: datetime, interval: timedelta) -> dict[str, str]:
    """The gates whose samples lie in the future, and the sentence that says so."""
    found: dict[str, str] = {}
    for reading in readings:
        for version, counters in (("canary", reading.canary), ("stable", reading.stable)):
            series = itertools.chain(counters.total, counters.buckets)
            newest = max((one.samples[-1].at for one in series if one.samples), default=None)
            if newest is not None and newest > now + interval:
                found.setdefault(
                    reading.gate.name,
                    f"the newest sample of {version} is {wording.seconds(newest - now)} in the future: "
                    "the clocks of the machines differ",
                )
    return found
