"""When things happen: the timetable of a plan, and the earliest end of a rollout under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.core.plan import Plan, Step
from rollout.core.state import State, shortest_soak


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step of the timetable; times are since the canary is deployed and checked."""

    number: int
    """Counted from 1, as people do."""
    step: Step
    begins: timedelta
    ends: timedelta
    """By the soaks alone: a verdict that is not healthy, a person who must approve or a late tick makes it later."""
    earliest: timedelta
    """The end where evidence shortens this step and all before it as far as it may; `ends` where none may."""


def timetable(plan: Plan) -> tuple[Row, ...]:
    """Every step with the time it begins and ends by the soaks alone, and the earliest end there can be."""
    rows: list[Row] = []
    begins = earliest = timedelta(0)
    for number, step in enumerate(plan.steps, start=1):
        earliest += shortest_soak(plan, step)
        rows.append(Row(number=number, step=step, begins=begins, ends=begins + step.soak, earliest=earliest))
        begins += step.soak
    return tuple(rows)


def earliest_end(state: State, now: datetime) -> datetime | None:
    """The earliest moment the rollout under way can be promoted, with all the evidence that may shorten a step.

    None once it is over or on its way back.
    """
    if state.over or state.cause is not None:
        return None
    plan = state.plan
    here = max(state.shortened_at or now + shortest_soak(plan, state.current), now)
    return here + sum((shortest_soak(plan, step) for step in plan.steps[state.step + 1 :]), timedelta(0))
