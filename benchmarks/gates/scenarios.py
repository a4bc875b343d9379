"""Which rollouts are simulated: the cells of the comparison, as values. It draws nothing and judges nothing.

Every rollout raises the canary's weight from the first step's to 10, 25 and 50 %, 30 minutes each, is scraped every
15 seconds, and is watched for two hours.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCRAPE: Final = 15.0
"""Seconds from one scrape to the next."""
MINUTE: Final = 4
"""Scrapes in a minute."""
STEP: Final = 30 * MINUTE
"""Scrapes in a step of the plan."""
SCRAPES: Final = 4 * STEP
"""Scrapes in a whole rollout."""
ACTUATION: Final = 2
"""Scrapes from a decision until traffic has left the canary: 30 s, the same for every rule."""
STABLE_INSTANCES: Final = 3
LATER_STEPS: Final = (10.0, 25.0, 50.0)
HISTORY: Final = 60 * MINUTE
"""Scrapes of stable before the rollout that a rule may look at."""
SECOND_INSTANCE: Final = 2 * STEP
"""The scrape from which on the canary has a second instance."""
COLD: Final = 2 * MINUTE
"""Scrapes for which a new instance of the canary is cold."""


class Subject(StrEnum):
    """What is measured, and so which gate and which form of each rule judges."""

    ERRORS = "errors"
    """Failed requests against a limit of 2 %."""
    CALLS = "calls"
    """Failed calls of a dependency against 1.5 times stable's share."""
    LATENCY = "latency"
    """The 95th percentile against 1.3 times stable's."""


class Sort(StrEnum):
    """What a rollback means in a cell."""

    NULL = "null"
    """The canary is as good as stable: a rollback is false."""
    BORDERLINE = "borderline"
    """The canary is worse than stable and inside its limit: whether to roll back is a decision about a product."""
    BAD = "bad"
    """The canary is over its limit: no rollback is a miss."""


class Buckets(StrEnum):
    """The bounds of a histogram of durations."""

    DEFAULT = "default"
    """Those of Prometheus's client libraries."""
    FINE = "fine"
    """A factor of 2^(1/4) apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One service under one story; all rates are shares of requests."""

    story: str
    sort: Sort
    rps: float
    """Requests per second of both versions together."""
    first_weight: float
    """The canary's weight in the first step, in percent."""
    subject: Subject = Subject.ERRORS
    stable: float = 0.002
    """How many of stable's requests fail."""
    canary: float = 0.002
    """How many of the canary's fail, from `onset` on; stable's share before."""
    onset: int = 0
    """The scrape at which the fault begins."""
    cluster: float = 1.0
    """The mean number of failures that come together, geometrically distributed; 1 is independent."""
    incidents: bool = False
    """1 % of the time, about a minute each, 15 % of both versions' requests fail."""
    diurnal: bool = False
    """Load and failures of both versions swing, ninefold for the failures."""
    cold: float = 0.0
    """How many requests an instance of the canary fails in its first two minutes; its traffic begins at once then, and
    five minutes after it was deployed in all other cells, as in the built-in policy."""
    routes: bool = False
    """One route fails often, whichever version serves it: half of the canary's requests go there, few of stable's."""
    slower: float = 0.0
    """How much higher all of the canary's durations are, as a ratio."""
    buckets: Buckets = Buckets.DEFAULT

    @property
    def key(self) -> str:
        """The name under which the result is kept."""
        return f"{self.subject}, {self.story}, {self.rps:g} rps, {self.first_weight:g} %"

    @property
    def canary_rps(self) -> float:
        """The canary's requests per second in the first step."""
        return self.rps * self.first_weight / 100

    def entropy(self, seed: int, run: int) -> list[int]:
        """What the random numbers of one run come from."""
        return [seed, zlib.crc32(self.key.encode()), run]

    def weights(self) -> tuple[float, ...]:
        """The canary's weight in percent at each scrape."""
        steps = (self.first_weight, *LATER_STEPS)
        return tuple(weight for weight in steps for _ in range(STEP))


TRAFFIC: Final = tuple((rps, weight) for rps in (5.0, 50.0, 500.0) for weight in (1.0, 5.0))
"""Requests per second and the first weight of the six services."""
NULLS: Final = ("plain", "bursty", "incidents")
"""The stories that the target for false rollbacks is about."""
FAILING: Final = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
BORDERLINES: Final = (0.005, 0.01, 0.019)
LLM_TIMES: Final = (1, 2, 3, 10)
SLOWER: Final = (0.0, 0.2, 0.3, 0.5, 1.0)
ONSET: Final = 45 * MINUTE


def percent(share: float) -> str:
    """A share as it is written in the names of stories."""
    return f"{share * 100:g} %"


def cells() -> tuple[Cell, ...]:
    """All of them, in the order in which they are run."""
    return (*_errors(), *_calls(), *_latency())


def _errors() -> tuple[Cell, ...]:
    found: list[Cell] = []
    for rps, weight in TRAFFIC:
        nulls = (
            Cell(story="plain", sort=Sort.NULL, rps=rps, first_weight=weight),
            Cell(story="bursty", sort=Sort.NULL, rps=rps, first_weight=weight, cluster=5.0),
            Cell(story="incidents", sort=Sort.NULL, rps=rps, first_weight=weight, incidents=True),
            Cell(story="diurnal", sort=Sort.NULL, rps=rps, first_weight=weight, diurnal=True),
            Cell(story="cold start", sort=Sort.NULL, rps=rps, first_weight=weight, cold=0.05),
            Cell(story="other routes", sort=Sort.NULL, rps=rps, first_weight=weight, routes=True),
        )
        border = (
            Cell(story=percent(rate), sort=Sort.BORDERLINE, rps=rps, first_weight=weight, canary=rate)
            for rate in BORDERLINES
        )
        bad = (Cell(story=percent(rate), sort=Sort.BAD, rps=rps, first_weight=weight, canary=rate) for rate in FAILING)
        late = (
            Cell(story=f"{percent(rate)} late", sort=Sort.BAD, rps=rps, first_weight=weight, canary=rate, onset=ONSET)
            for rate in (0.05, 0.2)
        )
        bursty = Cell(story="5 % bursty", sort=Sort.BAD, rps=rps, first_weight=weight, canary=0.05, cluster=5.0)
        found.extend((*nulls, *border, *bad, bursty, *late))
    return tuple(found)


def _calls() -> tuple[Cell, ...]:
    return tuple(
        Cell(
            story=f"x{times}",
            sort=Sort.NULL if times == 1 else Sort.BAD,
            subject=Subject.CALLS,
            rps=rps,
            first_weight=weight,
            stable=0.01,
            canary=0.01 * times,
        )
        for rps in (1.0, 5.0, 50.0)
        for weight in (1.0, 5.0)
        for times in LLM_TIMES
    )


def _latency() -> tuple[Cell, ...]:
    return tuple(
        Cell(
            story=f"+{percent(slower)}, {buckets} buckets",
            sort=Sort.NULL if slower <= 0.2 else Sort.BORDERLINE if slower <= 0.3 else Sort.BAD,
            subject=Subject.LATENCY,
            rps=rps,
            first_weight=5.0,
            slower=slower,
            buckets=buckets,
        )
        for rps in (5.0, 50.0)
        for buckets in Buckets
        for slower in SLOWER
    )
