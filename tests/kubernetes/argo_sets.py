"""The ReplicaSets of a Rollout: one for each template, scaled by its controller."""

from __future__ import annotations

from typing import Final

from tests.kubernetes.deployments import REVISION
from tests.kubernetes.kinds import Json, copied, labels_of, meta, name_of
from tests.kubernetes.world import REPLICASETS, World, owned_by

HASH: Final = "rollouts-pod-template-hash"
BY: Final = "rollouts-controller"
_ARGO_REVISION: Final = "rollout.argoproj.io/revision"


def replicaset(world: World, item: Json, template: Json, hash_: str, sets: list[Json]) -> Json:
    """The ReplicaSet of a template; one that is not there is made, and joins the others."""
    found = next((one for one in sets if labels_of(one).get(HASH) == hash_), None)
    if found is None:
        template = copied(template)
        template["metadata"]["labels"] = {**labels_of(template), HASH: hash_}
        labels = template["metadata"]["labels"]
        selector = dict(item["spec"].get("selector", {}).get("matchLabels") or labels_of(template))
        spec = {"replicas": 0, "selector": {"matchLabels": {**selector, HASH: hash_}}, "template": template}
        data = {"name": f"{name_of(item)}-{hash_}", "labels": labels, "ownerReferences": owned_by(item)}
        found = world.create(REPLICASETS, meta(item)["namespace"], {"metadata": data, "spec": spec}, by=BY)
        sets.append(found)
    _number(world, found, sets)
    return found


def revision(replicaset_: Json) -> int:
    """Its number among the templates."""
    return int((meta(replicaset_).get("annotations") or {}).get(_ARGO_REVISION, 0))


def _number(world: World, new: Json, sets: list[Json]) -> None:
    highest = max((revision(one) for one in sets if one is not new), default=0)
    if revision(new) > highest:
        return

    def numbered(item: Json) -> Json:
        mine = {_ARGO_REVISION: str(highest + 1), REVISION: str(highest + 1)}
        meta(item)["annotations"] = {**(meta(item).get("annotations") or {}), **mine}
        return item

    world.change(REPLICASETS, new, numbered, by=BY)
    numbered(new)


def scale(world: World, replicaset_: Json, size: int) -> None:
    """Give it that many pods."""
    if replicaset_["spec"]["replicas"] != size:
        world.change(REPLICASETS, replicaset_, lambda held: {**held, "spec": {**held["spec"], "replicas": size}}, by=BY)
        replicaset_["spec"]["replicas"] = size


def available(replicaset_: Json) -> int:
    """How many of its pods are; those of a size that it no longer has do not count."""
    return min(int((replicaset_.get("status") or {}).get("availableReplicas", 0)), int(replicaset_["spec"]["replicas"]))
