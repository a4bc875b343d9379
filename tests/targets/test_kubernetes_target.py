"""What the Kubernetes target does to a user's objects, and what it says where it can do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.core.finding import Severity
from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health, Target
from rollout.targets.kubernetes import notes
from rollout.targets.kubernetes.client import Cluster
from rollout.targets.kubernetes.refusals import Forbidden, OwnedElsewhere
from tests.kubernetes.server import TOKEN, ClusterServer
from tests.targets.contract import crowd
from tests.targets.kubernetes_world import HOST, NAMESPACE, World, deployment, ingress, make, route, service
from tests.targets.test_kubernetes_contract import KubernetesHarness


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with one namespace."""
    with ClusterServer(namespaces=(NAMESPACE,)) as one:
        yield one


@pytest.fixture
def world(cluster: ClusterServer, tmp_path: Path) -> World:
    """A service that a user runs by tag already, in three pods."""
    return running(cluster, tmp_path)


def running(cluster: ClusterServer, directory: Path, **more: Any) -> World:  # noqa: ANN401  (what `make` takes)
    """A service that a user runs by tag already."""
    image = "registry.example/chat"
    cluster.knobs.digests[f"{image}:v1"] = f"{image}@sha256:{'1' * 64}"
    made = make(cluster, directory, image=image, running="v1", **{"replicas": 3, **more})
    made.tags[f"{image}:v1"] = made.tags[f"{image}@sha256:{'1' * 64}"] = "v1"
    cluster.wait(lambda: ready(cluster, "chat") == made.cluster.get("deployments", "chat")["spec"]["replicas"])
    return made


def ready(cluster: ClusterServer, name: str) -> int:
    """How many pods of a Deployment are ready."""
    return int((cluster.get("deployments", name).get("status") or {}).get("readyReplicas") or 0)


def asked(world: World, *, users: int = 40, headers: dict[str, str] | None = None) -> set[str]:
    """What a number of users get."""
    answers = [world.cluster.ask(HOST, headers=headers or {}) for _ in range(users)]
    return {world.tags[answer.image] if answer.status == 200 else str(answer.status) for answer in answers}


def messages(target: Target, severity: Severity) -> str:
    """What the diagnosis says that bad."""
    return "\n".join(
        f"{finding.subject}: {finding.message} | {finding.hint}"
        for finding in target.diagnose()
        if finding.severity is severity
    )


def test_a_release_that_a_person_deployed_by_tag_is_known_by_the_digest_that_its_pods_run(world: World) -> None:
    """The registry may have another image under the tag by now."""
    seen = world.target().look()
    assert seen.stable is not None
    assert seen.stable.release.tag == "v1"
    assert seen.stable.release.digest == f"sha256:{'1' * 64}"
    assert (seen.stable.health, seen.stable.ready, seen.stable.wanted) == (Health.READY, 3, 3)
    assert (seen.canary, seen.reserve, seen.weight) == (None, None, NOTHING)


def test_a_digest_that_nobody_knows_holds_everything(cluster: ClusterServer, tmp_path: Path) -> None:
    """Without a stable release that is known, a canary would be promoted as the first one."""
    world = make(cluster, tmp_path, running="v1", replicas=1)
    cluster.knobs.digests[f"{world.image}:v1"] = ""
    cluster.wait(lambda: ready(cluster, "chat") == 1)
    seen = world.target().look()
    assert seen.weight is None
    assert "no ready pod says which digest" in seen.problem


