"""What is wrong around a Rollout is said in a sentence with what to do, and nothing is harmed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.core.finding import Finding, Severity
from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.argo.memory import NOTE
from rollout.targets.base import Health
from tests.kubernetes.server import ClusterServer
from tests.targets.argo_world import NAMESPACE, Json, World, make
from tests.targets.kubernetes_world import HOST

IMAGE = "registry.example/chat"


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with one namespace."""
    with ClusterServer(namespaces=(NAMESPACE,)) as one:
        yield one


@pytest.fixture
def world(cluster: ClusterServer, tmp_path: Path) -> Iterator[World]:
    """A Rollout with v1 as its stable release and v2 as its canary at weight 0."""
    one = make(cluster, tmp_path, image=IMAGE)
    one.target().deploy(one.made_up("v1"), rollout="r1")
    one.target().promote()
    one.target().deploy(one.made_up("v2"), rollout="r2")
    yield one
    one.close()


def findings(world: World, **settings: object) -> dict[str, Finding]:
    """What doctor says, the worst of each subject."""
    worst: dict[str, Finding] = {}
    order = list(Severity)
    for each in world.target(**settings).diagnose():
        if each.subject not in worst or order.index(each.severity) > order.index(worst[each.subject].severity):
            worst[each.subject] = each
    return worst


def test_doctor_finds_nothing_wrong_with_a_rollout_that_is_fit(world: World) -> None:
    """Everything it looked at is told."""
    found = findings(world)
    assert {each.severity for each in found.values()} == {Severity.OK}, found
    assert {"cluster", "permissions", "rollout", "container", "traffic", "weights", "steps"} <= set(found)


def test_doctor_changes_nothing(world: World) -> None:
    """Not even an annotation."""
    before = world.rollout()
    findings(world)
    assert world.rollout() == before


def test_a_wrong_name_is_answered_with_the_nearest(world: World) -> None:
    """And with the list where none is near."""
    with pytest.raises(TargetFailed, match="no Rollout 'chatt'") as failed:
        world.target(rollout="chatt").look()
    assert "Did you mean 'chat'?" in failed.value.hint
    with pytest.raises(TargetFailed) as failed:
        world.target(rollout="orders").look()
    assert "The Rollouts there: chat" in failed.value.hint
    assert "Did you mean 'chat'?" in findings(world, rollout="chatt")["rollout"].hint


def test_a_container_that_is_not_there_is_answered_with_those_that_are(world: World) -> None:
    """Before anything is deployed."""
    found = findings(world, container="web")["container"]
    assert found.severity is Severity.ERROR
    assert "chat" in found.message


def test_a_cluster_without_argo_rollouts_is_named(world: World) -> None:
    """The CustomResourceDefinition is missing."""
    world.cluster.without_crd("rollouts")
    with pytest.raises(TargetFailed, match=r"no Rollouts \(argoproj.io/v1alpha1\)") as failed:
        world.target().look()
    assert "Install Argo Rollouts" in failed.value.hint


def test_a_rollout_without_traffic_routing_is_refused_with_its_grain(cluster: ClusterServer, tmp_path: Path) -> None:
    """Its weights follow the number of pods, and a canary without users cannot be."""
    world = make(cluster, tmp_path, image=IMAGE, router="none", replicas=4)
    found = findings(world)["traffic"]
    assert found.severity is Severity.ERROR
    assert "in parts of about 25 %" in found.message
    with pytest.raises(TargetFailed, match="no canary strategy with trafficRouting"):
        world.target().deploy(world.made_up("v2"), rollout="r2")
    world.close()


