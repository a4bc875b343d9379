"""Each trap that was seen on a live Argo Rollouts controller, and what the argo target does about it.

The numbers are those of the list in docs/argo.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.argo.standing import Standing
from rollout.targets.base import Health
from rollout.targets.kubernetes.client import ROLLOUT
from rollout.targets.kubernetes.refusals import Invalid
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
    """A Rollout that was never used."""
    one = make(cluster, tmp_path, image=IMAGE)
    yield one
    one.close()


def stable(world: World) -> None:
    """v1 is stable."""
    world.target().deploy(world.made_up("v1"), rollout="r1")
    world.target().promote()


def canary(world: World, *, weight: float = 0) -> None:
    """v1 is stable and v2 its canary."""
    stable(world)
    world.target().deploy(world.made_up("v2"), rollout="r2")
    if weight:
        world.target().move(Weight(weight))


def test_trap_1_a_phase_of_the_former_generation_is_not_believed(world: World) -> None:
    """Right after the image was set, the phase is still Healthy and observedGeneration, a text, the old one."""
    stable(world)
    world.cluster.lag(0.5)
    seen: list[tuple[str, bool]] = []
    target = world.target()
    real = target._view.standing

    def noted() -> Standing:
        now = real()
        seen.append((str(now.status.get("phase")), now.is_observed))
        return now

    object.__setattr__(target._view, "standing", noted)
    target.deploy(world.made_up("v2"), rollout="r2")
    assert ("Healthy", False) in seen, "the double did not lag"
    status = world.status()
    assert isinstance(status["observedGeneration"], str)
    assert status["currentPodHash"] != status["stableRS"]
    look = target.look()
    assert look.canary is not None
    assert (look.canary.health, look.weight) == (Health.READY, NOTHING)


def test_trap_1_a_canary_that_the_controller_has_not_seen_yet_is_shown_as_not_ready(world: World) -> None:
    """And the stable release stays the stable one."""
    stable(world)
    world.cluster.lag(3)
    target, release = world.target(), world.made_up("v2")
    target._orders.swap(lambda now: target._changes.with_canary(now, release, "r2"))
    look = world.target().look()
    assert look.stable is not None
    assert look.stable.release.tag == "v1"
    assert look.canary is not None
    assert (look.canary.release.tag, look.canary.health, look.canary.ready) == ("v2", Health.UNREADY, 0)
    world.cluster.lag(0)
    world.target().deploy(world.made_up("v2"), rollout="r2")


@pytest.mark.parametrize("drive", ["weights", "steps"])
def test_trap_2_an_order_by_the_status_moves_no_generation(cluster: ClusterServer, tmp_path: Path, drive: str) -> None:
    """A pause that was ended and that the controller has not noticed yet is no pause that is over."""
    world = make(cluster, tmp_path, image=IMAGE, drive=drive)
    canary(world)
    cluster.lag(0.5)
    before = world.rollout()["metadata"]["generation"]
    world.target().move(Weight(1))
    assert world.rollout()["metadata"]["generation"] == before
    assert world.route_weight() == 1
    assert world.status()["pauseConditions"]
    world.close()


def test_trap_2_a_rollout_that_is_unpausing_is_neither_healthy_nor_waiting() -> None:
    """As utils/rollout/rolloututil.go has it: controllerPause without pauseConditions."""
    whole: Json = {
        "metadata": {"name": "chat", "generation": 3, "resourceVersion": "1"},
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 5}, {"pause": {}}]}}},
        "status": {"phase": "Healthy", "observedGeneration": "3", "controllerPause": True, "currentStepIndex": 1},
    }
    standing = Standing(whole=whole)
    assert standing.is_observed
    assert standing.is_unpausing
    assert not standing.is_healthy
    assert not standing.waits_at(standing.stops[0])


def test_trap_3_an_abort_leaves_the_new_image_in_the_template_until_the_old_one_is_put_back(world: World) -> None:
    """The rollback is done when nobody is on the canary; its retirement makes the Rollout healthy again."""
    stable(world)
    before = world.rollout()["spec"]["template"]
    world.target().deploy(world.made_up("v2"), rollout="r2")
    world.target().move(Weight(10))
    world.target().roll_back(rollout="r2")
    rollout = world.rollout()
    assert (rollout["status"]["phase"], rollout["status"]["abort"]) == ("Degraded", True)
    assert rollout["spec"]["template"] != before
    world.target().retire()
    rollout = world.rollout()
    assert rollout["spec"]["template"] == before
    assert (rollout["status"]["phase"], rollout["status"].get("abort", False)) == ("Healthy", False)


def test_trap_4_an_abort_by_argos_own_analysis_is_seen_with_its_reason_and_waited_for(
    cluster: ClusterServer, tmp_path: Path
) -> None:
    """At the first read with abort the canary still has its weight: traffic is safe only when the route is at 0."""
    analysis = {"templates": [{"templateName": "success-rate"}]}
    world = make(cluster, tmp_path, image=IMAGE)

    def analysed(item: Json) -> None:
        item["spec"]["strategy"]["canary"]["analysis"] = analysis

    world.change(analysed)
    canary(world, weight=25)
    cluster.knobs.traffic_lag = 1.0
    runs = [str(each["metadata"]["name"]) for each in cluster.list("analysisruns", NAMESPACE)]
    run = next(each for each in runs if world.status()["currentPodHash"] in each)
    cluster.conclude(run, "Failed", "too many errors", namespace=NAMESPACE)
    world.wait(lambda status: status.get("abort"))
    assert world.route_weight() == 25, "the double did not lag"
    look = world.target().look()
    assert look.canary is not None
    assert (look.canary.health, look.weight) == (Health.DEAD, Weight(25))
    with pytest.raises(TargetFailed, match="aborted"):
        world.target().move(Weight(40))
    world.target().roll_back(rollout="r2")
    assert world.route_weight() == 0
    assert "too many errors" in world.target().logs(lines=5)
    world.close()


def test_trap_4_a_rollback_returns_only_when_the_route_has_left_the_canary(world: World) -> None:
    """Status and route follow the phase with a delay."""
    canary(world, weight=50)
    world.cluster.knobs.traffic_lag = 0.7
    world.target().roll_back(rollout="r2")
    assert world.route_weight() == 0
    assert world.status()["canary"]["weights"]["canary"]["weight"] == 0
    assert {world.cluster.ask(HOST).image for _ in range(30)} == {world.made_up("v1").reference}


@pytest.mark.parametrize("weight", [10, 100])
def test_trap_5_a_promotion_is_done_when_the_route_is_and_not_when_the_phase_is(world: World, weight: float) -> None:
    """Healthy comes about half a second before the canary's weight is 0."""
    canary(world, weight=weight)
    world.cluster.knobs.traffic_lag = 0.7
    world.target().promote()
    status = world.status()
    assert (status["phase"], status["stableRS"]) == ("Healthy", status["currentPodHash"])
    assert world.route_weight() == 0
    assert status["canary"]["weights"]["canary"]["weight"] == 0


