"""How a latency limit becomes a failure rate: the bucket from which on a request of the canary counts as slow.

"The canary's durations are at most (1 + increase) times stable's" implies that no more of its requests exceed a bound
b than stable's exceed b / (1 + increase). The second point hardly ever is a bucket's bound, so its share is
interpolated; which bound serves best is chosen from stable's own durations before the canary is judged.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

NEEDED: Final = 500
"""How many of stable's requests the choice rests on at least."""

_SEEN: Final = 1.6 / 1.3
"""How much slower than the limit is what the bound is chosen to show best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where slow begins. All bounds are in seconds."""

    bound: float
    """A request of the canary that takes longer is slow."""
    lower: float
    upper: float
    """The bounds around `bound` / (1 + increase); equal where it is one itself."""
    share: float
    """Of stable's requests between `lower` and `upper`, the part that counts as slow."""
    tolerance: tuple[float, float]
    """The increase that is tolerated in effect, from and to, as ratios; it depends on durations within a bucket."""


class NoCut(ValueError):
    """No bound of the histogram can serve; `advice` says which one would."""

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(f"{why}; {advice}" if advice else why)
        self.why = why
        self.advice = advice


class TooFew(NoCut):
    """Stable has served too few requests to choose a bound by."""


def choose(
    counts: Mapping[float, float], *, quantile: float, max_increase: float, known: Collection[float] = ()
) -> Cut:
    """The bound that tells durations a fifth above the limit from it best, among those in the tail.

    `counts` holds stable's cumulative count by upper bound in seconds, with `math.inf` for all; `known` are the
    canary's bounds: where most of stable's are among them, one of these is chosen. Stays where stable's
    share is between a fifth and 2.4 times of 1 - `quantile`, as bounds near the median tell about another part of the
    distribution. Raises NoCut where there is none, and for less than NEEDED requests.
    """
    tail = Tail(counts)
    if tail.total < NEEDED:
        raise TooFew(f"only {tail.total:,.0f} of the {NEEDED:,} requests of stable that the choice of a bucket needs")
    factor = 1 + max_increase
    least, most = (1 - quantile) / 5, (1 - quantile) * 2.4
    shared = {bound for bound in tail.bounds if bound in known}
    preferred = shared if 2 * len(shared) >= len(tail.bounds) else set(tail.bounds)
    best: Cut | None = None
    gain = 0.0
    for bound in sorted(preferred):
        share = tail.above(bound / factor)
        if not least < share < most:
            continue
        seen = tail.above(bound / (factor * _SEEN))
        shown = _divergence(seen, share)
        if shown > gain:
            best, gain = tail.cut(bound, factor), shown
    if best is None and tail.bounds and tail.above(tail.bounds[-1]) > 1 - quantile:
        raise NoCut(
            f"{tail.above(tail.bounds[-1]):.0%} of stable's requests are slower than the highest bound, "
            f"{_seconds(tail.bounds[-1])}",
            "bounds beyond it would serve, up to where hardly any request is slower, or a native histogram",
        )
    if best is None:
        wanted = tail.quantile(quantile) * factor
        raise NoCut(
            f"no bucket's bound lies where between {least * 100:.3g} % and {most * 100:.3g} % of stable's requests are "
            f"slower than {1 / factor:.2f} of it",
            f"a bound at {_seconds(wanted)} would serve, or a native histogram",
        )
    return best


def quantile_of(counts: Mapping[float, float], quantile: float) -> float | None:
    """A quantile in seconds, interpolated as PromQL's `histogram_quantile` does; None where nothing was counted.

    In the highest bucket it is that bucket's lower bound.
    """
    tail = Tail(counts)
    return tail.quantile(quantile) if tail.total > 0 else None


def _seconds(value: float) -> str:
    return f"{value:.2g} s"


def _divergence(seen: float, share: float) -> float:
    """The Kullback-Leibler divergence of a rate from another, in nats."""
    seen = min(max(seen, 1e-9), 1 - 1e-9)
    return seen * math.log(seen / share) + (1 - seen) * math.log((1 - seen) / (1 - share))


class Tail:
    """The share of durations above a point, known at the bounds."""

    def __init__(self, counts: Mapping[float, float]) -> None:
        self.total = counts.get(math.inf, 0.0)
        self.bounds = sorted(bound for bound in counts if 0 < bound < math.inf)
        highest, shares = 1.0, []
        for bound in self.bounds:
            above = 1 - counts[bound] / self.total if self.total else 0.0
            highest = min(highest, max(above, 0.0))
            shares.append(highest)
        self._shares = shares

    def above(self, point: float) -> float:
        """The geometric mean of a log-log and a linear interpolation: the truth lies between the two."""
        lower, upper = self._around(point)
        if lower == upper:
            return self._share(lower)
        return math.sqrt(self._log_log(point, lower, upper) * self._linear(point, lower, upper))

    def cut(self, bound: float, factor: float) -> Cut:
        point = bound / factor
        lower, upper = self._around(point)
        if lower == upper:
            return Cut(bound=bound, lower=lower, upper=upper, share=0.0, tolerance=(factor - 1, factor - 1))
        share, high, low = self.above(point), self._share(lower), self._share(upper)
        part = (share - low) / (high - low) if high > low else 0.0
        linear = lower + (upper - lower) * (high - share) / (high - low) if high > low else upper
        steep = self._log_log_at(share, lower, upper)
        edges = sorted((bound / linear - 1, bound / steep - 1))
        return Cut(bound=bound, lower=lower, upper=upper, share=part, tolerance=(edges[0], edges[1]))

    def quantile(self, quantile: float) -> float:
        before, above = 0.0, 1.0
        for bound, share in zip(self.bounds, self._shares, strict=True):
            if share <= 1 - quantile:
                within = (above - (1 - quantile)) / (above - share) if above > share else 1.0
                return before + (bound - before) * within
            before, above = bound, share
        return before

    def _around(self, point: float) -> tuple[float, float]:
        at = bisect_left(self.bounds, point * (1 - 1e-9))
        if at == len(self.bounds):
            return self.bounds[-1], self.bounds[-1]
        if abs(self.bounds[at] - point) <= 1e-9 * point:
            return self.bounds[at], self.bounds[at]
        return (self.bounds[at - 1] if at else 0.0), self.bounds[at]

    def _share(self, bound: float) -> float:
        return self._shares[self.bounds.index(bound)] if bound else 1.0

    def _linear(self, point: float, lower: float, upper: float) -> float:
        high, low = self._share(lower), self._share(upper)
        return high + (low - high) * (point - lower) / (upper - lower)

    def _log_log(self, point: float, lower: float, upper: float) -> float:
        if not lower:
            return self._linear(point, lower, upper)
        high, low = self._floored(lower), self._floored(upper)
        return high * math.exp(math.log(low / high) * math.log(point / lower) / math.log(upper / lower))

    def _log_log_at(self, share: float, lower: float, upper: float) -> float:
        """Where the log-log interpolation has a share."""
        high, low = self._floored(lower), self._floored(upper)
        if not lower or low >= high:
            return upper
        part = math.log(high / max(share, low)) / math.log(high / low)
        return lower * math.exp(math.log(upper / lower) * min(1.0, max(0.0, part)))

    def _floored(self, bound: float) -> float:
        """The share, with half a request where there was none."""
        return max(self._share(bound), 0.5 / self.total)
