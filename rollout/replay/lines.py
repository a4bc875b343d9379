"""Recordings as JSON Lines: one raw sample or one change of weight per line, in the order of time.

    {"at": 0.0, "weight": 5}
    {"at": 12.0, "metric": "http_requests_total", "labels": {"version": "canary", "code": "500"}, "value": 7}

It says what is wrong with a file line by line, and knows nothing of gates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rollout.analysis.counters import Sample, Series
from rollout.core.plan import Weight

QUERY: Final = "query"
"""The metric under which the values of query gates are kept, with the labels `gate` and `version`."""

_SAMPLE: Final = frozenset({"at", "metric", "labels", "value"})
_WEIGHT: Final = frozenset({"at", "weight"})
_LONGEST_GAP: Final = 7 * 86400.0
_SPECIAL: Final[Mapping[str, float]] = {
    "NaN": math.nan,
    **dict.fromkeys(("Infinity", "Inf", "+Infinity", "+Inf"), math.inf),
    **dict.fromkeys(("-Infinity", "-Inf"), -math.inf),
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one line of a file; line 0 is the file as a whole."""

    file: str
    line: int
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.what}\n  {self.hint}" if self.hint else f"{where}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One series of a recording."""

    metric: str
    series: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a file holds."""

    file: str
    series: tuple[Recorded, ...]
    weights: tuple[tuple[datetime, Weight], ...]
    seconds: Mapping[datetime, float]
    """Every time in the file, in order, as it is written there."""


def read(file: str) -> Recording | tuple[Wrong, ...]:
    """The recording in a file, or everything that is wrong with it."""
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return (Wrong(file, 0, "it does not exist", "check the path; `rollout record` writes such a file"),)
    except UnicodeDecodeError as wrong:
        return (Wrong(file, wrong.object.count(b"\n", 0, wrong.start) + 1, "this is not UTF-8 text"),)
    except OSError as wrong:
        return (Wrong(file, 0, f"it cannot be read: {wrong.strerror}"),)
    work = _Reading(file)
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            work.take(number, line)
    return work.done()


def sample_line(at: datetime, metric: str, labels: Mapping[str, str], value: float) -> str:
    """One raw sample."""
    written = value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    return json.dumps({"at": at.timestamp(), "metric": metric, "labels": dict(labels), "value": written})


def weight_line(at: datetime, weight: Weight) -> str:
    """One change of weight."""
    return json.dumps({"at": at.timestamp(), "weight": weight.percent})


