"""The port to whatever knows the counters, and the values it speaks.

A source hands over raw samples of counters as they were scraped. It does not sum, difference, rate or interpolate:
what the samples mean is for `analysis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from rollout.analysis.counters import Series
from rollout.core.finding import Finding
from rollout.core.selector import Selector


class Source(Protocol):
    """A store of counters."""

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """Every series that the selector names, with its raw samples in (since, until], oldest first.

        No series at all is an empty tuple: it is an answer. Raises SourceUnavailable where there is no answer, or
        only a part of one.
        """

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """Look for what would go wrong with these selectors, changing nothing."""
