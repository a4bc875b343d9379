"""The port to the durable record of rollouts, and the values it speaks.

A journal only grows. Whoever writes says which head was read before; if somebody else was faster, nothing is
written and JournalMoved is raised: read again, decide again. What cannot be read blocks, and is never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rollout.core.events import Event, Started


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the journal of the latest rollout holds."""

    events: tuple[Event, ...] = ()
    head: str = ""
    """Names the state of the journal for compare-and-swap; empty where there has been no rollout."""
    number: int = 0
    """How many rollouts there have been; the latest one's number."""
    repaired: str = ""
    """What was mended while reading, in a sentence; empty nearly always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who drives a rollout, and until when nobody else may."""

    owner: str
    until: datetime


class Journal(Protocol):
    """The record of the rollouts of one service in one environment."""

    def read(self) -> Record:
        """The latest rollout's events. Raises JournalUnreadable."""

    def begin(self, started: Started, *, expect: str) -> str:
        """Claim the next rollout; the new head. Raises JournalMoved where another one began."""

    def append(self, events: tuple[Event, ...], *, expect: str) -> str:
        """Write events after the head that was read; the new head. Raises JournalMoved."""

    def take(self, lease: Lease, *, now: datetime) -> Lease | None:
        """Take or renew the lease: None where it is taken, else the lease of the other one, who still holds it."""

    def hurry(self, within: timedelta) -> None:
        """From now on give up rather than wait: the process has been told to stop."""

    def release(self, owner: str) -> None:
        """Give the lease back, where this owner holds it."""
