"""What every target must do, whatever it drives: one suite, which each adapter's tests inherit with a harness."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pytest

from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetFailed
from rollout.targets.base import Health, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a user got."""

    status: int
    release: str
    """The tag of the release that answered; empty where none did."""


class Harness(Protocol):
    """What the suite needs of an adapter. Everything behind it is real."""

    def target(self) -> Target:
        """The target as a new process finds it."""

    def release(self, tag: str) -> Release:
        """A release whose service becomes ready and answers its own tag."""

    def broken_release(self) -> Release:
        """A release whose service never becomes ready."""

    def ask(self) -> Answer:
        """One request of a new user through the gateway, on a connection of its own."""

    def drift(self, weight: Weight) -> None:
        """Change the weight behind the target's back."""

    def interrupt(self, effect: Callable[[Target], None], *, at: int) -> bool:
        """Run an effect and kill it just before its `at`-th contact with the outside; whether it came to that."""


@dataclass
class Crowd:
    """What the users of a while got."""

    answers: list[Answer] = field(default_factory=list)

    def all_served(self) -> bool:
        """Whether everybody got an answer of some release, and there was somebody."""
        return bool(self.answers) and all(answer.status == 200 for answer in self.answers)


@contextmanager
def crowd(harness: Harness) -> Iterator[Crowd]:
    """Users who ask all the while."""
    seen = Crowd()
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            seen.answers.append(harness.ask())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def served(harness: Harness, *, users: int = 40) -> set[str]:
    """Which releases answer a number of new users."""
    return {harness.ask().release for _ in range(users)}


def with_stable(harness: Harness) -> Target:
    """A target whose stable release is v1."""
    target = harness.target()
    target.deploy(harness.release("v1"), rollout="r1")
    target.promote()
    return target


def with_canary(harness: Harness, *, weight: float = 0) -> Target:
    """A target whose stable release is v1, and v2 its canary at that weight."""
    target = with_stable(harness)
    target.deploy(harness.release("v2"), rollout="r2")
    if weight:
        target.move(Weight(weight))
    return target