def test_the_canary_is_made_of_the_stable_template_and_its_pods_are_not_found_by_the_stable_service(
    world: World,
) -> None:
    """At weight 0 nobody meets it, whatever the stable Service selects."""
    world.target().deploy(world.made_up("v2"), rollout="r2")
    made = world.cluster.get("deployments", "chat-canary", NAMESPACE)
    stable = world.cluster.get("deployments", "chat", NAMESPACE)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == world.made_up("v2").reference
    assert container["ports"] == stable["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert made["spec"]["template"]["metadata"]["labels"]["version"] == "canary"
    selector = world.cluster.get("services", "chat", NAMESPACE)["spec"]["selector"]
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert any(labels.get(key) != value for key, value in selector.items())
    assert asked(world) == {"v1"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == stable["metadata"]["uid"]


def test_afterwards_the_users_objects_are_as_they_were_but_for_the_image_and_our_notes(world: World) -> None:
    """The route, the Service and the rest of the Deployment: nothing of ours is left in them."""
    before = {kind: world.cluster.get(kind, "chat", NAMESPACE)["spec"] for kind in ("services", "httproutes")}
    template = world.cluster.get("deployments", "chat", NAMESPACE)["spec"]["template"]
    target = world.target(testers={})
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(30))
    target.promote()
    target.retire()
    assert {kind: world.cluster.get(kind, "chat", NAMESPACE)["spec"] for kind in before} == before
    after = world.cluster.get("deployments", "chat", NAMESPACE)
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == world.made_up("v2").reference
    assert set(after["metadata"]["annotations"]) >= {notes.RELEASE, notes.RESERVE}
    assert len(world.cluster.list("deployments", NAMESPACE)) == 1
    assert len(world.cluster.list("services", NAMESPACE)) == 1
    target.roll_back(rollout="r2")
    target.retire()
    target.discard()
    back = world.cluster.get("deployments", "chat", NAMESPACE)
    image = f"{world.image}@sha256:{'1' * 64}"
    template["spec"]["containers"][0]["image"] = image
    assert back["spec"]["template"] == template
    assert notes.RESERVE not in back["metadata"]["annotations"]
    assert asked(world) == {"v1"}


def test_the_way_back_restores_the_whole_template_that_ran_then(world: World) -> None:
    """Somebody gave the new release a variable: the old one ran without it."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.promote()
    target.retire()

    def change(item: dict[str, Any]) -> None:
        item["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "NEW", "value": "yes"}]

    world.cluster.change("deployments", "chat", change, by="kubectl-edit", namespace=NAMESPACE)
    with crowd(harness(world)) as users:
        target.roll_back(rollout="r2")
    assert users.all_served()
    container = world.cluster.get("deployments", "chat", NAMESPACE)["spec"]["template"]["spec"]["containers"][0]
    assert not container.get("env")
    assert asked(world) == {"v1"}


def harness(world: World) -> KubernetesHarness:
    """What the contract's users ask."""
    return KubernetesHarness(world, "", pytest.MonkeyPatch())


def test_the_canary_carries_everybody_while_the_stable_pods_are_replaced(world: World) -> None:
    """A Deployment that ends all of its pods before it starts new ones drops nobody, forth and back."""

    def at_once(item: dict[str, Any]) -> None:
        item["spec"]["strategy"] = {"type": "Recreate"}

    world.cluster.change("deployments", "chat", at_once, by="kubectl-edit", namespace=NAMESPACE)
    world.cluster.pods_ready_after(0.2)
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    with crowd(harness(world)) as users:
        target.promote()
        target.retire()
        target.roll_back(rollout="r2")
        target.retire()
    assert users.all_served()
    assert asked(world) == {"v1"}


@pytest.mark.parametrize("at", range(1, 34, 4))
def test_a_promotion_that_was_killed_anywhere_can_be_aborted(world: World, at: int) -> None:
    """Everybody is served all the while, and the stable Deployment is the old one again."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(50))
    with crowd(harness(world)) as users:
        killed = harness(world).interrupt(lambda each: each.promote(), at=at)
        world.target().look()
        world.target().roll_back(rollout="r2")
    assert users.all_served()
    seen = world.target().look()
    assert seen.stable is not None
    assert (seen.stable.release.tag, seen.weight, seen.problem) == ("v1", NOTHING, "")
    assert asked(world) == {"v1"}
    assert killed or at > 20


@pytest.mark.parametrize("at", range(2, 44, 6))
def test_a_rollback_after_a_promotion_that_was_killed_anywhere_is_finished_by_the_next_one(
    world: World, at: int
) -> None:
    """And a look in between says the truth: the reserve is stable as soon as it serves."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.promote()
    target.retire()
    with crowd(harness(world)) as users:
        harness(world).interrupt(lambda each: each.roll_back(rollout="r2"), at=at)
        seen = world.target().look()
        assert seen.stable is not None
        assert asked(world, users=10) == {seen.stable.release.tag}
        world.target().roll_back(rollout="r2")
    assert users.all_served()
    assert asked(world) == {"v1"}
    world.target().retire()
    seen = world.target().look()
    assert seen.stable is not None
    assert (seen.stable.release.tag, seen.canary, seen.weight) == ("v1", None, NOTHING)


def test_testers_reach_the_canary_at_weight_0(world: World) -> None:
    """By the header, and nobody else does."""
    target = world.target(testers={"header": "X-Version", "value": "new"})
    target.deploy(world.made_up("v2"), rollout="r2")
    assert asked(world, headers={"x-version": "new"}) == {"v2"}
    assert asked(world, headers={"x-version": "old"}) == {"v1"}
    target.roll_back(rollout="r2")
    target.retire()
    assert asked(world, headers={"x-version": "new"}) == {"v1"}


def test_requests_are_mirrored_to_a_canary_at_weight_0_only(world: World) -> None:
    """As soon as it has users of its own, the copies end."""
    target = world.target(mirror="10%")
    target.deploy(world.made_up("v2"), rollout="r2")
    (rule,) = world.rules()
    (mirror,) = rule["filters"]
    assert mirror["requestMirror"]["backendRef"]["name"] == "chat-canary"
    assert mirror["requestMirror"]["percent"] == 10
    target.move(Weight(5))
    assert not world.rules()[0].get("filters")
    target.move(NOTHING)
    target.retire()
    assert not world.rules()[0].get("filters")


@pytest.mark.parametrize(
    ("replicas", "sizes"), [("share", {0: 2, 5: 2, 25: 3, 50: 5, 100: 10}), (4, {0: 4, 50: 4, 100: 4})]
)
def test_the_canary_is_as_large_as_its_share(
    cluster: ClusterServer, tmp_path: Path, replicas: object, sizes: dict[int, int]
) -> None:
    """At least two pods, and never fewer ready ones than the weight needs; a fixed number stays."""
    world = running(cluster, tmp_path, replicas=10)
    target = world.target(replicas=replicas)
    target.deploy(world.made_up("v2"), rollout="r2")
    for percent, size in sizes.items():
        target.move(Weight(percent))
        assert ready(cluster, "chat-canary") == size
    target.move(Weight(5))
    assert cluster.get("deployments", "chat-canary")["spec"]["replicas"] == min(sizes[0], sizes[50])
    target.promote()
    assert ready(cluster, "chat") == 10


def test_fields_that_a_tool_in_a_hand_has_written_are_taken_over(world: World) -> None:
    """kubectl and helm act when they are called, so they change nothing back."""
    by = {entry["manager"] for entry in world.cluster.get("httproutes", "chat", NAMESPACE)["metadata"]["managedFields"]}
    assert "kubectl-client-side-apply" in by
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(10))
    assert target.look().weight == Weight(10)


