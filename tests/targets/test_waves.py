"""Several places one after the other, as one target."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.core.waves import in_waves, weight_in
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health
from rollout.targets.waves import Wave, WaveTarget
from tests.engine.simulation import Life, SimulatedTarget, World, plan_of, release_of


class Places:
    """Two clusters whose v1 serves users, and the target over both."""

    def __init__(self, folder: Path) -> None:
        self.worlds = {name: World(folder / name).has("v1") for name in ("eu", "us")}
        self.target = WaveTarget(
            tuple(Wave(name=name, target=SimulatedTarget(world, Life())) for name, world in self.worlds.items())
        )

    def weights(self) -> tuple[float, ...]:
        return tuple(world.gateway.percent for world in self.worlds.values())


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Two clusters."""
    return Places(tmp_path)


def test_a_second_place_gets_the_canary_once_the_first_has_it_whole(places: Places) -> None:
    places.target.deploy(release_of("v2"), rollout="1-v2")
    seen = []
    for whole in (2.5, 25, 50, 52.5, 100):
        places.target.move(Weight(whole))
        assert places.target.look().weight == Weight(whole)
        seen.append(places.weights())
    assert seen == [(5, 0), (50, 0), (100, 0), (100, 5), (100, 100)]


def test_a_plan_goes_through_each_place() -> None:
    plan = in_waves(plan_of((0, 60), (5, 60), (100, 60)), 2)
    assert [step.weight.percent for step in plan.steps] == [0, 2.5, 50, 52.5, 100]


weights = st.lists(st.integers(1, 99).map(lambda tenth: 10 * tenth), min_size=1, max_size=6, unique=True).map(sorted)


@given(weights=weights, waves=st.integers(1, 4))
def test_every_step_of_a_plan_in_waves_is_one_place_at_work(weights: list[int], waves: int) -> None:
    """Those before have everything, those after nothing; and weights rise to the end."""
    plain = plan_of(*((permille / 10, 60) for permille in weights), (100, 60))
    plan = in_waves(plain, waves)
    assert plan.steps[-1].weight == EVERYTHING
    for step in plan.steps:
        shares = [weight_in(step.weight, at, waves).percent for at in range(waves)]
        assert shares == sorted(shares, reverse=True)
        assert sum(0 < share < 100 for share in shares) <= 1


def test_what_does_not_start_in_one_place_is_taken_away_from_all(places: Places) -> None:
    places.worlds["us"].faults["deploy"] = iter([TargetFailed("the image cannot be pulled")])
    with pytest.raises(TargetFailed, match="us: the image cannot be pulled"):
        places.target.deploy(release_of("v2"), rollout="1-v2")
    assert places.target.look().canary is None


def test_going_back_goes_back_everywhere_whatever_one_place_says(places: Places) -> None:
    places.target.deploy(release_of("v2"), rollout="1-v2")
    places.target.move(Weight(75))
    places.worlds["us"].faults["roll_back"] = iter([TargetBusy("the cluster does not answer")])
    with pytest.raises(TargetBusy, match="us: the cluster"):
        places.target.roll_back(rollout="1-v2")
    assert places.weights() == (0, 50)
    places.target.roll_back(rollout="1-v2")
    assert places.weights() == (0, 0)
    assert places.target.look().weight == NOTHING


def test_promoting_makes_the_canary_stable_everywhere(places: Places) -> None:
    places.target.deploy(release_of("v2"), rollout="1-v2")
    places.target.move(EVERYTHING)
    places.target.promote()
    assert [world.tags()[0] for world in places.worlds.values()] == ["v2", "v2"]


def test_the_worst_place_tells_how_the_canary_is(places: Places) -> None:
    places.target.deploy(release_of("v2"), rollout="1-v2")
    places.worlds["us"].kill_canary()
    seen = places.target.look()
    assert seen.canary is not None
    assert seen.canary.health is Health.DEAD
    assert (seen.canary.ready, seen.canary.wanted) == (1, 2)


def test_a_place_that_cannot_be_asked_hides_the_weight_of_the_whole(places: Places) -> None:
    places.worlds["us"].gateway_away = True
    seen = places.target.look()
    assert (seen.weight, seen.problem) == (None, "us: connection refused")


def test_steps_that_the_whole_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie 0\.3 apart"):
        in_waves(plan_of((1, 60), (1.1, 60), (100, 60)), 3)
