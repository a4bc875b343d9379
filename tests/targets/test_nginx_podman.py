"""The nginx target on Podman: the same orders, the same ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollout.core.plan import NOTHING, Weight
from rollout.demo.engine import Engine, podman_engine
from rollout.demo.processes import find_program, wait_until
from rollout.targets.base import Health
from tests.targets.conftest import Images, World, end_process

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_program("podman") is None, reason="missing: podman"),
    pytest.mark.skipif(find_program("busybox") is None, reason="missing: busybox-static"),
    pytest.mark.parametrize("mode", ["njs"]),
]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Podman instead of the other tests' engine."""
    with podman_engine(tmp_path_factory.mktemp("podman")) as one:
        yield one


def test_a_whole_release_and_the_way_back(world: World, images: Images) -> None:
    """Resolve, deploy, move, promote, retire; then the next one is rolled back, and after it the first one."""
    target = world.target()
    first, second = images.release("v1"), images.release("v2")
    assert target.resolve("v1") == first
    target.deploy(first, rollout="r1")
    target.promote()
    target.deploy(second, rollout="r2")
    target.move(Weight(12.5))
    seen = target.look()
    assert seen.canary is not None
    assert (seen.weight, seen.canary.release, seen.canary.health) == (Weight(12.5), second, Health.READY)
    target.promote()
    target.retire()
    assert target.look().reserve == first
    target.roll_back(rollout="r2")
    target.retire()
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release, seen.stable.health, seen.weight) == (first, Health.READY, NOTHING)
    assert "release v2 starts" in target.logs(lines=10)


def test_a_canary_that_ends_is_seen(world: World, images: Images) -> None:
    """Killed from outside while it waits for users."""
    target = world.target()
    target.deploy(images.release("v1"), rollout="r1")
    world.client.containers.get("chat-production-r1").stop(timeout=1)
    seen = target.look()
    assert seen.canary is not None
    assert seen.canary.health is Health.DEAD


def test_restarts_are_counted(world: World, images: Images) -> None:
    """The process ends, and Podman starts it again."""
    target = world.target()
    target.deploy(images.release("v1"), rollout="r1")
    canary = target.look().canary
    assert canary is not None
    end_process(world, "chat-production-r1", url=canary.url)
    wait_until(
        lambda: (seen := target.look().canary) is not None and seen.health is Health.READY,
        deadline_s=20,
        what="the canary to come back",
    )
    canary = target.look().canary
    assert canary is not None
    assert (canary.restarts, canary.ready, canary.wanted) == (1, 1, 1)