def test_weights_that_another_controller_manages_are_reported_and_not_fought(
    cluster: ClusterServer, tmp_path: Path
) -> None:
    """The doctor says so before, the effect when it comes to it; `take_over` says that the controller knows."""
    world = running(cluster, tmp_path)
    world.set_weights(0, by="argocd-controller")
    target = world.target()
    assert ".spec.rules of HTTPRoute chat belongs to argocd-controller" in messages(target, Severity.ERROR)
    with pytest.raises(
        OwnedElsewhere, match=r"\.spec\.rules of HTTPRoute chat belongs to argocd-controller"
    ) as refused:
        target.deploy(world.made_up("v2"), rollout="r2")
    assert "take_over" in refused.value.hint
    assert target.look().canary is None
    allowed = world.target(take_over=("argocd-controller",))
    assert messages(allowed, Severity.ERROR) == ""
    allowed.deploy(world.made_up("v2"), rollout="r2")


def test_a_change_that_overtakes_ours_is_kept(world: World) -> None:
    """Somebody adds a host between our look at the route and our change of it."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")

    def add(item: dict[str, Any]) -> None:
        item["spec"]["hostnames"].append("second.example")

    race = world.cluster.another_writer(
        "patch",
        "httproutes",
        lambda: world.cluster.change("httproutes", "chat", add, by="kubectl-edit", namespace=NAMESPACE),
    )
    target.move(Weight(20))
    assert not race.skip
    assert "second.example" in world.cluster.get("httproutes", "chat", NAMESPACE)["spec"]["hostnames"]
    assert target.look().weight == Weight(20)


def test_a_weight_is_reached_when_the_gateway_has_taken_it_up(world: World) -> None:
    """Until then the order goes on, and a look says that it is not known what is served."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    world.cluster.route_lag(0.3)
    target.move(Weight(100))
    assert asked(world, users=10) == {"v2"}
    world.cluster.route_lag(60)
    world.set_weights(500)
    seen = target.look()
    assert seen.weight is None
    assert "not yet taken up" in seen.problem
    assert seen.canary is not None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"deployment": "chatt"}, ("there is no Deployment chatt", "Is chat meant?")),
        ({"service": "chta"}, ("there is no Service chta", "Is chat meant?")),
        ({"route": "chat-route"}, ("there is no HTTPRoute chat-route", "Is chat meant?")),
        ({"namespace": "shopp"}, ("there is no Deployment chat in the namespace shopp", "check the namespace")),
        ({"container": "web"}, ("no container is named web", "there are chat")),
        ({"rule": 3}, ("rule 3 of HTTPRoute chat", "these do: 1")),
    ],
)
def test_a_wrong_name_is_said_with_the_nearest_that_exists(
    world: World, changed: dict[str, object], words: tuple[str, ...]
) -> None:
    """By the doctor, which changes nothing, and by the first effect."""
    found = messages(world.target(**changed), Severity.ERROR)
    assert all(word in found for word in words), found
    requests = len(world.cluster.requests)
    with pytest.raises(TargetFailed):
        world.target(**changed).deploy(world.made_up("v2"), rollout="r2")
    made = [one for one in world.cluster.requests[requests:] if one.verb in ("patch", "create") and one.status < 300]
    assert all(one.name.endswith("-canary") for one in made)
    assert world.target().look().canary is None


