"""Which evidence takes the canary back at one gate: the gate's clauses and how its error budget is shared by them.

It turns blocks into the evidence of one gate, one block after another. Whether the data are fit to be judged at all
is for `judge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from rollout.analysis.blocks import Block
from rollout.analysis.dispersion import NO_SCATTER, Scatter
from rollout.analysis.evidence import BETTER, EProcess, RateBets, RatioBets
from rollout.core.gates import REGRESSION_RATIO, FailureGate, LatencyGate, OnRegression
from rollout.core.plan import EVERYTHING

CATASTROPHE: Final = 0.25
"""The failure rate that is judged even while the canary warms up, as a ratio."""


class Kind(StrEnum):
    """What a clause asserts of the canary."""

    LIMIT = "limit"
    """It fails more than `max`, and more than stable does."""
    REGRESSION = "regression"
    """It fails more than half of `max`, and more than 1.5 times as often as stable does."""
    RATIO = "ratio"
    """It fails more than `max_ratio` times as often as stable."""
    SLOW = "slow"
    """More of its requests are slow than the limit allows for, by stable's."""
    EMERGENCY = "emergency"
    """Its rate over the window of the emergency is over the threshold, and it fails more than stable does."""
    ALONE = "alone"
    """It fails more than `max` while it has all traffic, so that there is nothing to compare it with."""
    CATASTROPHE = "catastrophe"
    """It fails more than a quarter of its requests, and more than stable does (or than the ratio allows)."""
    CATASTROPHE_ALONE = "catastrophe_alone"
    """It fails more than a quarter of its requests while it has all traffic."""


@dataclass(frozen=True, slots=True)
class _Witness:
    """One e-process of a gate: what it looks at, and how its bets grow."""

    bets: RateBets | RatioBets
    alone: bool = False
    """It looks only at blocks in which the canary has all traffic."""
    cold: bool = False
    """It looks at instances that still warm up as well, and takes failures for independent."""


@dataclass(frozen=True, slots=True)
class _Clause:
    """One way in which the canary can be shown to be worse than allowed: all of its witnesses must say so."""

    kind: Kind
    witnesses: tuple[tuple[str, float], ...]
    """Each one's name, and the share of the gate's budget that it has here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the evidence of a gate says by now."""

    log_e: float = 0.0
    """The highest logarithm that the gate's e-value has had."""
    kind: Kind | None = None
    """The clause that had it; None where there was no evidence."""
    blocks: int = 0
    """How many blocks there were up to the highest value."""
    log_over_limit: float = 0.0
    """The logarithm now of the e-value of "more than `max`", whatever stable does."""
    log_regression: float = 0.0
    """The logarithm now of the e-value of a clear regression, where that only holds the rollout."""
    log_kept: float = 0.0
    """The logarithm now of the e-value of "every limit is kept"."""
    dispersion: float = 1.0
    """What the evidence of the next block is divided by."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """Everything that is remembered from block to block."""

    processes: Mapping[str, EProcess]
    scatter: Scatter
    dispersion: float
    highest: float = 1.0
    """The highest value that the gate's e-value has had."""
    kind: Kind | None = None
    blocks: int = 0


