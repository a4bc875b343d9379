"""What the target must be allowed to do: the list behind `doctor` and behind docs/kubernetes-rbac.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollout.targets.kubernetes.client import DEPLOYMENT, HTTP_ROUTE, INGRESS, POD, SERVICE, Cluster, Kind
from rollout.targets.kubernetes.settings import KubernetesSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A kind of object, and the verbs on it."""

    kind: Kind
    verbs: tuple[str, ...]
    subresource: str = ""


ALWAYS: Final = (
    Need(kind=DEPLOYMENT, verbs=("get", "list", "create", "patch", "delete")),
    Need(kind=SERVICE, verbs=("get", "list", "create", "patch", "delete")),
    Need(kind=POD, verbs=("list",)),
    Need(kind=POD, verbs=("get",), subresource="log"),
)
FOR_ROUTES: Final = (Need(kind=HTTP_ROUTE, verbs=("get", "list", "patch")),)
FOR_INGRESSES: Final = (Need(kind=INGRESS, verbs=("get", "list", "create", "patch", "delete")),)


def needs(settings: KubernetesSettings) -> tuple[Need, ...]:
    """What these settings need."""
    routes = any(part.route is not None for part in settings.parts)
    ingresses = any(part.ingress is not None for part in settings.parts)
    return (*ALWAYS, *(FOR_ROUTES if routes else ()), *(FOR_INGRESSES if ingresses else ()))


def missing_verbs(cluster: Cluster, settings: KubernetesSettings) -> tuple[str, ...]:
    """What is not allowed, each as `patch httproutes.gateway.networking.k8s.io`."""
    return tuple(
        f"{verb} {_resource(need)}"
        for need in needs(settings)
        for verb in need.verbs
        if not cluster.may(verb, need.kind, settings.namespace, subresource=need.subresource)
    )


def _resource(need: Need) -> str:
    plural = f"{need.kind.plural}/{need.subresource}" if need.subresource else need.kind.plural
    return f"{plural}.{need.kind.group}" if need.kind.group else plural
