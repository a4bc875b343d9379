"""What a Deployment and its pods say of themselves: whether they are ready, and if not, why. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from rollout.targets.base import Health
from rollout.targets.kubernetes.client import Json

_HOPELESS: Final = frozenset(
    {
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
        "StartError",
    }
)
"""Reasons of waiting containers that more patience does not cure. ErrImagePull may pass: it turns into ImagePullBackOff
where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a pod is not ready, or was not."""

    pod: str
    reason: str
    """The cluster's own word, such as `CrashLoopBackOff`."""
    detail: str
    hopeless: bool

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


def wanted(deployment: Json) -> int:
    """How many pods it should have."""
    return int(deployment["spec"].get("replicas", 1))


def ready(deployment: Json) -> int:
    """How many of its pods are ready."""
    return int(_status(deployment).get("readyReplicas") or 0)


def is_settled(deployment: Json) -> bool:
    """Whether all pods are of the current template and available, and no other is left: as `kubectl rollout status`."""
    status = _status(deployment)
    return (
        is_updated(deployment)
        and int(status.get("replicas") or 0) == int(status.get("updatedReplicas") or 0)
        and int(status.get("availableReplicas") or 0) >= wanted(deployment)
    )


def is_updated(deployment: Json) -> bool:
    """Whether every pod that it should have is of the current template, ready or not."""
    return _is_observed(deployment) and int(_status(deployment).get("updatedReplicas") or 0) >= wanted(deployment)


def overdue(deployment: Json) -> str:
    """The sentence of the Progressing condition where its deadline is over; empty otherwise."""
    for condition in _status(deployment).get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            said = str(condition.get("message") or "its progress deadline is over")
            return said if _is_observed(deployment) else ""
    return ""


def health(deployment: Json, troubles: tuple[Trouble, ...]) -> Health:
    """Ready where all pods are; dead where none is and patience does not help."""
    count = ready(deployment)
    if count >= wanted(deployment) > 0:
        return Health.READY
    if count == 0 and any(trouble.hopeless for trouble in troubles):
        return Health.DEAD
    return Health.UNREADY


def restarts(pods: tuple[Json, ...]) -> int:
    """How often the containers of these pods were restarted."""
    return sum(int(status.get("restartCount") or 0) for pod in pods for status in _containers(pod))


def troubles(pods: tuple[Json, ...]) -> tuple[Trouble, ...]:
    """What is wrong with the pods, each thing once."""
    return tuple(trouble for pod in pods for trouble in _of_pod(pod))


def _of_pod(pod: Json) -> tuple[Trouble, ...]:
    name = str(pod["metadata"]["name"])
    found = []
    for condition in _status(pod).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = str(condition.get("reason") or "Unschedulable")
            found.append(_trouble(name, reason, str(condition.get("message") or ""), hopeless=False))
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting") or {}
        ended = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated") or {}
        if ended.get("reason") == "OOMKilled":
            found.append(_trouble(name, "OOMKilled", "it used more memory than its limit", hopeless=False))
        reason = str(waiting.get("reason") or "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            detail = str(waiting.get("message") or "")
            if reason == "CrashLoopBackOff" and "exitCode" in ended:
                detail = f"exit code {ended['exitCode']}, restarted {status.get('restartCount', 0)} times"
            found.append(_trouble(name, reason, detail, hopeless=reason in _HOPELESS))
    return tuple(found)


def _trouble(pod: str, reason: str, detail: str, *, hopeless: bool) -> Trouble:
    return Trouble(pod=pod, reason=reason[:80], detail=" ".join(detail.split())[:300], hopeless=hopeless)


def image_ids(pods: tuple[Json, ...], container: str) -> frozenset[str]:
    """What the ready pods run in that container, as their nodes pulled it."""
    return frozenset(
        str(status.get("imageID") or "")
        for pod in pods
        for status in _containers(pod)
        if status.get("name") == container and status.get("ready")
    )


def _containers(pod: Json) -> tuple[dict[str, Any], ...]:
    status = _status(pod)
    return (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))


def _status(item: Json) -> dict[str, Any]:
    status = item.get("status")
    return status if isinstance(status, dict) else {}


def _is_observed(deployment: Json) -> bool:
    generation = int(deployment["metadata"].get("generation") or 0)
    return int(_status(deployment).get("observedGeneration") or 0) >= generation
