"""How long a rollout of a healthy canary takes at a given traffic: with the evidence there will be, and at the latest.

It says nothing of faults: what they show is for `power`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rollout.analysis.clauses import Weighing
from rollout.analysis.expected import Traffic
from rollout.analysis.power import Slot, likely, weighing
from rollout.core.plan import EVERYTHING, NOTHING, Advance, Plan, Step, Weight
from rollout.core.state import shortest_soak

_NEVER: Final = 1e10
"""Seconds that no rollout lasts."""
_BLOCKS: Final = 240
"""Into how many blocks a soak is divided at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """The end of one step for a healthy canary; times are since it is deployed and checked."""

    likely: timedelta
    """With the evidence and the requests that are to be expected; no approval takes any time."""
    latest: timedelta
    """With all of each soak, and the time that gates need beyond it to have their least requests."""
    held: bool
    """A gate has its least requests only after the plan's patience: a person is asked before."""
    lacking: tuple[str, ...] = ()
    """The gates without evidence that their limit is kept by the end of a step that it might have shortened."""


def laps(traffics: Sequence[Traffic], plan: Plan) -> tuple[Lap, ...]:
    """When each step ends, by the gates that act."""
    acting = [traffic for traffic in traffics if not traffic.gate.observe]
    scales = [(traffic, weighing(traffic, plan, advance=True)) for traffic in acting]
    found: list[Lap] = []
    at = latest = timedelta(0)
    users = False
    for step in plan.steps:
        wait = max((needed(one, plan, step, shifted=users, begins=at) for one in acting), default=timedelta(0))
        soak, longest = step.soak, step.soak + plan.patience
        held = wait > longest
        latest += max(soak, min(wait, longest))
        shortest = max(shortest_soak(plan, step), min(wait, longest))
        lasts = max(soak, min(wait, longest))
        lacking: tuple[str, ...] = ()
        if plan.advance is Advance.EVIDENCE and step.weight > NOTHING:
            lasts, lacking = _lasts(scales, plan, step, at, (shortest, lasts))
        at += lasts
        users = users or step.weight > NOTHING
        found.append(Lap(likely=at, latest=latest, held=held, lacking=lacking))
    return tuple(found)


def needed(traffic: Traffic, plan: Plan, step: Step, *, shifted: bool, begins: timedelta) -> timedelta:
    """How long the step must last for the gate to have its least canary requests, by what is to be expected.

    What is served around a change of weight and during the warm-up does not count.
    """
    if step.weight == NOTHING:
        return timedelta(0)
    per_second = traffic.rate * step.weight.percent / 100
    lost = max(plan.interval if shifted else timedelta(0), plan.warm_up - begins, timedelta(0))
    return lost + timedelta(seconds=min(_NEVER, traffic.gate.min_requests / per_second))


def until_kept(traffic: Traffic, plan: Plan, weight: Weight) -> float | None:
    """How many canary requests it takes at one weight to show that the limit is kept; None for more than a million."""
    scale, threshold = weighing(traffic, plan, advance=True), -math.log(plan.beta)
    per_second = traffic.rate * weight.percent / 100
    at = plan.warm_up.total_seconds()
    length, begun = plan.interval.total_seconds(), at
    while (at - begun) * per_second < 1e6:
        length = max(length, (at - begun) / 20)
        slot = Slot(begins=at, ends=at + length, weight=weight, shifted=False, warm=True)
        at += length
        scale.add(likely(traffic, plan, slot, traffic.share(traffic.healthy)))
        if scale.case.log_kept >= threshold:
            return (at - begun) * per_second
    return None


def _lasts(
    scales: Sequence[tuple[Traffic, Weighing]],
    plan: Plan,
    step: Step,
    begins: timedelta,
    bounds: tuple[timedelta, timedelta],
) -> tuple[timedelta, tuple[str, ...]]:
    """How long a step lasts between its bounds, weighing what it brings; and the gates that it waited for in vain."""
    shortest, longest = bounds
    threshold, lasted = -math.log(plan.beta), timedelta(0)
    for lasted in _looks(longest, plan.interval):
        before = lasted - _length(longest, plan.interval)
        slot = Slot(
            begins=(begins + before).total_seconds(),
            ends=(begins + lasted).total_seconds(),
            weight=step.weight,
            shifted=not before and any(scale.blocks for _, scale in scales),
            warm=begins + before >= plan.warm_up,
        )
        for traffic, scale in scales:
            scale.add(likely(traffic, plan, slot, traffic.share(traffic.healthy)))
        kept = all(scale.case.log_kept >= threshold for _, scale in scales)
        if scales and kept and lasted >= shortest and step.weight < EVERYTHING:
            return min(lasted, longest), ()
    if step.weight == EVERYTHING or shortest >= longest:
        return longest, ()
    return longest, tuple(traffic.gate.name for traffic, scale in scales if scale.case.log_kept < threshold)


def _length(longest: timedelta, interval: timedelta) -> timedelta:
    return max(interval, math.ceil(longest / _BLOCKS / interval) * interval)


def _looks(longest: timedelta, interval: timedelta) -> Iterator[timedelta]:
    """The moments of a step at which it is looked whether there is evidence enough."""
    length, lasted = _length(longest, interval), timedelta(0)
    while lasted < longest:
        lasted += length
        yield lasted
