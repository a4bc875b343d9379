"""The Kubernetes of the tests behaves as the real one does where that matters: versions, owners, refusals, watches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from tests.kubernetes.certificates import certificate
from tests.kubernetes.kinds import Json, Node
from tests.kubernetes.manifests import GATEWAY_SERVICE
from tests.kubernetes.server import TOKEN, ClusterServer
from tests.kubernetes.wire import Wire

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture(autouse=True)
def web(cluster: ClusterServer) -> None:
    """The service `web` runs."""
    cluster.apply(GATEWAY_SERVICE)
    cluster.wait(lambda: settled(cluster))


def settled(cluster: ClusterServer) -> bool:
    """Whether the Deployment is what its spec wants."""
    item = cluster.get("deployments", "web")
    status = item.get("status") or {}
    wanted = item["spec"]["replicas"]
    seen = status.get("observedGeneration") == item["metadata"]["generation"]
    counts = {status.get(key) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    return seen and counts == {wanted}


def image(name: str) -> Json:
    """A strategic or apply patch of the image alone."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": name}]}}}}


class TestVersions:
    """resourceVersion and generation."""

    def test_a_stale_put_is_refused(self, wire: Wire) -> None:
        """Two read, both write: the second gets 409 and the words of the real server."""
        first, second = wire.get(DEPLOYMENT), wire.get(DEPLOYMENT)
        first["metadata"]["labels"] = {"by": "first"}
        assert wire.send("PUT", DEPLOYMENT, first).status_code == 200
        refused = wire.send("PUT", DEPLOYMENT, second)
        assert refused.status_code == 409
        assert refused.json()["reason"] == "Conflict"
        assert "the object has been modified" in refused.json()["message"]

    @pytest.mark.parametrize("how", ["merge", "strategic", "apply"])
    def test_a_version_in_a_patch_is_compared(self, wire: Wire, how: str) -> None:
        """A patch with the version it saw is a compare-and-swap."""
        version = wire.get(DEPLOYMENT)["metadata"]["resourceVersion"]
        seen: Json = {"resourceVersion": version, "labels": {"who": how}}
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": seen}
        assert wire.send("PATCH", DEPLOYMENT, patch, how=how, fieldManager="a").status_code == 200
        seen["labels"] = {"who": "later"}
        assert wire.send("PATCH", DEPLOYMENT, patch, how=how, fieldManager="a").status_code == 409

    def test_a_write_of_nothing_is_no_write(self, wire: Wire) -> None:
        """The version stays."""
        before = wire.get(ROUTE)["metadata"]["resourceVersion"]
        wire.send("PATCH", ROUTE, {"metadata": {"labels": {"a": "b"}}}, how="merge")
        between = wire.get(ROUTE)["metadata"]["resourceVersion"]
        wire.send("PATCH", ROUTE, {"metadata": {"labels": {"a": "b"}}}, how="merge")
        assert before != between == wire.get(ROUTE)["metadata"]["resourceVersion"]

    def test_only_a_change_of_the_spec_raises_the_generation(self, wire: Wire) -> None:
        """Of a Deployment, a change of its annotations as well: so does the real one."""
        began = wire.get(DEPLOYMENT)["metadata"]["generation"]
        for patch, rise in (
            ({"metadata": {"labels": {"a": "b"}}}, 0),
            ({"spec": {"replicas": 4}}, 1),
            ({"metadata": {"annotations": {"a": "b"}}}, 2),
        ):
            wire.send("PATCH", DEPLOYMENT, patch, how="merge")
            assert wire.get(DEPLOYMENT)["metadata"]["generation"] == began + rise

    def test_the_observed_generation_lags(self, cluster: ClusterServer, wire: Wire) -> None:
        """Right after a change the status still speaks of the old spec."""
        cluster.lag(3)
        changed = wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic").json()
        assert changed["status"]["observedGeneration"] < changed["metadata"]["generation"]
        assert settled(cluster) is False
        cluster.wait(lambda: settled(cluster))
        assert cluster.ask("web.example").image == "example/web:v2"

    def test_a_dry_run_leaves_no_trace(self, wire: Wire) -> None:
        """It is answered and forgotten."""
        before = wire.get(DEPLOYMENT)
        tried = wire.send("PATCH", DEPLOYMENT, {"spec": {"replicas": 9}}, how="merge", dryRun="All").json()
        assert tried["spec"]["replicas"] == 9
        assert wire.get(DEPLOYMENT) == before


