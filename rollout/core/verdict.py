"""What the metrics say, in four words and with the numbers behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """`inconclusive` is too little data or a cause that both versions share; `blind` is monitoring down."""

    HEALTHY = "healthy"
    INCONCLUSIVE = "inconclusive"
    BLIND = "blind"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests and failures of one version since the rollout started."""

    total: int = 0
    failures: int = 0

    @property
    def rate(self) -> float | None:
        """The failure rate as a ratio, None where nothing was counted."""
        return self.failures / self.total if self.total else None


class Unit(StrEnum):
    """What the values of a gate are."""

    RATIO = "ratio"
    """A failure rate, 0 to 1."""
    SECONDS = "seconds"
    """A quantile of durations."""
    NUMBER = "number"
    """Whatever a query gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value of one version, with bounds that hold at every look at once with 95 % confidence (time-uniform)."""

    value: float
    low: float
    high: float
    """May be infinite where a histogram has no bound above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a person needs to check a gate's verdict, beside the counts and the evidence."""

    unit: Unit = Unit.RATIO
    canary: Estimate | None = None
    stable: Estimate | None = None
    dispersion: float = 1.0
    """How many failures come together, as the evidence was divided by it."""
    bound: float | None = None
    """Of a latency gate: the duration in seconds from which on a request of the canary counts as slow."""
    tolerance: tuple[float, float] | None = None
    """Of a latency gate: how high an increase its buckets let it tolerate in effect, from and to, as ratios."""
    queries: tuple[str, ...] = ()
    """What the source was asked."""
    since: datetime | None = None
    until: datetime | None = None
    """The window of the counts: from the rollout's start to the newest sample of both versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate's verdict, with what a person needs to check it."""

    gate: str
    verdict: Verdict
    sentence: str
    """What was found, in plain words; holds no untrusted text but the gate's name."""
    canary: Counts = Counts()
    """Of a latency gate, the failures are the slow requests."""
    stable: Counts = Counts()
    log_e: float = 0.0
    """The natural logarithm of the e-value against "no worse than allowed"."""
    log_threshold: float = 0.0
    """The logarithm at which the gate takes the canary back; 0 for a gate that does not weigh evidence."""
    observe: bool = False
    advance: bool = False
    """There is evidence that the limit is kept, which may end a step early."""
    measured: Measured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict over all gates at one moment."""

    verdict: Verdict
    gates: tuple[GateResult, ...] = ()
    reason: str = ""
    """The sentence of the gate that decided, or why there is no verdict."""
    until: datetime | None = None
    """The newest moment of which both versions' samples tell; None where there are none."""

    @property
    def advance(self) -> bool:
        """Whether every gate that weighs evidence has shown that its limit is kept."""
        weighing = [result for result in self.gates if result.log_threshold and not result.observe]
        return self.verdict is Verdict.HEALTHY and bool(weighing) and all(result.advance for result in weighing)


_ORDER = (Verdict.UNHEALTHY, Verdict.BLIND, Verdict.INCONCLUSIVE)


def combine(results: tuple[GateResult, ...], *, until: datetime | None = None) -> Judgement:
    """The verdict of all gates: the worst one, where `observe` gates do not count; none at all is healthy."""
    acting = [result for result in results if not result.observe]
    for verdict in _ORDER:
        for result in acting:
            if result.verdict is verdict:
                return Judgement(
                    verdict=verdict, gates=results, reason=f"{result.gate}: {result.sentence}", until=until
                )
    return Judgement(verdict=Verdict.HEALTHY, gates=results, reason="all gates are healthy", until=until)
