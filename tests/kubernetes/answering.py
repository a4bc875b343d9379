"""From a request to a call of the store and back to an answer: paths, verbs, content types, subresources, dry runs.

It speaks no HTTP (listening.py does) and enforces no rule of objects (store.py does).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from tests.kubernetes import patches
from tests.kubernetes.kinds import KINDS, Json, Kind, Node, copied, meta
from tests.kubernetes.refusals import Refusal, bad_request, no_such_path, not_found, unsupported_media_type
from tests.kubernetes.selecting import chosen
from tests.kubernetes.store import Store, Writer

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request below a resource, taken apart."""

    method: str
    kind: Kind
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    content_type: str
    body: bytes
    agent: str
    """The first word of the User-Agent: the field manager of who names none."""

    @property
    def verb(self) -> str:
        """As roles name it."""
        if self.method == "GET":
            if self.query.get("watch") in ("true", "1", "True"):
                return "watch"
            return "get" if self.name else "list"
        if self.method == "DELETE" and not self.name:
            return "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.method]

    @property
    def resource(self) -> str:
        """As roles name it."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    @property
    def writer(self) -> Writer:
        """Whose the fields become."""
        manager = self.query.get("fieldManager") or self.agent
        return Writer(manager=manager, subresource=self.subresource, apply=self.content_type == APPLY)

    def read(self) -> Node:
        """The body. Raises Refusal 400."""
        try:
            return yaml.safe_load(self.body) if self.content_type == APPLY else json.loads(self.body or b"{}")
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"error decoding the body: {type(error).__name__}") from None


def located(path: str, served: frozenset[str]) -> tuple[Kind, str, str, str]:
    """Kind, namespace, name and subresource of a path. Raises Refusal 404 for a resource that is not served."""
    parts = path.strip("/").split("/")
    roots = 2 if parts[0] == "api" else 3
    root, rest = "/".join(parts[:roots]), parts[roots:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2:] != ["status"]:
        namespace, rest = rest[1], rest[2:]
    kind = next((one for one in KINDS if rest and one.root == root and one.plural == rest[0]), None)
    if kind is None or kind.plural not in served:
        raise no_such_path()
    name, subresource = (*rest[1:3], "", "")[:2]
    return kind, namespace, name, subresource


def answered(store: Store, request: Request) -> tuple[int, Json]:
    """Carry a request out: status and body. Raises Refusal."""
    if request.query.get("dryRun"):
        with store.lock:
            kept = store.saved()
            try:
                return _carried_out(store, request)
            finally:
                store.restore(kept)
    return _carried_out(store, request)


def _carried_out(store: Store, request: Request) -> tuple[int, Json]:
    if request.subresource == "scale" and request.kind.scale:
        return 200, _scale(store, request)
    if request.subresource not in ("", *(("status",) if request.kind.status else ())):
        raise no_such_path()
    kind, namespace, name = request.kind, request.namespace, request.name
    match request.verb:
        case "list":
            return 200, listed(store, request)
        case "get":
            return 200, store.get(kind, namespace, name)
        case "create":
            if kind.namespaced and store.find(KINDS[0], "", namespace) is None:
                raise not_found(KINDS[0], namespace)
            return 201, store.create(kind, namespace, request.read(), request.writer)
        case "update":
            wanted = request.read()
            return 200, store.write(kind, namespace, name, lambda _: wanted, request.writer)
        case "patch":
            return _patched(store, request)
        case "delete":
            options = request.read() if request.body else {}
            return _deleted(store, request, name, options)
        case "deletecollection":
            for item in listed(store, request)["items"]:
                _deleted(store, request, meta(item)["name"], {})
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        case verb:
            raise Refusal(405, "MethodNotAllowed", f"{verb} is not supported on resources of kind {kind.resource!r}")


def listed(store: Store, request: Request) -> Json:
    """A LIST: those the selectors choose, in pages where a limit is given."""
    with store.lock:
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        items = [
            item for item in store.list(request.kind, request.namespace) if chosen(item, labels=labels, fields=fields)
        ]
        begin, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 0)
        page = items[begin : begin + limit] if limit else items[begin:]
        more = {"continue": str(begin + limit)} if limit and begin + limit < len(items) else {}
        return {
            "kind": f"{request.kind.kind}List",
            "apiVersion": request.kind.api_version,
            "metadata": {"resourceVersion": str(store.version), **more},
            "items": page,
        }


def _patched(store: Store, request: Request) -> tuple[int, Json]:
    kind, namespace, name = request.kind, request.namespace, request.name
    accepted = (JSON_PATCH, MERGE_PATCH, APPLY) if kind.custom else (JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY)
    if request.content_type not in accepted:
        raise unsupported_media_type(*accepted)
    patch = request.read()
    if request.content_type == APPLY:
        if not request.query.get("fieldManager"):
            raise Refusal(422, "Invalid", 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value')
        force = request.query.get("force") in ("true", "True", "1")
        there = store.find(kind, namespace, name) is not None
        if not there and request.subresource:
            raise not_found(kind, name)
        return 200 if there else 201, store.apply(kind, namespace, name, patch, request.writer, force=force)

    def change(item: Json) -> Json:
        match request.content_type:
            case "application/json-patch+json":
                return patches.json_patch(item, patch)
            case "application/merge-patch+json":
                merged: Json = patches.merge(item, patch)
                return merged
            case _:
                blended: Json = patches.strategic(item, patch)
                return blended

    return 200, store.write(kind, namespace, name, change, request.writer)


def _deleted(store: Store, request: Request, name: str, options: Json) -> tuple[int, Json]:
    propagation = request.query.get("propagationPolicy") or options.get("propagationPolicy") or "Background"
    gone = store.delete(request.kind, request.namespace, name, propagation=propagation, options=options)
    if meta(gone).get("deletionTimestamp"):
        return 200, gone
    details = {"name": name, "group": request.kind.group, "kind": request.kind.plural, "uid": meta(gone)["uid"]}
    return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _scale(store: Store, request: Request) -> Json:
    kind, namespace, name = request.kind, request.namespace, request.name

    def shown(item: Json) -> Json:
        kept = {key: meta(item)[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
        replicas = item["spec"].get("replicas", 1)
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": kept,
            "spec": {"replicas": replicas},
            "status": {"replicas": (item.get("status") or {}).get("replicas", 0)},
        }

    if request.method == "GET":
        return shown(store.get(kind, namespace, name))
    patch = request.read()

    def change(item: Json) -> Json:
        scale = patch if request.method == "PUT" else patches.merge(shown(item), patch)
        wanted = copied(item)
        wanted["spec"]["replicas"] = scale["spec"]["replicas"]
        version = (patch.get("metadata") or {}).get("resourceVersion")
        if version:
            meta(wanted)["resourceVersion"] = version
        return wanted

    writer = Writer(manager=request.writer.manager)
    return shown(store.write(kind, namespace, name, change, writer))
