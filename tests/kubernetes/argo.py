"""The Argo Rollouts controller, as far as somebody who drives it from outside can tell: steps, pauses, abort, phases.

Its order of effects is the real one's, traps included: the phase of an abort and of a promotion is written before the
route has followed; orders by /status leave the generation alone.
"""

from __future__ import annotations

import math
import re
from typing import Final

from tests.kubernetes import analyses
from tests.kubernetes.argo_phases import told
from tests.kubernetes.argo_sets import BY, available, replicaset, scale
from tests.kubernetes.argo_traffic import current_weight, most, point_services, routed, routes
from tests.kubernetes.deployments import hashed, template_hash
from tests.kubernetes.kinds import Json, Node, copied, meta
from tests.kubernetes.world import DEPLOYMENTS, REPLICASETS, ROLLOUTS, World

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


def reconcile_rollouts(world: World) -> None:
    """Every Rollout a little further."""
    for item in world.store.list(ROLLOUTS):
        if not meta(item).get("deletionTimestamp") and _noticed(world, item):
            _Turn(world, item).take()


def _orders(item: Json) -> str:
    """What of a Rollout people change: its generation, and the status fields that are orders."""
    status = item.get("status") or {}
    fields = ("abort", "promoteFull", "pauseConditions", "currentStepIndex", "controllerPause")
    return f"{meta(item)['generation']} {[status.get(field) or None for field in fields]}"


def _noticed(world: World, item: Json) -> bool:
    """Whether the controller knows this order by now: its own writes at once, those of others after the lag."""
    uid = meta(item)["uid"]
    orders = _orders(item)
    if world.known.get(uid) == orders:
        return True
    if world.since("order", uid, orders) < world.knobs.lag:
        return False
    world.forget("order", uid, orders)
    world.known[uid] = orders
    return True


