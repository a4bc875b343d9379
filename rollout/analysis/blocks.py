"""What both versions served between two moments, as values: two versions can only be compared in the same minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from rollout.analysis.dispersion import NO_SCATTER, Scatter
from rollout.core.plan import NOTHING, Weight
from rollout.core.verdict import Counts

Version = Literal["canary", "stable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When what happened to the traffic, as far as the judge must know it."""

    start: datetime
    """Counting begins here: a time before the canary's first process."""
    deployed_at: datetime
    """The canary was ready; the warm-up of the instances it then had counts from here."""
    seen_at: datetime | None = None
    """The gateway was first seen to serve the weight of the current step; None where it has not been yet."""
    weights: tuple[tuple[datetime, Weight], ...] = ()
    """When the gateway was first seen to serve which weight, oldest first; before the first one it was 0."""

    def weight_at(self, moment: datetime) -> Weight:
        """The weight that was last seen at or before a moment."""
        weight = NOTHING
        for at, seen in self.weights:
            if at <= moment:
                weight = seen
        return weight

    def shifts(self) -> tuple[datetime, ...]:
        """When the weight changed while the canary already had traffic.

        The first traffic is no shift: whatever the canary counted around it was served after it.
        """
        before = NOTHING
        moments: list[datetime] = []
        for at, weight in self.weights:
            if before not in (weight, NOTHING):
                moments.append(at)
            before = weight
        return tuple(moments)


class Part(NamedTuple):
    """Requests and failures of both versions that may be compared: of one route, or of all of them."""

    canary_total: float = 0.0
    canary_failures: float = 0.0
    stable_total: float = 0.0
    stable_failures: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What both versions served between two moments."""

    since: datetime
    """The earliest scrape that its counts are differences to, or the block's beginning where that is earlier."""
    at: datetime
    """The block's end."""
    weight: Weight
    """The canary's share of traffic at its last scrape."""
    whole: Part
    """Everything that was counted."""
    parts: tuple[Part, ...]
    """What is judged in full, route by route: of the canary, only what warmed-up instances served."""
    scatter: Scatter = NO_SCATTER
    """How unevenly stable's instances failed."""
    shifted: bool = False
    """The weight changed within: it is shown, and never evidence."""
    overfull: bool = False
    """More failures than requests were counted in it; the failures are cut to the requests."""

    @property
    def canary(self) -> Counts:
        """The canary's counts, whole."""
        return Counts(total=round(self.whole.canary_total), failures=round(self.whole.canary_failures))

    @property
    def stable(self) -> Counts:
        """Stable's counts, whole."""
        return Counts(total=round(self.whole.stable_total), failures=round(self.whole.stable_failures))

    @property
    def judged(self) -> Part:
        """All parts together."""
        if len(self.parts) == 1:
            return self.parts[0]
        return Part(
            sum(part.canary_total for part in self.parts),
            sum(part.canary_failures for part in self.parts),
            sum(part.stable_total for part in self.parts),
            sum(part.stable_failures for part in self.parts),
        )
