"""The argo target: the controller of Argo Rollouts splits the traffic; this gives it orders and waits for their effect.

An order is done only when the router has it, whatever the phase says. What must be remembered is noted on the Rollout
(`memory`), so that any process can go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rollout.core.finding import Finding
from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets import registry
from rollout.targets.argo.changes import Changes
from rollout.targets.argo.diagnosis import diagnose
from rollout.targets.argo.memory import Memory
from rollout.targets.argo.orders import Orders, aborted, forward, go_on
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.argo.sight import look
from rollout.targets.argo.standing import PAUSED_AT_STEP, Standing
from rollout.targets.argo.steps import Stop
from rollout.targets.argo.templates import rollout_of
from rollout.targets.argo.view import View
from rollout.targets.base import Seen
from rollout.targets.kubernetes.client import ROLLOUT, Cluster, Json

KEPT_LINES: Final = 60
"""How many lines of a log are kept of a canary that goes."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,' -]{0,199}")


@dataclass(frozen=True, kw_only=True)
class ArgoTarget:
    """`rollout.targets.base.Target` on a Rollout."""

    settings: ArgoSettings
    cluster: Cluster
    image: str
    """The repository of the service's image."""
    weights: Sequence[Weight]
    """Those of the plan's steps."""
    env: Mapping[str, str]
    """The environment of this process, for Docker's credentials."""
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]

    def resolve(self, tag: str) -> Release:
        """See Target."""
        return registry.resolve(self.image, tag, env=self.env)

    def look(self) -> Seen:
        """See Target. Raises TargetFailed only where there is no such Rollout, or its note cannot be understood."""
        return look(self._view, self._addresses)

    def deploy(self, release: Release, *, rollout: str) -> None:
        """See Target."""
        if not _ID.fullmatch(rollout):
            raise TargetFailed(f"{rollout[:140]!r} cannot name a rollout here", hint="Letters, digits and _ . -")
        standing = self._orders.observed()
        if standing.rollout == rollout and not standing.has_canary:
            return
        self._require_drivable(standing)
        if standing.rollout != rollout:
            self._require_no_traffic(standing)
            self._require_a_way_back()
            self._orders.swap(lambda now: self._changes.with_canary(now, release, rollout))
        elif self._view.containers.release(standing.template) != release:
            raise TargetFailed(f"the rollout {rollout} has already deployed another release", hint="Abort it first.")
        try:
            self._await_canary(rollout)
        except TargetBusy:
            raise  # whoever calls again goes on waiting
        except TargetFailed as failed:
            self._take_back(failed, rollout)
            raise

    def move(self, weight: Weight) -> None:
        """See Target."""
        standing = self._orders.observed()
        if not standing.has_canary or standing.is_aborted:
            if weight > NOTHING:
                raise aborted(standing) if standing.has_canary else _no_canary("give traffic to")
            self._await_nobody()
            return
        stop = self._stop_at(standing, weight)
        if not (standing.waits_at(stop) and self._view.is_served(standing, weight)):
            self._orders.set_status(lambda now: self._towards(now, stop))
        self._orders.wait(
            lambda now: go_on(now) and now.waits_at(stop) and self._view.is_served(now, weight),
            f"{weight} to be served",
            seconds=self._ready_seconds,
        )

    def promote(self) -> None:
        """See Target."""
        standing = self._orders.observed()
        if not standing.has_canary:
            if not standing.rollout or standing.rollout != standing.memory().rollout:
                raise _no_canary("promote")
            self._await_stable(standing.current_hash)
            return
        if standing.is_aborted:
            raise aborted(standing)
        if not self._view.pods(standing, standing.current_hash).ready:
            raise TargetBusy("the canary has no pod that is ready, so it is not promoted")
        if not standing.replicas:
            self._orders.swap(self._changes.with_pods)
            self._orders.observed()
        self._orders.set_status(forward)
        self._await_stable(standing.current_hash)

    def roll_back(self, *, rollout: str) -> None:
        """See Target."""
        standing = self._view.standing()
        if not standing.has_canary:  # one that the controller has not seen yet gets no traffic before it is seen
            standing = self._orders.observed()
        memory = standing.memory()
        if memory.taken_back is not None and memory.rollout == rollout:
            self._finish_return(memory)
        elif standing.has_canary:
            if standing.rollout == rollout:
                self._abort(standing, memory)
        elif standing.rollout == rollout == memory.rollout and memory.before and memory.before.release:
            self._orders.swap(self._changes.with_reserve)
            self._finish_return(memory)

    def retire(self) -> None:
        """See Target."""
        standing = self._orders.observed()
        if standing.has_canary and standing.memory().taken_back is None and self._gets_nothing(standing):
            text = self._last_words(standing, standing.current_hash)
            self._orders.swap(lambda now: self._changes.without_canary(now, log=text))
            self._await_gone()

    def discard(self) -> None:
        """See Target."""
        standing = self._orders.observed()
        if not standing.has_canary and standing.memory().before is not None:
            self._orders.note(Memory.without_way_back)

    def logs(self, *, lines: int) -> str:
        """See Target. What the controller and the Rollout's own analyses say comes first."""
        standing = self._view.standing()
        if not standing.has_canary:
            return _end(standing.memory().log, lines)
        said = [standing.trouble] if standing.trouble else []
        text = self._view.logs(standing, standing.current_hash, lines=lines) or standing.memory().log
        return "\n".join((*said, *standing.analyses, _end(text, lines)))

    def diagnose(self) -> Iterator[Finding]:
        """See Target."""
        yield from diagnose(self._view, self.weights)

    # The parts of the effects.

    def _abort(self, standing: Standing, memory: Memory) -> None:
        """All traffic to stable. The canary's pods go on for `abortScaleDownDelaySeconds`; its log is kept."""
        if not standing.is_aborted:
            self._require_stable(standing, memory)
            self._orders.set_status(lambda now: None if now.is_aborted else {"abort": True, "promoteFull": False})
        self._await_nobody()
        self._keep_log(standing, standing.current_hash, memory)

    def _finish_return(self, memory: Memory) -> None:
        """Bring the reserve to all of its pods, then all traffic to it; the log of what goes is kept."""
        standing = self._orders.observed()
        if standing.has_canary:
            self._orders.set_status(forward)
        self._await_stable(standing.current_hash)
        versions = self._view.versions(standing).items()
        gone = next((key for key, each in versions if rollout_of(each["spec"]["template"]) == memory.rollout), "")
        self._keep_log(standing, gone, memory)

    def _stop_at(self, standing: Standing, weight: Weight) -> Stop:
        """Where the Rollout's steps have that weight: the stop it waits at, else the first one. Raises TargetFailed."""
        found = [stop for stop in standing.stops if stop.weight == weight]
        if not found:
            there = ", ".join(str(stop.weight) for stop in standing.stops) or "none"
            raise TargetFailed(
                f"the Rollout has no step that waits at {weight}; it has {there}",
                hint="`rollout doctor` says where its steps differ from the plan."
                if self.settings.drive == "steps"
                else "Its steps were written for another plan: abort this rollout and start it anew.",
            )
        return next((stop for stop in found if stop.pause == standing.step), found[0])

    def _towards(self, now: Standing, stop: Stop) -> Json:
        """The status that makes the controller take up its steps for a stop. Raises TargetFailed.

        Where it waits just before, its pause is ended, so that whatever stands between (an analysis) is done. Any
        other way, back or forth, is the number of the step.
        """
        if now.is_aborted:
            raise aborted(now)
        foreign = [reason for reason in now.pauses if reason != PAUSED_AT_STEP]
        if foreign or now.is_paused_by_hand:
            why = ", ".join(foreign) or "spec.paused is set"
            raise TargetBusy(
                f"Argo Rollouts waits for a person ({why}), so the weight stays",
                hint=f"See `kubectl argo rollouts -n {self.settings.namespace} get rollout {now.name}`.",
            )
        before = [each for each in now.stops if each.pause < stop.pause]
        if self.settings.drive == "steps" and before and now.waits_at(before[-1]):
            return {"pauseConditions": None}
        return {"pauseConditions": None, "controllerPause": False, "currentStepIndex": stop.begin}

    def _take_back(self, failed: TargetFailed, rollout: str) -> None:
        """Leave nothing running of a canary whose deployment failed."""
        try:
            standing = self._orders.observed()
            if standing.rollout == rollout and standing.has_canary:
                text = self._last_words(standing, standing.current_hash)
                self._orders.swap(
                    lambda now: self._changes.without_canary(now, log=text) if now.rollout == rollout else None
                )
                self._await_gone()
        except RolloutError as also:
            failed.hint = f"{failed.hint}\n  It could not be cleaned up either: {also.message}".strip()

    def _keep_log(self, standing: Standing, version: str, memory: Memory) -> None:
        """Note the log of a version that gets no traffic any more, once."""
        text = "" if memory.log else self._last_words(standing, version)
        if text:
            self._orders.note(lambda noted: noted.with_log(text))

    def _last_words(self, standing: Standing, version: str) -> str:
        """The end of a version's log while its pods are there."""
        with suppress(TargetFailed):
            return self._view.logs(standing, version, lines=KEPT_LINES) if version else ""
        return ""

    # What must hold before an order.

    def _require_drivable(self, standing: Standing) -> None:
        if not standing.canary or not standing.routing:
            raise TargetFailed(
                f"Rollout {standing.name} has no canary strategy with trafficRouting, so no weight can be set",
                hint="`rollout doctor` says more; docs/argo.md shows what is needed.",
            )
        if not standing.template:
            raise TargetFailed(
                f"Rollout {standing.name} takes its template from another object (workloadRef)",
                hint="Give the Rollout a template of its own.",
            )
        first = standing.stops[0] if standing.stops else None
        if self.settings.drive == "steps" and (first is None or first.weight > NOTHING):
            raise TargetFailed(
                f"the first pause of Rollout {standing.name} is not at weight 0: users would be on an untried release",
                hint="Begin its steps with setCanaryScale, `setWeight: 0` and `pause: {}`; docs/argo.md shows them.",
            )

    def _require_no_traffic(self, standing: Standing) -> None:
        if standing.has_canary and not self._gets_nothing(standing):
            raise TargetFailed(
                f"the canary of rollout {standing.rollout or '(nobody knows which)'} still gets traffic",
                hint="Abort that rollout first.",
            )

    def _require_a_way_back(self) -> None:
        """That an abort would be allowed: it is an order by the status, which roles grant apart from the rest."""
        if not self.cluster.may("patch", ROLLOUT, self.settings.namespace, subresource="status"):
            raise TargetFailed(
                f"the cluster does not allow to patch rollouts/status in {self.settings.namespace}, so nothing that is "
                "deployed could be taken back",
                hint="Grant it: docs/argo-rbac.yaml. The right to patch rollouts is another one.",
            )

    def _require_stable(self, standing: Standing, memory: Memory) -> None:
        """Never towards a version that is not ready; before the first release there is none to go to."""
        if memory.before is not None and memory.before.release is None:
            return
        if not self._view.pods(standing, standing.stable_hash).ready:
            raise TargetBusy(
                "no pod of the stable release is ready, so traffic stays where it is",
                hint=f"See `kubectl -n {self.settings.namespace} get pods`.",
            )

    def _gets_nothing(self, standing: Standing) -> bool:
        """Whether no user is sent to the canary. Raises TargetBusy where that cannot be told."""
        served = self._view.served(standing)
        if served.weight is None:
            raise TargetBusy(f"nothing is stopped while it is unknown what is served: {served.problem}")
        return served.weight == NOTHING

    # How the end of an effect is known.

    def _await_nobody(self) -> None:
        self._orders.wait(
            lambda now: now.is_observed and self._view.is_served(now, NOTHING), "the route to leave the canary"
        )

    def _await_gone(self) -> None:
        self._orders.wait(
            lambda now: now.is_observed and not now.has_canary and self._view.is_served(now, NOTHING),
            "the canary to be given up",
        )

    def _await_canary(self, rollout: str) -> None:
        """Until the canary is ready at weight 0, or further on. Raises TargetFailed where it never will be."""

        def ready(now: Standing) -> bool:
            if not now.is_observed:
                return False
            if now.rollout != rollout:
                raise _somebody_else(now)
            go_on(now)
            pods = self._view.pods(now, now.current_hash)
            if pods.is_hopeless or (not pods.ready and now.missed_deadline):
                raise self._unready(now)
            first = now.stops[0]
            if now.step is None or now.step < first.pause or not pods.ready:
                return False
            return now.step > first.pause or now.waits_at(first)

        self._orders.wait(ready, "the canary to become ready", seconds=self._ready_seconds, late=self._unready)

    def _await_stable(self, version: str) -> None:
        """Until a version is stable, healthy, and alone in the route: the phase is there before the route is."""

        def done(now: Standing) -> bool:
            if now.is_observed and now.current_hash != version:
                raise _somebody_else(now)
            go_on(now)
            return now.is_healthy and not now.has_canary and self._view.is_served(now, NOTHING)

        self._orders.wait(done, "the release to be stable", seconds=self._ready_seconds)

    def _unready(self, now: Standing) -> TargetFailed:
        """The canary will not become ready: why, as far as its pods and their logs tell."""
        pods = self._view.pods(now, now.current_hash)
        said = "; ".join(map(str, pods.troubles)) or now.trouble or "its pods do not say why"
        text = self._last_words(now, now.current_hash)
        return TargetFailed(
            f"the canary does not become ready: {said}",
            hint=f"Its last lines:\n{_end(text, 10)}"
            if text
            else f"See `kubectl -n {self.settings.namespace} get pods`.",
        )

    @property
    def _ready_seconds(self) -> float:
        return self.settings.ready_timeout.total_seconds()

    @cached_property
    def _addresses(self) -> tuple[str, str]:
        """Where the stable and the canary service answer inside the cluster."""
        services = self._view.standing().canary
        stable, canary = str(services.get("stableService", "")), str(services.get("canaryService", ""))
        return self._view.address(stable), self._view.address(canary)

    @cached_property
    def _view(self) -> View:
        return View(cluster=self.cluster, settings=self.settings, image=self.image)

    @cached_property
    def _orders(self) -> Orders:
        return Orders(view=self._view, sleep=self.sleep, monotonic=self.monotonic)

    @cached_property
    def _changes(self) -> Changes:
        return Changes(view=self._view, weights=self.weights)


def _end(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""


def _no_canary(order: str) -> TargetFailed:
    return TargetFailed(f"there is no canary to {order}", hint="Deploy one first.")


def _somebody_else(now: Standing) -> TargetFailed:
    return TargetFailed(
        f"somebody else has put another template into Rollout {now.name}",
        hint="Have one program change spec.template; docs/argo.md says how with GitOps.",
    )
