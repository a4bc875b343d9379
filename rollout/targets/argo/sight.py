"""One look at a Rollout: which version is stable, canary and reserve, and what users get. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.core.release import Release
from rollout.targets.argo.memory import Memory
from rollout.targets.argo.pods import Pods
from rollout.targets.argo.standing import Standing
from rollout.targets.argo.templates import Containers, rollout_of
from rollout.targets.argo.view import Served, View
from rollout.targets.base import Health, Instance, Seen
from rollout.targets.kubernetes.client import Json


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What one look has fetched."""

    view: View
    standing: Standing
    memory: Memory
    versions: dict[str, Json]
    """The ReplicaSets by hash."""
    addresses: tuple[str, str]

    def template(self, version: str) -> Json:
        """The template of a version; empty where its ReplicaSet is gone."""
        found = self.versions.get(version)
        return dict(found["spec"]["template"]) if found is not None else {}

    def wanted(self, version: str) -> int:
        found = self.versions.get(version)
        return int(found["spec"].get("replicas") or 0) if found is not None else 0


def look(view: View, addresses: tuple[str, str]) -> Seen:
    """What runs, and what users get. Raises TargetFailed where there is no such Rollout, or its note cannot be read."""
    standing = view.standing()
    reading = _Reading(
        view=view,
        standing=standing,
        memory=standing.memory(),
        versions=view.versions(standing),
        addresses=addresses,
    )
    served = view.served(standing)
    version = _version_of_template(reading)
    if version == standing.stable_hash:
        return _without_canary(reading, served)
    if reading.memory.taken_back is not None:
        return _on_the_way_back(reading, served)
    canary = _canary(reading, version)
    stable = None if _is_first(reading) else _stable(reading)
    return _seen(served, stable=stable, canary=canary, lacks_stable=stable is None and not _is_first(reading))


def _version_of_template(reading: _Reading) -> str:
    """The hash of the version that the template asks for; empty for one that the controller has not seen yet.

    Until the controller has seen the template, its status tells of the one before.
    """
    standing = reading.standing
    if standing.is_observed:
        return standing.current_hash
    wanted = _marks(standing.template, reading.view.containers)
    known = (standing.stable_hash, standing.current_hash, *reading.versions)
    return next((each for each in known if _marks(reading.template(each), reading.view.containers) == wanted), "")


def _marks(template: Json, containers: Containers) -> tuple[str, str] | None:
    """By what a template and its ReplicaSet's are known to be the same: the defaults and hashes added differ."""
    if not template:
        return None
    return containers.reference(template), rollout_of(template)


def _is_first(reading: _Reading) -> bool:
    """Whether nothing was released before the canary."""
    before = reading.memory.before
    noted = before is not None and before.release is None and reading.memory.rollout == reading.standing.rollout
    return noted or reading.standing.replicas == 0


def _without_canary(reading: _Reading, served: Served) -> Seen:
    standing, memory = reading.standing, reading.memory
    if standing.replicas == 0 or not standing.stable_hash:
        return _seen(served)
    promoted = bool(standing.rollout) and standing.rollout == memory.rollout
    before = memory.before.release if promoted and memory.before is not None else None
    stable = _stable(reading)
    return _seen(served, stable=stable, reserve=before, lacks_stable=stable is None)


def _on_the_way_back(reading: _Reading, served: Served) -> Seen:
    """A promotion is being taken back: until the reserve is stable, it is still the reserve."""
    stable, before = _stable(reading), reading.memory.before
    reserve = before.release if before is not None else None
    return _seen(served, stable=stable, reserve=reserve, lacks_stable=stable is None)


def _stable(reading: _Reading) -> Instance | None:
    """The stable version; None where it cannot be told which release it is."""
    version, standing = reading.standing.stable_hash, reading.standing
    template = reading.template(version) or ({} if standing.has_canary else standing.template)
    release = _release(reading, template, version)
    if release is None:
        return None
    status = (reading.versions.get(version) or {}).get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    return Instance(
        release=release,
        health=Health.READY if ready else Health.UNREADY,
        url=reading.addresses[0],
        ready=ready,
        wanted=standing.replicas,
    )


def _canary(reading: _Reading, version: str) -> Instance | None:
    standing = reading.standing
    release = _release(reading, standing.template, version)
    if release is None:
        return None
    pods = reading.view.pods(standing, version)
    aborted = standing.is_observed and standing.is_aborted
    return Instance(
        release=release,
        health=_health(pods, aborted=aborted),
        reason=f"Argo Rollouts has aborted the canary: {standing.trouble or 'it gives no reason'}"
        if aborted
        else next(map(str, pods.troubles), ""),
        url=reading.addresses[1],
        restarts=pods.restarts,
        ready=pods.ready,
        wanted=reading.wanted(version) if aborted else max(1, reading.wanted(version)),
    )


def _health(pods: Pods, *, aborted: bool) -> Health:
    if aborted or pods.is_hopeless:
        return Health.DEAD
    return Health.READY if pods.ready else Health.UNREADY


def _release(reading: _Reading, template: Json, version: str) -> Release | None:
    """The release of a template; its pods are asked only where its image has no digest."""
    if not template:
        return None
    known = reading.view.containers.release(template)
    if known is not None or not version:
        return known
    running = reading.view.pods(reading.standing, version).digest
    return reading.view.containers.release(template, running=running)


def _seen(
    served: Served,
    *,
    stable: Instance | None = None,
    canary: Instance | None = None,
    reserve: Release | None = None,
    lacks_stable: bool = False,
) -> Seen:
    problem = served.problem
    if lacks_stable and not problem:
        problem = "it cannot be told which image the stable version runs: give it by digest, or let one of its pods run"
    return Seen(
        weight=None if problem else served.weight, stable=stable, canary=canary, reserve=reserve, problem=problem
    )
