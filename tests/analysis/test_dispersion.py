"""How many failures come together is read from stable's own instances, and slows the evidence down by as much."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.dispersion import LEAST, MOST, NO_SCATTER, PRIOR_FAILURES, Scatter, scatter
from rollout.analysis.readings import Counters, Reading
from tests.analysis.traffic import Pairs, counters, gate, merged, plan, poisson, second, timeline, tried

AT_5 = timeline((0, 5))
SECONDS = 400


def estimated(failures: Callable[[int], int], *, instances: int = 4, seconds: int = SECONDS) -> float:
    """The estimate after that many seconds of 100 requests on each instance; `failures` is given the second."""
    many = [
        counters([(100, min(100, failures(at))) for at in range(seconds)], instance=f"stable-{index}")
        for index in range(instances)
    ]
    canary = counters([(20, 0)] * seconds, instance="two")
    read = Reading(gate=gate(), canary=canary, stable=merged(*many))
    trial = tried(read, policy=plan(dispersion=3.0), when=AT_5)
    return trial.look(AT_5, trial.blocks[-1].at).dispersion


def bursts(dice: random.Random, *, mean: float, size: float) -> int:
    """Failures in clusters whose sizes are geometric with that mean: of size G, E[G²]/E[G] is twice the mean less 1."""
    return sum(
        1 + int(math.log(1 - dice.random()) / math.log(1 - 1 / size)) if size > 1 else 1
        for _ in range(poisson(dice, mean / size))
    )


def test_independent_failures_are_about_one() -> None:
    dice = random.Random(1)
    assert estimated(lambda _: poisson(dice, 0.6)) == pytest.approx(1.0, abs=0.15)


def test_bursts_of_five_are_about_nine() -> None:
    dice = random.Random(2)
    assert estimated(lambda _: bursts(dice, mean=0.6, size=5.0)) == pytest.approx(9.0, abs=2.0)


def test_incidents_that_all_instances_share_are_no_bursts() -> None:
    """For a tenth of the time a fifth of all requests fails, everywhere: about one all the same."""
    dice = random.Random(3)
    assert estimated(lambda at: poisson(dice, 20 if at // 20 % 10 == 0 else 0.3)) == pytest.approx(1.0, abs=0.2)


def test_instances_of_unequal_size_are_no_bursts() -> None:
    """Each is compared with what its own requests lead one to expect."""
    dice = random.Random(4)
    many = [
        counters([(n, min(n, poisson(dice, n * 0.01))) for _ in range(SECONDS)], instance=f"stable-{n}")
        for n in (20, 100, 400)
    ]
    read = Reading(gate=gate(), canary=counters([(20, 0)] * SECONDS, instance="two"), stable=merged(*many))
    trial = tried(read, policy=plan(dispersion=3.0), when=AT_5)
    assert trial.look(AT_5, trial.blocks[-1].at).dispersion == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("configured", [1.0, 3.0, 12.5])
def test_one_instance_shows_nothing_and_the_configured_value_stands(configured: float) -> None:
    canary, stable = counters([(20, 0)] * 30, instance="two"), counters([(100, 5)] * 30, instance="one")
    read = Reading(gate=gate(), canary=canary, stable=stable)
    trial = tried(read, policy=plan(dispersion=configured), when=AT_5)
    assert trial.look(AT_5, trial.blocks[-1].at).dispersion == configured


def test_what_stable_was_like_before_the_start_is_known_from_the_first_block_on() -> None:
    """An hour is read; independent failures in it lift the caution of the configured value."""
    dice = random.Random(5)

    def instance(name: str, first: float) -> Counters:
        pairs: Pairs = [(100, min(100, poisson(dice, 1.0))) for _ in range(round(2 - first))]
        return counters(pairs, instance=name, first=first)

    def after_two_blocks(first: float) -> float:
        stable = merged(instance("one", first), instance("other", first))
        read = Reading(gate=gate(), canary=counters([(20, 0)] * 2, instance="two"), stable=stable)
        trial = tried(read, policy=plan(dispersion=10.0), when=AT_5)
        return trial.look(AT_5, trial.blocks[-1].at).dispersion

    assert after_two_blocks(-600.0) == pytest.approx(1.0, abs=0.2)
    assert after_two_blocks(0.0) > 2


def test_bets_are_made_with_what_was_known_before() -> None:
    """The scatter of a block slows the next one, never itself: else the bet would know the outcome."""
    canary = counters([(20, 4)] * 2, instance="two")
    calm = merged(counters([(100, 5)] * 2, instance="one"), counters([(100, 5)] * 2, instance="other"))
    wild = merged(counters([(100, 10)] * 2, instance="one"), counters([(100, 0)] * 2, instance="other"))

    looks = [
        tried(Reading(gate=gate(), canary=canary, stable=stable), policy=plan(dispersion=1.0), when=AT_5, looks=())
        for stable in (calm, wild)
    ]
    first = [trial.look(AT_5, second(1.05)) for trial in looks]
    both = [trial.look(AT_5, second(2.05)) for trial in looks]
    assert first[0].log_over_limit == first[1].log_over_limit
    assert first[0].dispersion < first[1].dispersion
    assert both[0].log_over_limit > both[1].log_over_limit


instances = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), max_size=6)


@given(many=instances, otherwise=st.floats(1, 20))
def test_the_estimate_stays_between_one_and_twenty(many: list[tuple[int, int]], otherwise: float) -> None:
    found = scatter(many)
    assert found.weighted >= 0
    assert LEAST <= found.dispersion(otherwise=otherwise) <= MOST
    many_blocks = Scatter(found.failures * 1e6, found.weighted * 1e6)
    assert LEAST <= many_blocks.dispersion(otherwise=otherwise) <= MOST


@given(otherwise=st.floats(1, 20), failures=st.floats(0, 1e4), index=st.floats(1, 20))
def test_the_estimate_lies_between_the_configured_value_and_what_was_seen(
    otherwise: float, failures: float, index: float
) -> None:
    got = Scatter(failures, failures * index).dispersion(otherwise=otherwise)
    assert min(otherwise, index) - 1e-9 <= got <= max(otherwise, index) + 1e-9
    if failures == PRIOR_FAILURES:
        assert got == pytest.approx((otherwise + index) / 2)


def test_a_single_failure_shows_an_index_of_exactly_one() -> None:
    """Of instances of equal size: one failure alone cannot be a burst."""
    assert scatter([(100, 1), (100, 0)]) == Scatter(1, 1)
    assert scatter([(100, 1), (100, 0), (100, 0)]).weighted == pytest.approx(1)
    assert scatter([(100, 5)]) == NO_SCATTER
    assert scatter([(100, 5), (0, 0)]) == NO_SCATTER
