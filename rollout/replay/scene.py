"""From a recording to what the judge takes: a reading of each gate, and when what happened to the traffic.

A recording does not say which processes ran before it began, nor when the canary was deployed. What is assumed is here
and in docs/replay.md, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.plan import NOTHING, Plan, Weight
from rollout.core.selector import Selector
from rollout.metrics.buckets import NotAHistogram, classic
from rollout.replay.lines import QUERY, Recording

SOME: Final = Weight(1)
"""The canary's weight from its first sample on, where a recording does not tell it."""

_NEWBORN: Final = 2.0
"""A process is new if its first values are at most so many times what they grow by next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording, ready to be judged."""

    plan: Plan
    """Without the gates of which nothing was recorded."""
    readings: tuple[Reading, ...]
    unrecorded: tuple[Gate, ...]
    timelines: tuple[Timeline, ...]
    """What was known of the traffic after each change of weight."""
    moments: tuple[datetime, ...]
    """Every time of the recording after the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the counters of a version's processes that ran by the start are counted from."""

    start: datetime
    until: datetime
    """Until when a first sample is one of the first scrape."""
    newborn: dict[str, bool]
    """By process that is first scraped right after the start, whether it had only just begun to count."""

    def fit(self, series: Series) -> Series:
        """A series with its base at the start. One that begins later counts in full, as a new one does."""
        samples = series.samples
        newborn = self.newborn.get(series.instance)
        if newborn is None or not self.start < samples[0].at <= self.until:
            return series
        base = Sample(at=self.start, value=0.0 if newborn else samples[0].value)
        return Series(labels=series.labels, samples=(base, *samples))


def scene_of(recording: Recording, plan: Plan) -> Scene:
    """The recording, seen through the gates of a plan."""
    unrecorded = tuple(gate for gate in plan.gates if not _is_recorded(recording, gate))
    gates = tuple(gate for gate in plan.gates if gate not in unrecorded)
    times = tuple(recording.seconds)
    first = times[0]
    start = recording.weights[0][0] if recording.weights else first
    canary, stable = (tuple(_totals(recording, gates, version)) for version in ("canary", "stable"))
    appears = min((one.samples[0].at for one in canary), default=None)
    weights = recording.weights or ((appears or start, SOME),)
    until = max(first, start) + plan.interval
    given = bool(recording.weights) and recording.weights[0][1] > NOTHING
    ran = appears is not None and (appears <= first + plan.interval or appears <= start + plan.interval * given)
    grounds = {
        "canary": _ground(canary if ran else (), start=start, until=until),
        "stable": _ground(stable, start=start, until=until),
    }
    deployed_at = start - plan.warm_up if ran else appears or start
    readings = tuple(_reading(recording, gate, grounds) for gate in gates)
    return Scene(
        plan=_with_gates(plan, gates),
        readings=readings,
        unrecorded=unrecorded,
        timelines=tuple(
            Timeline(start=start, deployed_at=deployed_at, seen_at=weights[known - 1][0], weights=weights[:known])
            for known in range(1, len(weights) + 1)
        ),
        moments=tuple(at for at in times if at > start) or times[-1:],
    )


def _ground(found: Iterable[Series], *, start: datetime, until: datetime) -> _Ground:
    """From the requests that a version counted: which of its processes are first scraped right after the start."""
    by_instance: dict[str, list[Series]] = {}
    for one in found:
        by_instance.setdefault(one.instance, []).append(one)
    return _Ground(
        start=start,
        until=until,
        newborn={
            instance: _is_newborn(many)
            for instance, many in by_instance.items()
            if start < min(one.samples[0].at for one in many) <= until
        },
    )


def _is_newborn(many: Iterable[Series]) -> bool:
    pairs = [one.samples[:2] for one in many if len(one.samples) > 1]
    counted = sum(before.value for before, _ in pairs if math.isfinite(before.value))
    grown = sum(after.value - before.value for before, after in pairs if math.isfinite(after.value - before.value))
    return bool(pairs) and counted <= _NEWBORN * grown


def _reading(recording: Recording, gate: Gate, grounds: Mapping[str, _Ground]) -> Reading:
    def series(selector: Selector, version: str) -> tuple[Series, ...]:
        wanted = selector.of(version)
        found = (one.series for one in recording.series if wanted.matches(one.metric, one.series.labels))
        return tuple(_unreleased(grounds[version].fit(one)) for one in found)

    match gate:
        case FailureGate():
            canary, stable = (
                Counters(total=series(gate.total, version), failures=series(gate.failures, version))
                for version in ("canary", "stable")
            )
        case LatencyGate():
            try:
                canary, stable = (
                    Counters(buckets=classic(series(gate.histogram, version))) for version in ("canary", "stable")
                )
            except NotAHistogram as wrong:
                return Reading(gate=gate, problem=f"the recording {wrong.what}")
        case QueryGate():
            values = _values(recording, gate)
            canary, stable = (Counters(values=values.get(version, ())) for version in ("canary", "stable"))
        case _:
            assert_never(gate)
    return Reading(gate=gate, canary=canary, stable=stable)


def _unreleased(series: Series) -> Series:
    """Without the label `release`: a recording holds one release of each version, and does not say which."""
    if "release" not in series.labels:
        return series
    labels = {name: text for name, text in series.labels.items() if name != "release"}
    return Series(labels=labels, samples=series.samples)


def _with_gates(plan: Plan, gates: tuple[Gate, ...]) -> Plan:
    """The plan with only these gates, each of which may spend what it may in the whole plan."""
    reduced = replace(plan, gates=gates)
    return replace(reduced, false_rollback=plan.false_rollback * plan.budget / reduced.budget)


def _is_recorded(recording: Recording, gate: Gate) -> bool:
    """Whether the file holds anything of a gate, of either version."""
    if isinstance(gate, QueryGate):
        return bool(_values(recording, gate))
    selectors = [selector.of(version) for selector in _requests(gate) for version in ("canary", "stable")]
    return any(selector.matches(one.metric, one.series.labels) for one in recording.series for selector in selectors)


def _totals(recording: Recording, gates: Iterable[Gate], version: str) -> Iterator[Series]:
    """Every counter of a version's requests, of all gates together."""
    selectors = {selector.of(version) for gate in gates for selector in _requests(gate)}
    for one in recording.series:
        if any(selector.matches(one.metric, one.series.labels) for selector in selectors):
            yield one.series


def _requests(gate: Gate) -> tuple[Selector, ...]:
    match gate:
        case FailureGate():
            return (gate.total,)
        case LatencyGate():
            return (gate.histogram,)
        case QueryGate():
            return ()
        case _:
            assert_never(gate)


def _values(recording: Recording, gate: QueryGate) -> dict[str, tuple[Sample, ...]]:
    """What a query gave for each version."""
    return {
        one.series.labels.get("version", ""): one.series.samples
        for one in recording.series
        if one.metric == QUERY and one.series.labels.get("gate") == gate.name
    }