def test_steps_that_are_not_the_plans_are_told_and_nothing_is_deployed(cluster: ClusterServer, tmp_path: Path) -> None:
    """A first pause above weight 0 would put users on a release that nobody has tried."""
    world = make(cluster, tmp_path, image=IMAGE, drive="steps", replicas=2, steps=[{"setWeight": 20}, {"pause": {}}])
    found = findings(world)["steps"]
    assert found.severity is Severity.ERROR
    assert "step 2 pauses at 20 %, where the plan has 0 %" in found.message
    with pytest.raises(TargetFailed, match="first pause of Rollout chat is not at weight 0"):
        world.target().deploy(world.made_up("v2"), rollout="r2")
    world.close()


def test_a_weight_that_the_rollout_has_no_step_for_is_refused(world: World) -> None:
    """With those that it has."""
    with pytest.raises(TargetFailed, match="no step that waits at 33 %; it has 0 %, 1 %, 5 %"):
        world.target().move(Weight(33))
    assert world.route_weight() == 0


def test_a_plan_finer_than_the_routers_grain_is_refused(world: World) -> None:
    """The Gateway API plugin splits in hundredths."""
    world.percents = (0, 0.5, 100)
    found = findings(world)["weights"]
    assert found.severity is Severity.ERROR
    assert "cannot have 0.5 %" in found.message
    with pytest.raises(TargetFailed, match="do not fit"):
        world.target().deploy(world.made_up("v3"), rollout="r3")


def test_the_gateway_plugin_with_another_total_is_an_error(world: World) -> None:
    """It writes 100 minus the canary's weight for stable, whatever maxTrafficWeight is."""

    def finer(item: Json) -> None:
        item["spec"]["strategy"]["canary"]["trafficRouting"]["maxTrafficWeight"] = 1000

    world.change(finer)
    found = findings(world)["weights"]
    assert found.severity is Severity.ERROR
    assert "always splits in hundredths" in found.message


def test_a_route_without_our_services_is_told_and_the_weight_is_not_made_up(world: World) -> None:
    """The weight is unknown then, with the reason."""

    def emptied(item: Json) -> None:
        item["spec"]["rules"][0]["backendRefs"] = [{"name": "chat", "port": 80, "weight": 1}]

    world.cluster.change("httproutes", "chat", emptied, by="kubectl-edit", namespace=NAMESPACE)
    seen = world.target().look()
    assert seen.weight is None
    assert seen.problem == "no rule of HTTPRoute shop/chat has both chat and chat-canary"
    assert findings(world)["traffic"].severity is Severity.ERROR
    with pytest.raises(TargetBusy, match="unknown what is served"):
        world.target().retire()


def test_a_route_that_may_not_be_read_is_named_with_the_verb(world: World) -> None:
    """`get httproutes` is a right of its own."""
    world.cluster.forbid("get", "httproutes")
    assert "get httproutes" in findings(world)["traffic"].message
    seen = world.target().look()
    assert seen.weight is None
    assert "httproutes" in seen.problem


def test_a_note_that_cannot_be_read_blocks_every_effect(world: World) -> None:
    """And is left as it is."""

    def spoiled(item: Json) -> None:
        item["metadata"]["annotations"][NOTE] = "{"

    world.change(spoiled)
    with pytest.raises(TargetFailed, match="cannot be understood"):
        world.target().look()
    with pytest.raises(TargetFailed, match="cannot be understood"):
        world.target().retire()
    assert world.rollout()["metadata"]["annotations"][NOTE] == "{"


def test_a_rollout_that_a_person_has_paused_is_not_pushed_on(world: World) -> None:
    """But it can be taken back."""

    def paused(item: Json) -> None:
        item["spec"]["paused"] = True

    world.target().move(Weight(10))
    world.change(paused)
    with pytest.raises(TargetBusy, match=r"spec\.paused is set"):
        world.target().move(Weight(25))
    assert world.route_weight() == 10
    world.target().roll_back(rollout="r2")
    assert world.route_weight() == 0


