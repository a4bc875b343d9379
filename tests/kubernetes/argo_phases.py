"""What a Rollout's status says of it: counts, phase, message, conditions, and the deadline for progress."""

from __future__ import annotations

from tests.kubernetes.argo_sets import available, revision
from tests.kubernetes.argo_traffic import routes
from tests.kubernetes.kinds import Json, copied, meta, name_of
from tests.kubernetes.world import World, condition


def told(world: World, item: Json, status: Json, new: Json, sets: list[Json]) -> Json:
    """The status with everything that follows from the sets and the orders."""
    status = copied(status)
    spec = item["spec"]
    wanted = int(spec.get("replicas", 1))

    def total(field: str, among: list[Json]) -> int:
        return sum(int((one.get("status") or {}).get(field, 0)) for one in among)

    status |= {
        "replicas": total("replicas", sets),
        "updatedReplicas": total("replicas", [new]),
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": total("availableReplicas", sets),
        "HPAReplicas": total("replicas", sets),
        "observedGeneration": str(meta(item)["generation"]),
        "blueGreen": {},
        "selector": ",".join(f"{k}={v}" for k, v in (spec.get("selector", {}).get("matchLabels") or {}).items()),
    }
    late = _late(world, item, status, new, wanted)
    if late and spec.get("progressDeadlineAbort") and not status.get("abort"):
        status |= {"abort": True, "abortedAt": world.stamp(), "currentStepIndex": 0}
        world.reasons[meta(item)["uid"]] = late
    phase, message = _phase(world, item, status, new, late)
    status |= {"phase": phase, "message": message}
    if not message:
        del status["message"]
    status["conditions"] = _conditions(world, item, status, new, late)
    return status


def _phase(world: World, item: Json, status: Json, new: Json, late: str) -> tuple[str, str]:
    """The order of argo-rollouts utils/rollout/rolloututil.go, CalculateRolloutPhase."""
    spec = item["spec"]
    if status.get("abort"):
        return "Degraded", f"RolloutAborted: {_why_aborted(world, item, new)}"
    if late:
        return "Degraded", f"ProgressDeadlineExceeded: {late}"
    if spec.get("paused"):
        return "Paused", "manually paused"
    if status.get("pauseConditions"):
        return "Paused", str(status["pauseConditions"][0]["reason"])
    if status["updatedReplicas"] < int(spec.get("replicas", 1)):
        return "Progressing", "more replicas need to be updated"
    if status["availableReplicas"] < status["updatedReplicas"]:
        return "Progressing", "updated replicas are still becoming available"
    if not routes(spec["strategy"].get("canary") or {}) and status["replicas"] > status["updatedReplicas"]:
        return "Progressing", "old replicas are pending termination"
    if status.get("stableRS") != status.get("currentPodHash"):
        return "Progressing", "waiting for all steps to complete"
    return "Healthy", ""


def _why_aborted(world: World, item: Json, new: Json) -> str:
    reason = world.reasons.get(meta(item)["uid"], "")
    words = f"Rollout aborted update to revision {revision(new)}"
    return f"{words}: {reason}" if reason else words


def _late(world: World, item: Json, status: Json, new: Json, wanted: int) -> str:
    """The sentence of a deadline that has passed, or nothing; pauses do not count."""
    uid = meta(item)["uid"]
    settled = status.get("stableRS") == status.get("currentPodHash") and available(new) >= wanted
    resting = status.get("abort") or status.get("pauseConditions") or item["spec"].get("paused")
    counts = (status.get("currentStepIndex"), available(new), new["spec"]["replicas"], status.get("currentPodHash"))
    if settled or resting or world.progress.get(uid) != counts:
        world.progress[uid] = counts
        world.forget("progress", uid)
        world.since("progress", uid)
        if not status.get("abort"):
            world.reasons.pop(uid, None)
        return ""
    limit = float(item["spec"].get("progressDeadlineSeconds") or 600)
    late = world.since("progress", uid) >= limit and available(new) < new["spec"]["replicas"]
    return f'ReplicaSet "{name_of(new)}" has timed out progressing.' if late else ""


def _conditions(world: World, item: Json, status: Json, new: Json, late: str) -> list[Json]:
    now = world.stamp()
    wanted = int(item["spec"].get("replicas", 1))
    paused = status["phase"] == "Paused"
    named = f'ReplicaSet "{name_of(new)}"'
    if status.get("abort"):
        progressing = (False, "RolloutAborted", _why_aborted(world, item, new))
    elif late:
        progressing = (False, "ProgressDeadlineExceeded", late)
    elif paused:
        progressing = (True, "RolloutPaused", "Rollout is paused")
    elif status["phase"] == "Healthy":
        progressing = (True, "NewReplicaSetAvailable", f"{named} has successfully progressed.")
    else:
        progressing = (True, "ReplicaSetUpdated", f"{named} is progressing.")
    enough = status["availableReplicas"] >= wanted
    healthy = status["phase"] == "Healthy"
    told_ = (
        ("Progressing", *progressing),
        ("Available", enough, "AvailableReason", "Rollout has minimum availability" if enough else "Rollout does not"),
        ("Paused", paused, "RolloutPaused", "Rollout is paused" if paused else "Rollout is not paused"),
        ("Healthy", healthy, "RolloutHealthy", "Rollout is healthy" if healthy else "Rollout is not healthy"),
        (
            "Completed",
            status.get("stableRS") == status.get("currentPodHash"),
            "RolloutCompleted",
            "Rollout completed update to revision" if healthy else "Rollout not completed",
        ),
    )
    for type_, value, reason, message in told_:
        conditions = condition(status, type_, value=value, reason=reason, message=message, now=now)
        status["conditions"] = conditions
    result: list[Json] = status["conditions"]
    return result