def test_a_route_without_a_backend_of_ours_names_those_that_it_has(cluster: ClusterServer, tmp_path: Path) -> None:
    """Nothing is guessed."""
    world = running(cluster, tmp_path, rules=[{"backendRefs": [{"name": "web", "port": 80}]}])
    assert "no rule with the backend chat; it has web" in messages(world.target(), Severity.ERROR)
    assert world.target().look().weight is None


def test_of_two_rules_with_our_backend_one_must_be_chosen(cluster: ClusterServer, tmp_path: Path) -> None:
    """Or all of them: they are named by number and path."""
    backend = [{"name": "chat", "port": 80}]
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": value}}], "backendRefs": backend}
        for value in ("/api", "/")
    ]
    world = running(cluster, tmp_path, rules=rules)
    found = messages(world.target(), Severity.ERROR)
    assert "2 rules of HTTPRoute chat have the backend chat: 1 (/api), 2 (/)" in found
    one = world.target(rule=2, testers={})
    one.deploy(world.made_up("v2"), rollout="r2")
    one.move(Weight(100))
    assert asked(world) == {"v2"}
    assert {world.tags[cluster.ask(HOST, path="/api/x").image] for _ in range(20)} == {"v1"}
    one.roll_back(rollout="r2")
    one.retire()
    both = world.target(rule="all")
    both.deploy(world.made_up("v2"), rollout="r3")
    both.move(Weight(100))
    assert both.look().weight == Weight(100)
    assert {world.tags[cluster.ask(HOST, path="/api/x").image] for _ in range(20)} == {"v2"}


