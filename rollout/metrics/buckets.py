"""Classic and native histograms in one form, cumulative counters by upper bound, so that `analysis` knows only one.

It converts what was scraped and refuses what cannot be converted exactly: it never interpolates and chooses no bound.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from operator import itemgetter
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rollout.analysis.counters import Sample, Series

BOUND_LABEL: Final = "le"
INFINITE: Final = "+Inf"

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|\+?inf(inity)?", re.ASCII | re.IGNORECASE)
_ROUNDING: Final = 1e-9
"""What float counts may lose when they are summed, as a ratio."""


class NotAHistogram(ValueError):
    """What the server holds cannot be handed over as buckets; `what` completes "it ..." and `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


Bucket = tuple[Annotated[int, Field(ge=0, le=3)], float, float, float]
"""The boundary rule, the left and the right bound, and how many observations are between them, as the query API has it.

A bare tuple, since two hours of ten instances bring half a million of them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeSample:
    """What a native histogram showed when it was scraped; empty buckets may be left out."""

    at: datetime
    count: float
    """All observations, with those that are NaN and so in no bucket."""
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeSeries:
    """One native histogram: its labels, and its samples with the oldest first."""

    labels: Mapping[str, str]
    samples: tuple[NativeSample, ...]


class _RawHistogram(BaseModel):
    """A sample as the query API writes it (prometheus.io/docs, HTTP API, "Native histograms")."""

    model_config = ConfigDict(frozen=True)

    count: float
    buckets: tuple[Bucket, ...] = ()


_RIGHT: Final = itemgetter(2)
_RAW_SAMPLES: Final = TypeAdapter(tuple[tuple[float, _RawHistogram], ...])


def read_native(raw: tuple[object, ...]) -> tuple[NativeSample, ...]:
    """The samples under `histograms` in a matrix, oldest first. Raises NotAHistogram for what is not of that form."""
    try:
        samples = tuple(
            NativeSample(
                at=datetime.fromtimestamp(seconds, UTC),
                count=one.count,
                buckets=one.buckets,
            )
            for seconds, one in _RAW_SAMPLES.validate_python(raw)
        )
    except (ValidationError, ValueError, OverflowError, OSError):
        raise NotAHistogram(
            "holds a native histogram that is not of the form the query API has", "Check the proxies on the way."
        ) from None
    if any(later.at <= earlier.at for earlier, later in pairwise(samples)):
        raise NotAHistogram("has samples that are not in the order of time", "Check the proxies on the way.")
    return samples


def classic(found: Iterable[Series]) -> tuple[Series, ...]:
    """The `_bucket` series of classic histograms, with the text of each bound in one form: `0.5`, `1.0`, `+Inf`.

    A process or server that begins to write the same bound in another way (Prometheus 3 writes `1.0` for `1`) makes
    a new series of it; where one ends before the next begins, they are one. Raises NotAHistogram where a bound is
    absent or no number, where it comes twice at a time, and where a histogram lacks `+Inf`.
    """
    whole: dict[frozenset[tuple[str, str]], dict[float, Series]] = {}
    for one in found:
        bound = _bound(one.labels)
        labels = {**one.labels, BOUND_LABEL: _text(bound)}
        owner = frozenset(item for item in labels.items() if item[0] != BOUND_LABEL)
        buckets = whole.setdefault(owner, {})
        samples = one.samples
        if bound in buckets:
            samples = _joined(buckets[bound].samples, samples, bound)
        buckets[bound] = Series(labels=labels, samples=samples)
    if not all(math.inf in buckets for buckets in whole.values()):
        raise NotAHistogram(
            'has a histogram without the bucket le="+Inf"',
            "Do not drop this bucket by relabelling; without it requests that took longest are not counted.",
        )
    return tuple(buckets[bound] for buckets in whole.values() for bound in sorted(buckets))


def cumulative(found: Sequence[NativeSeries]) -> tuple[Series, ...]:
    """Native histograms as the classic ones that would have counted the same, all with the same bounds.

    The bounds are those that a non-empty bucket of any sample has, as far as every sample tells exactly how many
    observations were at or below them: no non-empty bucket of any series has the bound in its inside. So a histogram
    that changes its resolution on the way keeps the bounds both resolutions have. Observations below zero count below
    every bound, and bounds below zero are left out. `+Inf` holds the count. Raises NotAHistogram where no bound is
    left, and for counts that contradict each other.
    """
    if any(BOUND_LABEL in one.labels for one in found):
        raise NotAHistogram("has a native histogram with a label le of its own", "Give this label another name.")
    ranges = {
        (left, right)
        for one in found
        for sample in one.samples
        for _, left, right, count in sample.buckets
        if count != 0
    }
    bounds = _exact_bounds(ranges)
    return tuple(series for one in found for series in _filled(one, bounds))


def _exact_bounds(ranges: set[tuple[float, float]]) -> tuple[float, ...]:
    if not all(left <= right for left, right in ranges):  # so that NaN is none either
        raise NotAHistogram("has a bucket whose bounds are none", "Check the proxies on the way.")
    seen = sorted({bound + 0.0 for pair in ranges for bound in pair if 0 <= bound < math.inf})  # + 0.0: -0.0 is 0.0
    inside: set[int] = set()
    for left, right in ranges:
        inside.update(range(bisect_right(seen, left), bisect_left(seen, right)))
    exact = tuple(bound for place, bound in enumerate(seen) if place not in inside)
    if seen and not exact:
        raise NotAHistogram(
            "has native histograms whose resolutions have no bound in common",
            "Give all instances the same buckets; a range that begins after the change can be judged.",
        )
    return exact


def _filled(one: NativeSeries, bounds: tuple[float, ...]) -> tuple[Series, ...]:
    columns: list[list[Sample]] = [[] for _ in range(len(bounds) + 1)]
    for sample in one.samples:
        buckets = sorted((bucket for bucket in sample.buckets if bucket[3] != 0), key=_RIGHT)
        shown = Sample(at=sample.at, value=0.0)
        below, place = 0.0, 0
        for column, bound in zip(columns, bounds, strict=False):
            while place < len(buckets) and buckets[place][2] <= bound:
                below += buckets[place][3]
                place += 1
            if shown.value != below:
                shown = Sample(at=sample.at, value=below)
            column.append(shown)
        in_buckets = below + sum(bucket[3] for bucket in buckets[place:])
        if in_buckets > sample.count * (1 + _ROUNDING) or any(bucket[3] < 0 for bucket in buckets):
            raise NotAHistogram(
                "has a native histogram whose buckets do not fit its count",
                "Gauge histograms cannot be judged; else check the library that the service counts with.",
            )
        columns[-1].append(Sample(at=sample.at, value=sample.count))
    return tuple(
        Series(labels={**one.labels, BOUND_LABEL: _text(bound)}, samples=tuple(column))
        for bound, column in zip((*bounds, math.inf), columns, strict=True)
    )


def _bound(labels: Mapping[str, str]) -> float:
    text = labels.get(BOUND_LABEL, "")
    if "vmrange" in labels and not text:
        raise NotAHistogram(
            "has buckets in VictoriaMetrics' own form (vmrange)",
            "Let the service expose classic buckets (`le`): these have other bounds in each series.",
        )
    if not text:
        raise NotAHistogram(
            "has series without the label le",
            "Name the `_bucket` series of a classic histogram, or the plain name of a native one.",
        )
    if not _NUMBER.fullmatch(text):
        shown = "".join(letter if letter.isprintable() else "?" for letter in text[:40])
        raise NotAHistogram(f'has a bucket whose bound is not a number: le="{shown}"', "Check what sets the label le.")
    return float(text) + 0.0


def _text(bound: float) -> str:
    return INFINITE if bound == math.inf else repr(bound)


def _joined(one: tuple[Sample, ...], other: tuple[Sample, ...], bound: float) -> tuple[Sample, ...]:
    first, second = sorted((one, other), key=lambda samples: samples[0].at)
    if second[0].at <= first[-1].at:
        raise NotAHistogram(
            f"has the bucket le={_text(bound)} twice at a time, written in two ways",
            "Check what changes the label le, such as a relabelling or two proxies.",
        )
    return first + second
