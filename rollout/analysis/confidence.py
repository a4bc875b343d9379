"""Bounds for a rate that hold at every look at once, so that a person may read them whenever she likes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

ERROR: Final = 0.05
"""How often, over whole rollouts, the bounds miss the true rate at any look."""

_STEPS: Final = 50


def bounds(failures: float, total: float, *, dispersion: float = 1.0, error: float = ERROR) -> tuple[float, float]:
    """A time-uniform confidence interval of a failure rate, as ratios; (0, 1) where nothing was served.

    All rates p against which the beta(1/2, 1/2) mixture of likelihood ratios stays below 1/error (Robbins 1970, the
    method of mixtures). Counts are divided by the dispersion first.
    """
    s, n = failures / dispersion, total / dispersion
    if n <= 0:
        return 0.0, 1.0
    s = min(s, n)
    mixture = math.lgamma(s + 0.5) + math.lgamma(n - s + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    limit = mixture + math.log(error)

    def inside(rate: float) -> bool:
        likelihood = (s * math.log(rate) if s else 0.0) + ((n - s) * math.log1p(-rate) if n > s else 0.0)
        return likelihood > limit

    seen = s / n
    low = 0.0 if s == 0 else _edge(inside, 0.0, seen)
    high = 1.0 if s == n else _edge(inside, 1.0, seen)
    return low, high


def _edge(inside: Callable[[float], bool], outer: float, inner: float) -> float:
    """Where `inside` changes between a point outside and one inside, by bisection."""
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        if 0 < middle < 1 and inside(middle):
            inner = middle
        else:
            outer = middle
    return outer
