"""What a rollout costs in runner minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.core.pacing import Pacing, runner_minutes


@pytest.mark.parametrize(
    ("lasts", "pacing", "minutes"),
    [
        (timedelta(hours=2), Pacing.HOLD, 121),
        (timedelta(hours=11), Pacing.HOLD, 661),
        (timedelta(hours=2), Pacing.WAKE, 49),
        (timedelta(minutes=1), Pacing.WAKE, 3),
    ],
)
def test_each_job_is_billed_by_the_minute(lasts: timedelta, pacing: Pacing, minutes: int) -> None:
    assert runner_minutes(lasts, pacing) == minutes


def test_nothing_is_free() -> None:
    assert runner_minutes(timedelta(0), Pacing.HOLD) == 1
    assert runner_minutes(timedelta(0), Pacing.WAKE) == 1