class Weighing:
    """The evidence of one gate, from blocks in their order.

    `budget` is the probability with which the gate may take back a canary that is no worse than stable, or than a
    relative limit allows: it does once `case.log_e` reaches -log(budget). `beta` is the probability with which it may
    take back one that is worse than stable and keeps the absolute limit. Both are ratios (docs/statistics.md).
    `dispersion` is taken where stable's instances do not show it; `history` is what they showed before the rollout.
    `advance` is whether evidence is gathered that the limits are kept.
    """

    def __init__(
        self,
        gate: FailureGate | LatencyGate,
        *,
        budget: float,
        beta: float,
        dispersion: float,
        history: Scatter = NO_SCATTER,
        advance: bool = False,
    ) -> None:
        self._gate = gate
        self._otherwise = dispersion
        self._witnesses = _witnesses(gate) | (_keepers(gate) if advance else {})
        self._clauses = _clauses(gate, lenient=beta / budget)
        self._held = _held(gate)
        self._keepers = tuple(_keepers(gate)) if advance else ()
        self._standing = _Standing(
            processes={name: EProcess.of(witness.bets) for name, witness in self._witnesses.items()},
            scatter=history,
            dispersion=history.dispersion(otherwise=dispersion),
        )
        self.blocks: list[Block] = []
        """What was weighed so far."""

    @property
    def case(self) -> Case:
        """What the blocks so far say."""
        return self._case(self._standing)

    def add(self, block: Block) -> Case:
        """Weigh the next block, and keep it; what all of them say by now."""
        self._standing = self._after(block)
        self.blocks.append(block)
        return self.case

    def peek(self, block: Block) -> Case:
        """What they would say together with a block that is not closed yet."""
        return self._case(self._after(block))

    def _case(self, standing: _Standing) -> Case:
        processes = standing.processes
        return Case(
            log_e=math.log(standing.highest),
            kind=standing.kind,
            blocks=standing.blocks,
            log_over_limit=_log(processes, "limit"),
            log_regression=math.log(max(_strength(self._held, processes), 1e-300)) if self._held else 0.0,
            log_kept=min((_log(processes, name) for name in self._keepers), default=0.0),
            dispersion=standing.dispersion,
        )

    def _after(self, block: Block) -> _Standing:
        before = self._standing
        scattered, dispersion = before.scatter, before.dispersion
        if block.scatter.failures:
            scattered += block.scatter
            dispersion = scattered.dispersion(otherwise=self._otherwise)
        if block.shifted:
            return replace(before, scatter=scattered, dispersion=dispersion)
        processes = self._processes(block)
        highest, kind, blocks = before.highest, before.kind, before.blocks
        for clause in self._clauses:
            first, share = clause.witnesses[0]
            if processes[first].value * share <= highest:  # most often the first witness has nothing to say
                continue
            value = _strength(clause, processes)
            if value > highest and (clause.kind is not Kind.EMERGENCY or self._is_emergency(block)):
                highest, kind, blocks = value, clause.kind, len(self.blocks) + 1
        return _Standing(processes, scattered, dispersion, highest, kind, blocks)

    def _processes(self, block: Block) -> Mapping[str, EProcess]:
        """Every e-process after the block. Bets are made beforehand: with the dispersion that was known by then."""
        before = self._standing
        processes = dict(before.processes)
        dispersion, warm, cold = before.dispersion, block.judged, block.whole
        weight, alone = block.weight.percent, block.weight == EVERYTHING
        for name, witness in self._witnesses.items():
            seen = cold if witness.cold else warm
            if (witness.alone and not alone) or not seen.canary_total:
                continue
            bets, burst = witness.bets, 1.0 if witness.cold else dispersion
            if isinstance(bets, RateBets):
                growth = bets.growth(seen.canary_total, seen.canary_failures, burst)
            else:
                growth = bets.growth((cold,) if witness.cold else block.parts, burst)
            processes[name] = processes[name].after(growth, weight)
        return processes

    def _is_emergency(self, block: Block) -> bool:
        """The literal rule: the rate over the trailing window, with its minimum sample."""
        rule = self._gate.emergency if isinstance(self._gate, FailureGate) else None
        if rule is None:
            return False
        total, failures = block.judged.canary_total, block.judged.canary_failures
        for earlier in reversed(self.blocks):
            if earlier.at <= block.at - rule.over:
                break
            if not earlier.shifted:
                total += earlier.judged.canary_total
                failures += earlier.judged.canary_failures
        return total >= rule.min_requests and failures >= rule.min_failures and failures >= rule.max * total


def _strength(clause: _Clause, processes: Mapping[str, EProcess]) -> float:
    """The e-value of a clause, as a part of the gate's: the lowest of its witnesses', each by its share."""
    return min(processes[name].value * share for name, share in clause.witnesses)


def _log(processes: Mapping[str, EProcess], name: str) -> float:
    process = processes.get(name)
    return math.log(process.value) if process is not None and process.value > 0 else 0.0


