"""What a gate can see at a given traffic: how small a fault, how soon, after how many failed requests.

Everything goes through the same `Weighing` that judges the rollout; only the counts are made up, from dice that the
caller hands in. It knows nothing of sources, and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.analysis.blocks import Block, Part
from rollout.analysis.clauses import Weighing
from rollout.analysis.expected import Traffic
from rollout.core.gates import LatencyGate
from rollout.core.plan import EVERYTHING, NOTHING, Plan, Weight
from rollout.core.schedule import timetable

Dice = Callable[[float], float]
"""A Poisson number with the mean that is given, another one at each call."""

SURE: Final = 0.9
"""With which probability a fault is said to be caught."""
RUNS: Final = 150
"""Simulated rollouts for each fault: their median lies between the true 42nd and 58th percentile, 19 times of 20."""

_BEHIND: Final = 1.2816
"""The standard normal quantile of SURE."""
_GROWING: Final = 20
"""A block of a simulation lasts at most this part of the time since the first user (and never less than a look)."""
_COARSE: Final = 24
"""Into how many blocks a soak is divided where no time is read off."""
_HALVINGS: Final = 11
_DAWN: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A stretch of a rollout that becomes one block; times in seconds since the canary is deployed and checked."""

    begins: float
    ends: float
    weight: Weight
    shifted: bool
    """The weight changed in it."""
    warm: bool
    """The canary has warmed up before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """What becomes of a canary that has a fault from the first user on, over all simulated rollouts."""

    fault: float
    median: timedelta | None
    """The time from the first user to the decision in half of the rollouts; None where fewer get one."""
    failed: float | None
    """Canary requests that failed (or were slow) by then, in half of the rollouts."""
    early: float
    """The share that was taken back before the canary had all traffic, as a ratio."""
    ever: float
    """The share that was taken back at all; where `early` is at least SURE it may be more."""


def weighing(traffic: Traffic, plan: Plan, *, advance: bool = False) -> Weighing:
    """The evidence of the gate before the first block."""
    return Weighing(traffic.gate, budget=plan.budget, beta=plan.beta, dispersion=traffic.dispersion, advance=advance)


def catch(traffic: Traffic, plan: Plan, fault: float, *, dice: Dice, runs: int = RUNS) -> Catch:
    """Simulate rollouts whose canary has the fault from the first user on; requests fail independently of each other.

    It ends once so many are taken back as SURE asks for: the rest would change nothing of what is told.
    """
    share, threshold = traffic.share(fault), -math.log(plan.budget)
    open_runs = [[weighing(traffic, plan), 0.0] for _ in range(runs)]
    decided: list[tuple[float, float]] = []
    early, first = 0, None
    for slot in slots(plan):
        first = slot.begins if first is None else first
        left = []
        for run in open_runs:
            weighed, failed = run
            assert isinstance(weighed, Weighing)
            assert isinstance(failed, float)
            block = thrown(traffic, slot, share, dice)
            run[1] = failed + block.whole.canary_failures
            if not block.whole.canary_total:  # such a block is no evidence, and weighing it takes its time
                left.append(run)
                continue
            weighed.add(block)
            if weighed.log_e >= threshold:
                decided.append((slot.ends - first, failed + block.whole.canary_failures))
                early += slot.weight < EVERYTHING
            else:
                left.append(run)
        open_runs = left
        if len(decided) >= SURE * runs:
            break
    half = runs // 2
    return Catch(
        fault=fault,
        median=timedelta(seconds=sorted(time for time, _ in decided)[half]) if len(decided) > half else None,
        failed=sorted(failures for _, failures in decided)[half] if len(decided) > half else None,
        early=early / runs,
        ever=len(decided) / runs,
    )


def smallest(traffic: Traffic, plan: Plan) -> tuple[float | None, ...]:
    """For each step, the smallest fault that begins with it and is taken back within its soak with probability SURE.

    None where there is none. The canary is as good as stable until then. Instead of a simulation, the step is weighed
    once with counts that are only as bad as one time in ten (`caught`).
    """
    found: list[float | None] = []
    past = weighing(traffic, plan)
    for row, step in enumerate(plan.steps):
        if step.weight == NOTHING or not step.soak:
            found.append(None)
            continue
        ahead = tuple(soak_slots(plan, row, step.soak))
        found.append(_least(traffic, plan, past, ahead))
        for slot in ahead:
            past.add(likely(traffic, plan, slot, traffic.share(traffic.healthy)))
    return tuple(found)


def caught(traffic: Traffic, plan: Plan, past: Weighing, ahead: Sequence[Slot], fault: float) -> bool:
    """Whether the fault is taken back in these blocks with a probability of about SURE (0.85 to 1 in simulations).

    The evidence grows with the canary's failures and falls with stable's, all Poisson. So it is weighed where the
    canary's are as few as one time in ten, and again where both deviate as is most probable for such evidence, by
    its gradient (the first-order method of reliability).
    """
    share = traffic.share(fault)
    served = [_compared(traffic, plan, slot, share) for slot in ahead if not slot.shifted]
    s = sum(part.canary_failures for part in served)
    q = sum(part.stable_failures for part in served)
    n = sum(part.canary_total for part in served)
    m = sum(part.stable_total for part in served)
    if not s:
        return False
    low = _few(s) / s
    points = [(low, 1.0)]
    if m and q:
        k = min(50.0, max(1.25, share / traffic.stable))
        drawn = math.log((k * n + m) / (n + m))
        ours, theirs = (math.log(k) - drawn) * math.sqrt(s), drawn * math.sqrt(q)
        length = math.hypot(ours, theirs)
        points.append((1 - (1 - low) * ours / length, 1 + _BEHIND * theirs / length / math.sqrt(q)))
    return all(_decides(traffic, plan, past, ahead, share, point) for point in points)


def _decides(
    traffic: Traffic, plan: Plan, past: Weighing, ahead: Sequence[Slot], share: float, point: tuple[float, float]
) -> bool:
    threshold = -math.log(plan.budget)
    weighed = past.fork()
    ours, theirs = point
    for slot in ahead:
        n, s, m, q = _four(_compared(traffic, plan, slot, share))
        weighed.add(_block(slot, n, min(n, s * ours), m, min(m, q * theirs)))
        if weighed.log_e >= threshold:
            return True
    return False


def _least(traffic: Traffic, plan: Plan, past: Weighing, ahead: Sequence[Slot]) -> float | None:
    """By halving the logarithm of the fault, rounded up to two digits."""
    slow = isinstance(traffic.gate, LatencyGate)
    good, bad = (1.0, 11.0) if slow else (max(traffic.healthy, 1e-6), 1.0)
    shift = 1.0 if slow else 0.0
    if not caught(traffic, plan, past, ahead, bad - shift):
        return None
    for _ in range(_HALVINGS):
        middle = math.sqrt(good * bad)
        if caught(traffic, plan, past, ahead, middle - shift):
            bad = middle
        else:
            good = middle
    return _rounded_up(bad - shift)


def _rounded_up(value: float) -> float:
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / unit - 1e-9) * unit, 12)


def slots(plan: Plan) -> Iterator[Slot]:
    """The blocks of a whole rollout by its soaks, from the first user on. They grow with the time that has passed."""
    interval, first = plan.interval.total_seconds(), None
    for row in timetable(plan):
        at, ends = row.begins.total_seconds(), row.ends.total_seconds()
        if row.step.weight == NOTHING or at == ends:
            continue
        shifted = first is not None
        first = at if first is None else first
        while at < ends:
            length = interval if shifted else max(interval, (at - first) / _GROWING // interval * interval)
            until = ends if ends - at < 1.5 * length else at + length
            yield _slot(plan, at, until, row.step.weight, shifted=shifted)
            at, shifted = until, False


def soak_slots(plan: Plan, index: int, soak: timedelta) -> Iterator[Slot]:
    """The blocks of one step, were its soak as long as that; no fewer than a look each."""
    at = timetable(plan)[index].begins.total_seconds()
    length, interval = soak.total_seconds(), plan.interval.total_seconds()
    ends, weight = at + length, plan.steps[index].weight
    if any(step.weight > NOTHING and step.soak for step in plan.steps[:index]):
        until = min(ends, at + interval)
        yield _slot(plan, at, until, weight, shifted=True)
        at = until
    count = max(1, min(_COARSE, int((ends - at) / interval)))
    each = (ends - at) / count
    for number in range(count if each else 0):
        yield _slot(plan, at + number * each, at + (number + 1) * each, weight, shifted=False)


def _slot(plan: Plan, begins: float, ends: float, weight: Weight, *, shifted: bool) -> Slot:
    return Slot(begins=begins, ends=ends, weight=weight, shifted=shifted, warm=begins >= plan.warm_up.total_seconds())


def expected(traffic: Traffic, slot: Slot, share: float) -> Part:
    """The counts to be expected in a slot, where that share of the canary's requests fails."""
    every = traffic.rate * (slot.ends - slot.begins)
    canary = every * slot.weight.percent / 100
    stable = every - canary if slot.weight < EVERYTHING else 0.0
    return Part(canary, canary * share, stable, stable * traffic.stable)


