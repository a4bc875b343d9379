"""A process can die at any moment, and the next one ends the rollout as if nothing had happened."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.core.decisions import Finish
from rollout.core.events import Interrupted, Order
from rollout.core.plan import NOTHING
from rollout.errors import Interruption, TargetFailed
from rollout.journals.file import FileJournal
from tests.engine.simulation import Killed, Life, Process, World, plan_of

PLAN = replace(plan_of((0, 10), (10, 30), (100, 20)), drain=timedelta(seconds=5))


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happens in the world besides the process that drives the rollout."""

    prepare: Callable[[World], None] = lambda world: None
    first: bool = False
    """There is no stable release yet."""

    def world(self, directory: Path) -> World:
        """A world in which it happens."""
        world = World(directory) if self.first else World(directory).has("v1")
        self.prepare(world)
        return world


def _bad(world: World) -> None:
    world.failing["v2"] = 0.5


def _undeployable(world: World) -> None:
    world.faults["deploy: start"] = itertools.repeat(TargetFailed("it does not become ready"))


def _unfit(world: World) -> None:
    world.failing_checks = True


def _regretted(world: World) -> None:
    world.at(68, lambda: world.order(Order.ABORT))


STORIES = {
    "a good release": Story(),
    "a bad release": Story(prepare=_bad),
    "a release that cannot be deployed": Story(prepare=_undeployable),
    "a release that fails its checks": Story(prepare=_unfit),
    "the first release": Story(first=True),
    "a release that is aborted after its promotion": Story(prepare=_regretted),
}


@dataclass(frozen=True, kw_only=True)
class End:
    """What counts when it is over."""

    finish: Finish
    tags: tuple[str | None, str | None]
    weights: tuple[float, ...]
    """Every share that a canary has had, without repetitions."""
    created: tuple[str, ...]
    left: frozenset[tuple[str, bool]]
    """The containers that are there, and whether each is stopped."""
    rollouts: int


def end_of(world: World, finish: Finish) -> End:
    """How the world looks after a rollout."""
    assert world.gateway == NOTHING
    return End(
        finish=finish,
        tags=world.tags(),
        weights=tuple(world.weights()),
        created=tuple(dict.fromkeys(world.created)),
        left=frozenset((container.name, container.stopped) for container in world.containers.values()),
        rollouts=FileJournal(world.directory).read().number,
    )


def take_up(world: World, life: Life | None = None) -> Finish:
    """What the next process does: go on where there is something to go on with, else start."""
    process = Process(world, life or Life())
    return process.go_on() if world.events() else process.release("v2", PLAN)


def disturbed(story: Story, directory: Path, *, at: int, by: Callable[[], BaseException]) -> tuple[World, Finish, bool]:
    """Live the story with a process that ends at a boundary, and a second one after it; whether the first one ended."""
    world = story.world(directory)
    try:
        finish = Process(world, Life(ends_at=at, by=by)).release("v2", PLAN)
    except (Killed, Interruption):
        return world, take_up(world), True
    return world, finish, False


def never_too_short(world: World) -> None:
    """Before a canary got more users, it had had the weight before for the whole soak."""
    soaks = {step.weight: step.soak for step in PLAN.steps}
    since = None
    for (at, weight, _), (after, next_weight, _) in itertools.pairwise(world.served):
        since = at if since is None else since
        if next_weight > weight:
            assert after - since >= soaks[weight]
        if next_weight != weight:
            since = None


def undisturbed(story: Story, directory: Path) -> tuple[End, list[str]]:
    """How the story ends when nothing dies, and the boundaries that the process passes."""
    world = story.world(directory)
    process = Process(world)
    return end_of(world, process.release("v2", PLAN)), process.life.passed


@pytest.mark.parametrize("name", STORIES)
def test_a_process_killed_at_any_moment_is_taken_up_to_the_same_end(name: str, tmp_path: Path) -> None:
    """Before and after every effect and every write, in the middle of effects, and with a line half written."""
    story = STORIES[name]
    wanted, boundaries = undisturbed(story, tmp_path / "undisturbed")
    assert len(boundaries) > 20
    for at, boundary in enumerate(boundaries):
        world, finish, ended = disturbed(story, tmp_path / str(at), at=at, by=Killed)
        assert ended, boundary
        assert end_of(world, finish) == wanted, boundary
        assert len(world.created) <= (1 if name != "a release that cannot be deployed" else 2), boundary
        never_too_short(world)


@pytest.mark.parametrize("name", ["a good release", "a bad release"])
def test_a_process_told_to_stop_at_any_moment_says_so_and_is_taken_up(name: str, tmp_path: Path) -> None:
    """It writes that it was interrupted, gives the lease back, takes no time for it, and changes nothing else."""
    story = STORIES[name]
    wanted, boundaries = undisturbed(story, tmp_path / "undisturbed")
    for at, boundary in enumerate(boundaries):
        if boundary in ("begin", "begun", "release") or boundary.startswith("torn"):
            continue
        world, finish, ended = disturbed(story, tmp_path / str(at), at=at, by=lambda: Interruption("SIGTERM", 15))
        assert ended, boundary
        assert end_of(world, finish) == wanted, boundary
        assert len(world.created) == 1
        assert [event.signal for event in world.events() if isinstance(event, Interrupted)] == ["SIGTERM"], boundary
        never_too_short(world)


def test_a_process_killed_again_and_again_gets_there(tmp_path: Path) -> None:
    """Each one lives for twelve boundaries only; the end is the same, and no weight is served too briefly."""
    story = STORIES["a good release"]
    wanted, _ = undisturbed(story, tmp_path / "undisturbed")
    world = story.world(tmp_path / "killed")
    finish, deaths = None, 0
    while finish is None and deaths < 50:
        try:
            finish = take_up(world, Life(ends_at=12))
        except Killed:
            deaths += 1
    assert finish is not None
    assert deaths > 5
    assert end_of(world, finish) == wanted
    never_too_short(world)


@pytest.mark.parametrize("seconds", [30, 3600])
def test_a_process_that_comes_late_after_a_kill_still_soaks_in_full_and_judges_all(
    tmp_path: Path, seconds: int
) -> None:
    """Whatever the moment of death, a good release is promoted through every step, and a bad one goes back."""
    for name in ("a good release", "a bad release"):
        story = STORIES[name]
        wanted, boundaries = undisturbed(story, tmp_path / f"{name} undisturbed")
        for at in range(0, len(boundaries), 9):
            world = story.world(tmp_path / f"{name} {at}")
            with pytest.raises(Killed):
                Process(world, Life(ends_at=at)).release("v2", PLAN)
            world.advance(timedelta(seconds=seconds))
            assert end_of(world, take_up(world)) == wanted, boundaries[at]
            never_too_short(world)
