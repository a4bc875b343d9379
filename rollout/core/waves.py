"""A plan for several places one after the other: the weight of the whole is the mean of theirs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from rollout.core.plan import NOTHING, Plan, Weight


def in_waves(plan: Plan, waves: int) -> Plan:
    """The plan whose steps each wave goes through, one wave after the other: weights are those of the whole.

    Raises ValueError where steps lie so close together that the whole cannot tell them apart.
    """
    if waves == 1:
        return plan
    steps = [
        replace(step, weight=_whole(step.weight, wave, waves))
        for wave in range(waves)
        for step in plan.steps
        if wave == 0 or step.weight > NOTHING
    ]
    if any(later.weight <= earlier.weight for earlier, later in itertools.pairwise(steps)):
        raise ValueError(f"with {waves} waves, weights must lie {waves / 10:g} apart at least")
    return replace(plan, steps=tuple(steps))


def _whole(weight: Weight, wave: int, waves: int) -> Weight:
    """The mean over all waves while this one has that weight, those before it have everything and those after nothing.

    A wave that has any has at least a tenth of a percent of the whole.
    """
    before = 100 * wave / waves
    least = math.floor(before * 10 + 1) / 10 if weight > NOTHING else 0.0
    return Weight(max(round(before + weight.percent / waves, 1), least))


def weight_in(whole: Weight, wave: int, waves: int) -> Weight:
    """What one wave gets while the whole has that weight."""
    return Weight(round(min(100.0, max(0.0, whole.percent * waves - 100 * wave)), 1))


def in_one(whole: Plan, wave: int, waves: int) -> Plan:
    """The part of the whole's plan in which one wave is at work, with the weights that it has itself."""
    own = [replace(step, weight=weight_in(step.weight, wave, waves)) for step in whole.steps]
    rising = [step for at, step in enumerate(own) if at == 0 or step.weight > own[at - 1].weight]
    return replace(whole, steps=tuple(rising))
