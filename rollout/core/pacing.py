"""How a rollout gets from one tick to the next, and what a newer release does to one that is under way."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import Final, assert_never

WAKE: Final = timedelta(minutes=5)
"""How long a woken rollout rests between two ticks, where the wait timer of an environment wakes it."""
LONGEST_JOB: Final = timedelta(hours=5, minutes=30)
"""How long a job holds before it hands over: its token and, on GitHub's own runners, the job end at six hours."""
_SET_UP: Final = timedelta(seconds=30)
"""What a job takes before its first decision, at most."""


class Pacing(StrEnum):
    """What a job does between two ticks."""

    HOLD = "hold"
    """It sleeps in the job, and hands over to a fresh run before its time is up."""
    WAKE = "wake"
    """It leaves after each tick, and is woken for the next one."""


class Supersede(StrEnum):
    """What happens when a release is to start while another one of the same service is under way."""

    QUEUE = "queue"
    """It starts when the one under way has ended."""
    REPLACE = "replace"
    """The one under way is aborted: it goes back to stable, and then the newer one starts."""
    REFUSE = "refuse"
    """The newer one does not start."""


def runner_minutes(lasts: timedelta, pacing: Pacing) -> int:
    """How many minutes of runners a rollout of that length takes, as they are billed: each job is rounded up.

    A woken rollout has two short jobs for each rest: one that waits for the timer and asks for a run, and the tick.
    """
    match pacing:
        case Pacing.HOLD:
            jobs = max(1, math.ceil(lasts / LONGEST_JOB))
            return math.ceil((lasts + jobs * _SET_UP) / timedelta(minutes=1))
        case Pacing.WAKE:
            return 2 * math.ceil(lasts / WAKE) + 1
        case _:
            assert_never(pacing)