_COARSE: Final = (2.0, 5.0, 25.0)
"""Alternatives for a catastrophe, which needs no fine ones."""
_COMPARED: Final = 12 / 16
"""The share of all clauses that need a canary worse than stable: one witness of it serves them all."""
_ALONE: Final = 1 / 16
_CATASTROPHE: Final = 2 / 16
_CATASTROPHE_ALONE: Final = 1 / 16


def _witnesses(gate: FailureGate | LatencyGate) -> dict[str, _Witness]:
    if isinstance(gate, LatencyGate):
        return {"slow": _Witness(RatioBets(1.0))}
    found: dict[str, _Witness] = {}
    quarter = max(CATASTROPHE, gate.max or 0.0)
    if gate.max is not None:
        found["worse"] = _Witness(RatioBets(1.0))
        found["limit"] = _Witness(RateBets(gate.max))
        found["alone"] = _Witness(RateBets(gate.max), alone=True)
        found["quarter alone"] = _Witness(RateBets(quarter, _COARSE), alone=True, cold=True)
    if gate.max is not None and gate.regression is not OnRegression.OFF:
        found["half"] = _Witness(RateBets(gate.max / 2))
        found["clearly"] = _Witness(RatioBets(REGRESSION_RATIO))
    if gate.max_ratio is not None:
        found["ratio"] = _Witness(RatioBets(gate.max_ratio))
    found["quarter"] = _Witness(RateBets(quarter, _COARSE), cold=True)
    allowed = 1.0 if gate.max is not None else gate.max_ratio or 1.0
    found["worse cold"] = _Witness(RatioBets(allowed, _COARSE), cold=True)
    return found


def _keepers(gate: FailureGate | LatencyGate) -> dict[str, _Witness]:
    """The evidence that each limit is kept: the same bets, on better canaries."""
    if isinstance(gate, LatencyGate):
        return {"kept slow": _Witness(RatioBets(1.0, BETTER))}
    found: dict[str, _Witness] = {}
    if gate.max is not None:
        found["kept limit"] = _Witness(RateBets(gate.max, BETTER))
    if gate.max_ratio is not None:
        found["kept ratio"] = _Witness(RatioBets(gate.max_ratio, BETTER))
    return found


def _clauses(gate: FailureGate | LatencyGate, *, lenient: float) -> tuple[_Clause, ...]:
    """The shares make the whole gate spend no more than its budget.

    A canary that is no worse than stable convinces the witness "worse" with probability at most 12/16 of the budget,
    and all clauses that need it together. To take back one that is worse, and keeps its absolute limit, the other
    witnesses of a clause must be deceived: they may be with probability `beta`, which is `lenient` times the budget and
    shared by those clauses. The emergency is outside this second promise, as its threshold is literal.
    """
    if isinstance(gate, LatencyGate):
        return (_Clause(Kind.SLOW, (("slow", 1.0),)),)
    catastrophe = _Clause(Kind.CATASTROPHE, (("quarter", _CATASTROPHE), ("worse cold", _CATASTROPHE)))
    if gate.max is None:
        return (_Clause(Kind.RATIO, (("ratio", 1 - _CATASTROPHE),)), catastrophe)
    worse = ("worse", _COMPARED)
    regression = gate.regression is OnRegression.ROLL_BACK
    each = lenient / (2 if regression else 1)
    return (
        _Clause(Kind.LIMIT, (worse, ("limit", each))),
        *((_Clause(Kind.REGRESSION, (worse, ("clearly", each), ("half", each))),) if regression else ()),
        *((_Clause(Kind.RATIO, (worse, ("ratio", _COMPARED))),) if gate.max_ratio is not None else ()),
        *((_Clause(Kind.EMERGENCY, (worse,)),) if gate.emergency is not None else ()),
        catastrophe,
        _Clause(Kind.ALONE, (("alone", _ALONE),)),
        _Clause(Kind.CATASTROPHE_ALONE, (("quarter alone", _CATASTROPHE_ALONE),)),
    )


def _held(gate: FailureGate | LatencyGate) -> _Clause | None:
    """The clear regression, where it only holds the rollout."""
    if isinstance(gate, LatencyGate) or gate.max is None or gate.regression is not OnRegression.HOLD:
        return None
    return _Clause(Kind.REGRESSION, (("worse", 1.0), ("clearly", 1.0), ("half", 1.0)))
