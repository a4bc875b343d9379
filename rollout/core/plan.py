"""What is to be done: weights, steps and gates that cannot be built wrong.

A plan is what the journal pins when a rollout starts; from then on it governs, whatever happens to the file it
came from. It holds no secret and no address.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rollout.core.gates import Gate, QueryGate


@dataclass(frozen=True, slots=True, order=True)
class Weight:
    """The canary's share of traffic in percent, 0 to 100, in tenths."""

    percent: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.percent) and 0 <= self.percent <= 100):
            raise ValueError(f"a weight is 0 to 100 percent, not {self.percent:g}")
        if abs(self.percent * 10 - round(self.percent * 10)) > 1e-6:
            raise ValueError(f"a weight has at most one decimal, and {self.percent:g} has more")
        object.__setattr__(self, "percent", round(self.percent * 10) / 10)

    @property
    def permille(self) -> int:
        """The same share in thousandths, 0 to 1000: what gateways with integer weights take."""
        return round(self.percent * 10)

    def __str__(self) -> str:
        return f"{self.percent:g} %"


NOTHING = Weight(0)
EVERYTHING = Weight(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A weight, how long it soaks at least, and whether a person must approve before traffic moves on."""

    weight: Weight
    soak: timedelta
    approve: bool = False
    min_soak: timedelta | None = None
    """How long it lasts at least where evidence may shorten it (`Advance.EVIDENCE`); None: all of the soak."""

    def __post_init__(self) -> None:
        if self.soak < timedelta(0):
            raise ValueError("a soak cannot be negative")
        if self.min_soak is not None and not timedelta(0) <= self.min_soak <= self.soak:
            raise ValueError("min_soak is at most the soak, and not negative")


class OnBlind(StrEnum):
    """What happens when monitoring stays away for longer than the budget while users are on the canary."""

    ROLL_BACK = "rollback"
    HOLD = "hold"


class OnDrift(StrEnum):
    """What happens when the gateway serves *less* than was ordered. More than ordered is always brought back."""

    HOLD = "hold"
    RESTORE = "restore"


class Advance(StrEnum):
    """What ends a step."""

    SOAK = "soak"
    """Its soak, with a healthy verdict at its end."""
    EVIDENCE = "evidence"
    """The same, or evidence before it that every gate's limit is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesRule:
    """What the canary's processes may do, whatever the metrics say. Outside the promise of `false_rollback`."""

    max_restarts: int = 2
    """How many restarts of the canary's processes are borne; one more takes it back."""
    max_unready: timedelta = timedelta(minutes=1)
    """How long an instance of the canary may be unready while users are on it."""

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ValueError("max_restarts cannot be negative")
        if self.max_unready < timedelta(0):
            raise ValueError("max_unready cannot be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole policy of one rollout."""

    service: str
    environment: str
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
    false_rollback: float = 0.01
    """How probable it may be that the whole rollout takes a healthy canary back, as a ratio."""
    dispersion: float = 3.0
    """How many failures come together, 1 (independent) to 20: taken where stable's instances do not show it."""
    advance: Advance = Advance.SOAK
    beta: float = 0.05
    """How probable an error about a limit may be, as a ratio: that a canary worse than stable is taken back though it
    keeps its absolute limit, or that a step is shortened (`Advance.EVIDENCE`) though a limit is broken."""
    instances: InstancesRule = InstancesRule()
    interval: timedelta = timedelta(seconds=15)
    """The time from one look at the metrics to the next; the scrape interval is a good choice."""
    warm_up: timedelta = timedelta(seconds=120)
    """How long a new instance is judged only for catastrophes."""
    blind_budget: timedelta = timedelta(minutes=5)
    """How long monitoring may be away while users are on the canary."""
    on_blind: OnBlind = OnBlind.ROLL_BACK
    on_drift: OnDrift = OnDrift.HOLD
    patience: timedelta = timedelta(hours=1)
    """How long past its soak a step may lack a healthy verdict before a person is asked."""
    drain: timedelta = timedelta(seconds=30)
    """How long answers that have begun may go on at a version that gets no new requests."""
    keep: timedelta = timedelta(hours=24)
    """How long the former stable release stays in reserve after a promotion."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a plan has at least one step")
        weights = [step.weight for step in self.steps]
        for before, after in itertools.pairwise(weights):
            if not before < after:
                raise ValueError(f"weights rise from step to step, and {after} follows {before}")
        if weights[-1] != EVERYTHING:
            raise ValueError(f"the last step is 100 %, not {weights[-1]}")
        if not 0 < self.false_rollback < 0.5:
            raise ValueError("false_rollback is above 0 % and below 50 %")
        if not 0 < self.beta < 0.5:
            raise ValueError("beta is above 0 % and below 50 %")
        if not 1 <= self.dispersion <= 20:
            raise ValueError("dispersion is 1 to 20")
        if self.interval <= timedelta(0):
            raise ValueError("the interval is longer than 0 s")
        if len({gate.name for gate in self.gates}) != len(self.gates):
            raise ValueError("two gates have the same name")

    @property
    def budget(self) -> float:
        """What a gate that acts on evidence may spend of `false_rollback`: an equal part."""
        acting = sum(not gate.observe and not isinstance(gate, QueryGate) for gate in self.gates)
        return self.false_rollback / max(1, acting)
