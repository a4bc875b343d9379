"""ReplicaSets and the kubelet: pods come, pull their image, get ready, crash, run out of memory and end."""

from __future__ import annotations

from typing import Final

from tests.kubernetes.kinds import Json, labels_of, meta, name_of
from tests.kubernetes.world import PODS, REPLICASETS, World, owned_by

_BACK_OFF: Final = 1.0
"""Seconds after which a failed pull or a crash shows as back-off."""


def reconcile_replicasets(world: World) -> None:
    """As many pods as each ReplicaSet wants."""
    for item in world.store.list(REPLICASETS):
        pods = [pod for pod in world.owned(PODS, item) if not meta(pod).get("deletionTimestamp")]
        wanted = int(item["spec"]["replicas"])
        pods += [
            world.create(PODS, meta(item)["namespace"], _pod(world, item), by="kube-controller-manager")
            for _ in range(wanted - len(pods))
        ]
        leave = sorted(pods, key=lambda pod: (is_ready(pod), name_of(pod)))[: max(0, len(pods) - wanted)]
        for pod in leave:
            world.delete(PODS, pod)
            pods.remove(pod)
        ready = [pod for pod in pods if is_ready(pod)]
        available = [pod for pod in ready if _available(world, pod, int(item["spec"].get("minReadySeconds") or 0))]
        status: Json = {"replicas": len(pods), "fullyLabeledReplicas": len(pods)}
        status["observedGeneration"] = meta(item)["generation"]
        if ready:
            status["readyReplicas"] = len(ready)
        if available:
            status["availableReplicas"] = len(available)
        world.put_status(REPLICASETS, item, status, by="kube-controller-manager")


def run_pods(world: World) -> None:
    """One turn of the kubelet over all pods."""
    for pod in world.store.list(PODS):
        data = meta(pod)
        if data.get("deletionTimestamp"):
            if world.since("ending", data["uid"]) >= world.knobs.ending:
                world.store.remove(("pods", data["namespace"], data["name"]))
            continue
        status = _status(world, pod)
        world.put_status(PODS, pod, status, by="kubelet")
        for waiting in (one["state"].get("waiting") for one in status["containerStatuses"]):
            if waiting is not None:
                reason = "BackOff" if "BackOff" in waiting["reason"] else "Failed"
                world.tell(pod, reason=reason, message=waiting["message"], by="kubelet")


