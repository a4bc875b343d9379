"""What a Rollout is to look like after an order: with a canary, without it, with its reserve. It sends nothing.

Each change is made of the Rollout as it stands, so that nothing of anybody else's is lost.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.errors import TargetFailed
from rollout.targets.argo import steps as stepping
from rollout.targets.argo.memory import NOTE, Before, Memory, dump
from rollout.targets.argo.standing import Standing
from rollout.targets.argo.steps import OffGrain
from rollout.targets.argo.templates import of_replica_set, rollout_of
from rollout.targets.argo.view import View
from rollout.targets.kubernetes.client import Json


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changes of one Rollout."""

    view: View
    weights: Sequence[Weight]
    """Those of the plan's steps."""

    def with_canary(self, now: Standing, release: Release, rollout: str) -> Json:
        """The Rollout with a canary of the release, and a note on what it had before. Raises TargetFailed."""
        stable = self._stable_template(now)
        first = now.replicas == 0
        former = None if first else self._release(now, stable)
        if not first and former is None:
            raise TargetFailed(
                "the digest of the stable release cannot be told, so it could not be brought back",
                hint="Give its image by digest, or wait until one of its pods runs.",
            )
        body = copy.deepcopy(now.whole)
        body["spec"]["template"] = self.view.containers.with_release(stable, release, rollout=rollout)
        if self.view.settings.drive == "weights":
            body["spec"]["strategy"]["canary"]["steps"] = self._steps(now, first=first)
        return _noted(body, Memory(rollout=rollout, before=Before(release=former, template=stable)))

    def without_canary(self, now: Standing, *, log: str) -> Json | None:
        """The Rollout with the stable version's template again, which ends an abort as well; None where it has it."""
        if not now.has_canary:
            return None
        body = copy.deepcopy(now.whole)
        body["spec"]["template"] = self._stable_template(now)
        return _noted(body, replace(now.memory(), before=None).with_log(log))

    def with_reserve(self, now: Standing) -> Json | None:
        """The Rollout with the reserve's template, pinned to the digest it ran with; None where there is no reserve."""
        memory = now.memory()
        taken_back = self.view.containers.release(now.template)
        if memory.before is None or memory.before.release is None or taken_back is None:
            return None
        body = copy.deepcopy(now.whole)
        template, release = memory.before.template, memory.before.release
        body["spec"]["template"] = self.view.containers.with_release(template, release, rollout=rollout_of(template))
        return _noted(body, replace(memory, taken_back=taken_back))

    def with_pods(self, now: Standing) -> Json | None:
        """The Rollout with the pods of a first release; None where it has some."""
        if now.replicas:
            return None
        body = copy.deepcopy(now.whole)
        body["spec"]["replicas"] = self._first_replicas()
        return body

    def _steps(self, now: Standing, *, first: bool) -> list[Json]:
        pods = self._first_replicas() if first else min(self.view.settings.idle_pods, now.replicas)
        try:
            return stepping.write(self.weights, total=now.total, idle_pods=pods)
        except OffGrain as off:
            raise TargetFailed(
                f"the plan's weights do not fit the Rollout: {off}",
                hint="Take weights that fit; with nginx, `maxTrafficWeight: 1000` allows tenths of a percent.",
            ) from off

    def _stable_template(self, now: Standing) -> Json:
        """The template of the stable version: the Rollout's own, the noted one, or that of its ReplicaSet."""
        if not now.has_canary:
            return now.template
        memory = now.memory()
        if memory.before is not None and memory.rollout == now.rollout:
            return memory.before.template
        version = self.view.versions(now).get(now.stable_hash)
        if version is None:
            raise TargetFailed(
                f"the ReplicaSet of the stable version ({now.stable_hash}) is gone",
                hint="Put the stable image into the Rollout by hand.",
            )
        return of_replica_set(version)

    def _release(self, now: Standing, template: Json) -> Release | None:
        known = self.view.containers.release(template)
        if known is not None:
            return known
        return self.view.containers.release(template, running=self.view.pods(now, now.stable_hash).digest)

    def _first_replicas(self) -> int:
        if self.view.settings.replicas is None:
            raise TargetFailed(
                "the Rollout has `replicas: 0`, and it is not said how many pods the first release gets",
                hint="Set target.argo.replicas.",
            )
        return self.view.settings.replicas


def _noted(body: Json, memory: Memory) -> Json:
    body["metadata"].setdefault("annotations", {})[NOTE] = dump(memory)
    return body
