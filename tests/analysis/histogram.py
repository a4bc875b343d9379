"""Histograms of made-up durations, so that a latency test states only its quantiles."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence

from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters
from rollout.core import selector
from rollout.core.gates import LatencyGate
from tests.analysis.traffic import second

HISTOGRAM = selector.parse('duration_seconds_bucket{version="$version"}')
LAYOUT = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Some of the bounds that client libraries have from the start."""
FINE = tuple(0.05 * 2 ** (step / 4) for step in range(30))
"""Bounds as those of a native histogram of schema 2, from 50 ms to 7.6 s."""
P95 = 0.4
"""Seconds: the 95th percentile of a service as `lognormal` makes it."""


def latency(
    *,
    name: str = "latency",
    quantile: float = 0.95,
    increase: float = 0.3,
    min_requests: int = 10,
    if_present: bool = False,
) -> LatencyGate:
    """A gate over a made-up histogram."""
    return LatencyGate(
        name=name,
        histogram=HISTOGRAM,
        quantile=quantile,
        max_increase=increase,
        min_requests=min_requests,
        if_present=if_present,
    )


def lognormal(dice: random.Random, *, p95: float = P95, sigma: float = 0.7) -> float:
    """A duration in seconds."""
    return p95 * math.exp(sigma * (dice.gauss(0, 1) - 1.645))


def histogram(
    durations: Iterable[Sequence[float]],
    *,
    bounds: Sequence[float] = LAYOUT,
    instance: str,
    first: float = 0.0,
    every: float = 1.0,
) -> Counters:
    """The buckets of one process, by its durations between scrapes; the first scrape shows none."""
    shown = [[0.0] * (len(bounds) + 1)]
    for some in durations:
        row = [0.0] * (len(bounds) + 1)
        for duration in some:
            row[bisect.bisect_left(bounds, duration)] += 1
        shown.append([before + now for before, now in zip(shown[-1], itertools.accumulate(row), strict=True)])
    return Counters(
        buckets=tuple(
            Series(
                labels={"job": "chat", "instance": instance, "le": "+Inf" if bound == math.inf else repr(bound)},
                samples=tuple(
                    Sample(at=second(first + every * index), value=row[place]) for index, row in enumerate(shown)
                ),
            )
            for place, bound in enumerate((*bounds, math.inf))
        )
    )


def served(seconds: int, requests: int, draw: Callable[[], float]) -> list[list[float]]:
    """So many durations in each second."""
    return [[draw() for _ in range(requests)] for _ in range(seconds)]


def shares(cumulative: Callable[[float], float], bounds: Sequence[float], total: float) -> dict[float, float]:
    """Cumulative counts of a distribution, exactly as it is."""
    return {**{bound: total * cumulative(bound) for bound in bounds}, math.inf: total}
