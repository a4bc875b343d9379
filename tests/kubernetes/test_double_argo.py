"""The Argo Rollouts controller of the tests has the traps that the real one has; each test bears its number."""

from __future__ import annotations

import pytest

from tests.kubernetes.kinds import Json
from tests.kubernetes.manifests import ARGO_SERVICE
from tests.kubernetes.server import ClusterServer
from tests.kubernetes.wire import Wire

ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/web"
STATUS = f"{ROLLOUT}/status"
RUNS = "/apis/argoproj.io/v1alpha1/namespaces/default/analysisruns"


@pytest.fixture(autouse=True)
def web(cluster: ClusterServer) -> None:
    """The Rollout `web` is Healthy; its controller takes as long as the real one."""
    cluster.lag(1)
    cluster.knobs.traffic_lag = 4
    cluster.apply(ARGO_SERVICE)
    cluster.wait(lambda: phase(cluster) == "Healthy" and weight(cluster) == 0)


def status(cluster: ClusterServer) -> Json:
    """What the Rollout says of itself."""
    found: Json = cluster.get("rollouts", "web").get("status") or {}
    return found


def phase(cluster: ClusterServer) -> str:
    """Its phase; empty before the controller came."""
    return str(status(cluster).get("phase", ""))


def weight(cluster: ClusterServer) -> int:
    """The canary's weight as the status says."""
    return int(((status(cluster).get("canary") or {}).get("weights") or {}).get("canary", {}).get("weight", -1))


def routed(cluster: ClusterServer) -> int:
    """The canary's weight as the route says."""
    (rule,) = cluster.get("httproutes", "web")["spec"]["rules"]
    return next(int(one["weight"]) for one in rule["backendRefs"] if one["name"] == "web-canary")


