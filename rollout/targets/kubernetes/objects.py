"""The canary's own Deployment and Service, made from the stable ones. Pure: it builds what is then applied.

The canary's pods carry the labels of the stable ones but for those by which the stable Service and Deployment find
theirs: at weight 0 no user may reach them.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Final

from rollout.targets.kubernetes import notes
from rollout.targets.kubernetes.client import Json

MANAGED: Final = {"app.kubernetes.io/managed-by": "rollout"}
"""On what is made here, and on nothing else: only that is ever removed."""

_FROM_STABLE: Final = ("strategy", "minReadySeconds", "progressDeadlineSeconds")
_PREFERRED: Final = ("app", "app.kubernetes.io/instance", "app.kubernetes.io/name")
_LONGEST_LABEL: Final = 63


def canary_name(name: str) -> str:
    """What the canary's objects are called."""
    return f"{name}-canary"


def is_ours(item: Json) -> bool:
    """Whether an object was made here."""
    labels = item["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in MANAGED.items()) and notes.OF in labels


def rollout_id(rollout: str) -> str:
    """A label value that is short and different for each rollout."""
    return hashlib.sha256(rollout.encode()).hexdigest()[:10]


def canary_deployment(
    stable: Json,
    service: Json | None,
    template: Json,
    *,
    placed: notes.Placed,
    replicas: int,
    way_back: bool = False,
) -> Json:
    """The canary's Deployment, whole, with that pod template."""
    name = str(stable["metadata"]["name"])
    chosen = {notes.ID: rollout_id(placed.rollout), "version": "canary"}
    metadata = template.get("metadata") or {}
    labels = {**_apart(metadata.get("labels") or {}, _selectors(stable, service)), **chosen}
    marks = {notes.RELEASE: notes.written(placed)} | ({notes.WAY_BACK: "true"} if way_back else {})
    pod = {**template, "metadata": {**_kept(metadata), "labels": labels}}
    return {
        "metadata": {
            "name": canary_name(name),
            "labels": {**MANAGED, notes.OF: name, notes.ID: chosen[notes.ID]},
            "annotations": marks,
            "ownerReferences": [_owner(stable)],
        },
        "spec": {
            **{key: copy.deepcopy(stable["spec"][key]) for key in _FROM_STABLE if key in stable["spec"]},
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": chosen | _changed(labels, metadata.get("labels") or {})},
            "template": pod,
        },
    }


def canary_service(stable: Json, service: Json, deployment: Json) -> Json:
    """The canary's Service: the ports of the stable one, and the pods of the canary's Deployment alone."""
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in service["spec"]["ports"]]
    labels = deployment["metadata"]["labels"]
    return {
        "metadata": {
            "name": canary_name(str(service["metadata"]["name"])),
            "labels": {key: labels[key] for key in (*MANAGED, notes.OF)},
            "ownerReferences": [_owner(stable)],
        },
        "spec": {"type": "ClusterIP", "ports": ports, "selector": deployment["spec"]["selector"]["matchLabels"]},
    }


def _kept(metadata: Json) -> Json:
    return {key: value for key, value in metadata.items() if key == "annotations"}


def _owner(stable: Json) -> Json:
    """So that the canary goes when somebody removes the stable Deployment."""
    metadata = stable["metadata"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}


def _selectors(stable: Json, service: Json | None) -> tuple[Mapping[str, str], ...]:
    """By which labels the stable pods are found."""
    by_service = ((service["spec"].get("selector") or {}),) if service is not None else ()
    return ((stable["spec"]["selector"].get("matchLabels") or {}), *by_service)


def _apart(labels: Mapping[str, str], selectors: tuple[Mapping[str, str], ...]) -> dict[str, str]:
    """The labels, changed so that none of the selectors matches; `version` becomes `canary` in any case."""
    changed = dict(labels)
    for selector in selectors:
        seen = {**changed, "version": "canary"}
        if not selector or any(seen.get(key) != value for key, value in selector.items()):
            continue
        keys = sorted(selector, key=lambda key: (_rank(key), sum(key in other for other in selectors) * -1, key))
        shared = [key for key in keys if all(key in other for other in selectors if other)]
        key = (shared or keys)[0]
        changed[key] = f"{changed[key][: _LONGEST_LABEL - len('-canary')]}-canary"
    return changed


def _rank(key: str) -> int:
    return _PREFERRED.index(key) if key in _PREFERRED else len(_PREFERRED)


def _changed(labels: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if before.get(key) != value}