class TestSubresources:
    """Status and scale are resources of their own."""

    def test_the_main_resource_ignores_the_status(self, wire: Wire) -> None:
        """HTTP 200, and nothing happened."""
        before = wire.get(DEPLOYMENT)
        answer = wire.send("PATCH", DEPLOYMENT, {"status": {"readyReplicas": 77}}, how="merge")
        assert answer.status_code == 200
        assert answer.json()["status"] == before["status"]

    def test_the_status_ignores_the_rest(self, wire: Wire) -> None:
        """A write to /status cannot change the spec, nor the generation."""
        before = wire.get(ROUTE)
        answer = wire.send("PATCH", f"{ROUTE}/status", {"spec": {"hostnames": ["other.example"]}}, how="merge")
        assert answer.status_code == 200
        assert wire.get(ROUTE)["spec"] == before["spec"]
        assert wire.get(ROUTE)["metadata"]["generation"] == before["metadata"]["generation"]

    def test_scale(self, cluster: ClusterServer, wire: Wire) -> None:
        """The number of pods alone."""
        wire.send("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 5}}, how="merge")
        cluster.wait(lambda: settled(cluster))
        assert len(cluster.list("pods")) == 5


class TestRefusals:
    """The words of the real server."""

    def test_who_is_unknown(self, cluster: ClusterServer) -> None:
        """401."""
        assert requests.get(cluster.url + DEPLOYMENT, timeout=10).status_code == 401

    def test_who_may_not(self, cluster: ClusterServer, wire: Wire) -> None:
        """403 with user, verb, resource and namespace; the review says the same."""
        cluster.forbid("patch", "httproutes")
        refused = wire.send("PATCH", ROUTE, {}, how="merge")
        assert refused.status_code == 403
        assert refused.json()["message"] == (
            'httproutes.gateway.networking.k8s.io "web" is forbidden: User "system:serviceaccount:default:rollout" '
            'cannot patch resource "httproutes" in API group "gateway.networking.k8s.io" in the namespace "default"'
        )
        attributes = {"verb": "patch", "group": "gateway.networking.k8s.io", "resource": "httproutes"}
        reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        for verb, allowed in (("patch", False), ("get", True)):
            asked = {"spec": {"resourceAttributes": {**attributes, "verb": verb}}}
            assert wire.send("POST", reviews, asked).json()["status"]["allowed"] is allowed

    def test_what_is_not_there(self, cluster: ClusterServer, wire: Wire) -> None:
        """404 for a name, and another 404 for a kind without its definition."""
        missing = wire.send("GET", f"{DEPLOYMENTS}/wed").json()
        assert (missing["code"], missing["message"]) == (404, 'deployments.apps "wed" not found')
        cluster.without_crd("httproutes")
        gone = wire.send("GET", ROUTE)
        assert gone.status_code == 404
        assert gone.json()["message"] == "the server could not find the requested resource"

    @pytest.mark.parametrize(
        ("path", "value", "words"),
        [
            ("/spec/rules/0/backendRefs/0/weight", "5", "must be of type integer"),
            ("/spec/rules/0/backendRefs/0/weight", -1, "greater than or equal to 0"),
            ("/spec/rules", [], "at least 1 items"),
            ("/spec/rules/0/backendRefs", [{"name": "web"}], "Must have port for Service reference"),
            ("/spec/hostnames", ["Not A Host"], "should match"),
        ],
    )
    def test_what_breaks_the_schema(self, wire: Wire, path: str, value: Node, words: str) -> None:
        """422 with the field."""
        refused = wire.send("PATCH", ROUTE, [{"op": "replace", "path": path, "value": value}], how="json")
        assert refused.status_code == 422
        assert words in refused.json()["message"]

    def test_defaults_are_filled_in_and_unknown_fields_dropped(self, wire: Wire) -> None:
        """What is read back is not what was written."""
        wire.send("PATCH", ROUTE, {"spec": {"made-up": 1}}, how="merge")
        spec = wire.get(ROUTE)["spec"]
        assert "made-up" not in spec
        assert spec["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert spec["rules"][0]["backendRefs"][0]["weight"] == 1
        assert wire.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] == 10


class TestWatches:
    """The history, from a version on."""

    def test_a_watch_tells_what_happened_since(self, wire: Wire) -> None:
        """From the version of a list, nothing is lost and nothing told twice."""
        version = wire.get(DEPLOYMENTS)["metadata"]["resourceVersion"]
        wire.send("PATCH", DEPLOYMENT, {"metadata": {"labels": {"a": "b"}}}, how="merge")
        answer = wire.send("GET", DEPLOYMENTS, watch="true", resourceVersion=version, timeoutSeconds="1")
        first = json.loads(answer.text.splitlines()[0])
        assert (first["type"], first["object"]["metadata"]["labels"]) == ("MODIFIED", {"a": "b"})

    def test_a_version_too_old_is_gone(self, cluster: ClusterServer, wire: Wire) -> None:
        """410, as an event of the stream."""
        version = wire.get(DEPLOYMENTS)["metadata"]["resourceVersion"]
        wire.send("PATCH", DEPLOYMENT, {"metadata": {"labels": {"a": "b"}}}, how="merge")
        cluster.store.forget()
        answer = wire.send("GET", DEPLOYMENTS, watch="true", resourceVersion=version, timeoutSeconds="1")
        (event,) = [json.loads(line) for line in answer.text.splitlines()]
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)

    def test_selectors_choose(self, wire: Wire) -> None:
        """Labels and the name."""
        pods = "/api/v1/namespaces/default/pods"
        assert len(wire.get(pods, labelSelector="app=web,app in (web, api)")["items"]) == 3
        assert wire.get(pods, labelSelector="app!=web")["items"] == []
        assert len(wire.get(DEPLOYMENTS, fieldSelector="metadata.name=web")["items"]) == 1