def image(name: str) -> Json:
    """A merge patch of the image; the list of containers is replaced."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": f"example/web:{name}"}]}}}}


def release(cluster: ClusterServer, wire: Wire, name: str) -> None:
    """Set an image and wait for the first pause."""
    assert wire.send("PATCH", ROLLOUT, image(name), how="merge").status_code == 200
    cluster.wait(lambda: phase(cluster) == "Paused" and weight(cluster) == 10)


def users(cluster: ClusterServer) -> set[str]:
    """The tags that a hundred users get."""
    return {cluster.ask("web.example").image.partition(":")[2] for _ in range(100)}


def test_the_steps_are_walked(cluster: ClusterServer, wire: Wire) -> None:
    """Pause, promote, pause, promote, and everybody gets the new version."""
    release(cluster, wire, "v2")
    assert (users(cluster), routed(cluster)) == ({"v1", "v2"}, 10)
    wire.send("PATCH", STATUS, {"status": {"pauseConditions": None}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Paused" and weight(cluster) == 50)
    wire.send("PATCH", STATUS, {"status": {"pauseConditions": None}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Healthy" and weight(cluster) == 0)
    assert (users(cluster), routed(cluster)) == ({"v2"}, 0)


def test_trap_1_the_phase_is_still_the_old_one_after_a_new_image(cluster: ClusterServer, wire: Wire) -> None:
    """Healthy, and the observed generation, a string, is behind."""
    told = wire.send("PATCH", ROLLOUT, image("v2"), how="merge").json()
    assert told["status"]["phase"] == "Healthy"
    assert isinstance(told["status"]["observedGeneration"], str)
    assert int(told["status"]["observedGeneration"]) < told["metadata"]["generation"]


def test_trap_2_a_promotion_leaves_the_generation_alone(cluster: ClusterServer, wire: Wire) -> None:
    """Only `controllerPause` without a condition tells that the controller has not come yet."""
    release(cluster, wire, "v2")
    told = wire.send("PATCH", STATUS, {"status": {"pauseConditions": None}}, how="merge").json()
    assert told["status"]["phase"] == "Paused"
    assert str(told["metadata"]["generation"]) == told["status"]["observedGeneration"]
    assert told["status"]["controllerPause"]
    assert "pauseConditions" not in told["status"]


def test_trap_3_an_abort_leaves_the_new_image_in_the_template(cluster: ClusterServer, wire: Wire) -> None:
    """Degraded at step 0; the old image put back is Healthy."""
    release(cluster, wire, "v2")
    wire.send("PATCH", STATUS, {"status": {"abort": True}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Degraded" and weight(cluster) == 0)
    told = wire.get(ROLLOUT)
    assert told["status"]["currentStepIndex"] == 0
    assert told["status"]["message"] == "RolloutAborted: Rollout aborted update to revision 2"
    assert told["spec"]["template"]["spec"]["containers"][0]["image"] == "example/web:v2"
    wire.send("PATCH", ROLLOUT, image("v1"), how="merge")
    cluster.wait(lambda: phase(cluster) == "Healthy")
    assert "abort" not in status(cluster)
    assert users(cluster) == {"v1"}


def test_an_abort_can_be_taken_back(cluster: ClusterServer, wire: Wire) -> None:
    """Retry begins at the first step."""
    release(cluster, wire, "v2")
    wire.send("PATCH", STATUS, {"status": {"abort": True}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Degraded" and weight(cluster) == 0)
    wire.send("PATCH", STATUS, {"status": {"abort": False}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Paused" and weight(cluster) == 10)


def test_trap_4_after_an_abort_by_analysis_the_traffic_is_late(cluster: ClusterServer, wire: Wire) -> None:
    """At the first Degraded the canary still has its share, in the status and in the route."""
    steps = [{"setWeight": 25}, {"analysis": {"templates": [{"templateName": "success-rate"}]}}]
    wire.send("PATCH", ROLLOUT, {"spec": {"strategy": {"canary": {"steps": steps}}}}, how="merge")
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    cluster.wait(lambda: bool(wire.get(RUNS)["items"]))
    (run,) = wire.get(RUNS)["items"]
    why = 'Metric "success-rate" assessed Failed due to failed (1) > failureLimit (0)'
    cluster.conclude(run["metadata"]["name"], "Failed", why)
    cluster.wait(lambda: phase(cluster) == "Degraded")
    assert (weight(cluster), routed(cluster)) == (25, 25)
    assert status(cluster)["abort"] is True
    assert why in status(cluster)["message"]
    cluster.wait(lambda: weight(cluster) == 0)
    assert (routed(cluster), users(cluster)) == (0, {"v1"})


def test_trap_5_after_a_full_promotion_the_traffic_is_late(cluster: ClusterServer, wire: Wire) -> None:
    """Healthy comes while the route still has the canary's weight."""
    release(cluster, wire, "v2")
    wire.send("PATCH", STATUS, {"status": {"promoteFull": True}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Healthy")
    assert (weight(cluster), routed(cluster)) == (10, 10)
    assert status(cluster)["stableRS"] == status(cluster)["currentPodHash"]
    cluster.wait(lambda: weight(cluster) == 0)
    assert (routed(cluster), users(cluster)) == (0, {"v2"})


def test_trap_6_an_abort_on_the_main_resource_is_ignored(cluster: ClusterServer, wire: Wire) -> None:
    """HTTP 200, and nothing happens."""
    release(cluster, wire, "v2")
    answer = wire.send("PATCH", ROLLOUT, {"status": {"abort": True}}, how="merge")
    assert answer.status_code == 200
    assert "abort" not in answer.json()["status"]


def test_trap_7_the_controller_writes_in_between(cluster: ClusterServer, wire: Wire) -> None:
    """GET, then the controller's status, then a PUT: 409."""
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    held = wire.get(ROLLOUT)
    cluster.wait(lambda: cluster.get("rollouts", "web")["metadata"]["resourceVersion"] > _version(held))
    assert wire.send("PUT", ROLLOUT, held).status_code == 409


def _version(item: Json) -> str:
    return str(item["metadata"]["resourceVersion"])


def test_trap_8_a_version_in_a_status_patch_is_honoured(cluster: ClusterServer, wire: Wire) -> None:
    """Stale: 409; current: 200."""
    stale = _version(wire.get(ROLLOUT))
    release(cluster, wire, "v2")
    order = {"metadata": {"resourceVersion": stale}, "status": {"pauseConditions": None}}
    assert wire.send("PATCH", STATUS, order, how="merge").status_code == 409
    order["metadata"] = {"resourceVersion": _version(wire.get(ROLLOUT))}
    assert wire.send("PATCH", STATUS, order, how="merge").status_code == 200


def test_trap_9_the_status_is_a_right_of_its_own(cluster: ClusterServer, wire: Wire) -> None:
    """Who may patch rollouts may not yet promote."""
    cluster.forbid("patch", "rollouts/status")
    assert wire.send("PATCH", ROLLOUT, {"spec": {"paused": False}}, how="merge").status_code == 200
    refused = wire.send("PATCH", STATUS, {"status": {"pauseConditions": None}}, how="merge")
    assert refused.status_code == 403
    assert 'cannot patch resource "rollouts/status" in API group "argoproj.io"' in refused.json()["message"]


@pytest.mark.parametrize("abort", [False, True])
def test_trap_10_a_deadline_that_passes(cluster: ClusterServer, wire: Wire, *, abort: bool) -> None:
    """Degraded; `abort` is set only where progressDeadlineAbort asks for it."""
    cluster.fail_image("example/web:v2", reason="ErrImageNeverPull")
    wire.send("PATCH", ROLLOUT, {"spec": {"progressDeadlineAbort": abort}}, how="merge")
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    cluster.wait(lambda: phase(cluster) == "Degraded")
    assert status(cluster).get("abort", False) is abort
    assert "has timed out progressing" in status(cluster)["message"]
    waiting = {
        one["state"]["waiting"]["reason"]
        for pod in cluster.list("pods")
        for one in pod["status"]["containerStatuses"]
        if "waiting" in one["state"]
    }
    assert waiting == {"ErrImageNeverPull"}
    assert users(cluster) == {"v1"}


def test_an_inconclusive_analysis_holds(cluster: ClusterServer, wire: Wire) -> None:
    """Paused with that reason, until somebody orders the next step."""
    steps = [{"analysis": {"templates": [{"templateName": "success-rate"}]}}, {"setWeight": 30}, {"pause": {}}]
    wire.send("PATCH", ROLLOUT, {"spec": {"strategy": {"canary": {"steps": steps}}}}, how="merge")
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    cluster.wait(lambda: bool(wire.get(RUNS)["items"]))
    cluster.conclude(wire.get(RUNS)["items"][0]["metadata"]["name"], "Inconclusive")
    cluster.wait(lambda: phase(cluster) == "Paused")
    assert status(cluster)["message"] == "InconclusiveAnalysisRun"
    order = {"status": {"pauseConditions": None, "controllerPause": False, "currentStepIndex": 1}}
    wire.send("PATCH", STATUS, order, how="merge")
    cluster.wait(lambda: weight(cluster) == 30)


def test_other_steps_begin_at_the_first(cluster: ClusterServer, wire: Wire) -> None:
    """As does another template; the stable template again skips them all."""
    release(cluster, wire, "v2")
    steps = [{"setWeight": 40}, {"pause": {}}]
    wire.send("PATCH", ROLLOUT, {"spec": {"strategy": {"canary": {"steps": steps}}}}, how="merge")
    cluster.wait(lambda: phase(cluster) == "Paused" and weight(cluster) == 40)
    wire.send("PATCH", ROLLOUT, image("v1"), how="merge")
    cluster.wait(lambda: phase(cluster) == "Healthy" and weight(cluster) == 0)
    assert users(cluster) == {"v1"}


def test_weights_of_a_thousand(cluster: ClusterServer, wire: Wire) -> None:
    """With maxTrafficWeight a step can be a tenth of a percent."""
    canary = {"trafficRouting": {"maxTrafficWeight": 1000}, "steps": [{"setWeight": 1}, {"pause": {}}]}
    wire.send("PATCH", ROLLOUT, {"spec": {"strategy": {"canary": canary}}}, how="merge")
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    cluster.wait(lambda: phase(cluster) == "Paused")
    (rule,) = cluster.get("httproutes", "web")["spec"]["rules"]
    assert {one["name"]: one["weight"] for one in rule["backendRefs"]} == {"web-stable": 999, "web-canary": 1}


def test_without_a_router_the_pods_are_the_share(cluster: ClusterServer, wire: Wire) -> None:
    """The status names no weights, and the grain is a pod."""
    patch = {"spec": {"strategy": {"canary": {"trafficRouting": None}}}}
    wire.send("PATCH", ROLLOUT, patch, how="merge")
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    cluster.wait(lambda: phase(cluster) == "Paused")
    assert "weights" not in status(cluster)["canary"]
    sizes = sorted(one["spec"]["replicas"] for one in cluster.list("replicasets"))
    assert sizes == [1, 2]


def test_nobody_is_lost_on_the_way(cluster: ClusterServer, wire: Wire) -> None:
    """Every user of every turn gets an answer, through steps and a full promotion."""
    wire.send("PATCH", ROLLOUT, image("v2"), how="merge")
    answers = set()

    def served(then: str) -> bool:
        answers.add(cluster.ask("web.example").status)
        return phase(cluster) == then

    cluster.wait(lambda: served("Paused"))
    wire.send("PATCH", STATUS, {"status": {"promoteFull": True}}, how="merge")
    cluster.wait(lambda: served("Healthy") and weight(cluster) == 0)
    assert answers == {200}
