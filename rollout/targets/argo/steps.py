"""The steps of a Rollout: where it pauses, at which weight, and how the plan's weights are written as steps.

It is pure. Weights are in percent here and in parts of `total` (100, or `maxTrafficWeight`) in the Rollout; the rules
are those of the controller (utils/replicaset/canary.go of argo-rollouts: GetCurrentSetWeight).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.core.plan import NOTHING, Weight

WHOLE: Final = 100
"""What weights are parts of where the Rollout does not say otherwise."""


class OffGrain(ValueError):
    """A weight that cannot be had exactly in parts of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A step where the controller waits until somebody lets it go on."""

    weight: Weight
    pause: int
    """The index of the pause itself."""
    begin: int
    """The index from which the controller is to take up the steps in order to come to this stop."""


def parts(weight: Weight, total: int) -> int:
    """A weight in parts of the total. Raises OffGrain, whose text says what can be had."""
    exact = weight.permille * total / 1000
    if exact != int(exact):
        raise OffGrain(f"{weight} cannot be had in parts of 1/{total}, which are {100 / total:g} % each")
    return int(exact)


def weight_of(share: int, total: int) -> Weight:
    """A weight read in parts of the total, rounded to a tenth of a percent."""
    return Weight(round(1000 * min(max(share, 0), total) / total) / 10) if total > 0 else NOTHING


def stops(steps: Sequence[dict[str, Any]], total: int) -> tuple[Stop, ...]:
    """Where the controller waits for us, in order. A pause with a duration is no stop: it ends by itself."""
    found: list[Stop] = []
    share, begin = 0, None
    for index, step in enumerate(steps):
        if step.get("setWeight") is not None:
            share, begin = int(step["setWeight"]), index
        elif is_stop(step):
            found.append(Stop(weight=weight_of(share, total), pause=index, begin=begin if begin is not None else index))
    return tuple(found)


def is_stop(step: dict[str, Any]) -> bool:
    """Whether the step waits for us: a pause without a duration."""
    pause = step.get("pause")
    return isinstance(pause, dict) and pause.get("duration") is None


def write(weights: Sequence[Weight], *, total: int, idle_pods: int) -> list[dict[str, Any]]:
    """The plan's weights as steps, each with a pause that only we end; weight 0 always comes first.

    At weight 0 the canary has `idle_pods` pods; from the first user on, as many as its share of the replicas, rounded
    up. Raises OffGrain.
    """
    written: list[dict[str, Any]] = [
        {"setCanaryScale": {"replicas": idle_pods}},
        {"setWeight": 0},
        {"pause": {}},
    ]
    rising = [weight for weight in weights if weight > NOTHING]
    if rising:
        written.append({"setCanaryScale": {"matchTrafficWeight": True}})
    for weight in rising:
        written += [{"setWeight": parts(weight, total)}, {"pause": {}}]
    return written


def differences(steps: Sequence[dict[str, Any]], weights: Sequence[Weight], *, total: int) -> tuple[str, ...]:
    """Where a Rollout's own steps are not those of the plan, a sentence each; none where they match.

    The steps match where the pauses without a duration are at the plan's weights in their order, weight 0 before all.
    """
    found = [
        f"step {index + 1} pauses for {step['pause']['duration']} and then goes on by itself; leave `duration` out"
        for index, step in enumerate(steps)
        if isinstance(step.get("pause"), dict) and step["pause"].get("duration") is not None
    ]
    wanted = tuple(weights) if weights and weights[0] == NOTHING else (NOTHING, *weights)
    there = stops(steps, total)
    for number, weight in enumerate(wanted):
        if number >= len(there):
            missing = ", ".join(str(each) for each in wanted[number:])
            found.append(f"the Rollout has no pause for {missing}")
            break
        if there[number].weight != weight:
            found.append(
                f"step {there[number].pause + 1} pauses at {there[number].weight}, where the plan has {weight}"
            )
            break
    else:
        found += [
            f"step {extra.pause + 1} pauses at {extra.weight}, which the plan does not have"
            for extra in there[len(wanted) :]
        ]
    return tuple(found)