def is_ready(pod: Json) -> bool:
    """Whether a pod is ready and not about to end."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not meta(pod).get("deletionTimestamp")


def log_of(world: World, pod: Json, container: str, *, previous: bool) -> str | None:
    """What a container wrote; None where it never ran."""
    statuses = {one["name"]: one for one in (pod.get("status") or {}).get("containerStatuses") or ()}
    chosen = statuses.get(container)
    if chosen is None or (previous and not chosen["restartCount"]):
        return None
    if "waiting" in chosen["state"] and not chosen["restartCount"]:
        return None
    return world.knobs.lines.get(chosen["image"], f"{chosen['image']} starts\n")


def restart(world: World, pod: Json, *, reason: str, code: int) -> None:
    """A container of the pod ends and is started again."""
    world.forget("started", meta(pod)["uid"])
    status = dict(pod["status"])
    ended = {"exitCode": code, "reason": reason, "startedAt": world.stamp(), "finishedAt": world.stamp()}
    status["containerStatuses"] = [
        one | {"ready": False, "restartCount": one["restartCount"] + 1, "lastState": {"terminated": ended}}
        for one in status["containerStatuses"]
    ]
    world.put_status(PODS, pod, status, by="kubelet")


def _available(world: World, pod: Json, seconds: int) -> bool:
    return not seconds or world.since("available", meta(pod)["uid"]) >= seconds


def _pod(world: World, owner: Json) -> Json:
    template = owner["spec"]["template"]
    labels = dict(template["metadata"].get("labels") or {})
    data: Json = {"generateName": f"{name_of(owner)}-", "labels": labels, "ownerReferences": owned_by(owner)}
    if template["metadata"].get("annotations"):
        data["annotations"] = dict(template["metadata"]["annotations"])
    number = world.store.version
    spec = {**template["spec"], "nodeName": "node-1"}
    return {
        "metadata": data,
        "spec": spec,
        "status": {"phase": "Pending", "podIP": f"10.244.{number // 250 % 250}.{number % 250 + 1}"},
    }


def _status(world: World, pod: Json) -> Json:
    before = pod.get("status") or {}
    old = {one["name"]: one for one in before.get("containerStatuses") or ()}
    told = [_container(world, pod, one, old.get(one["name"])) for one in pod["spec"]["containers"]]
    ready = all(one["ready"] for one in told)
    running = any("running" in one["state"] for one in told) or any(one["restartCount"] for one in told)
    now = world.stamp()
    was = {one["type"]: one for one in before.get("conditions") or ()}
    conditions = []
    values = (("PodScheduled", True), ("Initialized", True), ("ContainersReady", ready), ("Ready", ready))
    for type_, value in values:
        status = "True" if value else "False"
        same = was.get(type_)
        if same is not None and same["status"] == status:
            conditions.append(same)
            continue
        fresh = {"type": type_, "status": status, "lastProbeTime": None, "lastTransitionTime": now}
        unready = {"reason": "ContainersNotReady", "message": "containers with unready status"}
        conditions.append(fresh | ({} if value else unready))
    return {
        "phase": "Running" if running else "Pending",
        "conditions": conditions,
        "containerStatuses": told,
        "podIP": before.get("podIP", ""),
        "podIPs": [{"ip": before.get("podIP", "")}],
        "hostIP": "10.0.0.1",
        "startTime": before.get("startTime", now),
        "qosClass": "BestEffort",
    }


def _container(world: World, pod: Json, spec: Json, before: Json | None) -> Json:
    image = str(spec["image"])
    knobs = world.knobs
    uid = meta(pod)["uid"]
    told: Json = {
        "name": spec["name"],
        "image": image,
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": before["restartCount"] if before else 0,
        "lastState": before["lastState"] if before else {},
    }
    if reason := knobs.unpullable.get(image):
        return told | {"state": {"waiting": _unpulled(world, uid, image, reason)}}
    resolved = knobs.digests.get(image, image if "@" in image else f"{image}@sha256:{'0' * 64}")
    told["imageID"] = (before or {}).get("imageID") or resolved
    if image in knobs.crashing or ("crashing", uid) in world.moments:
        return _crashed(world, uid, told)
    age = world.since("started", uid)
    old = (before or {}).get("state") or {}
    restarted = before is not None and before["restartCount"] and age == 0
    state = {"running": {"startedAt": world.stamp()}} if "running" not in old or restarted else old
    warm = age >= knobs.ready_after or bool(before and before["ready"])
    ready = warm and image not in knobs.unready and ("unready", uid) not in world.moments
    return told | {"state": state, "ready": ready, "started": True}


def _unpulled(world: World, uid: str, image: str, reason: str) -> Json:
    if reason != "ErrImagePull" or world.since("pulling", uid) < _BACK_OFF:
        missing = f'Container image "{image}" is not present with pull policy of Never'
        failed = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
        return {"reason": reason, "message": missing if reason == "ErrImageNeverPull" else failed}
    back_off = f'Back-off pulling image "{image}": ErrImagePull: {image}: not found'
    return {"reason": "ImagePullBackOff", "message": back_off}


def _crashed(world: World, uid: str, told: Json) -> Json:
    count = min(5, 1 + int(world.since("first-crash", uid) / _BACK_OFF))
    ended = {"exitCode": 1, "reason": "Error"}
    if count > told["restartCount"] or not told["lastState"]:
        stamped = ended | {"startedAt": world.stamp(), "finishedAt": world.stamp()}
        told |= {"restartCount": count, "lastState": {"terminated": stamped}}
    words = f"back-off 10s restarting failed container={told['name']}"
    return told | {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": words}}}


def labels_with_hash(template: Json, hashed: str) -> dict[str, str]:
    """The labels of a template and the hash that tells its pods from others."""
    return {**labels_of(template), "pod-template-hash": hashed}
