"""What the cluster remembers: objects, their versions, who owns which field, and the history that watches read.

It enforces what a real API server enforces for every object (resourceVersion, generation, subresources, ownership)
and knows nothing of HTTP, of rights, or of what controllers do.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.kubernetes.defaults import defaulted
from tests.kubernetes.kinds import Json, Kind, copied, meta
from tests.kubernetes.ownership import Owner, Ownership, after_update, applied, rendered
from tests.kubernetes.refusals import Refusal, bad_request, exists, expired, invalid, not_found, stale
from tests.kubernetes.schema import checked

Key = tuple[str, str, str]
"""Plural, namespace (empty for what has none), name."""
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the history."""

    version: int
    type: str
    """ADDED, MODIFIED or DELETED."""
    key: Key
    item: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes, and how that is written down."""

    manager: str
    subresource: str = ""
    apply: bool = False

    def owner(self, kind: Kind) -> Owner:
        """As the ownership of fields names it."""
        operation = "Apply" if self.apply else "Update"
        return Owner(
            manager=self.manager, operation=operation, api_version=kind.api_version, subresource=self.subresource
        )


@dataclass
class Store:
    """All objects. Every method holds the lock; a controller may hold it over several calls."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    objects: dict[Key, Json] = field(default_factory=dict)
    owners: dict[Key, Ownership] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    version: int = 1000
    forgotten: int = 0
    """Changes up to this version are no longer in the history."""
    chance: random.Random = field(default_factory=lambda: random.Random(20261122))

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """A copy of an object. Raises Refusal 404."""
        with self.lock:
            return self.shown(self._held(kind, namespace, name))

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """A copy of an object, or None."""
        with self.lock:
            item = self.objects.get((kind.plural, namespace, name))
            return None if item is None else self.shown(item)

    def list(self, kind: Kind, namespace: str = "") -> list[Json]:
        """Copies of the objects of a kind, in a namespace or everywhere, by name."""
        with self.lock:
            keys = sorted(key for key in self.objects if key[0] == kind.plural and namespace in ("", key[1]))
            return [self.shown(self.objects[key]) for key in keys]

    def shown(self, item: Json) -> Json:
        """An object as the API shows it."""
        return copied(item)

    def create(self, kind: Kind, namespace: str, item: Json, writer: Writer) -> Json:
        """Store a new object. Raises Refusal 409 where it exists, 422 where it breaks its schema."""
        with self.lock:
            item = copied(item)
            data = item.setdefault("metadata", {})
            if not data.get("name") and data.get("generateName"):
                data["name"] = data["generateName"] + self.suffix()
            name = data.get("name") or ""
            if not name:
                raise invalid(kind, "", [("metadata.name", "Required value: name or generateName is required")])
            if kind.namespaced:
                data["namespace"] = namespace
            key = (kind.plural, namespace, name)
            if key in self.objects:
                raise exists(kind, name)
            item = defaulted(kind, checked(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **item}))
            if kind.status and kind.plural not in ("customresourcedefinitions", "pods"):
                item.pop("status", None)
            owner = writer.owner(kind)
            self.owners[key] = after_update({}, {}, item, owner, now=_stamp())
            meta(item).update(uid=str(uuid.uuid4()), creationTimestamp=_stamp())
            if "spec" in item and (kind.custom or kind.group):
                meta(item)["generation"] = 1
            return self._put(key, item, "ADDED")

    def write(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Json], Json],
        writer: Writer,
    ) -> Json:
        """Change an object by a function of what it is now; a change of nothing is no write.

        A resourceVersion in what the function returns must be the current one: Refusal 409 otherwise. Through the
        main resource only what is not status changes, through the subresource `status` only that.
        """
        with self.lock:
            before = self._held(kind, namespace, name)
            wanted = change(copied(before))
            self._same(kind, before, wanted)
            after = self._within(kind, before, wanted, writer)
            key = (kind.plural, namespace, name)
            owners = after_update(self.owners[key], before, after, writer.owner(kind), now=_stamp())
            return self._save(kind, key, before, after, owners, writer)

    def apply(self, kind: Kind, namespace: str, name: str, patch: Json, writer: Writer, *, force: bool) -> Json:
        """Server-side apply; an object that is not there is made. Raises Refusal 409 that names fields of others."""
        with self.lock:
            key = (kind.plural, namespace, name)
            owner = writer.owner(kind)
            if key not in self.objects:
                patch = copied(patch)
                patch.setdefault("metadata", {})["name"] = name
                self.create(kind, namespace, patch, writer)
                _, self.owners[key] = applied({}, patch, {}, owner, force=True, now=_stamp())
                meta(self.objects[key])["managedFields"] = rendered(self.owners[key])
                return self.get(kind, namespace, name)
            before = self._held(kind, namespace, name)
            version = (patch.get("metadata") or {}).get("resourceVersion")
            if version not in (None, meta(before)["resourceVersion"]):
                raise stale(kind, name)
            wanted, owners = applied(before, patch, self.owners[key], owner, force=force, now=_stamp())
            after = self._within(kind, before, wanted, writer)
            return self._save(kind, key, before, after, owners, writer)

    def delete(self, kind: Kind, namespace: str, name: str, *, propagation: str, options: Json | None = None) -> Json:
        """Remove an object. Raises Refusal 404; 409 where a precondition does not hold."""
        with self.lock:
            item = self._held(kind, namespace, name)
            wanted = (options or {}).get("preconditions") or {}
            if wanted.get("uid") not in (None, meta(item)["uid"]):
                raise stale(kind, name)
            if wanted.get("resourceVersion") not in (None, meta(item)["resourceVersion"]):
                raise stale(kind, name)
            key = (kind.plural, namespace, name)
            if propagation == "Orphan":
                self._orphan(meta(item)["uid"])
            if propagation == "Foreground" or meta(item).get("finalizers") or kind.plural == "pods":
                return self._mark(key, foreground=propagation == "Foreground")
            return self.remove(key)

    def remove(self, key: Key) -> Json:
        """Take an object out at once."""
        with self.lock:
            item = self.objects.pop(key)
            self.owners.pop(key, None)
            self.version += 1
            item = copied(item)
            meta(item)["resourceVersion"] = str(self.version)
            self.history.append(Change(version=self.version, type="DELETED", key=key, item=item))
            self.changed.notify_all()
            return item

    def since(self, version: int) -> tuple[Change, ...]:
        """What happened after a version. Raises Refusal 410 where that is forgotten."""
        with self.lock:
            if version < self.forgotten:
                raise expired(version, self.forgotten)
            return tuple(change for change in self.history if change.version > version)

    def forget(self) -> None:
        """Compact the history: who watches from an older version gets 410."""
        with self.lock:
            self.forgotten = self.version
            self.history.clear()

    def saved(self) -> tuple[dict[Key, Json], dict[Key, Ownership], int, int]:
        """What a dry run is undone to."""
        return dict(self.objects), dict(self.owners), len(self.history), self.version

    def restore(self, kept: tuple[dict[Key, Json], dict[Key, Ownership], int, int]) -> None:
        """Undo everything since; the lock must have been held all the while."""
        self.objects, self.owners, length, self.version = kept
        del self.history[length:]

    def suffix(self, length: int = 5) -> str:
        """Random letters as generated names have them."""
        return "".join(self.chance.choice(_SUFFIX) for _ in range(length))

    def dependents(self, uid: str) -> Iterator[Key]:
        """The objects that name this one as their owner."""
        for key, item in list(self.objects.items()):
            if any(one["uid"] == uid for one in meta(item).get("ownerReferences") or ()):
                yield key

    def _held(self, kind: Kind, namespace: str, name: str) -> Json:
        item = self.objects.get((kind.plural, namespace, name))
        if item is None:
            raise not_found(kind, name)
        return item

    def _same(self, kind: Kind, before: Json, wanted: Json) -> None:
        data = wanted.get("metadata") or {}
        name = meta(before)["name"]
        if data.get("resourceVersion") not in (None, "", meta(before)["resourceVersion"]):
            raise stale(kind, name)
        if data.get("uid") not in (None, "", meta(before)["uid"]):
            raise stale(kind, name)
        if data.get("name") != name:
            raise bad_request(
                f"the name of the object ({data.get('name')}) does not match the name on the URL ({name})"
            )

    def _within(self, kind: Kind, before: Json, wanted: Json, writer: Writer) -> Json:
        """What of a write the resource takes: the status alone, or everything else."""
        after = copied(before)
        if writer.subresource == "status":
            after.pop("status", None)
            if kind.plural == "deployments" and (meta(wanted).get("annotations")):
                meta(after)["annotations"] = meta(wanted)["annotations"]
            return checked(kind, after | ({"status": wanted["status"]} if "status" in wanted else {}), before)
        fixed = ("uid", "creationTimestamp", "generation", "resourceVersion", "managedFields", "namespace", "name")
        kept = {key: meta(before)[key] for key in fixed if key in meta(before)}
        free = {key: value for key, value in (wanted.get("metadata") or {}).items() if key not in fixed and value}
        after = {**wanted, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": free | kept}
        if kind.status:
            after.pop("status", None)
            after |= {"status": copied(before["status"])} if "status" in before else {}
        after = defaulted(kind, checked(kind, after, before))
        _immutable(kind, before, after)
        return after

    def _save(self, kind: Kind, key: Key, before: Json, after: Json, owners: Ownership, writer: Writer) -> Json:
        bumped = before.get("spec") != after.get("spec") or (
            kind.plural == "deployments" and meta(before).get("annotations") != meta(after).get("annotations")
        )
        if bumped and writer.subresource != "status" and "generation" in meta(before):
            meta(after)["generation"] = meta(before)["generation"] + 1
        same = {**before, "metadata": _plain(before)} == {**after, "metadata": _plain(after)}
        held = self.owners[key]
        if same and {who: set(mine) for who, mine in held.items()} == {who: set(mine) for who, mine in owners.items()}:
            return self.shown(before)
        self.owners[key] = owners
        if meta(after).get("deletionTimestamp") and not meta(after).get("finalizers"):
            return self.remove(key)
        return self._put(key, after, "MODIFIED")

    def _put(self, key: Key, item: Json, type_: str) -> Json:
        self.version += 1
        meta(item)["resourceVersion"] = str(self.version)
        meta(item)["managedFields"] = rendered(self.owners.get(key, {}))
        self.objects[key] = item
        self.history.append(Change(version=self.version, type=type_, key=key, item=copied(item)))
        self.changed.notify_all()
        return self.shown(item)

    def _mark(self, key: Key, *, foreground: bool) -> Json:
        item = copied(self.objects[key])
        if not meta(item).get("deletionTimestamp"):
            meta(item)["deletionTimestamp"] = _stamp()
            if foreground:
                meta(item)["finalizers"] = [*(meta(item).get("finalizers") or ()), "foregroundDeletion"]
            return self._put(key, item, "MODIFIED")
        return item

    def _orphan(self, uid: str) -> None:
        for key in self.dependents(uid):
            item = copied(self.objects[key])
            meta(item)["ownerReferences"] = [one for one in meta(item)["ownerReferences"] if one["uid"] != uid]
            self._put(key, item, "MODIFIED")


def _plain(item: Json) -> Json:
    return {key: value for key, value in meta(item).items() if key not in ("managedFields", "resourceVersion")}


def _immutable(kind: Kind, before: Json, after: Json) -> None:
    if kind.plural in ("deployments", "replicasets") and before["spec"]["selector"] != after["spec"]["selector"]:
        raise invalid(kind, meta(before)["name"], [("spec.selector", "Invalid value: field is immutable")])


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["Change", "Key", "Refusal", "Store", "Writer"]
