"""Several Rollouts as one service: each order goes to all of them, and what is seen is the worst of them.

It decides nothing that `rollout.targets.waves` does not decide; only that every Rollout has the same weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rollout.core.plan import Weight
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.argo.target import ArgoTarget
from rollout.targets.base import Target
from rollout.targets.kubernetes.client import Cluster
from rollout.targets.waves import Wave, WaveTarget


def argo_target(
    *,
    settings: ArgoSettings,
    cluster: Cluster,
    image: str,
    weights: Sequence[Weight],
    env: Mapping[str, str],
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
) -> Target:
    """The target that the settings mean: one Rollout, or several together. For the rest see ArgoTarget."""
    targets = tuple(
        ArgoTarget(
            settings=part, cluster=cluster, image=image, weights=weights, env=env, sleep=sleep, monotonic=monotonic
        )
        for part in settings.parts
    )
    if len(targets) == 1:
        return targets[0]
    return WaveTarget(tuple(Wave(name=each.settings.name, target=each) for each in targets), share=_the_same)


def _the_same(weight: Weight, _at: int, _of: int) -> Weight:
    return weight