def test_a_missing_crd_is_said(cluster: ClusterServer, tmp_path: Path) -> None:
    """With what to install."""
    world = running(cluster, tmp_path)
    cluster.without_crd("httproutes")
    assert "does not know HTTPRoute" in messages(world.target(), Severity.ERROR)
    assert "does not know this kind of object" in world.target().look().problem


def test_a_missing_permission_is_named_with_its_verb(world: World) -> None:
    """By the doctor before, and by the cluster's own sentence when it comes to it."""
    world.cluster.forbid("patch", "httproutes")
    found = messages(world.target(), Severity.ERROR)
    assert "we may not patch httproutes.gateway.networking.k8s.io in the namespace shop" in found
    assert "kubernetes-rbac.yaml" in found
    with pytest.raises(Forbidden, match=r"httproutes.*is forbidden"):
        world.target().deploy(world.made_up("v2"), rollout="r2")


def test_the_documented_permissions_are_enough_and_each_is_needed(world: World) -> None:
    """A whole rollout uses no verb that docs/kubernetes-rbac.yaml does not grant, and leaves none unused."""
    import yaml  # noqa: PLC0415

    text = Path("docs/kubernetes-rbac.yaml").read_text(encoding="utf-8")
    role = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Role")
    granted = {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    target = world.target()
    list(target.diagnose())
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(50))
    target.promote()
    target.retire()
    target.roll_back(rollout="r2")
    target.logs(lines=5)
    target.discard()
    for wrong in ({"deployment": "x"}, {"service": "x"}, {"route": "x"}):
        list(world.target(**wrong).diagnose())
    used = {(one.verb, one.resource) for one in world.cluster.requests if one.verb != "read"}
    assert used <= granted
    applied = {("create", resource) for _, resource in granted}  # what an apply needs where the object is not there yet
    assert {each for each in granted if each[1] != "ingresses"} <= used | applied


def test_an_image_that_cannot_be_pulled_is_said_in_the_clusters_words(world: World) -> None:
    """And nothing of the canary stays."""
    release = world.made_up("gone")
    world.cluster.fail_image(release.reference)
    with pytest.raises(TargetFailed, match="ImagePullBackOff"):
        world.target().deploy(release, rollout="r2")
    assert world.target().look().canary is None
    assert asked(world) == {"v1"}


def test_a_canary_that_crashes_is_said_with_its_last_lines(world: World) -> None:
    """In the error, and in the log that is kept once it is gone."""
    release = world.known(world.made_up("bad"), says="cannot open the database\n")
    world.cluster.crash_image(release.reference)
    with pytest.raises(TargetFailed, match="CrashLoopBackOff") as failed:
        world.target().deploy(release, rollout="r2")
    assert "cannot open the database" in failed.value.hint
    logs = world.target().logs(lines=20)
    assert "CrashLoopBackOff" in logs
    assert "cannot open the database" in logs


def test_a_progress_deadline_is_said(cluster: ClusterServer, tmp_path: Path) -> None:
    """The Deployment's own, which the canary takes over from the stable one."""
    world = running(cluster, tmp_path)

    def limit(item: dict[str, Any]) -> None:
        item["spec"]["progressDeadlineSeconds"] = 1

    cluster.change("deployments", "chat", limit, by="kubectl-edit", namespace=NAMESPACE)
    release = world.made_up("slow")
    cluster.never_ready(release.reference)
    with pytest.raises(TargetFailed, match="progress"):
        world.target().deploy(release, rollout="r2")


