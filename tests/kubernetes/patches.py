"""The ways to patch an object: JSON merge patch (RFC 7396), JSON patch (RFC 6902) and Kubernetes' strategic merge.

Pure: an object and a patch in, a new object out. Server-side apply is in ownership.py.
"""

from __future__ import annotations

from typing import Final

from tests.kubernetes.kinds import Json, Node, copied
from tests.kubernetes.refusals import Refusal, bad_request

MERGE_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
}
"""Lists of the built-in kinds that are merged by a key; every other list is replaced whole."""


def keys_of(field: str, items: list[Node]) -> tuple[str, ...]:
    """By what the items of a built-in list are told apart; empty for a list that is one value."""
    if field == "ports" and items and isinstance(items[0], dict):
        return ("containerPort",) if "containerPort" in items[0] else ("port",) if "port" in items[0] else ()
    keys = MERGE_KEYS.get(field, ())
    return keys if all(isinstance(item, dict) and all(key in item for key in keys) for item in items) else ()


def merge(item: Node, patch: Node) -> Node:
    """RFC 7396: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(item: Node, patch: Node, field: str = "") -> Node:
    """Like a merge, but lists with a key are merged by it; knows `$patch: delete` and `$patch: replace`."""
    if isinstance(patch, list):
        return _merged_list(item if isinstance(item, list) else [], patch, field)
    if not isinstance(patch, dict):
        return copied(patch)
    if patch.get("$patch") == "replace":
        return {key: copied(value) for key, value in patch.items() if key != "$patch"}
    result = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        else:
            result[key] = strategic(result.get(key), value, key)
    return result


def _merged_list(items: list[Node], patch: list[Node], field: str) -> list[Node]:
    changes = [one for one in patch if not (isinstance(one, dict) and one == {"$patch": "replace"})]
    keys = keys_of(field, items + [one for one in changes if isinstance(one, dict)])
    if not keys or len(changes) != len(patch):
        return copied(changes)
    result = list(items)
    for change in changes:
        same = [at for at, one in enumerate(result) if all(one[key] == change[key] for key in keys)]
        if change.get("$patch") == "delete":
            result = [one for at, one in enumerate(result) if at not in same]
        elif same:
            result[same[0]] = strategic(result[same[0]], change)
        else:
            result.append(strategic({}, change))
    return result


def json_patch(item: Json, operations: Node) -> Json:
    """RFC 6902. Raises Refusal 422 where a test fails or a path is not there."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: Node = copied(item)
    for operation in operations:
        path = _pointer(operation["path"])
        match operation["op"]:
            case "add":
                _put(document, path, copied(operation["value"]), replace=False)
            case "replace":
                _get(document, path)
                _put(document, path, copied(operation["value"]), replace=True)
            case "remove":
                _pop(document, path)
            case "test":
                if _get(document, path) != operation["value"]:
                    raise _unprocessable(f"testing value {operation['path']} failed: test failed")
            case "move":
                _put(document, path, _pop(document, _pointer(operation["from"])), replace=False)
            case "copy":
                _put(document, path, copied(_get(document, _pointer(operation["from"]))), replace=False)
            case other:
                raise bad_request(f"Unexpected kind: {other}")
    result: Json = document
    return result


def _unprocessable(message: str) -> Refusal:
    return Refusal(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _get(document: Node, path: list[str]) -> Node:
    for part in path:
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise _unprocessable(f"missing path: /{'/'.join(path)}: missing value") from None
    return document


def _put(document: Node, path: list[str], value: Node, *, replace: bool) -> None:
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        if last == "-":
            parent.append(value)
        elif replace:
            parent[int(last)] = value
        else:
            parent.insert(int(last), value)
    else:
        parent[last] = value


def _pop(document: Node, path: list[str]) -> Node:
    value = _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.pop(int(last))
    else:
        parent.pop(last)
    return value