def test_trap_6_orders_go_to_the_status_because_the_main_resource_ignores_them(world: World) -> None:
    """A patch of the main resource answers 200 and does nothing."""
    canary(world, weight=10)
    world.api().merge(ROLLOUT, NAMESPACE, "chat", {"status": {"abort": True}})
    assert not world.status().get("abort")
    orders = world.cluster.count("patch", "rollouts/status")
    world.target().roll_back(rollout="r2")
    assert world.cluster.count("patch", "rollouts/status") == orders + 1
    assert world.route_weight() == 0


def test_trap_7_a_replacement_that_meets_another_writer_is_decided_anew_and_loses_nothing(world: World) -> None:
    """The controller and other programs write the same object."""
    stable(world)

    def theirs(item: Json) -> None:
        item["metadata"]["annotations"]["team"] = "shop"

    race = world.cluster.another_writer("update", "rollouts", lambda: world.change(theirs))
    world.target().deploy(world.made_up("v2"), rollout="r2")
    assert race.done
    assert world.rollout()["metadata"]["annotations"]["team"] == "shop"
    assert any(one.status == 409 for one in world.cluster.requests if one.verb == "update")


def test_trap_8_an_order_is_a_compare_and_swap_so_a_persons_abort_just_before_it_stands(world: World) -> None:
    """The official plug-in's patch would have gone through, on top of the abort."""
    canary(world, weight=10)
    race = world.cluster.another_writer("patch", "rollouts/status", lambda: world.set_status(abort=True))
    with pytest.raises(TargetFailed, match="aborted"):
        world.target().move(Weight(25))
    assert race.done
    assert [one.status for one in world.cluster.requests if one.resource == "rollouts/status"][-1] == 409
    world.wait(lambda status: status["canary"]["weights"]["canary"]["weight"] == 0)
    assert world.status()["abort"]


