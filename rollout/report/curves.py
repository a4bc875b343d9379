"""From blocks of counts to the points of a chart: few enough to draw, each with enough requests to mean something.

It sums and divides and nothing else; what a curve proves is for the analysis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollout.analysis.blocks import Block
from rollout.core.events import Event, Promoted, RolledBack
from rollout.core.plan import NOTHING, Weight
from rollout.core.state import State
from rollout.core.verdict import Counts

Side = Callable[[Block], Counts]
"""Which of the two versions of a block."""

MOST_POINTS: Final = 54
ENOUGH: Final = 20
"""Requests a point of a failure rate should rest on: fewer make a curve that is noise."""
FEWEST: Final = 5
"""Requests below which a point is joined with its neighbour even across a change of weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What one version served between two moments."""

    since: datetime
    until: datetime
    counts: Counts

    @property
    def middle(self) -> datetime:
        """Where the point is drawn."""
        return self.since + (self.until - self.since) / 2

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.counts.total / max((self.until - self.since).total_seconds(), 1e-3)


def of_canary(block: Block) -> Counts:
    """The canary's side."""
    return block.canary


def of_stable(block: Block) -> Counts:
    """Stable's side."""
    return block.stable


def traffic(blocks: Sequence[Block], side: Side) -> tuple[Bin, ...]:
    """Requests in even spaces of time, about `MOST_POINTS` of them."""
    return binned(blocks, side, enough=0)


def failing(blocks: Sequence[Block], side: Side) -> tuple[Bin, ...]:
    """Failures in spaces of time that hold enough requests; where nothing was served there is no bin."""
    served = [whole for whole in binned(blocks, side, enough=ENOUGH) if whole.counts.total]
    if len(served) > 1 and served[-1].counts.total < FEWEST:
        served[-2:] = [_plus(served[-2], served[-1])]
    return tuple(served)


def binned(blocks: Sequence[Block], side: Side, *, enough: int) -> tuple[Bin, ...]:
    """What was served in spaces of time that hold so many requests, or end where the weight changes."""
    if not blocks:
        return ()
    shortest = (blocks[-1].at - blocks[0].since) / MOST_POINTS
    bins: list[Bin] = []
    whole: Bin | None = None
    since = min(blocks[0].since, blocks[0].at)
    for block, following in itertools.zip_longest(blocks, blocks[1:]):
        one = Bin(since=since, until=block.at, counts=side(block))
        since = block.at
        idle = whole is not None and enough > 0 and not whole.counts.total
        whole = one if whole is None or idle else _plus(whole, one)
        full = whole.until - whole.since >= shortest and whole.counts.total >= enough
        if full or _ends(whole, block, following):
            bins.append(whole)
            whole = None
    return tuple(bins)


def _ends(whole: Bin, block: Block, following: Block | None) -> bool:
    """Whether a bin that is not full ends here: at a change of weight, or with the data."""
    if following is None:
        return True
    if following.weight == block.weight:
        return False
    return whole.counts.total >= (1 if following.weight == NOTHING else FEWEST)


def _plus(first: Bin, second: Bin) -> Bin:
    counts = Counts(
        total=first.counts.total + second.counts.total, failures=first.counts.failures + second.counts.failures
    )
    return Bin(since=first.since, until=second.until, counts=counts)


def served_weights(state: State, events: Sequence[Event]) -> tuple[tuple[datetime, Weight], ...]:
    """Since when the canary had which weight; back at 0 when a rollback was done, and nothing after a promotion."""
    weights = list(state.served)
    weights.extend((event.at, NOTHING) for event in events if isinstance(event, RolledBack))
    weights.sort(key=lambda pair: pair[0])
    promoted = next((event.at for event in events if isinstance(event, Promoted)), None)
    return tuple((at, weight) for at, weight in weights if promoted is None or at <= promoted)


def nice_ceiling(value: float) -> float:
    """The smallest of 1, 2, 4, 6, 8 and 10 times a power of ten that is not below a value: its quarters are round."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 6, 8, 10, 20) if factor * power >= value * (1 - 1e-9))


def time_step(length: timedelta, most: int) -> timedelta:
    """A round step of time that divides a length into at most so many parts."""
    for seconds in _STEPS:
        if length <= timedelta(seconds=seconds) * most:
            return timedelta(seconds=seconds)
    days = math.ceil(length / timedelta(days=1) / most)
    return timedelta(days=days)


_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
