"""What splits the traffic, as the target sees it: the port that the Gateway API and ingress-nginx both fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rollout.core.finding import Finding
from rollout.core.plan import Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What a route says now."""

    weight: Weight | None
    """The canary's share; None where it cannot be known."""
    is_wired: bool
    """Whether the canary is in it at all."""
    problem: str = ""


class Router(Protocol):
    """The route of one component. Every method raises TargetBusy or TargetFailed."""

    def read(self) -> Routing:
        """What the gateway has been told, and has taken up."""

    def weigh(self, weight: Weight) -> None:
        """Give the canary this share, wiring it in where it is not; returns once the gateway has taken it up."""

    def unwire(self) -> None:
        """Take the canary out, so that the route is as it was."""

    def diagnose(self) -> Iterator[Finding]:
        """Look for what would go wrong, changing nothing."""
