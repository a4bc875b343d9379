"""A metric whose values are told, so that a test of a rule states only what the rule sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.gates.traffic import Floats, Ints

Figure = Callable[[int], float]
"""A value by the scrape that a window ends with."""


class Told:
    """One run of one metric; `limit` is 2 %. Windows of any length that end together have the same value."""

    def __init__(
        self,
        value: Figure,
        *,
        canary: Figure | None = None,
        stable: Figure | None = None,
        requests: int = 1000,
        failures: int = 1000,
    ) -> None:
        self.limit = 0.02
        self.emergency: float | None = 0.03
        self.allowed_increase = 1.0
        self.runs = 1
        self._value = value
        self._canary = canary or value
        self._stable = stable or (lambda _: 0.0)
        self._counts = requests, failures

    def value(self, end: int, length: int) -> Floats:
        """What is compared with the limit."""
        return np.array([self._value(end)])

    def canary(self, end: int, length: int) -> Floats:
        """The canary's figure."""
        return np.array([self._canary(end)])

    def stable(self, end: int, length: int) -> Floats:
        """Stable's figure."""
        return np.array([self._stable(end)])

    def requests(self, end: int, length: int) -> Ints:
        """The canary's requests."""
        return np.array([self._counts[0]])

    def failures(self, end: int, length: int) -> Ints:
        """The canary's failed requests."""
        return np.array([self._counts[1]])


def always(value: float) -> Figure:
    """The same value at all times."""
    return lambda _: value


def in_minutes(values: Mapping[int, float], otherwise: float = 0.0) -> Figure:
    """Values by the minute in which a window ends."""
    return lambda end: values.get(end // 4, otherwise)