class TestWeather:
    """Faults on order."""

    def test_an_effect_whose_answer_is_lost(self, cluster: ClusterServer, wire: Wire) -> None:
        """It happened, and nobody was told."""
        fault = cluster.fault("patch", "deployments", status=0, after=True)
        with pytest.raises(requests.ConnectionError):
            wire.send("PATCH", DEPLOYMENT, {"spec": {"replicas": 2}}, how="merge")
        assert fault.struck == 1
        assert wire.get(DEPLOYMENT)["spec"]["replicas"] == 2

    def test_a_client_that_is_cut_off(self, cluster: ClusterServer, wire: Wire) -> None:
        """From the second request on nothing arrives, until it is mended."""
        cluster.cut(at=2)
        wire.get(DEPLOYMENT)
        with pytest.raises(requests.ConnectionError):
            wire.get(DEPLOYMENT)
        cluster.mend()
        assert wire.get(DEPLOYMENT)
        assert cluster.count("get", "deployments") == 3

    def test_another_writer_in_between(self, cluster: ClusterServer, wire: Wire) -> None:
        """Who reads and writes meets the conflict."""
        held = wire.get(DEPLOYMENT)

        def scale() -> None:
            cluster.change("deployments", "web", lambda item: item["spec"].update(replicas=7), by="hpa")

        cluster.another_writer("update", "deployments", scale)
        assert wire.send("PUT", DEPLOYMENT, held).status_code == 409
        assert wire.get(DEPLOYMENT)["spec"]["replicas"] == 7


def test_a_pod_may_log_in_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its service account's token and the cluster's own certificate."""
    inside = pytest.importorskip("kubernetes.config.incluster_config")
    client = pytest.importorskip("kubernetes.client")
    with ClusterServer(tls=certificate(tmp_path)) as cluster:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
        (tmp_path / "token").write_text(TOKEN)
        settings = client.Configuration()
        loader = inside.InClusterConfigLoader(
            token_filename=str(tmp_path / "token"), cert_filename=str(tmp_path / "ca.crt")
        )
        loader.load_and_set(settings)
        with client.ApiClient(settings) as api:
            names = [one.metadata.name for one in client.CoreV1Api(api).list_namespace().items]
    assert names == ["default"]


def test_the_official_client_works(cluster: ClusterServer, tmp_path: Path) -> None:
    """Discovery, typed objects, custom objects and logs, through a kubeconfig with an exec plugin."""
    config = pytest.importorskip("kubernetes.config")
    client = pytest.importorskip("kubernetes.client")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "tests-token"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "echo",
        "args": [json.dumps(credential)],
        "interactiveMode": "Never",
    }
    path = cluster.kubeconfig(tmp_path / "config", user={"exec": plugin})
    with config.new_client_from_config(str(path)) as api:
        assert client.VersionApi(api).get_code().git_version == "v1.36.2"
        assert client.AppsV1Api(api).read_namespaced_deployment("web", "default").status.ready_replicas == 3
        custom = client.CustomObjectsApi(api)
        held = custom.get_namespaced_custom_object("gateway.networking.k8s.io", "v1", "default", "httproutes", "web")
        assert held["spec"]["hostnames"] == ["web.example"]
        pod = client.CoreV1Api(api).list_namespaced_pod("default").items[0].metadata.name
        assert "starts" in client.CoreV1Api(api).read_namespaced_pod_log(pod, "default")
