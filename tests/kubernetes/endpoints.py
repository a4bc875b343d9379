"""Services find their pods, the gateway takes up its routes, and what nobody owns any more is collected."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.kubernetes.kinds import KINDS, Json, Node, copied, labels_of, meta, name_of
from tests.kubernetes.pods import is_ready
from tests.kubernetes.selecting import has_labels
from tests.kubernetes.world import INGRESSES, PODS, ROUTES, SERVICES, SLICES, World, condition, owned_by

CONTROLLER: Final = "example.com/gateway-controller"
SERVICE_NAME: Final = "kubernetes.io/service-name"


def reconcile_endpoints(world: World) -> None:
    """One EndpointSlice for each Service, with the pods that its selector means."""
    for service in world.store.list(SERVICES):
        selector = service["spec"].get("selector")
        if not selector:
            continue
        namespace = meta(service)["namespace"]
        pods = [pod for pod in world.store.list(PODS, namespace) if has_labels(selector, labels_of(pod))]
        body: Json = {
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods if (pod.get("status") or {}).get("podIP")],
            "ports": [
                {"name": port.get("name", ""), "port": _number(port["targetPort"], pods), "protocol": port["protocol"]}
                for port in service["spec"].get("ports") or ()
            ],
        }
        held = next(iter(world.owned(SLICES, service)), None)
        if held is None:
            data = {
                "name": f"{name_of(service)}-{world.store.suffix()}",
                "labels": {SERVICE_NAME: name_of(service)},
                "ownerReferences": owned_by(service),
            }
            world.create(SLICES, namespace, {"metadata": data, **body}, by="kube-controller-manager")
        elif {key: held.get(key) for key in body} != body:
            world.change(SLICES, held, partial(_filled, body=body), by="kube-controller-manager")


def _filled(item: Json, body: Json) -> Json:
    return {**item, **body}


def _endpoint(pod: Json) -> Json:
    ready, ending = is_ready(pod), bool(meta(pod).get("deletionTimestamp"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": ending},
        "targetRef": {
            "kind": "Pod",
            "namespace": meta(pod)["namespace"],
            "name": name_of(pod),
            "uid": meta(pod)["uid"],
        },
        "nodeName": "node-1",
    }


def _number(port: int | str, pods: list[Json]) -> int:
    if isinstance(port, int):
        return port
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for one in container.get("ports") or ():
                if one.get("name") == port:
                    return int(one["containerPort"])
    return 80


def program_gateway(world: World) -> None:
    """What the gateway serves follows the routes after its lag, and says so in their status."""
    for kind in (ROUTES, INGRESSES):
        present = set()
        for item in world.store.list(kind):
            key = (kind.plural, meta(item)["namespace"], name_of(item))
            present.add(key)
            served = world.programmed.get(key)
            mark = ("routed", meta(item)["uid"], _marks(item))
            if served is not None and _marks(served) == _marks(item):
                continue
            if served is None or world.since(*mark) >= world.knobs.route_lag:
                world.programmed[key] = copied(item)
                world.forget(*mark)
                if kind is ROUTES:
                    _accept(world, item)
        for gone in [key for key in world.programmed if key[0] == kind.plural and key not in present]:
            del world.programmed[gone]


def _marks(item: Json) -> str:
    annotations: Node = meta(item).get("annotations") or {}
    return f"{meta(item)['uid']} {meta(item).get('generation')} {sorted(annotations.items())}"


def _backends(item: Json) -> list[str]:
    rules = item["spec"].get("rules") or ()
    return [one["name"] for rule in rules for one in rule.get("backendRefs") or () if not one.get("namespace")]


def _accept(world: World, item: Json) -> None:
    before = {str(one["parentRef"]): one for one in (item.get("status") or {}).get("parents") or ()}
    parents = []
    for parent in item["spec"].get("parentRefs") or ():
        status = dict(before.get(str(parent), {}))
        lost = [name for name in _backends(item) if world.store.find(SERVICES, meta(item)["namespace"], name) is None]
        for type_, value in (("Accepted", True), ("ResolvedRefs", not lost)):
            told = condition(
                status,
                type_,
                value=value,
                reason=type_ if value else "BackendNotFound",
                message="" if value else f'service "{lost[0]}" not found',
                now=world.stamp(),
            )
            status["conditions"] = [
                {key: value for key, value in one.items() if key != "lastUpdateTime"}
                | {"observedGeneration": meta(item)["generation"]}
                for one in told
            ]
        parents.append({"parentRef": parent, "controllerName": CONTROLLER, "conditions": status["conditions"]})
    world.put_status(ROUTES, item, {"parents": parents}, by="gateway")


def collect(world: World) -> None:
    """Remove what is owned by objects that are gone, and finish deletions in the foreground."""
    uids = {meta(item)["uid"] for item in world.store.objects.values()}
    kinds = {kind.plural: kind for kind in KINDS}
    for key, item in list(world.store.objects.items()):
        owners = meta(item).get("ownerReferences") or ()
        if owners and not any(one["uid"] in uids for one in owners):
            world.delete(kinds[key[0]], item)
    for key, item in list(world.store.objects.items()):
        finalizers = meta(item).get("finalizers") or []
        if "foregroundDeletion" not in finalizers:
            continue
        left = list(world.store.dependents(meta(item)["uid"]))
        if not left:
            world.store.remove(key)
        for plural, namespace, name in left:
            world.delete(kinds[plural], world.store.get(kinds[plural], namespace, name))
