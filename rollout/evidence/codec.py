"""Evidence to JSON and back, strictly: what is unknown or malformed is an error and never a guess.

Samples are written as columns, and the times that many series share only once: differences of microseconds, which say
exactly what was scraped when and compress well. Nothing here knows of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import Emergency, Gate
from rollout.core.plan import InstancesRule, Plan, Step, Weight
from rollout.core.selector import Matcher, Selector
from rollout.core.verdict import Counts, Estimate, GateResult, Judgement, Measured
from rollout.evidence.values import Evidence

SCHEMA: Final = 1
"""It grows when a field changes or its meaning does. A file of a newer schema is refused, never guessed at."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class UnreadableEvidence(ValueError):
    """The JSON is no evidence of this version; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    labels: dict[str, str]
    times: int
    """The index of its column of times."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    total: tuple[_Series, ...]
    failures: tuple[_Series, ...]
    buckets: tuple[_Series, ...]
    values: _Series | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    gate: str
    canary: _Version
    stable: _Version
    problem: str
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    schema_version: int
    written_by: str
    rollout: str
    at: datetime
    now: datetime
    canary_release: str
    stable_release: str
    plan: Plan
    timeline: Timeline
    judgement: Judgement
    times: tuple[tuple[int, ...], ...]
    """Columns of times in microseconds: the first one since 1970, then each one's distance from the one before."""
    readings: tuple[_Reading, ...]


_VALUES: Final = (
    *(_Series, _Version, _Reading, _File, Timeline),
    *(Plan, Step, Weight, InstancesRule, Emergency, Selector, Matcher),
    *get_args(Gate),
    *(Judgement, GateResult, Counts, Measured, Estimate),
)
for _value in _VALUES:  # JSON itself has neither NaN nor infinity
    with_config(ConfigDict(extra="forbid", ser_json_inf_nan="strings"))(_value)
_FILE: Final[TypeAdapter[_File]] = TypeAdapter(_File)


def dump(evidence: Evidence) -> bytes:
    """Evidence as JSON without a line break."""
    columns = _Columns()
    readings = tuple(
        _Reading(
            gate=reading.gate.name,
            canary=columns.version(reading.canary),
            stable=columns.version(reading.stable),
            problem=reading.problem,
            queries=reading.queries,
        )
        for reading in evidence.readings
    )
    return _FILE.dump_json(
        _File(
            schema_version=SCHEMA,
            written_by=evidence.written_by,
            rollout=evidence.rollout,
            at=evidence.at,
            now=evidence.now,
            canary_release=evidence.canary_release,
            stable_release=evidence.stable_release,
            plan=evidence.plan,
            timeline=evidence.timeline,
            judgement=evidence.judgement,
            times=columns.written(),
            readings=readings,
        )
    )


def load(text: bytes) -> Evidence:
    """The evidence in one piece of JSON. Raises UnreadableEvidence."""
    try:
        found = _FILE.validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnreadableEvidence(f"{place or 'the text'}: {first['msg']}") from None
    if found.schema_version > SCHEMA:
        raise UnreadableEvidence(
            f"it was written by a newer version (schema {found.schema_version}; this version knows {SCHEMA})"
        )
    try:
        return _evidence(found)
    except (ValueError, KeyError, IndexError, OverflowError) as wrong:
        raise UnreadableEvidence(f"its parts do not fit together: {wrong}") from None


class _Columns:
    """The columns of times on their way into a file."""

    def __init__(self) -> None:
        self._places: dict[tuple[datetime, ...], int] = {}

    def version(self, counters: Counters) -> _Version:
        return _Version(
            total=self._many(counters.total),
            failures=self._many(counters.failures),
            buckets=self._many(counters.buckets),
            values=self._column({}, counters.values) if counters.values else None,
        )

    def written(self) -> tuple[tuple[int, ...], ...]:
        return tuple(_differences([(at - _EPOCH) // _MICROSECOND for at in column]) for column in self._places)

    def _many(self, series: Iterable[Series]) -> tuple[_Series, ...]:
        return tuple(self._column(dict(one.labels), one.samples) for one in series)

    def _column(self, labels: dict[str, str], samples: Sequence[Sample]) -> _Series:
        times = tuple(sample.at for sample in samples)
        place = self._places.setdefault(times, len(self._places))
        return _Series(labels=labels, times=place, values=tuple(sample.value for sample in samples))


def _differences(moments: Sequence[int]) -> tuple[int, ...]:
    return (*moments[:1], *(later - earlier for earlier, later in pairwise(moments)))


def _evidence(found: _File) -> Evidence:
    if any(moment.tzinfo is None for moment in (found.at, found.now, found.timeline.start)):
        raise ValueError("a time has no time zone")
    times = tuple(tuple(_EPOCH + _MICROSECOND * moment for moment in accumulate(column)) for column in found.times)
    by_name = {gate.name: gate for gate in found.plan.gates}
    readings = tuple(
        Reading(
            gate=by_name[reading.gate],
            canary=_counters(reading.canary, times),
            stable=_counters(reading.stable, times),
            problem=reading.problem,
            queries=reading.queries,
        )
        for reading in found.readings
    )
    return Evidence(
        rollout=found.rollout,
        at=found.at,
        now=found.now,
        canary_release=found.canary_release,
        stable_release=found.stable_release,
        plan=found.plan,
        timeline=found.timeline,
        readings=readings,
        judgement=found.judgement,
        written_by=found.written_by,
    )


def _counters(version: _Version, times: Sequence[Sequence[datetime]]) -> Counters:
    def series(many: Iterable[_Series]) -> tuple[Series, ...]:
        return tuple(Series(labels=one.labels, samples=_samples(one, times)) for one in many)

    return Counters(
        total=series(version.total),
        failures=series(version.failures),
        buckets=series(version.buckets),
        values=_samples(version.values, times) if version.values is not None else (),
    )


def _samples(one: _Series, times: Sequence[Sequence[datetime]]) -> tuple[Sample, ...]:
    if one.times < 0:
        raise ValueError("a column has a negative number")
    column = times[one.times]
    if len(column) != len(one.values):
        raise ValueError(f"{len(column)} times for {len(one.values)} values")
    return tuple(Sample(at=at, value=value) for at, value in zip(column, one.values, strict=True))
