"""A clock that goes only when somebody sleeps, so that a test of waiting takes no time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning."""


@dataclass
class Clock:
    """Calling it tells the time; sleeping passes it. Threads may share one."""

    now: datetime = BEGIN
    slept: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let this many seconds pass."""
        with self.lock:
            self.slept.append(seconds)
            self.now += timedelta(seconds=seconds)
