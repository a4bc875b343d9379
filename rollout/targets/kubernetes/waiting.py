"""Waiting for the cluster, with an end to it. Time comes from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_FIRST: Final = 0.05
_LONGEST: Final = 1.0


@dataclass(frozen=True)
class Patience:
    """A clock, and a way to let time pass in seconds."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]

    def until(self, is_done: Callable[[], bool], *, limit: timedelta) -> bool:
        """Ask again and again, less and less often, until it is done or the limit is over; whether it is done."""
        deadline, pause = self.clock() + limit, _FIRST
        while not is_done():
            if self.clock() >= deadline:
                return False
            self.sleep(pause)
            pause = min(_LONGEST, pause * 1.5)
        return True
