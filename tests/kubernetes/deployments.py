"""The Deployment controller: ReplicaSets by template, rolling updates within surge and unavailability, conditions."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Final

from tests.kubernetes.kinds import Json, copied, labels_of, meta, name_of
from tests.kubernetes.pods import labels_with_hash
from tests.kubernetes.world import DEPLOYMENTS, REPLICASETS, World, condition, owned_by

_BY: Final = "kube-controller-manager"
REVISION: Final = "deployment.kubernetes.io/revision"
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


def reconcile_deployments(world: World) -> None:
    """Every Deployment a little nearer to its spec, and its status told."""
    for item in world.store.list(DEPLOYMENTS):
        if meta(item).get("deletionTimestamp") or not world.noticed(item):
            continue
        sets = world.owned(REPLICASETS, item)
        new = next((one for one in sets if _same_template(one, item)), None)
        if new is None and not item["spec"].get("paused"):
            new = _new_set(world, item, sets)
            sets.append(new)
        _number(world, item, new, sets)
        _scale(world, item, new, [one for one in sets if one is not new])
        _tell(world, item, new, sets)
        _tidy(world, item, new, sets)


def template_hash(template: Json) -> str:
    """The letters that name a template's ReplicaSet."""
    plain = {**template, "metadata": {k: v for k, v in template["metadata"].items() if k != "creationTimestamp"}}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def hashed(replicaset: Json) -> str:
    """The letters of a ReplicaSet, of a Deployment or of a Rollout."""
    labels = labels_of(replicaset)
    return labels.get("rollouts-pod-template-hash") or labels.get("pod-template-hash", "")


def bounds(strategy: Json, replicas: int) -> tuple[int, int]:
    """How many pods more than wanted may run, and how many fewer than wanted must: surge rounds up, the other down."""
    surge = _share(strategy.get("maxSurge", "25%"), replicas, up=True)
    fewer = _share(strategy.get("maxUnavailable", "25%"), replicas, up=False)
    return (surge, fewer) if surge or fewer else (0, 1)


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value.rstrip("%")) * replicas / 100
    return math.ceil(exact) if up else math.floor(exact)


def _same_template(replicaset: Json, item: Json) -> bool:
    return labels_of(replicaset).get("pod-template-hash") == template_hash(item["spec"]["template"])


