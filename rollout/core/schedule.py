"""When things happen: the timetable of a plan, and the earliest end of a rollout under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.core.plan import Plan, Step
from rollout.core.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step of the timetable; times are since the canary is deployed and checked."""

    number: int
    """Counted from 1, as people do."""
    step: Step
    begins: timedelta
    ends: timedelta
    """The earliest: a verdict that is not healthy, a person who must approve or a late tick makes it later."""


def timetable(plan: Plan) -> tuple[Row, ...]:
    """Every step with the earliest time it begins and ends."""
    rows: list[Row] = []
    begins = timedelta(0)
    for number, step in enumerate(plan.steps, start=1):
        rows.append(Row(number=number, step=step, begins=begins, ends=begins + step.soak))
        begins += step.soak
    return tuple(rows)


def earliest_end(state: State, now: datetime) -> datetime | None:
    """The earliest moment the rollout under way can be promoted; None once it is over or on its way back."""
    if state.over or state.cause is not None:
        return None
    here = max(state.soaked_at or now + state.current.soak, now)
    return here + sum((step.soak for step in state.plan.steps[state.step + 1 :]), timedelta(0))