class _Turn:
    """One reconciliation of one Rollout."""

    def __init__(self, world: World, item: Json) -> None:
        self.world = world
        self.item = item
        self.canary: Json = item["spec"]["strategy"].get("canary") or {}
        self.steps: list[Json] = self.canary.get("steps") or []
        self.replicas = int(item["spec"].get("replicas", 1))
        self.status: Json = copied(item.get("status") or {})
        self.template = self._template()
        self.hash = template_hash(self.template)
        self.sets = world.owned(REPLICASETS, item)
        self.new = replicaset(world, item, self.template, self.hash, self.sets)
        self.lazy = False
        """Whether the route follows only after its lag."""

    def _template(self) -> Json:
        reference = self.item["spec"].get("workloadRef")
        if reference is None:
            return copied(self.item["spec"]["template"])
        workload = self.world.store.get(DEPLOYMENTS, meta(self.item)["namespace"], reference["name"])
        return copied(workload["spec"]["template"])

    def take(self) -> None:
        self._reset()
        stable = self.status.get("stableRS")
        if not stable:
            weight = self._first()
        elif stable == self.hash:
            weight = self._rest()
        elif self.status.get("abort"):
            weight = self._aborted()
        elif self.status.get("promoteFull") or self.index >= len(self.steps):
            weight = self._finish()
        else:
            weight = self._step()
        self._route(weight)
        self._tell()

    @property
    def index(self) -> int:
        """The step it is at."""
        return int(self.status.get("currentStepIndex") or 0)

    @property
    def stable(self) -> Json | None:
        """The ReplicaSet of the stable version."""
        wanted = self.status.get("stableRS")
        return next((one for one in self.sets if hashed(one) == wanted), None)

    def _reset(self) -> None:
        """A new template or other steps begin from the first step; the stable template again skips them all."""
        step_hash = template_hash({"metadata": {}, "steps": self.steps})
        same = (self.status.get("currentPodHash"), self.status.get("currentStepHash")) == (self.hash, step_hash)
        if same:
            return
        self._unpause()
        for field in ("abort", "abortedAt", "promoteFull"):
            self.status.pop(field, None)
        self.status["currentPodHash"] = self.hash
        self.status["currentStepHash"] = step_hash
        back = self.status.get("stableRS") in (None, self.hash)
        self.status["currentStepIndex"] = len(self.steps) if back else 0
        self.world.forget("progress", meta(self.item)["uid"])

    def _unpause(self) -> None:
        self.status.pop("pauseConditions", None)
        self.status["controllerPause"] = False

    def _first(self) -> int:
        """There is no stable version: all at once, and it is called stable before it is available."""
        scale(self.world, self.new, self.replicas)
        self.status["stableRS"] = self.hash
        return 0

    def _rest(self) -> int:
        """The stable version is the wanted one."""
        scale(self.world, self.new, self.replicas)
        self.status.pop("promoteFull", None)
        self.status["currentStepIndex"] = len(self.steps)
        self.lazy = True
        if available(self.new) >= self.replicas and current_weight(self.status) in (0, None):
            delay = float(self.canary.get("scaleDownDelaySeconds", 30)) if routes(self.canary) else 0.0
            for old in (one for one in self.sets if one is not self.new):
                if self.world.since("leaving", meta(old)["uid"], self.hash) >= delay:
                    scale(self.world, old, 0)
        return 0

    def _aborted(self) -> int:
        """Everybody back to stable; the canary is scaled down a while after."""
        self._unpause()
        self.status["currentStepIndex"] = 0
        self.status.setdefault("abortedAt", self.world.stamp())
        self.lazy = True
        if self.stable is not None:
            scale(self.world, self.stable, self.replicas)
        delay = float(self.canary.get("abortScaleDownDelaySeconds", 30)) if routes(self.canary) else 0.0
        since = self.world.since("aborted", meta(self.item)["uid"], self.status["abortedAt"])
        if current_weight(self.status) in (0, None) and since >= delay:
            scale(self.world, self.new, 0)
        return 0

    def _finish(self) -> int:
        """All steps are done, or skipped by order: the new version takes over once all of it is available."""
        self._unpause()
        self.status["currentStepIndex"] = len(self.steps)
        scale(self.world, self.new, self.replicas)
        if available(self.new) >= self.replicas:
            weight = most(self.canary) if not self.status.get("promoteFull") else current_weight(self.status) or 0
            self.status["stableRS"] = self.hash
            self.status.pop("promoteFull", None)
            return weight
        if not routes(self.canary) and self.stable is not None:
            scale(self.world, self.stable, self.replicas - available(self.new))
        return self._cautious(current_weight(self.status) or 0)

    def _cautious(self, weight: int) -> int:
        """A canary of which nothing is available gets no traffic."""
        return weight if available(self.new) else 0

    def _step(self) -> int:
        if self.stable is not None and routes(self.canary):
            scale(self.world, self.stable, self.replicas)
        judged = analyses.background(self.world, self.item, self.canary, self.hash, self.index)
        if judged is not None and self._judged(judged):
            return current_weight(self.status) or 0
        weight = self._wanted_weight(self.index)
        if self.item["spec"].get("paused"):
            return self._cautious(weight)
        step = self.steps[self.index]
        if "setWeight" in step:
            if self._sized(weight):
                self.status["currentStepIndex"] = self.index + 1
                return weight
            return self._cautious(self._wanted_weight(self.index - 1))
        if "pause" in step:
            self._pause(step["pause"] or {})
        elif "analysis" in step:
            judged = analyses.of_step(self.world, self.item, step["analysis"], self.hash, self.index)
            if judged.phase == "Successful":
                self.status["currentStepIndex"] = self.index + 1
            else:
                self._judged(judged)
        elif "setCanaryScale" in step:
            if self._sized(weight):
                self.status["currentStepIndex"] = self.index + 1
            return current_weight(self.status) or 0
        return self._cautious(weight)

    def _wanted_weight(self, index: int) -> int:
        """The last weight at or before a step."""
        done = [step["setWeight"] for step in self.steps[: index + 1] if "setWeight" in step]
        return int(done[-1]) if done else 0

    def _sized(self, weight: int) -> bool:
        """Give the canary the pods of its share; whether they are available."""
        wanted = self._pods_for(weight)
        if not routes(self.canary):
            scale(self.world, self.new, wanted)
            if available(self.new) >= wanted and self.stable is not None:
                scale(self.world, self.stable, self.replicas - wanted)
            return available(self.new) >= wanted
        scale(self.world, self.new, wanted)
        return available(self.new) >= wanted

    def _pods_for(self, weight: int) -> int:
        """The canary's size: that of the last setCanaryScale, unless there is none or it matches the weight.

        As argo-rollouts utils/replicaset/canary.go, UseSetCanaryScale: it holds for the steps after it as well.
        """
        scales = [step["setCanaryScale"] for step in self.steps[: self.index + 1] if "setCanaryScale" in step]
        last = scales[-1] if scales and routes(self.canary) else {}
        if last.get("replicas") is not None:
            return int(last["replicas"])
        share = last["weight"] if last.get("weight") is not None else weight
        return math.ceil(self.replicas * share / most(self.canary))

    def _pause(self, pause: Json) -> None:
        held: list[Node] = self.status.get("pauseConditions") or []
        uid = meta(self.item)["uid"]
        if not held and self.status.get("controllerPause"):
            self._unpause()
            self.status["currentStepIndex"] = self.index + 1
        elif not held:
            self.world.forget("paused", uid)
            self.world.since("paused", uid)
            self.status["pauseConditions"] = [{"reason": "CanaryPauseStep", "startTime": self.world.stamp()}]
            self.status["controllerPause"] = True
        elif "duration" in pause and self.world.since("paused", uid) >= _seconds(pause["duration"]):
            self._unpause()
            self.status["currentStepIndex"] = self.index + 1

    def _judged(self, judged: analyses.Judged) -> bool:
        """Whether an analysis ends or holds the rollout."""
        if judged.phase in ("Failed", "Error"):
            self.status |= {"abort": True, "abortedAt": self.world.stamp(), "currentStepIndex": 0}
            self._unpause()
            self.world.reasons[meta(self.item)["uid"]] = judged.message
            return True
        if judged.phase == "Inconclusive" and not self.status.get("pauseConditions"):
            if self.status.get("controllerPause"):
                return False
            self.status["pauseConditions"] = [{"reason": "InconclusiveAnalysisRun", "startTime": self.world.stamp()}]
            self.status["controllerPause"] = True
        return judged.phase == "Inconclusive"

    def _route(self, weight: int) -> None:
        stable = str(self.status.get("stableRS") or self.hash)
        point_services(self.world, self.item, self.canary, stable=stable, canary_hash=self.hash, new=self.new)
        if not routes(self.canary):
            self.status["canary"] = {}
            return
        uid, before = meta(self.item)["uid"], current_weight(self.status)
        late = self.lazy and before not in (None, weight)
        if late and self.world.since("traffic", uid, f"{before}-{weight}") < self.world.knobs.traffic_lag:
            return
        self.world.forget("traffic", uid, f"{before}-{weight}")
        moved = (self.item.get("status") or {}) != self.status or before != weight
        self.status["canary"] = {
            **(self.status.get("canary") or {}),
            **routed(
                self.world, self.item, self.canary, weight=weight, stable=stable, canary_hash=self.hash, write=moved
            ),
        }

    def _tell(self) -> None:
        self.status = told(self.world, self.item, self.status, self.new, self.sets)
        held = self.item.get("status") or {}
        if held == self.status:
            return
        self.world.put_status(ROLLOUTS, self.item, self.status, by=BY)
        self.world.known[meta(self.item)["uid"]] = _orders(self.item)


def _seconds(duration: int | str) -> float:
    found = re.fullmatch(r"(\d+)([smh]?)", str(duration))
    assert found is not None, duration
    return int(found[1]) * _SECONDS[found[2]]