def likely(traffic: Traffic, plan: Plan, slot: Slot, share: float) -> Block:
    """A block with the counts that tell, as they are to be expected."""
    return _block(slot, *_four(_compared(traffic, plan, slot, share)))


def _compared(traffic: Traffic, plan: Plan, slot: Slot, share: float) -> Part:
    """The counts that tell, where blocks are as long as a look and hold few requests.

    What stable serves while the canary serves nothing is no evidence. And a block in which the canary fails holds,
    by its size, one request of the canary more than others, so stable's part in it is smaller.
    """
    part = expected(traffic, slot, share)
    between = traffic.rate * slot.weight.percent / 100 * plan.interval.total_seconds()
    total = part.stable_total * between / (1 + between)
    return Part(
        part.canary_total, part.canary_failures, total, min(total, part.stable_failures * -math.expm1(-between))
    )


def thrown(traffic: Traffic, slot: Slot, share: float, dice: Dice) -> Block:
    """A block with counts that are thrown: Poisson numbers, so requests that fail independently of each other."""
    n, s, m, q = _four(expected(traffic, slot, share))
    failed, other = dice(s), dice(q)
    return _block(slot, failed + dice(n - s), failed, other + dice(m - q), other)


def _four(part: Part) -> tuple[float, float, float, float]:
    return part.canary_total, part.canary_failures, part.stable_total, part.stable_failures


def _block(slot: Slot, n: float, s: float, m: float, q: float) -> Block:
    whole = Part(n, s, m, q)
    return Block(
        since=_DAWN + timedelta(seconds=slot.begins),
        at=_DAWN + timedelta(seconds=slot.ends),
        weight=slot.weight,
        whole=whole,
        parts=(whole if slot.warm else Part(0.0, 0.0, m, q),),
        shifted=slot.shifted,
    )


def _few(mean: float) -> float:
    """The most failures that come with a probability of at least SURE, where they are Poisson with a mean."""
    if mean > 100:
        return mean - _BEHIND * math.sqrt(mean)
    below, term, count = 0.0, math.exp(-mean), 0
    while below + term <= 1 - SURE:
        below += term
        count += 1
        term *= mean / count
    return float(count)
