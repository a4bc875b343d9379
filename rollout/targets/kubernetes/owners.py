"""Who manages a field, as the cluster notes it, and whether we may change it all the same.

A tool in somebody's hand acts when it is called; one that acts by itself would change the field back: it is not fought.
"""

from __future__ import annotations

from typing import Final

from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import FIELD_MANAGER, Cluster, Json, Kind
from rollout.targets.kubernetes.refusals import Owned, OwnedElsewhere

_HANDS: Final = frozenset(
    {
        FIELD_MANAGER,
        "before-first-apply",
        "helm",
        "Helm",
        "kubectl",
        "kubectl-client-side-apply",
        "kubectl-create",
        "kubectl-edit",
        "kubectl-label",
        "kubectl-patch",
        "kubectl-replace",
        "kubectl-rollout",
        "kubectl-scale",
        "kubectl-set",
        "OpenAPI-Generator",
    }
)
"""Managers that act only when somebody calls them, and so do not change a field back by themselves."""

RULES: Final = ("f:spec", "f:rules")
"""Where managedFields tells of a route's rules."""


def image_of(container: str) -> tuple[str, ...]:
    """Where managedFields tells of a container's image."""
    return ("f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{container}"}}', "f:image")


def apply(cluster: Cluster, kind: Kind, namespace: str, body: Json, *, take_over: tuple[str, ...]) -> Json:
    """Server-side apply that takes fields over from tools in somebody's hand, and from nobody else.

    Raises OwnedElsewhere.
    """
    try:
        return cluster.apply(kind, namespace, body)
    except OwnedElsewhere as conflict:
        others = tuple(owned for owned in conflict.owned if _acts_by_itself(owned.manager, take_over))
        if others:
            raise _refused(kind, str(body["metadata"]["name"]), others) from conflict
        return cluster.apply(kind, namespace, body, force=True)


def require_free(kind: Kind, item: Json, path: tuple[str, ...], *, take_over: tuple[str, ...]) -> None:
    """Raise OwnedElsewhere where somebody who acts by itself manages the field."""
    managers = {
        str(entry.get("manager", ""))
        for entry in item["metadata"].get("managedFields") or ()
        if _has(entry.get("fieldsV1"), path)
    }
    field = "".join(f".{step[2:]}" for step in path if step.startswith("f:"))
    others = tuple(
        Owned(manager=manager, field=field) for manager in sorted(managers) if _acts_by_itself(manager, take_over)
    )
    if others:
        raise _refused(kind, str(item["metadata"]["name"]), others)


def _acts_by_itself(manager: str, take_over: tuple[str, ...]) -> bool:
    return manager not in _HANDS and manager not in take_over


def _has(fields: object, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(fields, dict) or step not in fields:
            return False
        fields = fields[step]
    return True


def _refused(kind: Kind, name: str, others: tuple[Owned, ...]) -> TargetFailed:
    fields = ", ".join(sorted({owned.field for owned in others}))
    managers = " and ".join(sorted({owned.manager for owned in others}))
    return OwnedElsewhere(
        f"{fields} of {kind.name} {name} belongs to {managers}, which would change it back",
        hint="Have it leave this field alone (in Argo CD: ignoreDifferences with RespectIgnoreDifferences), and name "
        "it under target.kubernetes.take_over; or use `promote: commit` where it is the image.",
        owned=others,
    )
