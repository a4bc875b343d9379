"""Argo's analysis runs as a Rollout makes them; how one ends, a test says through `ClusterServer.conclude`."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kubernetes.argo_sets import BY
from tests.kubernetes.kinds import Json, meta, name_of
from tests.kubernetes.world import ANALYSES, World, owned_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How far an analysis run is: Running, Successful, Failed, Error or Inconclusive, and why."""

    phase: str
    message: str = ""


def of_step(world: World, item: Json, analysis: Json, hash_: str, index: int) -> Judged:
    """The run of a step; one that is not there is started."""
    return _run(world, item, analysis, f"{name_of(item)}-{hash_}-{index}", "Step")


def background(world: World, item: Json, canary: Json, hash_: str, index: int) -> Judged | None:
    """The run beside the steps, where the Rollout has one and its first step has come."""
    analysis = canary.get("analysis")
    if not analysis or index < int(analysis.get("startingStep") or 0):
        return None
    return _run(world, item, analysis, f"{name_of(item)}-{hash_}", "Background")


def _run(world: World, item: Json, analysis: Json, name: str, type_: str) -> Judged:
    held = world.store.find(ANALYSES, meta(item)["namespace"], name)
    if held is None:
        templates = [one["templateName"] for one in analysis.get("templates") or ()]
        metrics = [{"name": one, "provider": {"web": {"url": "http://127.0.0.1/"}}} for one in templates]
        data = {
            "name": name,
            "labels": {"rollout-type": type_, "rollouts-pod-template-hash": name.rsplit("-", maxsplit=1)[-1]},
            "ownerReferences": owned_by(item),
        }
        body = {"metadata": data, "spec": {"metrics": metrics}, "status": {"phase": "Running"}}
        held = world.create(ANALYSES, meta(item)["namespace"], body, by=BY)
    status = held.get("status") or {}
    return Judged(phase=str(status.get("phase") or "Running"), message=str(status.get("message") or ""))
