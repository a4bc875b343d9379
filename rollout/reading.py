"""What every gate needs, asked of the source within a time: samples as they are, and a reason where there are none.

It judges nothing, and what cannot be had is said and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, assert_never

from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.plan import Plan
from rollout.errors import SourceUnavailable
from rollout.metrics.base import Source

BASE: Final = timedelta(minutes=5)
"""How far before the start the canary's samples are read, so that every counter has a base."""
LOOK_BACK: Final = timedelta(hours=1)
"""How far before the start stable's samples are read: what it is like is known before the canary is judged by it."""
QUERY_DELAY: Final = timedelta(seconds=1)
"""How long before now a query is asked for: VictoriaMetrics repeats the value before for the newest moments."""
LOOK_TIME: Final = timedelta(seconds=10)
"""How long one look at the metrics may go on before the gates that are left are not asked."""


def read_gates(
    source: Source, plan: Plan, *, start: datetime, until: datetime, clock: Callable[[], datetime]
) -> tuple[Reading, ...]:
    """The raw samples of every gate, from before the start on; one whose source has no answer carries the reason.

    The look as a whole has a time: a source that hangs must keep nobody waiting who wants to roll back. Gates that
    were not asked by then say so.
    """
    began = clock()
    readings: list[Reading] = []
    for gate in plan.gates:
        if clock() - began > LOOK_TIME:
            late = f"the source took more than {LOOK_TIME.total_seconds():.0f} s to answer for the gates before"
            readings.append(Reading(gate=gate, problem=late))
        else:
            readings.append(_reading(source, gate, plan.interval, start, until))
    return tuple(readings)


def _reading(source: Source, gate: Gate, interval: timedelta, start: datetime, until: datetime) -> Reading:
    queries = tuple(_queries(gate))
    try:
        return Reading(
            gate=gate,
            canary=_counters(source, gate, "canary", interval, start - BASE, until),
            stable=_counters(source, gate, "stable", interval, start - LOOK_BACK, until),
            queries=queries,
        )
    except SourceUnavailable as away:
        return Reading(gate=gate, problem=away.message, queries=queries)


def _counters(
    source: Source, gate: Gate, version: str, interval: timedelta, since: datetime, until: datetime
) -> Counters:
    match gate:
        case FailureGate():
            return Counters(
                total=source.series(gate.total.of(version), since=since, until=until),
                failures=source.series(gate.failures.of(version), since=since, until=until),
            )
        case LatencyGate():
            return Counters(buckets=source.histogram(gate.histogram.of(version), since=since, until=until))
        case QueryGate():
            until -= QUERY_DELAY
            oldest = until - interval * (gate.scrapes + 1)
            return Counters(values=source.values(gate.of(version), since=oldest, until=until, step=interval))
        case _:
            assert_never(gate)


def _queries(gate: Gate) -> Iterator[str]:
    for version in ("canary", "stable"):
        match gate:
            case FailureGate():
                yield str(gate.total.of(version))
                yield str(gate.failures.of(version))
            case LatencyGate():
                yield str(gate.histogram.of(version))
            case QueryGate():
                yield gate.of(version)
            case _:
                assert_never(gate)
