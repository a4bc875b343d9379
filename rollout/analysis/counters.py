"""Cumulative counters to increments, per series and before any sum.

`rate()` and `increase()` are never used: they ignore the first value of a series, so the first failure of a new
label set is lost (prometheus/prometheus#1673, #3886), and they extrapolate, so their results are not counts.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LARGEST: Final = 2.0**53
"""Up to here a float counts one by one; what a counter shows beyond it is no count."""


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


def growth(series: Series, *, since: datetime, until: datetime) -> float:
    """How much a counter grew by in scrapes after `since` and up to `until`.

    The last sample at or before `since` is the base; without one, the first value is. A value that falls is a reset
    and counts in full. NaN, negative values and ones beyond `LARGEST` are passed over, as no
    counter can have them.
    """
    samples = series.samples
    begin = bisect_right(samples, since, key=_moment)
    end = bisect_right(samples, until, lo=begin, key=_moment)
    while begin and not 0 <= samples[begin - 1].value <= LARGEST:
        begin -= 1
    values = [sample.value for sample in samples[max(0, begin - 1) : end] if 0 <= sample.value <= LARGEST]
    return sum(after - before if after >= before else after for before, after in itertools.pairwise(values))


def _moment(sample: Sample) -> datetime:
    return sample.at
