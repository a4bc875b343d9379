"""A Rollout as it stands: its spec, its status, and what may be concluded from both. Pure; it fetches nothing.

The status lags behind the spec, and the phase behind both, so no conclusion rests on the phase alone. The rules are
those of utils/rollout/rolloututil.go of argo-rollouts (GetRolloutPhase, IsUnpausing, IsFullyPromoted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollout.core.plan import Weight
from rollout.targets.argo import steps as stepping
from rollout.targets.argo.memory import NOTE, Memory, load
from rollout.targets.argo.steps import Stop
from rollout.targets.argo.templates import rollout_of

PAUSED_AT_STEP: Final = "CanaryPauseStep"
"""The reason of a pause that a step asks for; every other one is a question to a person."""
GATEWAY_PLUGIN: Final = "argoproj-labs/gatewayAPI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One reading of a Rollout."""

    whole: dict[str, Any]
    """The object as the API gave it; not to be changed."""

    @property
    def name(self) -> str:
        """The Rollout's name."""
        return str(self.whole["metadata"]["name"])

    @property
    def version(self) -> str:
        """The resourceVersion, which makes an order a compare-and-swap."""
        return str(self.whole["metadata"]["resourceVersion"])

    @property
    def spec(self) -> dict[str, Any]:
        """The spec."""
        return dict(self.whole.get("spec") or {})

    @property
    def status(self) -> dict[str, Any]:
        """The status; empty where the controller has not seen the Rollout yet."""
        return dict(self.whole.get("status") or {})

    @property
    def canary(self) -> dict[str, Any]:
        """The canary strategy; empty where the Rollout has another one."""
        return dict((self.spec.get("strategy") or {}).get("canary") or {})

    @property
    def routing(self) -> dict[str, Any]:
        """How traffic is split; empty where weights follow the number of pods."""
        return dict(self.canary.get("trafficRouting") or {})

    @property
    def template(self) -> dict[str, Any]:
        """The pod template; empty where another object has it (`workloadRef`)."""
        return dict(self.spec.get("template") or {})

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which its ReplicaSets and pods are found."""
        return dict((self.spec.get("selector") or {}).get("matchLabels") or {})

    @property
    def replicas(self) -> int:
        """How many pods the stable version should have."""
        value = self.spec.get("replicas")
        return 1 if value is None else int(value)

    @property
    def total(self) -> int:
        """What weights are parts of."""
        return int(self.routing.get("maxTrafficWeight") or stepping.WHOLE)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The Rollout's steps."""
        return list(self.canary.get("steps") or [])

    @property
    def stops(self) -> tuple[Stop, ...]:
        """Where the controller waits for us."""
        return stepping.stops(self.steps, self.total)

    @property
    def is_observed(self) -> bool:
        """Whether the controller has seen this spec. Its `observedGeneration` is a text, and lags."""
        return str(self.status.get("observedGeneration", "")) == str(self.whole["metadata"].get("generation", ""))

    @property
    def is_unpausing(self) -> bool:
        """Whether somebody has ended a pause and the controller has not noticed yet: no generation tells of that."""
        return bool(self.status.get("controllerPause")) and not self.pauses

    @property
    def pauses(self) -> tuple[str, ...]:
        """Why the controller waits."""
        return tuple(str(each.get("reason", "")) for each in self.status.get("pauseConditions") or [])

    @property
    def step(self) -> int | None:
        """The index of the current step."""
        value = self.status.get("currentStepIndex")
        return None if value is None else int(value)

    @property
    def current_hash(self) -> str:
        """The version that the template asks for, as far as it is observed."""
        return str(self.status.get("currentPodHash") or "")

    @property
    def stable_hash(self) -> str:
        """The version that is stable; empty before there was any."""
        return str(self.status.get("stableRS") or "")

    @property
    def has_canary(self) -> bool:
        """Whether a version is under way that is not the stable one. Sure only where `is_observed`."""
        return self.stable_hash != self.current_hash

    @property
    def is_aborted(self) -> bool:
        """Whether the canary was aborted: by an order, an analysis or a deadline."""
        return bool(self.status.get("abort"))

    @property
    def is_promoting(self) -> bool:
        """Whether a full promotion is under way."""
        return bool(self.status.get("promoteFull"))

    @property
    def is_healthy(self) -> bool:
        """Whether the controller says that nothing is under way, and has seen everything that was asked of it."""
        return self.is_observed and not self.is_unpausing and self.status.get("phase") == "Healthy"

    @property
    def trouble(self) -> str:
        """The controller's own sentence about what is wrong; empty where nothing is."""
        if self.status.get("phase") != "Degraded":
            return ""
        return str(self.status.get("message") or "the Rollout is degraded")

    @property
    def analyses(self) -> tuple[str, ...]:
        """What the Rollout's own analyses of the canary say, a sentence each."""
        told = self.status.get("canary") or {}
        runs = (told.get("currentBackgroundAnalysisRunStatus"), told.get("currentStepAnalysisRunStatus"))
        return tuple(
            f"analysis run {run.get('name')}: {run.get('status')}"
            + (f" ({run['message']})" if run.get("message") else "")
            for run in runs
            if run
        )

    @property
    def condition_reasons(self) -> Mapping[str, str]:
        """The reason of each condition, by its type."""
        return {str(each.get("type")): str(each.get("reason", "")) for each in self.status.get("conditions") or []}

    @property
    def is_invalid(self) -> bool:
        """Whether the controller does not accept the spec."""
        return "InvalidSpec" in self.condition_reasons

    @property
    def is_paused_by_hand(self) -> bool:
        """Whether somebody has set `spec.paused`."""
        return bool(self.spec.get("paused"))

    @property
    def missed_deadline(self) -> bool:
        """Whether the version that is under way did not become ready within `progressDeadlineSeconds`."""
        return self.condition_reasons.get("Progressing") == "ProgressDeadlineExceeded"

    @property
    def share(self) -> Weight | None:
        """The canary's weight in the status; None where it tells none. It may lag behind the route, and lead it."""
        weights = (self.status.get("canary") or {}).get("weights")
        if not isinstance(weights, dict):
            return None
        return stepping.weight_of(int((weights.get("canary") or {}).get("weight") or 0), self.total)

    @property
    def is_verified(self) -> bool:
        """Whether the router has not said that the weight is still on its way."""
        weights = (self.status.get("canary") or {}).get("weights") or {}
        return weights.get("verified") is not False

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """The HTTPRoutes that the controller's Gateway API plugin writes, each as namespace and name."""
        plugin = (self.routing.get("plugins") or {}).get(GATEWAY_PLUGIN) or {}
        namespace = str(plugin.get("namespace") or self.whole["metadata"].get("namespace", ""))
        named = [plugin["httpRoute"]] if plugin.get("httpRoute") else []
        named += [each["name"] for each in plugin.get("httpRoutes") or []]
        return tuple((namespace, str(name)) for name in named)

    @property
    def rollout(self) -> str:
        """The id of the rollout that put the present template there; empty where it was somebody else."""
        return rollout_of(self.template)

    def waits_at(self, stop: Stop) -> bool:
        """Whether the controller has come to this stop and waits there."""
        return (
            self.is_observed
            and not self.is_aborted
            and not self.is_unpausing
            and self.step == stop.pause
            and PAUSED_AT_STEP in self.pauses
        )

    def memory(self) -> Memory:
        """What is noted on it. Raises TargetFailed where that cannot be understood."""
        annotations = self.whole["metadata"].get("annotations") or {}
        return load(annotations.get(NOTE), where=f"Rollout {self.name}")
