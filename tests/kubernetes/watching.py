"""WATCH: the history after a version, then what happens, until the time is up or the history is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tests.kubernetes.answering import Request, listed
from tests.kubernetes.kinds import Json, meta
from tests.kubernetes.refusals import Refusal
from tests.kubernetes.selecting import chosen
from tests.kubernetes.store import Change, Store


def watched(store: Store, request: Request, *, running: Callable[[], bool]) -> Iterator[Json]:
    """The events of a watch, one document each; 410 is an event of type ERROR, as a real API server sends it."""
    until = time.monotonic() + float(request.query.get("timeoutSeconds") or 1800)
    asked = request.query.get("resourceVersion") or ""
    known = dict[str, bool]()
    if asked in ("", "0"):
        with store.lock:
            items, at = listed(store, request)["items"], store.version
        for item in items:
            known[meta(item)["uid"]] = True
            yield {"type": "ADDED", "object": item}
    else:
        at = int(asked)
        known = dict.fromkeys(_present(store, request, at), True)
    while running() and time.monotonic() < until:
        try:
            changes = store.since(at)
        except Refusal as refusal:
            yield {"type": "ERROR", "object": refusal.status()}
            return
        for change in changes:
            at = change.version
            event = _event(change, request, known)
            if event is not None:
                yield event
        with store.lock:
            if store.version <= at or not changes:
                store.changed.wait(min(0.1, max(0.0, until - time.monotonic())))
    if request.query.get("allowWatchBookmarks") in ("true", "True"):
        body = {"kind": request.kind.kind, "apiVersion": request.kind.api_version}
        yield {"type": "BOOKMARK", "object": body | {"metadata": {"resourceVersion": str(at)}}}


def _event(change: Change, request: Request, known: dict[str, bool]) -> Json | None:
    """As a watcher with these selectors sees a change: what begins or ceases to be chosen comes and goes."""
    plural, namespace, _ = change.key
    if plural != request.kind.plural or request.namespace not in ("", namespace):
        return None
    if request.name and change.key[2] != request.name:
        return None
    uid = meta(change.item)["uid"]
    labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
    now = change.type != "DELETED" and chosen(change.item, labels=labels, fields=fields)
    before = known.get(uid, False)
    known[uid] = now
    if now:
        return {"type": "MODIFIED" if before else "ADDED", "object": change.item}
    return {"type": "DELETED", "object": change.item} if before else None


def _present(store: Store, request: Request, version: int) -> Iterator[str]:
    """Who was chosen at that version: those of now that have not changed since, and those whose change says so."""
    with store.lock:
        later = [change for change in store.history if change.version > version]
        for item in listed(store, request)["items"]:
            if int(meta(item)["resourceVersion"]) <= version:
                yield meta(item)["uid"]
        for change in later:
            if change.type != "ADDED":
                yield meta(change.item)["uid"]
