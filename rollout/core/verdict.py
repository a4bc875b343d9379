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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate's verdict, with what a person needs to check it."""

    gate: str
    verdict: Verdict
    sentence: str
    """What was found, in plain words; holds no untrusted text but the gate's name."""
    canary: Counts = Counts()
    stable: Counts = Counts()
    log_e: float = 0.0
    """The natural logarithm of the e-value against "no worse than allowed"."""
    log_threshold: float = 0.0
    """The logarithm at which the gate takes the canary back."""
    observe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict over all gates at one moment."""

    verdict: Verdict
    gates: tuple[GateResult, ...] = ()
    reason: str = ""
    """The sentence of the gate that decided, or why there is no verdict."""
    until: datetime | None = None
    """The newest moment of which both versions' samples tell; None where there are none."""


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
