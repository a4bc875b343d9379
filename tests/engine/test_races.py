"""Several processes at one rollout: a fixed sample of the orders of steps that `python -m tests.engine.races` tries."""

from __future__ import annotations

import pytest

from tests.engine.races import RACES, run_race

SEEDS = range(40)


@pytest.mark.parametrize("name", RACES)
def test_there_is_one_winner_and_nothing_is_lost_or_doubled(name: str) -> None:
    for seed in SEEDS:
        run_race(name, seed)


def test_the_order_of_steps_decides_who_wins() -> None:
    """Else nothing was raced."""
    winners = {run_race("two_starts_of_two_tags", seed).world.created[0] for seed in SEEDS}
    assert winners == {"1-v2", "1-v3"}
