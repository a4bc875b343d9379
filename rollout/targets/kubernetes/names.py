"""Finding an object by its name, and what was probably meant where there is none."""

from __future__ import annotations

from difflib import get_close_matches

from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import Cluster, Json, Kind
from rollout.targets.kubernetes.refusals import NotThere


def get(cluster: Cluster, kind: Kind, namespace: str, name: str) -> Json:
    """The object. Raises NotThere, which names the nearest of that kind."""
    try:
        return cluster.get(kind, namespace, name)
    except NotThere as missing:
        if missing.kind_is_unknown:
            raise
        raise NotThere(
            f"there is no {kind.name} {name} in the namespace {namespace}",
            hint=_instead(cluster, kind, namespace, name),
        ) from None


def _instead(cluster: Cluster, kind: Kind, namespace: str, name: str) -> str:
    try:
        names = sorted(str(item["metadata"]["name"]) for item in cluster.list_all(kind, namespace))
    except TargetFailed:
        return "Check the name and the namespace."
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    if near:
        return f"Is {near[0]} meant?"
    if names:
        return f"There are {', '.join(names[:10])}."
    return f"There is none of that kind in {namespace}: check the namespace and the context."
