"""Who owns which field of an object: what server-side apply and `managedFields` rest on.

Pure. A field is a path of names; in the lists of built-in kinds that have a key, an item is named by it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.kubernetes.kinds import Json, Node, copied
from tests.kubernetes.patches import keys_of
from tests.kubernetes.refusals import owned_by_others

Path = tuple[str, ...]
"""Elements as in `managedFields`: `f:replicas`, `k:{"name":"app"}`, and `.` for the item itself."""

_NOT_OWNED = (
    ("f:apiVersion",),
    ("f:kind",),
    *(("f:metadata", f"f:{name}") for name in ("name", "namespace", "uid", "resourceVersion", "generation")),
    *(("f:metadata", f"f:{name}") for name in ("creationTimestamp", "managedFields", "deletionTimestamp", "selfLink")),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Owner:
    """A field manager and how it writes."""

    manager: str
    operation: str
    """`Apply` or `Update`."""
    api_version: str
    subresource: str = ""


Ownership = dict[Owner, dict[Path, str]]
"""What each owns, and the time of its last write (the value, the same for all fields of one owner)."""


def fields_of(item: Json) -> dict[Path, Node]:
    """Every leaf of an object by its path; a list without a key is a leaf."""
    found: dict[Path, Node] = {}
    _walk(item, (), "", found)
    return {path: value for path, value in found.items() if not any(path[: len(no)] == no for no in _NOT_OWNED)}


def _named(field: str, items: list[Node]) -> list[str] | None:
    """How each item of a list is named in paths; None for a list that is one value."""
    keys = keys_of(field, items)
    if not keys:
        return None
    extra = ("protocol",) if field == "ports" else ()
    return [
        "k:" + json.dumps({key: one.get(key, "TCP") for key in (*keys, *extra)}, separators=(",", ":")) for one in items
    ]


def _walk(value: Node, path: Path, field: str, found: dict[Path, Node]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _walk(inner, (*path, f"f:{key}"), key, found)
    elif isinstance(value, list) and value and (names := _named(field, value)):
        for name, inner in zip(names, value, strict=True):
            found[(*path, name, ".")] = None
            _walk(inner, (*path, name), "", found)
    else:
        found[path] = value


def shown(path: Path) -> str:
    """As an error message writes it: `.spec.template.spec.containers[name="app"].image`."""
    text = ""
    for part in path:
        if part.startswith("f:"):
            text += f".{part[2:]}"
        elif part.startswith("k:"):
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(part[2:]).items())
            text += f"[{pairs}]"
    return text


def after_update(owners: Ownership, before: Json, after: Json, owner: Owner, *, now: str) -> Ownership:
    """Fields that a plain write changed belong to the writer from now on, and to nobody else."""
    old, new = fields_of(before), fields_of(after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    kept = {who: {p: t for p, t in mine.items() if p in new and p not in changed} for who, mine in owners.items()}
    if changed:
        kept[owner] = dict.fromkeys({*kept.get(owner, {}), *changed}, now)
    return {who: mine for who, mine in kept.items() if mine}


def applied(
    item: Json, patch: Json, owners: Ownership, owner: Owner, *, force: bool, now: str
) -> tuple[Json, Ownership]:
    """The object after a server-side apply, and who owns what then. Raises Refusal 409 that names the fields."""
    wanted = fields_of(patch)
    current = fields_of(item)
    conflicts: dict[tuple[str, str], list[str]] = {}
    for other, theirs in sorted(owners.items()):
        if other == owner:
            continue
        fought = sorted(p for p in theirs if p in wanted and p[-1] != "." and current.get(p) != wanted[p])
        if fought and not force:
            conflicts[(other.manager, other.api_version)] = [shown(path) for path in fought]
    if conflicts:
        raise owned_by_others(conflicts)
    others = {
        who: {p: t for p, t in mine.items() if p not in wanted or p[-1] == "." or current.get(p) == wanted[p]}
        for who, mine in owners.items()
        if who != owner
    }
    result = copied(item)
    _overlay(result, patch)
    still = {path for mine in others.values() for path in mine}
    given_up = [path for path in owners.get(owner, {}) if path not in wanted and path not in still]
    for path in sorted(given_up, key=len, reverse=True):
        _remove(result, path)
    everyone = {who: mine for who, mine in others.items() if mine} | {owner: dict.fromkeys(wanted, now)}
    return result, everyone


def _overlay(item: Json, patch: Json) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(item.get(key), dict):
            _overlay(item[key], value)
        elif isinstance(value, list) and _named(key, value) is not None:
            _overlay_list(key, item.setdefault(key, []), value)
        else:
            item[key] = copied(value)


def _overlay_list(field: str, items: list[Node], patch: list[Node]) -> None:
    for name, change in zip(_named(field, patch) or (), patch, strict=True):
        held = _named(field, items) or []
        if name in held:
            _overlay(items[held.index(name)], change)
        else:
            items.append(copied(change))


def _remove(item: Node, path: Path) -> None:
    """Take a field out; an item of a list goes with its `.`."""
    parents: list[tuple[Node, Node]] = []
    at = item
    for part in path:
        if part == ".":
            break
        if part.startswith("f:"):
            if not isinstance(at, dict) or part[2:] not in at:
                return
            parents.append((at, part[2:]))
            at = at[part[2:]]
        else:
            names = _named(parents[-1][1], at) or []
            if part not in names:
                return
            found = names.index(part)
            parents.append((at, found))
            at = at[found]
    parent, key = parents[-1]
    del parent[key]


def rendered(owners: Ownership) -> list[Json]:
    """As `metadata.managedFields` shows it."""
    shown_owners = []
    for owner, mine in sorted(owners.items()):
        tree: Json = {}
        for path in sorted(mine):
            at = tree
            for part in path:
                at = at.setdefault(part, {})
        entry: Json = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": owner.api_version,
            "time": next(iter(mine.values())),
            "fieldsType": "FieldsV1",
            "fieldsV1": tree,
        }
        shown_owners.append(entry | ({"subresource": owner.subresource} if owner.subresource else {}))
    return shown_owners
