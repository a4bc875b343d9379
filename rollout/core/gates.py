"""What a gate looks at and what it may do: values that cannot be built wrong.

A failure gate and a latency gate share the plan's `false_rollback`; a query gate stands outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from rollout.core.selector import VERSION, Selector

REGRESSION_RATIO: Final = 1.5
"""How many times stable's failure rate makes a canary inside its limit a clear regression, from `max` / 2 on."""


class OnRegression(StrEnum):
    """What happens to a canary that fails clearly more than stable, though less than `max`."""

    ROLL_BACK = "rollback"
    HOLD = "hold"
    OFF = "off"


class OnQuery(StrEnum):
    """What a query gate does with a canary that it finds wanting."""

    HOLD = "hold"
    ROLL_BACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """A plain threshold over a trailing window, for those who want one: it acts only on a canary worse than stable."""

    max: float
    """The failure rate from which on it acts, as a ratio."""
    over: timedelta
    """The length of the window."""
    min_requests: int = 100
    """Canary requests in the window, fewer of which it does not judge."""
    min_failures: int = 5
    """Canary failures in the window, fewer of which it does not judge."""

    def __post_init__(self) -> None:
        if not 0 < self.max < 1:
            raise ValueError("emergency: max is a rate above 0 % and below 100 %")
        if self.over <= timedelta(0):
            raise ValueError("emergency: over is longer than 0 s")
        if self.min_requests < 1 or self.min_failures < 1:
            raise ValueError("emergency: min_requests and min_failures are at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGate:
    """A failure rate over counters of both versions.

    At least one of `max` and `max_ratio` is set. The selectors hold `$version`, which stands for `canary` and
    `stable`.
    """

    name: str
    failures: Selector
    total: Selector
    max: float | None = None
    """The highest failure rate that is allowed, as a ratio: 0.02 for 2 %."""
    max_ratio: float | None = None
    """The highest failure rate that is allowed, as a multiple of the stable release's in the same minutes."""
    by: tuple[str, ...] = ()
    """Labels within whose values the versions are compared, such as `route`: another mix of them is no fault."""
    regression: OnRegression = OnRegression.ROLL_BACK
    """What a clear regression inside `max` does; without `max` there is none."""
    emergency: Emergency | None = None
    """Needs `max`."""
    min_requests: int = 100
    """How many canary requests a step needs before its verdict can be healthy."""
    observe: bool = False
    """Reported, never acts."""
    if_present: bool = False
    """A gate of the built-in policy: where neither version has its metric, it does not apply."""

    def __post_init__(self) -> None:
        if self.max is None and self.max_ratio is None:
            raise ValueError(f"gate {self.name!r} limits nothing: set max, max_ratio or both")
        if self.max is not None and not 0 < self.max < 1:
            raise ValueError(f"gate {self.name!r}: max is a rate above 0 % and below 100 %")
        if self.max_ratio is not None and not 1 <= self.max_ratio < math.inf:
            raise ValueError(f"gate {self.name!r}: max_ratio is 1 or more")
        if self.emergency is not None and (self.max is None or self.emergency.max < self.max):
            raise ValueError(f"gate {self.name!r}: an emergency needs a max that is no higher than its own")
        _check_common(self.name, self.min_requests, (self.failures, self.total))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyGate:
    """A quantile of a histogram of durations, against stable's in the same minutes."""

    name: str
    histogram: Selector
    """The histogram with `$version`: the `_bucket` series of a classic one, or the plain name of a native one."""
    quantile: float = 0.95
    max_increase: float = 0.3
    """How much higher than stable's the canary's quantile may be, as a ratio: 0.3 for 30 %."""
    min_requests: int = 100
    """How many canary requests a step needs before its verdict can be healthy."""
    observe: bool = False
    """Reported, never acts."""
    if_present: bool = False
    """A gate of the built-in policy: where neither version has its metric, it does not apply."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.quantile < 1:
            raise ValueError(f"gate {self.name!r}: quantile is 0.5 or more and below 1")
        if not 0 < self.max_increase <= 10:
            raise ValueError(f"gate {self.name!r}: max_increase is above 0 % and at most 1000 %")
        if "le" in {matcher.label for matcher in self.histogram.matchers}:
            raise ValueError(f"gate {self.name!r}: the histogram is named with all its buckets, without `le`")
        _check_common(self.name, self.min_requests, (self.histogram,))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryGate:
    """A PromQL expression that gives one number per version. Outside the promise of `false_rollback`.

    Exactly one of `max`, `min` and `max_increase` is set. It acts when every one of the last `scrapes` values of
    the canary breaks it.
    """

    name: str
    query: str
    """PromQL with `$version`, which stands for `canary` and `stable`. It is the user's own and sent as it is."""
    max: float | None = None
    """The highest value that is allowed, in the query's own unit."""
    min: float | None = None
    """The lowest value that is allowed, in the query's own unit."""
    max_increase: float | None = None
    """How much higher than stable's value at the same moment the canary's may be, as a ratio."""
    scrapes: int = 5
    """How many values in a row must break the limit."""
    action: OnQuery = OnQuery.HOLD
    observe: bool = False
    """Reported, never acts."""

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.max, self.min, self.max_increase) if limit is not None]
        if len(limits) != 1 or not all(math.isfinite(limit) for limit in limits):
            raise ValueError(f"gate {self.name!r}: set one of max, min and max_increase, as a number")
        if self.max_increase is not None and self.max_increase <= 0:
            raise ValueError(f"gate {self.name!r}: max_increase is above 0 %")
        if self.scrapes < 1:
            raise ValueError(f"gate {self.name!r}: for is at least 1 scrape")
        if VERSION not in self.query:
            raise ValueError(f"gate {self.name!r}: the query lacks $version")

    def of(self, version: str) -> str:
        """The query for `canary` or `stable`."""
        return self.query.replace(VERSION, version)


Gate = FailureGate | LatencyGate | QueryGate


def _check_common(name: str, min_requests: int, selectors: tuple[Selector, ...]) -> None:
    if min_requests < 1:
        raise ValueError(f"gate {name!r}: min_requests is at least 1")
    for selector in selectors:
        if not selector.names_version:
            raise ValueError(f"gate {name!r}: {selector} lacks a label that equals $version")