def test_an_oom_kill_counts_as_a_restart_and_is_in_the_log(world: World) -> None:
    """So the plan's limit of restarts takes the canary back, and the comment says why."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    pod = next(
        str(each["metadata"]["name"])
        for each in world.cluster.list("pods", NAMESPACE)
        if each["metadata"]["name"].startswith("chat-canary")
    )
    world.cluster.oom(pod)
    seen = target.look()
    assert seen.canary is not None
    assert seen.canary.restarts == 1
    assert "OOMKilled" in target.logs(lines=20)


def test_an_api_server_that_stops_answering_half_way_holds_and_is_taken_up_again(world: World) -> None:
    """The error says who is silent; no secret is in it; the next call ends what was begun."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    world.cluster.cut(at=4)
    with pytest.raises(TargetBusy) as busy:
        target.promote()
    assert "does not answer" in str(busy.value)
    assert TOKEN not in str(busy.value)
    seen = target.look()
    assert seen.weight is None
    assert "does not answer" in seen.problem
    world.cluster.mend()
    target.promote()
    assert asked(world) == {"v2"}


def test_a_canary_that_somebody_deleted_gets_no_more_users(world: World) -> None:
    """The look shows that it is gone, and the rollback leads nobody to nothing."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(50))
    Cluster.delete(world.api(), _deployments(), NAMESPACE, "chat-canary")
    seen = target.look()
    assert (seen.canary, seen.weight) == (None, Weight(50))
    target.roll_back(rollout="r2")
    assert asked(world) == {"v1"}
    assert target.look().weight == NOTHING


def _deployments() -> Any:  # noqa: ANN401  (a Kind)
    from rollout.targets.kubernetes.client import DEPLOYMENT  # noqa: PLC0415

    return DEPLOYMENT


@pytest.mark.parametrize("plural", ["deployments", "services", "ingresses"])
def test_an_object_of_somebody_else_by_the_canarys_name_is_left_alone(
    cluster: ClusterServer, tmp_path: Path, plural: str
) -> None:
    """It is said that it is in the way."""
    world = running(cluster, tmp_path, router="nginx" if plural == "ingresses" else "gateway")
    theirs = {"deployments": deployment("chat-canary", "other:1", replicas=1), "services": service("chat-canary")}
    before = cluster.seed(plural, theirs.get(plural) or ingress("chat-canary"))
    with pytest.raises(TargetFailed, match="chat-canary is there already, and was not made by rollout"):
        world.target().deploy(world.made_up("v2"), rollout="r2")
    world.target().look()
    assert cluster.get(plural, "chat-canary", NAMESPACE)["spec"] == before["spec"]


def test_notes_that_cannot_be_understood_block_everything(world: World) -> None:
    """They are never overwritten."""

    def scribble(item: dict[str, Any]) -> None:
        item["metadata"].setdefault("annotations", {})[notes.RELEASE] = "v1 or so"

    world.cluster.change("deployments", "chat", scribble, by="kubectl-edit", namespace=NAMESPACE)
    with pytest.raises(TargetFailed, match="cannot be understood"):
        world.target().look()
    with pytest.raises(TargetFailed, match="cannot be understood"):
        world.target().deploy(world.made_up("v2"), rollout="r2")


def test_an_image_that_somebody_set_since_is_the_stable_release(world: World) -> None:
    """What runs counts, and not what we noted."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.promote()
    target.retire()
    release = world.made_up("v9")

    def change(item: dict[str, Any]) -> None:
        item["spec"]["template"]["spec"]["containers"][0]["image"] = release.reference

    world.cluster.change("deployments", "chat", change, by="kubectl-set", namespace=NAMESPACE)
    seen = target.look()
    assert seen.stable is not None
    assert seen.stable.release.digest == release.digest


