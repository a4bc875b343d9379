"""What a user of the gateway gets: routes by host, path and headers, backends by weight, pods by readiness.

It reads what the gateway has taken up (`World.programmed`), never what was merely written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from tests.kubernetes.endpoints import SERVICE_NAME
from tests.kubernetes.kinds import Json, Node, labels_of, meta
from tests.kubernetes.world import PODS, SERVICES, SLICES, World

_NGINX: Final = "nginx.ingress.kubernetes.io/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a user got."""

    status: int
    image: str = ""
    """Of the first container of the pod that answered; empty where none did."""
    pod: str = ""
    mirrored: tuple[str, ...] = ()
    """Images of the pods that got a copy of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where a rule may send a user."""

    namespace: str
    service: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a rule does with a request."""

    backends: tuple[Backend, ...]
    mirrors: tuple[Backend, ...] = ()
    """Their weight is the percentage that is copied."""


def ask(world: World, host: str, *, path: str, headers: Mapping[str, str]) -> Answer:
    """One request of a new user."""
    lowered = {name.lower(): value for name, value in headers.items()}
    with world.store.lock:
        split = _by_routes(world, host, path, lowered) or _by_ingresses(world, host, path, lowered)
        if split is None:
            return Answer(status=404)
        total = sum(backend.weight for backend in split.backends)
        if not total:
            return Answer(status=500)
        at = world.store.chance.randrange(total)
        chosen = next(one for one, up in _upto(split.backends) if at < up)
        copies = [_served(world, one) for one in split.mirrors if world.store.chance.randrange(100) < one.weight]
        return replace(_served(world, chosen), mirrored=tuple(copy.image for copy in copies if copy.status == 200))


def _upto(backends: tuple[Backend, ...]) -> list[tuple[Backend, int]]:
    return list(zip(backends, accumulate(one.weight for one in backends), strict=True))


def _served(world: World, backend: Backend) -> Answer:
    if world.store.find(SERVICES, backend.namespace, backend.service) is None:
        return Answer(status=500)
    ready = [
        endpoint["targetRef"]["name"]
        for one in world.store.list(SLICES, backend.namespace)
        if labels_of(one).get(SERVICE_NAME) == backend.service
        for endpoint in one["endpoints"]
        if endpoint["conditions"]["ready"]
    ]
    if not ready:
        return Answer(status=503)
    pod = world.store.get(PODS, backend.namespace, world.store.chance.choice(ready))
    return Answer(status=200, image=pod["spec"]["containers"][0]["image"], pod=meta(pod)["name"])


def _by_routes(world: World, host: str, path: str, headers: Mapping[str, str]) -> Split | None:
    """The backends of the rule that matches best: longest path, then method, then most headers (Gateway API)."""
    best: tuple[tuple[int, int, int], Json, Json] | None = None
    for (plural, _, _), route in sorted(world.programmed.items()):
        hosts = route["spec"].get("hostnames") if plural == "httproutes" else ()
        if plural != "httproutes" or not (not hosts or any(_host(one, host) for one in hosts)):
            continue
        for rule in route["spec"].get("rules") or ():
            matches: list[Json] = rule.get("matches") or [{}]
            for match in matches:
                rank = _rank(match, path, headers)
                if rank is not None and (best is None or rank > best[0]):
                    best = (rank, route, rule)
    if best is None:
        return None
    _, route, rule = best

    def backend(reference: Json, weight: int) -> Backend:
        namespace = reference.get("namespace") or meta(route)["namespace"]
        return Backend(namespace=namespace, service=reference["name"], weight=weight)

    mirrors = [one["requestMirror"] for one in rule.get("filters") or () if one["type"] == "RequestMirror"]
    return Split(
        backends=tuple(backend(one, int(one.get("weight", 1))) for one in rule.get("backendRefs") or ()),
        mirrors=tuple(backend(one["backendRef"], int(one.get("percent", 100))) for one in mirrors),
    )


def _host(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else pattern == host


def _rank(match: Json, path: str, headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    wanted = match.get("path") or {"type": "PathPrefix", "value": "/"}
    value = str(wanted.get("value", "/"))
    exact = wanted.get("type") == "Exact"
    prefix = value.rstrip("/")
    if not (path == value if exact else path == prefix or path.startswith(f"{prefix}/")):
        return None
    terms: list[Node] = match.get("headers") or []
    for term in terms:
        held = headers.get(str(term["name"]).lower())
        kind = term.get("type", "Exact")
        if held is None or not (
            re.search(term["value"], held) if kind == "RegularExpression" else held == term["value"]
        ):
            return None
    return int(exact), len(value), len(terms)


def _by_ingresses(world: World, host: str, path: str, headers: Mapping[str, str]) -> Split | None:
    """ingress-nginx: the plain Ingress, and one with canary annotations that takes its share of it."""
    plain: Backend | None = None
    canary: tuple[Backend, dict[str, str]] | None = None
    for (plural, namespace, _), item in sorted(world.programmed.items()):
        service = _ingress_service(item, host, path) if plural == "ingresses" else None
        if service is None:
            continue
        annotations = meta(item).get("annotations") or {}
        if annotations.get(f"{_NGINX}canary") == "true":
            canary = (Backend(namespace=namespace, service=service, weight=0), annotations)
        else:
            plain = Backend(namespace=namespace, service=service, weight=1)
    if plain is None:
        return None
    if canary is None:
        return Split(backends=(plain,))
    backend, annotations = canary
    header = annotations.get(f"{_NGINX}canary-by-header")
    if header:
        held = headers.get(header.lower())
        value = annotations.get(f"{_NGINX}canary-by-header-value")
        if held is not None and held == (value or "always"):
            return Split(backends=(replace(backend, weight=1),))
        if held == "never" and not value:
            return Split(backends=(plain,))
    total = int(annotations.get(f"{_NGINX}canary-weight-total", "100"))
    weight = int(annotations.get(f"{_NGINX}canary-weight", "0"))
    return Split(backends=(replace(plain, weight=total - weight), replace(backend, weight=weight)))


def _ingress_service(item: Json, host: str, path: str) -> str | None:
    for rule in item["spec"].get("rules") or ():
        if rule.get("host") in (None, "", host):
            for one in (rule.get("http") or {}).get("paths") or ():
                if path.startswith(one.get("path", "/")):
                    return str(one["backend"]["service"]["name"])
    default = item["spec"].get("defaultBackend")
    return str(default["service"]["name"]) if default else None
