"""The port to whatever knows the counters, and the values it speaks.

A source hands over raw samples of counters as they were scraped. It does not sum, difference, rate or interpolate:
what the samples mean is for `analysis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from rollout.analysis.counters import Sample, Series
from rollout.core.finding import Finding
from rollout.core.selector import Selector


class Source(Protocol):
    """A store of counters."""

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """Every series that the selector names, with its raw samples in (since, until], oldest first.

        No series at all is an empty tuple: it is an answer. Raises SourceUnavailable where there is no answer, or
        only a part of one.
        """

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """The buckets of every histogram that the selector names, as `series` would give them for a classic one.

        Each series is a cumulative counter whose label `le` is the bucket's upper bound in seconds; `+Inf` is always
        among them. A native histogram is handed over in the same form. Raises SourceUnavailable.
        """

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        """What an expression gives at `until`, and every `step` before it down to after `since`; oldest first.

        Moments without a value are left out; NaN is a value. Raises SourceUnavailable, also where the expression
        gives more than one series at a time, or cannot be asked of this source.
        """

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """Look for what would go wrong with these selectors, changing nothing."""
