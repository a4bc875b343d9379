"""The pods of one version of a Rollout: how many are ready, how often they restarted, and why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.targets.kubernetes import images, workload
from rollout.targets.kubernetes.client import Json
from rollout.targets.kubernetes.workload import Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods of one version."""

    names: tuple[str, ...] = ()
    """The newest last."""
    ready: int = 0
    restarts: int = 0
    troubles: tuple[Trouble, ...] = ()
    digest: str = ""
    """The digest of the image that the service's container runs, where a ready pod tells it."""

    @property
    def is_hopeless(self) -> bool:
        """Whether none is ready, and one of them will not become so by itself."""
        return not self.ready and any(trouble.hopeless for trouble in self.troubles)


def read(pods: Iterable[Json], container: str) -> Pods:
    """What the pods of a version say; those that are about to end count no more."""
    alive = tuple(
        sorted(
            (pod for pod in pods if not pod["metadata"].get("deletionTimestamp")),
            key=lambda pod: (str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])),
        )
    )
    digests = sorted(filter(None, map(images.digest, workload.image_ids(alive, container))))
    return Pods(
        names=tuple(str(pod["metadata"]["name"]) for pod in alive),
        ready=sum(_is_ready(pod) for pod in alive),
        restarts=workload.restarts(alive),
        troubles=workload.troubles(alive),
        digest=digests[0] if digests else "",
    )


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
