"""The last lines of a canary's pods: of the run that crashed where one did, else of the one that goes on."""

from __future__ import annotations

from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import Cluster, Json


def tail(cluster: Cluster, namespace: str, pods: tuple[Json, ...], *, container: str, lines: int) -> str:
    """The last lines of each pod, the pod's name before them where there are several; empty where there are none.

    Raises nothing: a log that cannot be had is none.
    """
    wrote = [(str(pod["metadata"]["name"]), _of(cluster, namespace, pod, container, lines)) for pod in pods]
    said = [(name, text) for name, text in wrote if text]
    if len(said) == 1:
        return said[0][1]
    return "\n".join(f"[{name}] {line}" for name, text in said for line in text.splitlines())


def _of(cluster: Cluster, namespace: str, pod: Json, container: str, lines: int) -> str:
    name = str(pod["metadata"]["name"])
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    crashed = any(each.get("name") == container and each.get("restartCount") for each in statuses)
    texts = []
    for previous in (True, False) if crashed else (False,):
        try:
            texts.append(cluster.logs(namespace, name, container=container, lines=lines, previous=previous).strip())
        except TargetFailed:
            continue
    return "\n".join("\n".join(filter(None, texts)).splitlines()[-lines:])
