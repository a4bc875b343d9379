"""What a rule is to the comparison, and what is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.gates.scenarios import MINUTE, Subject
from benchmarks.gates.signals import Signal
from benchmarks.gates.traffic import Ints

NEVER: Final = 0
"""The scrape at which a rule rolled back that did not."""

RATE_1M: Final = 3
"""Increments in `rate(...[1m])`: four scrapes of 15 s lie in the window, and PromQL takes their differences."""
RATE_5M: Final = 19
"""Increments in `rate(...[5m])`."""
IRATE: Final = 1
"""`irate` takes the last two scrapes of its window."""

Decide = Callable[[Signal], Ints]
"""By run, the number of scrapes after which the rule rolls back, NEVER where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to judge."""

    name: str
    decide: Decide
    says: str
    """What it does, in a line."""
    family: str
    """Whose rule it is."""
    subjects: tuple[Subject, ...] = tuple(Subject)


class Decisions:
    """When each run was rolled back; the first time counts."""

    def __init__(self, runs: int) -> None:
        self.at: Ints = np.full(runs, NEVER, dtype=np.int64)

    def roll_back(self, wanted: np.ndarray[tuple[int], np.dtype[np.bool_]], scrape: int) -> None:
        """Roll back the runs for which it is wanted and which are still under way."""
        self.at[wanted & (self.at == NEVER)] = scrape


def minutes(number: int) -> int:
    """So many minutes in scrapes."""
    return number * MINUTE
