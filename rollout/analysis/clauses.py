"""Which evidence takes the canary back at one gate: the gate's clauses and how its error budget is shared by them.

It turns blocks into the evidence of one gate, one block after another. Whether the data are fit to be judged at all
is for `judge`.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rollout.analysis.blocks import Block
from rollout.analysis.dispersion import NO_SCATTER, Scatter
from rollout.analysis.evidence import BETTER, EProcess, RateBets, RatioBets
from rollout.core.gates import REGRESSION_RATIO, FailureGate, LatencyGate, OnRegression
from rollout.core.plan import EVERYTHING

CATASTROPHE: Final = 0.25
"""The failure rate that is judged even while the canary warms up, as a ratio."""


_Value = Callable[[str], float]
"""The value of an e-process by its name."""
_Weighed = tuple[Block, float]


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


class _Track:
    """The e-process of one witness, taken on only when it is asked for: most often a clause's first one says no."""

    __slots__ = ("_done", "_process", "_witness")

    def __init__(self, witness: _Witness) -> None:
        self._witness = witness
        self._process = EProcess.of(witness.bets)
        self._done = 0

    def after(self, weighed: Sequence[_Weighed]) -> EProcess:
        """The process after all of these blocks; more of the same ones each time."""
        process, witness = self._process, self._witness
        if self._done < len(weighed):
            for block, dispersion in itertools.islice(weighed, self._done, None):
                process = _taken_on(process, witness, block, dispersion)
            self._process, self._done = process, len(weighed)
        return process

    def peek(self, weighed: Sequence[_Weighed], block: Block, dispersion: float) -> EProcess:
        """The process after these and one more, which is not kept."""
        return _taken_on(self.after(weighed), self._witness, block, dispersion)


def _taken_on(process: EProcess, witness: _Witness, block: Block, dispersion: float) -> EProcess:
    """The process after one more block."""
    if witness.alone and block.weight != EVERYTHING:
        return process
    seen = block.whole if witness.cold else block.judged
    if not seen.canary_total:
        return process
    bets, burst = witness.bets, 1.0 if witness.cold else dispersion
    if isinstance(bets, RateBets):
        growth = bets.growth(seen.canary_total, seen.canary_failures, burst)
    else:
        growth = bets.growth((seen,) if witness.cold else block.parts, burst)
    return process.after(growth, block.weight.percent)


@dataclass(frozen=True, slots=True)
class _Peak:
    """The highest value that a gate's e-value has had."""

    value: float = 1.0
    kind: Kind | None = None
    """The clause that had it."""
    blocks: int = 0
    """How many blocks there were by then."""


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
        self._tracks = {
            name: _Track(witness) for name, witness in (_witnesses(gate) | (_keepers(gate) if advance else {})).items()
        }
        self._clauses = _clauses(gate, lenient=beta / budget)
        self._held = _held(gate)
        self._keepers = tuple(_keepers(gate)) if advance else ()
        self._scatter = history
        self._dispersion = history.dispersion(otherwise=dispersion)
        self._peak = _Peak()
        self._weighed: list[_Weighed] = []
        """The blocks that are evidence, each with the dispersion known before it: bets are made beforehand."""
        self.blocks: list[Block] = []
        """What was added so far."""

    @property
    def case(self) -> Case:
        """What the blocks so far say."""
        return self._case(self._now, self._peak, self._dispersion)

    @property
    def log_e(self) -> float:
        """The highest logarithm that the gate's e-value has had: the case's, without the rest of it."""
        return math.log(self._peak.value)

    def add(self, block: Block) -> None:
        """Weigh the next block, and keep it."""
        before = self._dispersion
        self._scatter, self._dispersion = self._scattered(block)
        if not block.shifted:
            self._weighed.append((block, before))
            self._peak = self._higher(self._now, block)
        self.blocks.append(block)

    def peek(self, block: Block) -> Case:
        """What they would say together with a block that is not closed yet."""
        _, dispersion = self._scattered(block)
        if block.shifted:
            return self._case(self._now, self._peak, dispersion)
        before = self._dispersion

        def then(name: str) -> float:
            return self._tracks[name].peek(self._weighed, block, before).value

        return self._case(then, self._higher(then, block), dispersion)

    def fork(self) -> Weighing:
        """The same evidence, to go on with separately."""
        for track in self._tracks.values():
            track.after(self._weighed)
        other = copy.copy(self)
        other._tracks = {name: copy.copy(track) for name, track in self._tracks.items()}  # noqa: SLF001  (its own class)
        other._weighed = [*self._weighed]  # noqa: SLF001
        other.blocks = [*self.blocks]
        return other

    def _now(self, name: str) -> float:
        return self._tracks[name].after(self._weighed).value

    def _case(self, value: _Value, peak: _Peak, dispersion: float) -> Case:
        return Case(
            log_e=math.log(peak.value),
            kind=peak.kind,
            blocks=peak.blocks,
            log_over_limit=_log(value("limit")) if "limit" in self._tracks else 0.0,
            log_regression=_log(_strength(self._held, value)) if self._held else 0.0,
            log_kept=min((_log(value(name)) for name in self._keepers), default=0.0),
            dispersion=dispersion,
        )

    def _scattered(self, block: Block) -> tuple[Scatter, float]:
        """The scatter of stable's instances together with a block's, and the dispersion it gives."""
        if not block.scatter.failures:
            return self._scatter, self._dispersion
        scattered = self._scatter + block.scatter
        return scattered, scattered.dispersion(otherwise=self._otherwise)

    def _higher(self, value: _Value, block: Block) -> _Peak:
        """The peak after a block, of which `value` tells what each e-process is worth then."""
        peak = self._peak
        for clause in self._clauses:
            strength = _strength(clause, value, above=peak.value)
            if strength > peak.value and (clause.kind is not Kind.EMERGENCY or self._is_emergency(block)):
                peak = _Peak(strength, clause.kind, len(self.blocks) + 1)
        return peak

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


def _strength(clause: _Clause, value: _Value, *, above: float = 0.0) -> float:
    """The e-value of a clause, as a part of the gate's: the lowest of its witnesses', each by its share.

    Once it cannot be above that value any more, the other witnesses are not asked.
    """
    lowest = math.inf
    for name, share in clause.witnesses:
        lowest = min(lowest, value(name) * share)
        if lowest <= above:
            break
    return lowest


def _log(value: float) -> float:
    return math.log(max(value, 1e-300))


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