class TargetContract:
    """The suite. A subclass gives the fixture `harness`."""

    keeps_the_canary: ClassVar[bool] = True
    """Whether a promotion makes the canary's own processes the stable ones, and a rollback after it the other way
    round. Where an engine replaces the stable ones instead, the canary is gone after either."""

    percents: ClassVar[tuple[float, ...]] = (0, 0.1, 1, 5, 12.3, 50, 99.9, 100, 1, 0)
    """Weights up and down, to the finest grain that the gateway can have."""

    @pytest.fixture
    def harness(self) -> Harness:
        """To be given by the adapter's tests."""
        raise NotImplementedError

    def test_a_target_that_was_never_used_has_nothing(self, harness: Harness) -> None:
        """Nothing runs, nothing gets traffic."""
        seen = harness.target().look()
        assert (seen.stable, seen.canary, seen.reserve) == (None, None, None)
        assert seen.weight in (None, NOTHING)

    def test_a_tag_is_resolved_to_the_digest_of_the_registry(self, harness: Harness) -> None:
        """The digest is the one that was pushed."""
        release = harness.release("v1")
        assert harness.target().resolve("v1") == release

    def test_a_tag_that_is_not_there_is_an_error_with_a_hint(self, harness: Harness) -> None:
        """The person learns what to check."""
        harness.release("v1")
        with pytest.raises(TargetFailed, match="no-such-tag") as failed:
            harness.target().resolve("no-such-tag")
        assert failed.value.hint

    def test_the_first_release_gets_no_traffic_until_it_is_promoted(self, harness: Harness) -> None:
        """Deployed at weight 0 it is ready and serves nobody; promoted it serves everybody."""
        target = harness.target()
        target.deploy(harness.release("v1"), rollout="r1")
        seen = target.look()
        assert seen.stable is None
        assert seen.canary is not None
        assert seen.canary.health is Health.READY
        assert seen.weight == NOTHING
        assert served(harness, users=5) == {""}
        target.promote()
        assert served(harness, users=5) == {"v1"}

    def test_a_canary_starts_at_weight_zero(self, harness: Harness) -> None:
        """Both versions run, and only stable serves."""
        target = with_canary(harness)
        seen = target.look()
        assert seen.weight == NOTHING
        assert seen.stable is not None
        assert seen.canary is not None
        assert (seen.stable.release.tag, seen.canary.release.tag) == ("v1", "v2")
        assert seen.stable.url != seen.canary.url
        assert served(harness) == {"v1"}

    def test_the_weight_that_was_set_is_the_weight_that_is_read(self, harness: Harness) -> None:
        """Up and down, to the gateway's finest grain, by another process."""
        target = with_canary(harness)
        for percent in self.percents:
            target.move(Weight(percent))
            assert harness.target().look().weight == Weight(percent)
        target.move(EVERYTHING)
        assert served(harness) == {"v2"}
        target.move(NOTHING)
        assert served(harness) == {"v1"}
        target.move(Weight(50))
        assert served(harness, users=60) == {"v1", "v2"}

    def test_nobody_loses_a_request_while_the_weight_moves(self, harness: Harness) -> None:
        """New connections all the while, and each is answered."""
        target = with_canary(harness)
        with crowd(harness) as users:
            for percent in (10, 50, 100, 50, 0):
                target.move(Weight(percent))
        assert users.all_served(), users.answers[-3:]

    def test_without_a_canary_no_weight_can_be_set(self, harness: Harness) -> None:
        """But weight 0 is what is served already."""
        target = with_stable(harness)
        target.move(NOTHING)
        with pytest.raises(TargetFailed, match="no canary"):
            target.move(Weight(5))
        assert served(harness, users=5) == {"v1"}

    def test_deploying_again_changes_nothing(self, harness: Harness) -> None:
        """Not the weight, and not where the canary runs."""
        target = with_canary(harness, weight=50)
        before = target.look()
        harness.target().deploy(harness.release("v2"), rollout="r2")
        assert target.look() == before

    def test_a_release_that_never_becomes_ready_leaves_nothing_behind(self, harness: Harness) -> None:
        """Users do not notice, and nothing of it runs."""
        target = with_stable(harness)
        with crowd(harness) as users, pytest.raises(TargetFailed):
            target.deploy(harness.broken_release(), rollout="r2")
        assert users.all_served()
        seen = target.look()
        assert seen.canary is None
        assert seen.stable is not None
        assert seen.stable.health is Health.READY

    @pytest.mark.parametrize("percent", [0, 50, 100])
    def test_promoting_at_any_weight_keeps_everybody_served(self, harness: Harness, percent: float) -> None:
        """The canary is stable, the former stable release is in reserve, a second call changes nothing."""
        target = with_canary(harness, weight=percent)
        with crowd(harness) as users:
            target.promote()
        assert users.all_served()
        seen = target.look()
        assert seen.stable is not None
        assert seen.stable.release == harness.release("v2")
        assert seen.canary is None
        assert seen.reserve == harness.release("v1")
        assert seen.weight == NOTHING
        assert served(harness) == {"v2"}
        harness.target().promote()
        assert target.look() == seen

    @pytest.mark.parametrize("percent", [0, 50, 100])
    def test_rolling_back_at_any_weight_keeps_everybody_served(self, harness: Harness, percent: float) -> None:
        """All new requests go to stable when the call returns; the canary still runs until it is retired."""
        target = with_canary(harness, weight=percent)
        with crowd(harness) as users:
            target.roll_back(rollout="r2")
            back = len(users.answers)
            users.answers.extend(harness.ask() for _ in range(20))
        assert users.all_served()
        assert {answer.release for answer in users.answers[back + 2 :]} == {"v1"}
        seen = target.look()
        assert seen.weight == NOTHING
        assert seen.canary is not None
        harness.target().roll_back(rollout="r2")
        assert target.look() == seen

    def test_a_retired_canary_is_gone_but_for_its_log(self, harness: Harness) -> None:
        """And a second retirement has nothing to do."""
        target = with_canary(harness, weight=50)
        target.roll_back(rollout="r2")
        target.retire()
        assert target.look().canary is None
        assert "release v2 starts" in target.logs(lines=10)
        target.retire()
        target.roll_back(rollout="r2")
        assert served(harness) == {"v1"}

    def test_a_canary_with_traffic_is_not_retired(self, harness: Harness) -> None:
        """Only what gets no requests is stopped."""
        target = with_canary(harness, weight=50)
        target.retire()
        seen = target.look()
        assert seen.canary is not None
        assert seen.canary.health is Health.READY
        assert seen.weight == Weight(50)

    def test_after_a_promotion_the_way_back_leads_to_the_reserve(self, harness: Harness) -> None:
        """The reserve was stopped: it is started and ready before anybody is sent there."""
        target = with_canary(harness, weight=100)
        target.promote()
        target.retire()
        assert target.look().reserve == harness.release("v1")
        with crowd(harness) as users:
            target.roll_back(rollout="r2")
        assert users.all_served()
        assert served(harness) == {"v1"}
        seen = target.look()
        assert seen.stable is not None
        assert (seen.stable.release.tag, seen.weight) == ("v1", NOTHING)
        assert (seen.canary.release.tag if seen.canary is not None else None) == (
            "v2" if self.keeps_the_canary else None
        )
        target.roll_back(rollout="r2")
        assert target.look() == seen
        target.retire()
        assert target.look().canary is None
        assert served(harness) == {"v1"}

    def test_a_discarded_reserve_is_no_way_back(self, harness: Harness) -> None:
        """A rollback then leaves the stable release alone."""
        target = with_canary(harness, weight=100)
        target.promote()
        target.retire()
        target.discard()
        target.discard()
        assert target.look().reserve is None
        target.roll_back(rollout="r2")
        assert served(harness) == {"v2"}

    def test_a_rollback_never_goes_past_the_stable_release_it_started_from(self, harness: Harness) -> None:
        """The reserve of an earlier rollout is not the way back of the next one."""
        target = with_canary(harness, weight=100)
        target.promote()
        target.retire()
        with pytest.raises(TargetFailed):
            target.deploy(harness.broken_release(), rollout="r3")
        target.roll_back(rollout="r3")
        assert served(harness) == {"v2"}
        target.roll_back(rollout="r3, which was aborted before it was deployed")
        target.deploy(harness.release("v3"), rollout="r4")
        target.roll_back(rollout="r4")
        target.retire()
        target.roll_back(rollout="r4")
        assert served(harness) == {"v2"}

    def test_the_same_image_can_be_released_again(self, harness: Harness) -> None:
        """Stable and canary are two, though they are the same image."""
        target = with_stable(harness)
        target.deploy(harness.release("v1"), rollout="again")
        seen = target.look()
        assert seen.stable is not None
        assert seen.canary is not None
        assert seen.stable.url != seen.canary.url
        target.move(Weight(50))
        target.promote()
        target.retire()
        after = target.look()
        assert after.stable is not None
        if self.keeps_the_canary:
            assert after.stable.url == seen.canary.url
        assert after.stable.health is Health.READY

    def test_a_weight_changed_by_somebody_else_is_seen(self, harness: Harness) -> None:
        """The running gateway is asked, not what was written down."""
        target = with_canary(harness, weight=10)
        harness.drift(Weight(40))
        assert target.look().weight == Weight(40)
        target.move(Weight(10))
        assert target.look().weight == Weight(10)

    @pytest.mark.parametrize("effect", ["deploy", "move", "promote", "roll_back", "retire"])
    def test_an_effect_that_was_killed_is_finished_by_calling_it_again(self, harness: Harness, effect: str) -> None:
        """At whatever point it was killed, everybody is served, and the second call brings it to its end.

        Every fourth point is tried of the slow effects; with ROLLOUT_ALL_KILL_POINTS in the environment, each.
        """
        target = with_stable(harness)
        release = harness.release("v2")
        stride = 1 if effect == "move" or os.environ.get("ROLLOUT_ALL_KILL_POINTS") else 4
        at = 1 - stride
        interrupted = True
        while interrupted:
            at += stride
            rollout = f"{effect}-{at}"
            run = _effects(release, rollout)[effect]
            if effect != "deploy":
                target.deploy(release, rollout=rollout)
            if effect in ("promote", "roll_back"):
                target.move(Weight(50))
            interrupted = harness.interrupt(run, at=at)
            assert harness.ask().status == 200
            harness.target().look()
            run(harness.target())
            self._check(harness, effect, at)
            self._tidy(harness, effect)
        assert at > 2

    def _check(self, harness: Harness, effect: str, at: int) -> None:
        seen = harness.target().look()
        assert seen.weight == (Weight(5) if effect == "move" else NOTHING), at
        assert seen.stable is not None, at
        assert seen.stable.health is Health.READY, at
        assert (seen.canary is None) == (effect in ("promote", "retire")), at
        assert seen.problem == "", at

    def _tidy(self, harness: Harness, effect: str) -> None:
        target = harness.target()
        if effect != "promote":
            target.move(NOTHING)
        target.retire()


def _effects(release: Release, rollout: str) -> dict[str, Callable[[Target], None]]:
    return {
        "deploy": lambda target: target.deploy(release, rollout=rollout),
        "move": lambda target: target.move(Weight(5)),
        "promote": lambda target: target.promote(),
        "roll_back": lambda target: target.roll_back(rollout=rollout),
        "retire": lambda target: target.retire(),
    }