def test_an_inconclusive_analysis_of_argos_own_is_respected(cluster: ClusterServer, tmp_path: Path) -> None:
    """The weight stays until a person says what it means."""
    analysed = {"analysis": {"templates": [{"templateName": "success-rate"}]}}
    steps: list[Json] = [
        {"setCanaryScale": {"replicas": 1}},
        *({"setWeight": 0}, {"pause": {}}, {"setWeight": 10}, {"pause": {}}),
        analysed,
        *({"setWeight": 100}, {"pause": {}}),
    ]
    world = make(cluster, tmp_path, image=IMAGE, drive="steps", steps=steps)
    world.target().deploy(world.made_up("v1"), rollout="r1")
    world.target().promote()
    world.target().deploy(world.made_up("v2"), rollout="r2")
    world.target().move(Weight(10))
    before = {str(each["metadata"]["name"]) for each in cluster.list("analysisruns", NAMESPACE)}
    late = timedelta(seconds=0.3)
    with pytest.raises(TargetBusy, match="waited"):
        world.target(ready_timeout=late).move(Weight(100))
    (run,) = {str(each["metadata"]["name"]) for each in cluster.list("analysisruns", NAMESPACE)} - before
    cluster.conclude(run, "Inconclusive", "too little data", namespace=NAMESPACE)
    world.wait(lambda status: "InconclusiveAnalysisRun" in str(status.get("pauseConditions")))
    with pytest.raises(TargetBusy, match="InconclusiveAnalysisRun"):
        world.target().move(Weight(100))
    assert world.route_weight() == 10
    world.close()


def test_an_api_server_that_is_away_for_a_moment_stops_no_effect(world: World) -> None:
    """It is asked again."""
    target = world.target()
    target._orders.observed()
    world.cluster.fault("get", "rollouts", status=503, skip=3, times=2)
    target.move(Weight(5))
    assert world.route_weight() == 5


def test_an_order_whose_answer_was_lost_is_found_done_by_the_next_call(world: World) -> None:
    """The order took effect, and then the server fell silent."""
    world.target().move(Weight(5))
    world.cluster.fault("patch", "rollouts/status", status=500, after=True)
    with pytest.raises(TargetBusy):
        world.target().roll_back(rollout="r2")
    world.target().roll_back(rollout="r2")
    assert world.route_weight() == 0


def test_an_api_server_that_stays_away_is_a_reason_to_try_again_later(world: World) -> None:
    """Nothing is taken back for it."""
    world.cluster.fault("*", "*", status=503, times=None)
    with pytest.raises(TargetBusy):
        world.target(settle_timeout=timedelta(seconds=0.2)).move(Weight(5))
    world.cluster.mend()
    world.target().move(Weight(5))
    assert world.route_weight() == 5


def test_a_controller_that_does_not_run_is_told(world: World) -> None:
    """It never sees the change, and neither does anybody wait for ever."""
    world.cluster.lag(60)

    def touched(item: Json) -> None:
        item["spec"]["minReadySeconds"] = 1

    world.change(touched)
    with pytest.raises(TargetBusy, match="Argo Rollouts to see the Rollout"):
        world.target(settle_timeout=timedelta(seconds=0.2)).move(Weight(5))
    assert findings(world)["controller"].severity is Severity.ERROR


def test_traffic_never_goes_back_to_a_stable_release_that_is_not_ready(world: World) -> None:
    """It stays where somebody answers."""
    world.target().move(Weight(50))
    world.cluster.never_ready(world.made_up("v1").reference)
    for pod in world.cluster.list("pods", NAMESPACE):
        if pod["spec"]["containers"][0]["image"] == world.made_up("v1").reference:
            world.cluster.crash(str(pod["metadata"]["name"]), namespace=NAMESPACE)

    def unready() -> bool:
        seen = world.target().look().stable
        return seen is not None and seen.ready == 0

    world.cluster.wait(unready)
    with pytest.raises(TargetBusy, match="no pod of the stable release is ready"):
        world.target().roll_back(rollout="r2")
    assert world.route_weight() == 50


