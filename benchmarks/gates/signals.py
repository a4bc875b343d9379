"""What a rule can ask of the metrics: the peers' rules differ in what they do with the answers, not in the answers.

A window is named by the scrape it ends with (counted from 1) and by how many increments it holds. Where PromQL would
give NaN or nothing, a value is NaN.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from benchmarks.gates.scenarios import Subject
from benchmarks.gates.traffic import Durations, Floats, Ints, Traffic

LIMIT: Final = 0.02
EMERGENCY: Final = 0.03
RATIO: Final = 1.5
SLOWER: Final = 1.3
QUANTILE: Final = 0.95


class Signal(Protocol):
    """One metric of some runs."""

    limit: float
    """The highest value that is allowed."""
    emergency: float | None
    """The value from which on the guide goes back at once."""
    allowed_increase: float
    """How many times stable's mean the canary's may be, for rules that compare the two."""
    runs: int

    def value(self, end: int, length: int) -> Floats:
        """What is compared with the limit, by run."""

    def canary(self, end: int, length: int) -> Floats:
        """The canary's own figure, by run."""

    def stable(self, end: int, length: int) -> Floats:
        """Stable's own figure, by run."""

    def requests(self, end: int, length: int) -> Ints:
        """How many requests of the canary the window holds, by run."""

    def failures(self, end: int, length: int) -> Ints:
        """How many of them failed."""


class FailureSignal:
    """The canary's failed share, or its ratio to stable's."""

    def __init__(self, traffic: Traffic) -> None:
        self.runs = traffic.runs
        self._ratio = traffic.cell.subject is Subject.CALLS
        self.limit = RATIO if self._ratio else LIMIT
        self.emergency: float | None = None if self._ratio else EMERGENCY
        self.allowed_increase = RATIO if self._ratio else 1.0
        self._n, self._s, self._m, self._q = (
            _running(counts.sum(axis=(2, 3)))
            for counts in (traffic.canary, traffic.canary_failed, traffic.stable, traffic.stable_failed)
        )

    def value(self, end: int, length: int) -> Floats:
        """The share, or the ratio of shares: infinite where only the canary fails, NaN where neither does."""
        canary = self.canary(end, length)
        return _divided(canary, self.stable(end, length)) if self._ratio else canary

    def canary(self, end: int, length: int) -> Floats:
        """Failed requests by requests."""
        return _divided(_window(self._s, end, length), _window(self._n, end, length))

    def stable(self, end: int, length: int) -> Floats:
        """Failed requests by requests."""
        return _divided(_window(self._q, end, length), _window(self._m, end, length))

    def requests(self, end: int, length: int) -> Ints:
        """The canary's requests."""
        return _window(self._n, end, length)

    def failures(self, end: int, length: int) -> Ints:
        """The canary's failed requests."""
        return _window(self._s, end, length)


class LatencySignal:
    """The canary's 95th percentile by stable's, as `histogram_quantile` has them."""

    def __init__(self, durations: Durations) -> None:
        self.runs = durations.runs
        self.limit = SLOWER
        self.emergency: float | None = None
        self.allowed_increase = SLOWER
        self._bounds = durations.bounds
        self._canary = _running(durations.canary.sum(axis=2))
        self._stable = _running(durations.stable.sum(axis=2))

    def value(self, end: int, length: int) -> Floats:
        """The ratio of the two percentiles."""
        return _divided(self.canary(end, length), self.stable(end, length))

    def canary(self, end: int, length: int) -> Floats:
        """The canary's percentile in seconds."""
        return histogram_quantile(QUANTILE, self._bounds, _window(self._canary, end, length))

    def stable(self, end: int, length: int) -> Floats:
        """Stable's percentile in seconds."""
        return histogram_quantile(QUANTILE, self._bounds, _window(self._stable, end, length))

    def requests(self, end: int, length: int) -> Ints:
        """The canary's requests."""
        return np.asarray(_window(self._canary, end, length).sum(axis=1), dtype=np.int64)

    def failures(self, end: int, length: int) -> Ints:
        """As many as the requests: a percentile has no failures to ask a least number of."""
        return self.requests(end, length)


def histogram_quantile(quantile: float, bounds: tuple[float, ...], counts: Ints) -> Floats:
    """PromQL's function of that name over counts by (run, bucket): linear within a bucket, NaN without requests.

    The highest bucket gives its lower bound, the lowest one begins at 0.
    """
    total = counts.sum(axis=1)
    below = counts.cumsum(axis=1)
    rank = quantile * total
    bucket = (below >= rank[:, None]).argmax(axis=1)
    runs = np.arange(len(total))
    upper = np.array([*bounds, np.inf])[bucket]
    lower = np.array([0.0, *bounds])[bucket]
    within = counts[runs, bucket]
    before = below[runs, bucket] - within
    with np.errstate(invalid="ignore", divide="ignore"):
        found = lower + (upper - lower) * (rank - before) / within
    found = np.where(bucket == len(bounds), bounds[-1], found)
    return np.where(total > 0, found, np.nan)


def _running(counts: Ints) -> Ints:
    """Sums up to each scrape, with a zero before the first one."""
    return np.concatenate([np.zeros_like(counts[:, :1]), counts.cumsum(axis=1)], axis=1)


def _window(running: Ints, end: int, length: int) -> Ints:
    return running[:, end] - running[:, max(0, end - length)]


def _divided(upper: Floats | Ints, lower: Floats | Ints) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(upper / lower, dtype=np.float64)