def test_trap_8_an_order_that_was_decided_on_an_old_version_is_refused_and_decided_anew(world: World) -> None:
    """The server answers 409 to the resourceVersion in the patch; a change that does not matter costs one more try."""
    canary(world)

    def theirs(item: Json) -> None:
        item["metadata"]["annotations"]["team"] = "shop"

    world.cluster.another_writer("patch", "rollouts/status", lambda: world.change(theirs))
    world.target().move(Weight(5))
    answers = [one.status for one in world.cluster.requests if one.resource == "rollouts/status"]
    assert answers[-2:] == [409, 200]
    assert world.route_weight() == 5


def test_trap_9_nothing_is_deployed_where_an_abort_would_be_refused(world: World) -> None:
    """The right to patch rollouts is not the right to patch rollouts/status."""
    stable(world)
    world.cluster.forbid("patch", "rollouts/status")
    with pytest.raises(TargetFailed, match="rollouts/status") as failed:
        world.target().deploy(world.made_up("v2"), rollout="r2")
    assert "argo-rbac.yaml" in failed.value.hint
    assert world.target().look().canary is None
    errors = [each.message for each in world.target().diagnose() if each.severity == "error"]
    assert any("patch rollouts/status" in message for message in errors), errors


def test_trap_9_a_right_that_is_taken_away_later_is_named(world: World) -> None:
    """The server's own sentence says what is missing."""
    canary(world)
    world.cluster.forbid("patch", "rollouts/status")
    with pytest.raises(TargetFailed, match="rollouts/status"):
        world.target().move(Weight(5))


@pytest.mark.parametrize("aborts", [False, True])
def test_trap_10_a_deadline_that_is_missed_takes_the_canary_back(
    cluster: ClusterServer, tmp_path: Path, *, aborts: bool
) -> None:
    """Without progressDeadlineAbort the controller tries on for ever; we do not."""
    spec = {"progressDeadlineSeconds": 1, "progressDeadlineAbort": aborts}
    world = make(cluster, tmp_path, image=IMAGE, spec=spec)
    stable(world)
    release = world.made_up("v2")
    cluster.never_ready(release.reference)
    world.asleep = 0
    with pytest.raises(TargetFailed, match=r"timed out progressing|does not become ready"):
        world.target().deploy(release, rollout="r2")
    assert world.asleep < 60, "it waited for ready_timeout"
    look = world.target().look()
    assert look.canary is None
    assert look.stable is not None
    assert (look.stable.release.tag, look.stable.health, look.weight) == ("v1", Health.READY, NOTHING)
    world.close()


def test_trap_10_an_image_that_cannot_be_had_is_told_with_the_pods_own_reason(world: World) -> None:
    """It shows as the reason of a waiting pod, long before any deadline."""
    stable(world)
    release = world.made_up("v2")
    world.cluster.fail_image(release.reference, reason="ErrImageNeverPull")
    world.asleep = 0
    with pytest.raises(TargetFailed, match="ErrImageNeverPull"):
        world.target().deploy(release, rollout="r2")
    assert world.asleep < 20, "it waited for ready_timeout"
    assert world.target().look().canary is None


def test_trap_11_fields_of_other_managers_stay_theirs(world: World) -> None:
    """The number of replicas belongs to whoever scales: a change of it in between is kept, and stays his."""
    stable(world)

    def scaled(item: Json) -> None:
        item["spec"]["replicas"] = 4

    race = world.cluster.another_writer(
        "update", "rollouts", lambda: world.change(scaled, by="horizontal-pod-autoscaler")
    )
    world.target().deploy(world.made_up("v2"), rollout="r2")
    assert race.done
    rollout = world.rollout()
    assert rollout["spec"]["replicas"] == 4
    owners = {
        entry["manager"]
        for entry in rollout["metadata"]["managedFields"]
        if "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    }
    assert owners == {"horizontal-pod-autoscaler"}


def test_trap_12_degraded_after_our_own_abort_is_no_failure(world: World) -> None:
    """`kubectl argo rollouts status` exits with 1 there; a rollback that worked is none."""
    canary(world, weight=25)
    world.target().roll_back(rollout="r2")
    assert world.status()["phase"] == "Degraded"
    world.target().roll_back(rollout="r2")
    look = world.target().look()
    assert look.weight == NOTHING
    assert look.problem == ""
    world.target().retire()
    assert world.status()["phase"] == "Healthy"


def test_a_strategic_patch_of_a_rollout_is_refused(world: World) -> None:
    """Custom resources know no strategic merge: 415. None is sent here."""
    answer = world.api()
    with pytest.raises(Invalid, match=r"415|media type|Unsupported"):
        answer._call(
            "PATCH",
            f"{ROLLOUT.base}/namespaces/{NAMESPACE}/rollouts/chat",
            what="try it",
            body={"spec": {}},
            content="application/strategic-merge-patch+json",
        )