class _Mistake(ValueError):
    """What is wrong with a line."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class _Column:
    """One series while it is read."""

    __slots__ = ("labels", "metric", "times", "values")

    def __init__(self, metric: str, labels: dict[str, str]) -> None:
        self.metric = metric
        self.labels = labels
        self.times: list[datetime] = []
        self.values: list[float] = []


class _Reading:
    """One pass over the lines of a file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._wrong: list[Wrong] = []
        self._columns: dict[tuple[str, frozenset[tuple[str, str]]], _Column] = {}
        self._known: dict[tuple[object, ...], _Column] = {}
        """The same by the labels in the order they were written in: nearly every line finds its column by it."""
        self._weights: list[tuple[datetime, Weight]] = []
        self._seconds: dict[datetime, float] = {}
        self._newest = -math.inf
        self._now = datetime.min.replace(tzinfo=UTC)

    def take(self, number: int, line: str) -> None:
        try:
            self._take(line)
        except _Mistake as wrong:
            self._wrong.append(Wrong(self._file, number, wrong.what, wrong.hint))

    def done(self) -> Recording | tuple[Wrong, ...]:
        if not self._wrong and not self._seconds:
            return (Wrong(self._file, 0, "it is empty", "the command that wrote it may have failed"),)
        if self._wrong:
            return tuple(self._wrong)
        return Recording(
            file=self._file,
            series=tuple(
                Recorded(metric=column.metric, series=Series(labels=column.labels, samples=tuple(_samples(column))))
                for column in self._columns.values()
            ),
            weights=tuple(self._weights),
            seconds=self._seconds,
        )

    def _take(self, line: str) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise _Mistake("this is not JSON", "each line is one whole object; is it cut off?") from None
        if type(found) is not dict:
            raise _Mistake("this is no sample and no weight", 'write {"at": 12.0, "metric": ..., "labels": {}, ...}')
        keys = found.keys()
        if keys == _SAMPLE:
            self._time(found["at"])
            self._sample(found["metric"], found["labels"], found["value"])
        elif keys == _WEIGHT:
            self._time(found["at"])
            self._weights.append((self._now, _weight(found["weight"])))
        else:
            raise _Mistake(*_keys(found))

    def _time(self, at: object) -> None:
        if at == self._newest and type(at) is not bool:
            return
        if type(at) is not float and type(at) is not int:
            raise _Mistake("`at` is not a number", "it is a time in seconds")
        try:
            moment = datetime.fromtimestamp(at, UTC)
        except (ValueError, OverflowError, OSError):
            raise _Mistake("`at` is no time", "it is a time in seconds") from None
        if at < self._newest:
            raise _Mistake(
                f"its time {at:.15g} is before the {self._newest:.15g} above it", "sort the lines by `at`, oldest first"
            )
        before, self._newest, self._now = self._newest, at, moment
        self._seconds.setdefault(moment, float(at))
        if at - before > _LONGEST_GAP and before > -math.inf:
            days = (at - before) / 86400
            raise _Mistake(
                f"{days:,.0f} days lie between its time and the one above it", "count all times from the same moment"
            )

    def _sample(self, metric: object, labels: object, value: object) -> None:
        if type(labels) is not dict:
            raise _Mistake("`labels` is no object", 'write {"version": "canary", ...}')
        key = (metric, *labels.items())
        try:
            column = self._known.get(key)
        except TypeError:  # a list or an object among them
            column = None
        if column is None:
            column = self._column(metric, labels)
            self._known[key] = column
        times = column.times
        if times and times[-1] == self._now:
            raise _Mistake("the same series comes twice at this time", "keep one of them")
        kind = type(value)
        if kind is float:
            number: float = value  # type: ignore[assignment]  # its type has just been looked at
        elif kind is int or kind is str:
            number = _number(value)
        else:
            raise _Mistake("`value` is not a number", 'a counter\'s value is a number, or "NaN"')
        times.append(self._now)
        column.values.append(number)

    def _column(self, metric: object, labels: Mapping[object, object]) -> _Column:
        if not isinstance(metric, str) or not metric:
            raise _Mistake("`metric` is no name", "it is text, such as http_requests_total")
        for name, text in labels.items():
            if not isinstance(text, str):
                raise _Mistake(f"the label {name} is not text", "put quotes around it")
        named = {str(name): str(text) for name, text in labels.items()}
        return self._columns.setdefault((metric, frozenset(named.items())), _Column(metric, named))


def _samples(column: _Column) -> Iterator[Sample]:
    for at, value in zip(column.times, column.values, strict=True):
        yield Sample(at=at, value=value)


def _number(value: object) -> float:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        raise _Mistake(f"`value` is the text {value[:20]!r}", "write a number without quotes; only NaN has them")
    try:
        return float(value)  # type: ignore[arg-type]  # an int, as the caller has seen
    except OverflowError:
        raise _Mistake("`value` is too large", "no counter counts so far") from None


def _weight(value: object) -> Weight:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Mistake("`weight` is not a number", "it is the canary's share of the traffic in percent, such as 5")
    try:
        return Weight(float(value))
    except (ValueError, OverflowError) as wrong:
        raise _Mistake(str(wrong), "it is the canary's share of the traffic in percent, such as 5") from None


def _keys(found: Mapping[str, object]) -> tuple[str, str]:
    wanted = _WEIGHT if "weight" in found else _SAMPLE
    hint = "a sample has at, metric, labels and value; a change of weight has at and weight"
    lacking, strange = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
    parts = ([f"it lacks {_listed(lacking)}"] if lacking else []) + (
        [f"{_listed(strange)} does not belong here" if len(strange) == 1 else f"{_listed(strange)} do not belong here"]
        if strange
        else []
    )
    return "; ".join(parts), hint


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name[:40]}`" for name in names)
