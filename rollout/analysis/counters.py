"""Cumulative counters to increments, per series and before any sum.

`rate()` and `increase()` are never used: they ignore the first value of a series, so the first failure of a new
label set is lost (prometheus/prometheus#1673, #3886), and they extrapolate, so their results are not counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a counter showed when it was scraped."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One cumulative counter: its labels, and its samples with the oldest first."""

    labels: Mapping[str, str]
    """All labels but the metric's name."""
    samples: tuple[Sample, ...]

    @property
    def instance(self) -> str:
        """The process the counter lives in, as far as its labels tell (`job` and `instance`)."""
        return f"{self.labels.get('job', '')}/{self.labels.get('instance', '')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
    """How much a counter grew between a scrape and the one before."""

    at: datetime
    """The later scrape."""
    since: datetime
    """The earlier one; equal to `at` where the counter was first seen then."""
    amount: float


def increments(series: Series, *, start: datetime, born: bool) -> Iterable[Increment]:
    """What the counter grew by in scrapes after `start`.

    The last sample at or before `start` is the base. Without one, the first value counts in full where the counter
    was `born` after the start (a new process, or a new label set of a known one), and is the base where it was not:
    a counter that is merely seen for the first time brings its whole past with it. A value that falls is a reset
    and counts in full. NaN and negative values are passed over, as no counter can have them.
    """
    base: Sample | None = None
    for sample in series.samples:
        if not math.isfinite(sample.value) or sample.value < 0:
            continue
        if sample.at <= start:
            base = sample
            continue
        if base is None:
            if born and sample.value > 0:
                yield Increment(at=sample.at, since=sample.at, amount=sample.value)
        else:
            grown = sample.value - base.value
            yield Increment(at=sample.at, since=base.at, amount=grown if grown >= 0 else sample.value)
        base = sample