def _new_set(world: World, item: Json, sets: list[Json]) -> Json:
    template = copied(item["spec"]["template"])
    hashed = template_hash(template)
    template["metadata"]["labels"] = labels_with_hash(template, hashed)
    selector = {"matchLabels": {**item["spec"]["selector"]["matchLabels"], "pod-template-hash": hashed}}
    spec: Json = {"replicas": 0, "selector": selector, "template": template}
    if item["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = item["spec"]["minReadySeconds"]
    data = {
        "name": f"{name_of(item)}-{hashed}",
        "labels": template["metadata"]["labels"],
        "ownerReferences": owned_by(item),
    }
    world.forget("progress", meta(item)["uid"])
    return world.create(REPLICASETS, meta(item)["namespace"], {"metadata": data, "spec": spec}, by=_BY)


def _number(world: World, item: Json, new: Json | None, sets: list[Json]) -> None:
    """The newest template bears the highest revision, on the ReplicaSet and on the Deployment."""
    if new is None:
        return
    revisions = {name_of(one): int((meta(one).get("annotations") or {}).get(REVISION, 0)) for one in sets}
    highest = max((number for name, number in revisions.items() if name != name_of(new)), default=0)
    mine = revisions[name_of(new)]
    wanted = str(mine if mine > highest else highest + 1)
    for kind, one in ((REPLICASETS, new), (DEPLOYMENTS, item)):
        if (meta(one).get("annotations") or {}).get(REVISION) != wanted:
            world.change(
                kind,
                one,
                lambda held: _annotated(held, wanted),
                by=_BY,
                subresource="status" if kind is DEPLOYMENTS else "",
            )


def _annotated(item: Json, revision: str) -> Json:
    meta(item)["annotations"] = {**(meta(item).get("annotations") or {}), REVISION: revision}
    return item


def _scale(world: World, item: Json, new: Json | None, old: list[Json]) -> None:
    wanted = int(item["spec"]["replicas"])
    running = [one for one in old if one["spec"]["replicas"]]
    if new is None or item["spec"].get("paused"):
        if new is not None and not running:
            _resize(world, new, wanted)
        return
    if item["spec"]["strategy"]["type"] == "Recreate":
        for one in running:
            _resize(world, one, 0)
        if not any((one.get("status") or {}).get("replicas") for one in old):
            _resize(world, new, wanted)
        return
    surge, fewer = bounds(item["spec"]["strategy"]["rollingUpdate"], wanted)
    room = wanted + surge - sum(one["spec"]["replicas"] for one in (*old, new))
    size = min(wanted, new["spec"]["replicas"] + max(0, room))
    _resize(world, new, size)
    available = sum((one.get("status") or {}).get("availableReplicas", 0) for one in (*old, new))
    spare = available - (wanted - fewer)
    for one in running:
        up = (one.get("status") or {}).get("availableReplicas", 0)
        cut = one["spec"]["replicas"] - up + max(0, min(up, spare))
        spare -= min(up, max(0, spare))
        _resize(world, one, one["spec"]["replicas"] - cut)


def _resize(world: World, replicaset: Json, size: int) -> None:
    if replicaset["spec"]["replicas"] != size:
        world.change(REPLICASETS, replicaset, lambda held: {**held, "spec": {**held["spec"], "replicas": size}}, by=_BY)
        replicaset["spec"]["replicas"] = size


def _tell(world: World, item: Json, new: Json | None, sets: list[Json]) -> None:
    wanted = int(item["spec"]["replicas"])

    def total(field: str, among: list[Json]) -> int:
        return sum((one.get("status") or {}).get(field, 0) for one in among)

    counts = {
        "replicas": total("replicas", sets),
        "updatedReplicas": total("replicas", [new] if new else []),
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": total("availableReplicas", sets),
    }
    counts["unavailableReplicas"] = max(0, max(wanted, counts["replicas"]) - counts["availableReplicas"])
    done = (
        counts["updatedReplicas"] == wanted == counts["replicas"]
        and total("availableReplicas", [new] if new else []) == wanted
    )
    status = {**(item.get("status") or {}), **{key: value for key, value in counts.items() if value}}
    for key in [key for key in counts if not counts[key]]:
        status.pop(key, None)
    status["observedGeneration"] = meta(item)["generation"]
    _, fewer = bounds(item["spec"]["strategy"].get("rollingUpdate") or {"maxSurge": 0}, wanted)
    enough = counts["availableReplicas"] >= wanted - fewer
    status["conditions"] = condition(
        status,
        "Available",
        value=enough,
        reason="MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        message="Deployment has minimum availability." if enough else "Deployment does not have minimum availability.",
        now=world.stamp(),
    )
    status["conditions"] = _progress(world, item, new, status, done=done)
    world.put_status(DEPLOYMENTS, item, status, by=_BY)


def _progress(world: World, item: Json, new: Json | None, status: Json, *, done: bool) -> list[Json]:
    uid = meta(item)["uid"]
    seen = tuple(status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"))
    mark = ("progressed", uid, name_of(new) if new else "", *(str(one) for one in seen))
    if done:
        world.forget("progress", uid)
    elif mark not in world.moments:
        world.since(*mark)
        world.forget("progress", uid)
    named = name_of(new) if new else ""
    late = not done and world.since("progress", uid) >= float(item["spec"]["progressDeadlineSeconds"])
    if done:
        for old in [one for one in world.moments if one[:2] == ("progressed", uid)]:
            del world.moments[old]
        reason, words = "NewReplicaSetAvailable", f'ReplicaSet "{named}" has successfully progressed.'
    elif late:
        reason, words = "ProgressDeadlineExceeded", f'ReplicaSet "{named}" has timed out progressing.'
    else:
        reason, words = "ReplicaSetUpdated", f'ReplicaSet "{named}" is progressing.'
    return condition(status, "Progressing", value=not late, reason=reason, message=words, now=world.stamp())


def _tidy(world: World, item: Json, new: Json | None, sets: list[Json]) -> None:
    empty = [
        one
        for one in sets
        if one is not new and not one["spec"]["replicas"] and not (one.get("status") or {}).get("replicas")
    ]
    empty.sort(key=lambda one: int((meta(one).get("annotations") or {}).get(REVISION, 0)))
    for one in empty[: max(0, len(empty) - int(item["spec"]["revisionHistoryLimit"]))]:
        world.delete(REPLICASETS, one)
