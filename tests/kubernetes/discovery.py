"""What the API server says of itself: groups, resources and version, so that a client finds its way. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.kubernetes.kinds import Json, Kind

VERSION: Final[Json] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-10-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]
_REVIEWS: Final = Kind(
    group="authorization.k8s.io",
    version="v1",
    plural="selfsubjectaccessreviews",
    kind="SelfSubjectAccessReview",
    namespaced=False,
    status=False,
)


def described(path: str, kinds: Iterable[Kind]) -> Json | None:
    """The document at a path of discovery; None for a path that is none."""
    served = (*kinds, _REVIEWS)
    match path.strip("/").split("/"):
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(name, served) for name in sorted({kind.group for kind in served if kind.group})]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", name]:
            known = any(kind.group == name for kind in served)
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, served)} if known else None
        case ["api", "v1"] | ["apis", _, _]:
            root = path.strip("/")
            resources = [one for kind in served if kind.root == root for one in _resources(kind)]
            version = root.partition("/")[2]
            listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
            return listed if resources else None
        case ["openapi", "v2"]:
            info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
            return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}
        case ["openapi", "v3"]:
            return {"paths": {}}
        case _:
            return None


def _group(name: str, kinds: Iterable[Kind]) -> Json:
    versions = sorted({kind.version for kind in kinds if kind.group == name})
    told = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]} if told else {"name": name, "versions": []}


def _resources(kind: Kind) -> list[Json]:
    common: Json = {"namespaced": kind.namespaced, "kind": kind.kind, "singularName": kind.kind.lower()}
    verbs = ["create"] if kind is _REVIEWS else _VERBS
    found: list[Json] = [{"name": kind.plural, "verbs": verbs, "shortNames": list(kind.short), **common}]
    if kind.status:
        found.append({"name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"], **common})
    if kind.scale:
        scale = {"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]}
        found.append({"name": f"{kind.plural}/scale", **common, **scale})
    return found
