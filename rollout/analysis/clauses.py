"""Which evidence takes the canary back at one gate: the gate's clauses and how its error budget is split among them.

It turns blocks into one e-value for the gate. Whether the data are fit to be judged at all is for `judge`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from rollout.analysis.blocks import Block
from rollout.analysis.evidence import both, rate_over, ratio_over
from rollout.core.plan import EVERYTHING, Gate

CATASTROPHE: Final = 0.25
"""The failure rate that is judged even while the canary warms up, as a ratio."""


class Kind(StrEnum):
    """What a clause asserts of the canary."""

    LIMIT = "limit"
    """It fails more than `max`, and more than stable does."""
    ALONE = "alone"
    """It fails more than `max` while it has all traffic, so that there is nothing to compare it with."""
    RATIO = "ratio"
    """It fails more than `max_ratio` times as often as stable."""
    CATASTROPHE = "catastrophe"
    """It fails more than a quarter of its requests, and more than stable does (or than the ratio allows)."""
    CATASTROPHE_ALONE = "catastrophe_alone"
    """It fails more than a quarter of its requests while it has all traffic."""


_SHARES: Final = {
    Kind.LIMIT: 3.0,
    Kind.RATIO: 3.0,
    Kind.ALONE: 1.0,
    Kind.CATASTROPHE: 1.0,
    Kind.CATASTROPHE_ALONE: 1.0,
}
"""How the clauses that a gate has share its budget. A third of it costs log 3 nats, about one block of failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One way in which the canary can be shown to be worse than allowed."""

    kind: Kind
    blocks: tuple[Block | None, ...]
    """The blocks it counts; None stands for one that it does not."""
    values: tuple[float, ...]
    """Its e-value after each block."""
    rates: tuple[float, ...] = ()
    """For LIMIT, the e-value of "more than `max`" alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What all clauses of a gate together say against the canary."""

    log_e: float = 0.0
    """The highest logarithm that the gate's e-value has had."""
    log_over_limit: float = 0.0
    """The logarithm now of the e-value of "more than `max`", whatever stable does, at LIMIT's share."""
    kind: Kind | None = None
    """The clause that contributed most to the highest value; None where there was no evidence."""
    blocks: tuple[Block, ...] = ()
    """The blocks of that clause up to the highest value."""


def case_against(gate: Gate, blocks: Sequence[Block], *, warm_until: datetime, dispersion: float) -> Case:
    """Weigh all blocks. The gate's e-value is the mean of its clauses' by their shares, so no budget is spent twice.

    The mean of e-values is one under any dependence, so the gate exceeds 1/a with probability at most a.
    """
    clauses = tuple(_clauses(gate, blocks, warm_until=warm_until, dispersion=dispersion))
    whole = sum(_SHARES[clause.kind] for clause in clauses)
    shares = tuple(_SHARES[clause.kind] / whole for clause in clauses)
    best, best_at = 1.0, -1
    for index in range(len(blocks)):
        value = sum(share * clause.values[index] for share, clause in zip(shares, clauses, strict=True))
        if value > best:
            best, best_at = value, index
    over = max(
        (
            share * clause.rates[-1]
            for share, clause in zip(shares, clauses, strict=True)
            if clause.kind is Kind.LIMIT and clause.rates
        ),
        default=1.0,
    )
    if best_at < 0:
        return Case(log_over_limit=math.log(over))
    _, leading = max(zip(shares, clauses, strict=True), key=lambda weighed: weighed[0] * weighed[1].values[best_at])
    return Case(
        log_e=math.log(best),
        log_over_limit=math.log(over),
        kind=leading.kind,
        blocks=tuple(block for block in leading.blocks[: best_at + 1] if block is not None),
    )


def _clauses(gate: Gate, blocks: Sequence[Block], *, warm_until: datetime, dispersion: float) -> Iterator[Clause]:
    """Catastrophes are judged from the first block on and as if failures were independent: see docs/statistics.md."""
    catastrophe = max(CATASTROPHE, gate.max or 0.0)
    unshifted = _keep(blocks, lambda block: not block.shifted)
    warm = _keep(unshifted, lambda block: block.since >= warm_until)
    if gate.max is not None:
        rates = rate_over(warm, limit=gate.max, dispersion=dispersion)
        worse = ratio_over(warm, ratio=1.0, dispersion=dispersion)
        yield Clause(kind=Kind.LIMIT, blocks=warm, values=both(rates, worse), rates=rates)
        alone = _keep(warm, lambda block: block.weight == EVERYTHING)
        yield Clause(kind=Kind.ALONE, blocks=alone, values=rate_over(alone, limit=gate.max, dispersion=dispersion))
        alone = _keep(unshifted, lambda block: block.weight == EVERYTHING)
        yield Clause(kind=Kind.CATASTROPHE_ALONE, blocks=alone, values=rate_over(alone, limit=catastrophe))
    if gate.max_ratio is not None:
        values = ratio_over(warm, ratio=gate.max_ratio, dispersion=dispersion)
        yield Clause(kind=Kind.RATIO, blocks=warm, values=values)
    allowed = 1.0 if gate.max is not None else gate.max_ratio or 1.0
    yield Clause(
        kind=Kind.CATASTROPHE,
        blocks=unshifted,
        values=both(rate_over(unshifted, limit=catastrophe), ratio_over(unshifted, ratio=allowed)),
    )


def _keep(blocks: Sequence[Block | None], wanted: Callable[[Block], bool]) -> tuple[Block | None, ...]:
    return tuple(block if block is not None and wanted(block) else None for block in blocks)
