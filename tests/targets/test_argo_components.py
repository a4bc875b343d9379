"""Several Rollouts as one service are deployed, moved, promoted and taken back together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.argo.components import argo_target
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.base import Target
from tests.kubernetes.server import ClusterServer
from tests.targets.argo_world import NAMESPACE, World, make

IMAGE = "registry.example/chat"


@dataclass
class Pair:
    """Two Rollouts and the target that drives both."""

    cluster: ClusterServer
    world: World
    target: Target

    def weights(self) -> set[int]:
        """What the routes give the canaries."""
        found = set()
        for name in ("chat", "api"):
            backends = self.cluster.get("httproutes", name, NAMESPACE)["spec"]["rules"][0]["backendRefs"]
            found |= {int(each["weight"]) for each in backends if each["name"] == f"{name}-canary"}
        return found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """v1 is stable in both."""
    with ClusterServer(namespaces=(NAMESPACE,)) as cluster:
        world = make(cluster, tmp_path, image=IMAGE)
        make(cluster, tmp_path, image=IMAGE, name="api")
        settings = ArgoSettings.model_validate(
            {
                "namespace": NAMESPACE,
                "components": [{"rollout": "chat"}, {"rollout": "api"}],
                "replicas": 2,
                "ready_timeout": "20s",
            }
        )
        target = argo_target(
            settings=settings,
            cluster=world.api(),
            image=IMAGE,
            weights=world.weights,
            env={},
            sleep=lambda seconds: time.sleep(seconds / 10),
            monotonic=time.monotonic,
        )
        target.deploy(world.made_up("v1"), rollout="r1")
        target.promote()
        yield Pair(cluster, world, target)
        world.close()


def test_all_of_them_have_the_weight_that_was_ordered(pair: Pair) -> None:
    """Up, down, and to the end."""
    pair.target.deploy(pair.world.made_up("v2"), rollout="r2")
    for percent in (10, 50, 5):
        pair.target.move(Weight(percent))
        assert pair.weights() == {percent}
        assert pair.target.look().weight == Weight(percent)
    pair.target.promote()
    seen = pair.target.look()
    assert seen.stable is not None
    assert (seen.stable.release.tag, seen.canary, seen.weight) == ("v2", None, NOTHING)
    assert (seen.stable.ready, seen.stable.wanted) == (4, 4)
    assert seen.reserve == pair.world.made_up("v1")


def test_all_of_them_are_taken_back(pair: Pair) -> None:
    """Before a promotion and after it."""
    pair.target.deploy(pair.world.made_up("v2"), rollout="r2")
    pair.target.move(Weight(25))
    pair.target.roll_back(rollout="r2")
    assert pair.weights() == {0}
    pair.target.retire()
    pair.target.deploy(pair.world.made_up("v3"), rollout="r3")
    pair.target.promote()
    pair.target.roll_back(rollout="r3")
    seen = pair.target.look()
    assert seen.stable is not None
    assert seen.stable.release.tag == "v1"


def test_one_that_cannot_start_keeps_the_release_from_all(pair: Pair) -> None:
    """Its name is in the error, and nothing is left in the others."""
    release = pair.world.made_up("v2")
    pair.cluster.another_writer("update", "rollouts", lambda: pair.cluster.crash_image(release.reference), name="api")
    with pytest.raises(TargetFailed, match="api: the canary does not become ready"):
        pair.target.deploy(release, rollout="r2")
    seen = pair.target.look()
    assert seen.canary is None
    assert seen.weight == NOTHING


def test_components_that_differ_are_seen_as_drift(pair: Pair) -> None:
    """The weight of the whole is then none that anybody ordered."""
    pair.target.deploy(pair.world.made_up("v2"), rollout="r2")
    pair.target.move(Weight(10))
    pair.world.target().move(Weight(50))
    assert pair.target.look().weight == Weight(30)
    pair.target.move(Weight(10))
    assert pair.weights() == {10}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "name the Rollout"),
        ({"rollout": "a", "components": [{"rollout": "b"}]}, "write rollout and container inside"),
        ({"components": [{"rollout": "b"}, {"rollout": "b"}]}, "each Rollout is named once"),
        ({"rollout": "a", "in_cluster": True, "context": "eu"}, "leave out kubeconfig and context"),
        ({"rollout": "A_b"}, "is not the name of an object"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given: dict[str, object], sentence: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValidationError, match=sentence):
        ArgoSettings.model_validate(given)
