"""How a Rollout splits traffic: the selectors of its Services, the weights of its HTTPRoute, its canary Ingress."""

from __future__ import annotations

from typing import Final

from tests.kubernetes.argo_sets import BY, HASH, available
from tests.kubernetes.kinds import Json, copied, meta, name_of
from tests.kubernetes.world import INGRESSES, ROUTES, SERVICES, World, owned_by

PLUGIN: Final = "argoproj-labs/gatewayAPI"
_NGINX: Final = "nginx.ingress.kubernetes.io/"


def routes(canary: Json) -> bool:
    """Whether traffic is split by a router and not by the number of pods."""
    return bool(canary.get("trafficRouting"))


def most(canary: Json) -> int:
    """The weight that is all traffic: 100, or `maxTrafficWeight`."""
    return int((canary.get("trafficRouting") or {}).get("maxTrafficWeight") or 100)


def current_weight(status: Json) -> int | None:
    """The canary's weight as the status tells; None where none was routed."""
    weights = (status.get("canary") or {}).get("weights")
    return None if not weights else int(weights["canary"]["weight"])


def point_services(world: World, item: Json, canary: Json, *, stable: str, canary_hash: str, new: Json) -> None:
    """The stable Service means the stable pods; the canary's the new ones once they are available."""
    serving = canary_hash if available(new) >= max(1, int(new["spec"]["replicas"])) else stable
    for name, hash_ in ((canary.get("stableService"), stable), (canary.get("canaryService"), serving)):
        service = world.store.find(SERVICES, meta(item)["namespace"], name) if name else None
        if service is None or service["spec"]["selector"].get(HASH) == hash_:
            continue

        def pointed(held: Json, wanted: str = hash_) -> Json:
            held["spec"]["selector"] = {**held["spec"]["selector"], HASH: wanted}
            return held

        world.change(SERVICES, service, pointed, by=BY)


def routed(world: World, item: Json, canary: Json, *, weight: int, stable: str, canary_hash: str, write: bool) -> Json:
    """Write the weights where something moved, and the part of the status that tells them."""
    if write:
        routing = canary["trafficRouting"]
        plugin = (routing.get("plugins") or {}).get(PLUGIN)
        if plugin is not None:
            _write_route(world, item, canary, plugin, weight)
        if "nginx" in routing:
            _write_ingress(world, item, canary, routing["nginx"]["stableIngress"], weight)
    names = (canary.get("canaryService", ""), canary.get("stableService", ""))
    return {
        "weights": {
            "canary": {"weight": weight, "serviceName": names[0], "podTemplateHash": canary_hash},
            "stable": {"weight": most(canary) - weight, "serviceName": names[1], "podTemplateHash": stable},
        }
    }


def _write_route(world: World, item: Json, canary: Json, plugin: Json, weight: int) -> None:
    namespace = plugin.get("namespace") or meta(item)["namespace"]
    names = [plugin["httpRoute"]] if "httpRoute" in plugin else [one["name"] for one in plugin.get("httpRoutes") or ()]
    shares = {canary.get("canaryService"): weight, canary.get("stableService"): most(canary) - weight}

    def weighted(held: Json) -> Json:
        for rule in held["spec"].get("rules") or ():
            backends = rule.get("backendRefs") or ()
            if set(shares) <= {one["name"] for one in backends}:
                for one in backends:
                    one["weight"] = shares.get(one["name"], one.get("weight", 1))
        return held

    for name in names:
        route = world.store.find(ROUTES, namespace, name)
        if route is not None and weighted(copied(route)) != route:
            world.change(ROUTES, route, weighted, by="gatewayAPI")


def _write_ingress(world: World, item: Json, canary: Json, stable: str, weight: int) -> None:
    namespace = meta(item)["namespace"]
    name = f"{name_of(item)}-{stable}-canary"
    annotations = {f"{_NGINX}canary": "true", f"{_NGINX}canary-weight": str(weight)}
    if most(canary) != 100:
        annotations[f"{_NGINX}canary-weight-total"] = str(most(canary))
    held = world.store.find(INGRESSES, namespace, name)
    if held is not None:

        def annotated(ingress: Json) -> Json:
            meta(ingress)["annotations"] = {**(meta(ingress).get("annotations") or {}), **annotations}
            return ingress

        world.change(INGRESSES, held, annotated, by=BY)
        return
    user = world.store.find(INGRESSES, namespace, stable)
    if user is None:
        return
    spec = copied(user["spec"])
    for rule in spec.get("rules") or ():
        for path in rule["http"]["paths"]:
            if path["backend"]["service"]["name"] == canary.get("stableService"):
                path["backend"]["service"]["name"] = canary.get("canaryService")
    data = {"name": name, "annotations": annotations, "ownerReferences": owned_by(item)}
    world.create(INGRESSES, namespace, {"metadata": data, "spec": spec}, by=BY)