def test_a_canary_whose_image_somebody_changed_is_seen_with_what_it_runs(world: World) -> None:
    """The machine takes a canary back that runs another digest than was released."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    other = world.made_up("v9")

    def change(item: dict[str, Any]) -> None:
        item["spec"]["template"]["spec"]["containers"][0]["image"] = other.reference

    world.cluster.change("deployments", "chat-canary", change, by="kubectl-set", namespace=NAMESPACE)
    seen = target.look()
    assert seen.canary is not None
    assert seen.canary.release.digest == other.digest


def test_the_doctor_has_nothing_against_a_service_that_is_fit(world: World) -> None:
    """But for what every plain route lacks: it says that users are not kept on a version."""
    target = world.target()
    assert messages(target, Severity.ERROR) == ""
    assert "no session persistence" in messages(target, Severity.WARNING)


def test_the_doctor_says_where_no_gateway_serves_the_route(cluster: ClusterServer, tmp_path: Path) -> None:
    """Weights are taken at their word then."""
    world = running(cluster, tmp_path)
    idle = route("unserved", rules=[{"backendRefs": [{"name": "chat", "port": 80}]}])
    del idle["spec"]["parentRefs"]
    cluster.seed("httproutes", idle)
    assert "no gateway says" in messages(world.target(route="unserved"), Severity.WARNING)


def test_a_look_is_four_requests_and_a_rollback_few_more(world: World) -> None:
    """The API server of a large cluster serves others, too."""
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(50))
    before = len(world.cluster.requests)
    target.look()
    assert len(world.cluster.requests) - before <= 5
    before = len(world.cluster.requests)
    target.roll_back(rollout="r2")
    assert len(world.cluster.requests) - before <= 8


def components(cluster: ClusterServer, directory: Path) -> World:
    """A service of two Deployments with a route each, and a worker without one."""
    world = running(cluster, directory)
    for name in ("web", "worker"):
        cluster.seed("deployments", deployment(name, f"{world.image}:v1", replicas=2))
    cluster.seed("services", service("web"))
    cluster.seed("httproutes", route("web", host="web.example"))
    parts = [
        {"deployment": "chat", "service": "chat", "route": "chat"},
        {"deployment": "web", "service": "web", "route": "web"},
        {"deployment": "worker"},
    ]
    rest = {"namespace": NAMESPACE, "kubeconfig": world.kubeconfig, "ready_timeout": "20s", "components": parts}
    world.settings = type(world.settings).model_validate(rest)
    cluster.wait(lambda: ready(cluster, "web") == ready(cluster, "worker") == 2)
    return world


def test_components_are_moved_promoted_and_taken_back_together(cluster: ClusterServer, tmp_path: Path) -> None:
    """One service, three Deployments, two routes."""
    world = components(cluster, tmp_path)
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(100))
    seen = target.look()
    assert seen.weight == Weight(100)
    assert seen.canary is not None
    assert seen.canary.wanted == 3 + 2 + 2
    assert {world.tags[cluster.ask("web.example").image] for _ in range(10)} == {"v2"}
    target.promote()
    target.retire()
    images = {each["metadata"]["name"]: _image(each) for each in cluster.list("deployments", NAMESPACE)}
    assert images == dict.fromkeys(("chat", "web", "worker"), world.made_up("v2").reference)
    target.roll_back(rollout="r2")
    target.retire()
    images = {each["metadata"]["name"]: _image(each) for each in cluster.list("deployments", NAMESPACE)}
    assert images == dict.fromkeys(("chat", "web", "worker"), f"{world.image}@sha256:{'1' * 64}")


def _image(item: dict[str, Any]) -> str:
    return str(item["spec"]["template"]["spec"]["containers"][0]["image"])


def test_components_that_were_moved_only_in_part_are_seen_and_moved_on(cluster: ClusterServer, tmp_path: Path) -> None:
    """What is seen is the weight that is not as ordered, up and down."""
    world = components(cluster, tmp_path)
    target = world.target()
    target.deploy(world.made_up("v2"), rollout="r2")
    target.move(Weight(10))
    fault = cluster.fault("patch", "httproutes", status=500, name="web", times=None)
    with pytest.raises(TargetBusy):
        target.move(Weight(20))
    assert target.look().weight == Weight(10)
    with pytest.raises(TargetBusy):
        target.roll_back(rollout="r2")
    assert target.look().weight == Weight(10)
    cluster.mend()
    assert fault.struck >= 2
    target.roll_back(rollout="r2")
    assert target.look().weight == NOTHING