def test_a_canary_that_crashes_is_dead_with_the_pods_own_reason(world: World) -> None:
    """Its restarts are counted, and its log begins with why."""
    world.target().move(Weight(10))
    for pod in world.cluster.list("pods", NAMESPACE):
        if pod["spec"]["containers"][0]["image"] == world.made_up("v2").reference:
            world.cluster.crash(str(pod["metadata"]["name"]), namespace=NAMESPACE)

    def dead() -> bool:
        canary = world.target().look().canary
        return canary is not None and canary.health is Health.DEAD and canary.restarts > 0

    world.cluster.wait(dead)
    assert "CrashLoopBackOff" in world.target().logs(lines=20)


def test_an_oom_kill_is_counted_and_told(world: World) -> None:
    """The container runs again; its last end is remembered by the cluster."""
    pod = next(
        str(each["metadata"]["name"])
        for each in world.cluster.list("pods", NAMESPACE)
        if each["spec"]["containers"][0]["image"] == world.made_up("v2").reference
    )
    world.cluster.oom(pod, namespace=NAMESPACE)

    def killed() -> bool:
        seen = world.target().look().canary
        return seen is not None and seen.restarts == 1

    world.cluster.wait(killed)
    assert "OOMKilled" in world.target().logs(lines=20)


def test_a_canary_of_somebody_else_is_left_alone(world: World) -> None:
    """Neither taken back nor promoted by us, and not deployed over while it has traffic."""
    world.target().roll_back(rollout="r9")
    assert not world.status().get("abort")
    world.target().move(Weight(10))
    with pytest.raises(TargetFailed, match="of rollout r2 still gets traffic"):
        world.target().deploy(world.made_up("v3"), rollout="r3")


def test_a_gitops_controller_that_also_writes_the_steps_is_named(world: World) -> None:
    """It would put its own steps back in the midst of a rollout."""

    def theirs(item: Json) -> None:
        item["spec"]["strategy"]["canary"]["steps"] = [{"setWeight": 0}, {"pause": {}}, {"setWeight": 7}]

    world.change(theirs, by="argocd-controller")
    found = findings(world)["steps"]
    assert found.severity is Severity.WARNING
    assert "argocd-controller also writes the Rollout's steps" in found.message


def test_a_template_put_there_by_somebody_else_meanwhile_is_told(world: World) -> None:
    """The effect that waits for its own release does not wait for ever."""
    world.target().roll_back(rollout="r2")
    world.target().retire()

    def theirs(item: Json) -> None:
        item["spec"]["template"]["metadata"]["annotations"] = {"team": "shop"}

    world.cluster.pods_ready_after(0.5)
    target = world.target()
    release = world.made_up("v3")
    world.cluster.another_writer("get", "rollouts", lambda: world.change(theirs), skip=4)
    with pytest.raises(TargetFailed, match="somebody else has put another template"):
        target.deploy(release, rollout="r3")


def test_a_stable_release_that_somebody_else_deployed_by_tag_is_known_by_what_its_pods_run(
    cluster: ClusterServer, tmp_path: Path
) -> None:
    """So that there is a way back to it, by digest."""
    digest = "sha256:" + "9" * 64
    cluster.knobs.digests[f"{IMAGE}:none"] = f"{IMAGE}@{digest}"
    world = make(cluster, tmp_path, image=IMAGE, replicas=2)
    world.tags[f"{IMAGE}:none"] = "none"
    seen = world.target().look()
    assert seen.stable is not None
    assert (seen.stable.release.tag, seen.stable.release.digest, seen.weight) == ("none", digest, NOTHING)
    world.target().deploy(world.made_up("v2"), rollout="r2")
    world.target().promote()
    assert world.target().look().reserve == seen.stable.release
    world.tags[f"{IMAGE}@{digest}"] = "none"
    world.target().roll_back(rollout="r2")
    assert world.cluster.ask(HOST).image == f"{IMAGE}@{digest}"
    world.close()
