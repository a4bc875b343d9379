"""The CustomResourceDefinitions of the kinds that are not built in, as they stand in the cluster."""

from __future__ import annotations

from tests.kubernetes.kinds import KINDS, Json, Kind
from tests.kubernetes.schema import schema_of


def definitions() -> list[Json]:
    """One for each custom kind."""
    return [_definition(kind) for kind in KINDS if kind.custom]


def _definition(kind: Kind) -> Json:
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind, "listKind": f"{kind.kind}List"}
    version: Json = {"name": kind.version, "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": schema_of(kind.plural) or {"type": "object"}}
    version["subresources"] = {"status": {}} if kind.status else {}
    established = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": ""}
    return {
        "metadata": {"name": kind.resource},
        "spec": {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]},
        "status": {"conditions": [established], "acceptedNames": names, "storedVersions": [kind.version]},
    }
