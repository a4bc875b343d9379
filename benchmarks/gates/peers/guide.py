"""The rule of the LobeChat release guide that the project's built-in policy follows: a check each quarter of an hour.

Every 15 minutes the last 30 minutes (or what there is of them) must be inside the limit; every minute the last full
five minutes must fail less than 3 %. `guarded` is the same with a least sample: 100 requests and 5 failures.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.rules import Decisions, minutes
from benchmarks.gates.scenarios import SCRAPES
from benchmarks.gates.signals import Signal
from benchmarks.gates.traffic import Ints

MIN_REQUESTS: Final = 100
MIN_FAILURES: Final = 5


def plain(signal: Signal) -> Ints:
    """As it stands."""
    return _checked(signal, guarded=False)


def guarded(signal: Signal) -> Ints:
    """With a least sample."""
    return _checked(signal, guarded=True)


def _checked(signal: Signal, *, guarded: bool) -> Ints:
    decisions = Decisions(signal.runs)

    def enough(end: int, length: int) -> NDArray[np.bool_]:
        if not guarded:
            return np.ones(signal.runs, dtype=np.bool_)
        return (signal.requests(end, length) >= MIN_REQUESTS) & (signal.failures(end, length) >= MIN_FAILURES)

    for scrape in range(minutes(1), SCRAPES + 1, minutes(1)):
        if signal.emergency is not None and scrape >= minutes(5):
            high = signal.value(scrape, minutes(5)) >= signal.emergency
            decisions.roll_back(high & enough(scrape, minutes(5)), scrape)
        if scrape % minutes(15) == 0:
            high = signal.value(scrape, minutes(30)) > signal.limit
            decisions.roll_back(high & enough(scrape, minutes(30)), scrape)
    return decisions.at
