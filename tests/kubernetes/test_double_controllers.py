"""The controllers of the tests: rolling updates, deadlines, pods that fail, and what users of the gateway get."""

from __future__ import annotations

import pytest

from tests.kubernetes.deployments import bounds
from tests.kubernetes.kinds import Json
from tests.kubernetes.manifests import GATEWAY_SERVICE
from tests.kubernetes.server import ClusterServer
from tests.kubernetes.test_double import DEPLOYMENT, ROUTE, image, settled
from tests.kubernetes.wire import Wire

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old}
spec:
  rules:
  - host: old.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: old-canary
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-weight: "500"
    nginx.ingress.kubernetes.io/canary-weight-total: "1000"
    nginx.ingress.kubernetes.io/canary-by-header: x-canary
spec:
  rules:
  - host: old.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web-canary, port: {number: 80}}}}]}
"""


@pytest.fixture(autouse=True)
def web(cluster: ClusterServer) -> None:
    """The service `web` runs."""
    cluster.apply(GATEWAY_SERVICE)
    cluster.wait(lambda: settled(cluster))


def canary(cluster: ClusterServer) -> None:
    """A second Deployment and Service beside `web`, with v2."""
    text = GATEWAY_SERVICE.split("---\napiVersion: gateway")[0].replace("web:v1", "web:v2")
    cluster.apply(text.replace("name: web}", "name: web-canary}").replace("app: web}", "app: web-canary}"))
    cluster.wait(lambda: cluster.get("deployments", "web-canary").get("status", {}).get("readyReplicas") == 3)


def reasons(cluster: ClusterServer) -> set[str]:
    """Why containers wait."""
    return {
        one["state"]["waiting"]["reason"]
        for pod in cluster.list("pods")
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
        if "waiting" in one["state"]
    }


def progressing(cluster: ClusterServer) -> Json:
    """The condition of a Deployment that tells of its progress."""
    conditions = cluster.get("deployments", "web")["status"]["conditions"]
    return next(dict(one) for one in conditions if one["type"] == "Progressing")


@pytest.mark.parametrize(
    ("strategy", "replicas", "expected"),
    [
        ({}, 3, (1, 0)),
        ({}, 10, (3, 2)),
        ({"maxSurge": 1, "maxUnavailable": 0}, 1, (1, 0)),
        ({"maxSurge": 0, "maxUnavailable": "10%"}, 3, (0, 1)),
    ],
)
def test_surge_rounds_up_and_unavailability_down(strategy: Json, replicas: int, expected: tuple[int, int]) -> None:
    """And where both would be nothing, one pod may be missing."""
    assert bounds(strategy, replicas) == expected


def test_a_rolling_update_keeps_everybody_served(cluster: ClusterServer, wire: Wire) -> None:
    """New pods get ready before old ones go, never more than the surge allows."""
    cluster.pods_ready_after(1)
    wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic")
    statuses, most, fewest = set(), 0, 99

    def turn() -> bool:
        nonlocal most, fewest
        with cluster.store.lock:
            statuses.add(cluster.ask("web.example").status)
            pods = [pod for pod in cluster.list("pods") if "deletionTimestamp" not in pod["metadata"]]
            (endpoints,) = cluster.list("endpointslices")
            most = max(most, len(pods))
            fewest = min(fewest, sum(one["conditions"]["ready"] for one in endpoints["endpoints"]))
            return settled(cluster)

    cluster.wait(turn)
    assert (statuses, most, fewest) == ({200}, 4, 3)
    assert {cluster.ask("web.example").image for _ in range(30)} == {"example/web:v2"}


def test_recreate_has_a_moment_of_nobody(cluster: ClusterServer, wire: Wire) -> None:
    """As it says."""
    cluster.pods_ready_after(2)
    wire.send("PATCH", DEPLOYMENT, {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, how="merge")
    wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic")
    cluster.wait(lambda: cluster.ask("web.example").status == 503)
    cluster.wait(lambda: settled(cluster))
    assert cluster.ask("web.example").status == 200


def test_an_image_that_cannot_be_pulled_misses_the_deadline(cluster: ClusterServer, wire: Wire) -> None:
    """ErrImagePull, then ImagePullBackOff, then the Deployment says so; the old pods serve on."""
    cluster.fail_image("example/web:v2")
    wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic")
    cluster.wait(lambda: reasons(cluster) == {"ErrImagePull"})
    cluster.wait(lambda: reasons(cluster) == {"ImagePullBackOff"})
    cluster.wait(lambda: progressing(cluster)["status"] == "False")
    assert progressing(cluster)["reason"] == "ProgressDeadlineExceeded"
    assert {cluster.ask("web.example").image for _ in range(30)} == {"example/web:v1"}
    assert any("example/web:v2" in event["message"] for event in cluster.list("events"))


def test_a_crash_loop_and_its_log(cluster: ClusterServer, wire: Wire) -> None:
    """Restarts are counted, the last end has its code, the log of before can be read."""
    cluster.say("example/web:v2", "no database\ngood bye\n")
    cluster.crash_image("example/web:v2")
    wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic")
    cluster.wait(lambda: reasons(cluster) == {"CrashLoopBackOff"})
    pod = next(one for one in cluster.list("pods") if one["spec"]["containers"][0]["image"].endswith("v2"))
    (container,) = pod["status"]["containerStatuses"]
    assert container["restartCount"] >= 1
    assert container["lastState"]["terminated"]["exitCode"] == 1
    log = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}/log"
    assert wire.send("GET", log, previous="true", tailLines="1").text == "good bye\n"


def test_out_of_memory(cluster: ClusterServer) -> None:
    """The container is killed once, says why, and gets ready again."""
    name = cluster.list("pods")[0]["metadata"]["name"]
    cluster.pods_ready_after(4)
    cluster.oom(name)
    cluster.wait(lambda: not cluster.get("pods", name)["status"]["containerStatuses"][0]["ready"])
    (container,) = cluster.get("pods", name)["status"]["containerStatuses"]
    assert container["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert container["restartCount"] == 1
    cluster.wait(lambda: cluster.get("pods", name)["status"]["containerStatuses"][0]["ready"])


def test_what_nobody_owns_is_collected(cluster: ClusterServer, wire: Wire) -> None:
    """In the background by default; orphans stay."""
    wire.send("DELETE", DEPLOYMENT, propagationPolicy="Orphan")
    assert len(cluster.list("replicasets")) == 1
    replicaset = cluster.list("replicasets")[0]["metadata"]["name"]
    wire.send("DELETE", f"/apis/apps/v1/namespaces/default/replicasets/{replicaset}")
    cluster.wait(lambda: not cluster.list("pods"))


def test_weights_headers_and_mirrors(cluster: ClusterServer, wire: Wire) -> None:
    """The longest header match wins over the weighted rule; a mirror gets a copy and answers nobody."""
    canary(cluster)
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web-canary", "port": 80}}}
    backends = [{"name": "web", "port": 80, "weight": 1000}, {"name": "web-canary", "port": 80, "weight": 0}]
    testers = {
        "matches": [{"headers": [{"name": "X-Version", "value": "canary"}]}],
        "backendRefs": [{"name": "web-canary", "port": 80}],
    }
    rules = [testers, {"backendRefs": backends, "filters": [mirror]}]
    assert wire.send("PATCH", ROUTE, {"spec": {"rules": rules}}, how="merge").status_code == 200
    cluster.wait(lambda: cluster.ask("web.example").mirrored == ("example/web:v2",))
    assert {cluster.ask("web.example").image for _ in range(30)} == {"example/web:v1"}
    assert cluster.ask("web.example", headers={"x-version": "canary"}).image == "example/web:v2"
    assert cluster.ask("elsewhere.example").status == 404
    backends[0]["weight"] = backends[1]["weight"] = 500
    wire.send("PATCH", ROUTE, {"spec": {"rules": [{"backendRefs": backends}]}}, how="merge")
    cluster.wait(lambda: cluster.ask("web.example").image == "example/web:v2")
    shares = [cluster.ask("web.example").image for _ in range(400)]
    assert 120 < shares.count("example/web:v2") < 280


def test_the_gateway_is_late(cluster: ClusterServer, wire: Wire) -> None:
    """A written weight is served only after the lag; the route's status tells the generation that is served."""
    canary(cluster)
    cluster.route_lag(6)
    rules = [{"backendRefs": [{"name": "web-canary", "port": 80}]}]
    written = wire.send("PATCH", ROUTE, {"spec": {"rules": rules}}, how="merge").json()
    assert cluster.ask("web.example").image == "example/web:v1"
    cluster.wait(lambda: cluster.ask("web.example").image == "example/web:v2")

    def observed() -> int:
        (parent,) = cluster.get("httproutes", "web")["status"]["parents"]
        return int(parent["conditions"][0]["observedGeneration"])

    cluster.wait(lambda: observed() == written["metadata"]["generation"])


def test_a_canary_ingress(cluster: ClusterServer) -> None:
    """ingress-nginx: its share by weight, and all who ask for it by header."""
    canary(cluster)
    cluster.apply(INGRESS)
    cluster.wait(lambda: cluster.ask("old.example").status == 200)
    assert {cluster.ask("old.example").image for _ in range(60)} == {"example/web:v1", "example/web:v2"}
    for held, tag in (("always", "v2"), ("never", "v1")):
        images = {cluster.ask("old.example", headers={"X-Canary": held}).image for _ in range(20)}
        assert images == {f"example/web:{tag}"}


def test_a_backend_without_ready_pods_answers_503(cluster: ClusterServer, wire: Wire) -> None:
    """And a Service that is not there 500."""
    wire.send("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 0}}, how="merge")
    cluster.wait(lambda: cluster.ask("web.example").status == 503)
    wire.send("PATCH", ROUTE, {"spec": {"rules": [{"backendRefs": [{"name": "no", "port": 80}]}]}}, how="merge")
    cluster.wait(lambda: cluster.ask("web.example").status == 500)
