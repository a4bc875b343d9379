"""The port to whatever runs the service and splits its traffic, and the values it speaks.

An adapter carries orders out and reports what it sees. It decides nothing, keeps no memory of the rollout beyond
what it needs to find its own work again, and every effect is idempotent: the second call of anything changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rollout.core.finding import Finding
from rollout.core.plan import Weight
from rollout.core.release import Release


class Health(StrEnum):
    """What can be said of a running version."""

    READY = "ready"
    UNREADY = "unready"
    """It runs, and does not answer its health check (yet)."""
    DEAD = "dead"
    """It was started and no longer runs, or restarts in a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One version as it runs."""

    release: Release
    health: Health
    url: str
    """Where it answers without the gateway, such as `http://127.0.0.1:21001`."""
    restarts: int = 0
    """How often its processes were restarted since it was deployed; 0 where that cannot be had now."""
    reason: str = ""
    """What is wrong with its processes, in a sentence, where the target knows: `OOMKilled`, an image not found."""
    ready: int = 1
    """How many of its instances answer."""
    wanted: int = 1
    """How many should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the target looks like, read from the running parts and not from memory."""

    weight: Weight | None
    """The canary's share that the *running* gateway serves; None where it could not be asked."""
    stable: Instance | None = None
    canary: Instance | None = None
    reserve: Release | None = None
    """The former stable release, kept for a rollback after promotion."""
    problem: str = ""
    """Why the weight is None, in a sentence."""


class Target(Protocol):
    """Every method raises TargetBusy where a later try may succeed, TargetFailed where it will not.

    Effects return only when they are done: an order for a weight returns once the running gateway serves it.
    """

    def resolve(self, tag: str) -> Release:
        """The release under a tag, pinned to the digest that the registry names now. Raises TargetFailed."""

    def look(self) -> Seen:
        """What runs and what the gateway serves. Never raises for a part that is down: it is what was seen."""

    def deploy(self, release: Release, *, rollout: str) -> None:
        """Run the release as canary at weight 0 until it is ready. On failure nothing of it is left running.

        `rollout` is the id of the rollout: it names what is created and salts the split, so that not the same
        users come first each time. Where there is no stable release yet, the canary still gets no traffic.
        """

    def move(self, weight: Weight) -> None:
        """Give the canary this share of the traffic, dropping no request."""

    def promote(self) -> None:
        """Make the canary the stable release, without a moment of no backend; the former one stays in reserve."""

    def roll_back(self, *, rollout: str) -> None:
        """All new requests to stable at once; after a promotion, to the reserve, which is started and ready first.

        `rollout` says whose release is taken back: what another rollout deployed or promoted is left alone.

        Never towards a version that is not ready. Answers that have begun go on until `retire`.
        """

    def retire(self) -> None:
        """Stop what gets no requests: a canary at weight 0 is removed (its logs stay), a reserve is stopped."""

    def discard(self) -> None:
        """Remove the reserve."""

    def logs(self, *, lines: int) -> str:
        """The last lines the canary wrote, kept even after it is gone; empty where there are none."""

    def diagnose(self) -> Iterator[Finding]:
        """Look for what would go wrong, changing nothing."""
