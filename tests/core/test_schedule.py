"""The timetable of a plan, and the earliest end of a rollout under way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rollout.core.decisions import Cause, MoveTraffic, Promote, RollBack
from rollout.core.events import Checked, Deployed, Event, Intended, Moved, Promoted, WeightSeen
from rollout.core.plan import EVERYTHING, NOTHING, Advance, Plan, Step, Weight
from rollout.core.schedule import earliest_end, timetable
from tests.core.rollouts import GATE, NOON, RELEASE, after, started, state_of


def plan_of(soaks: list[int]) -> Plan:
    """A plan with one step for each soak in seconds."""
    weights = [*(Weight(tenth / 10) for tenth in range(len(soaks) - 1)), EVERYTHING]
    steps = tuple(
        Step(weight=weight, soak=timedelta(seconds=soak)) for weight, soak in zip(weights, soaks, strict=True)
    )
    return Plan(service="chat", environment="production", steps=steps, gates=(GATE,))


PLAN = plan_of([60, 300, 600])
READY: tuple[Event, ...] = (
    started(PLAN, stable=RELEASE),
    Deployed(at=NOON),
    Checked(at=NOON, results=()),
)
SEEN = (*READY, WeightSeen(at=NOON, weight=NOTHING, step=0))


def test_each_step_begins_when_the_one_before_ends() -> None:
    """The rows are counted from 1."""
    rows = timetable(PLAN)
    assert [(row.number, row.begins.total_seconds(), row.ends.total_seconds()) for row in rows] == [
        (1, 0, 60),
        (2, 60, 360),
        (3, 360, 960),
    ]
    assert tuple(row.step for row in rows) == PLAN.steps


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
def test_a_timetable_has_no_gaps_and_ends_after_all_soaks(soaks: list[int]) -> None:
    """Whatever the plan."""
    rows = timetable(plan_of(soaks))
    assert rows[0].begins == timedelta(0)
    assert rows[-1].ends == timedelta(seconds=sum(soaks))
    for row, later in itertools.pairwise(rows):
        assert row.ends == later.begins


def shortened(advance: Advance) -> Plan:
    """A plan whose second of three steps may be shortened from 300 to 100 seconds."""
    first, second, third = PLAN.steps
    steps = (first, replace(second, min_soak=timedelta(seconds=100)), third)
    return replace(PLAN, steps=steps, advance=advance)


def test_a_timetable_says_how_early_evidence_may_end_each_step() -> None:
    """The shortest soaks add up; the rest of the table is by the soaks alone."""
    rows = timetable(shortened(Advance.EVIDENCE))
    assert [row.earliest.total_seconds() for row in rows] == [60, 160, 760]
    assert [(row.begins, row.ends) for row in rows] == [(row.begins, row.ends) for row in timetable(PLAN)]


def test_where_no_evidence_counts_the_earliest_end_is_the_end() -> None:
    """A shortest soak alone shortens nothing."""
    for plan in (PLAN, shortened(Advance.SOAK), replace(PLAN, advance=Advance.EVIDENCE)):
        assert all(row.earliest == row.ends for row in timetable(plan))


def test_the_earliest_end_counts_on_evidence_where_it_may() -> None:
    """In this step and in those after it."""
    plan = shortened(Advance.EVIDENCE)
    began = started(plan, stable=RELEASE)
    assert earliest_end(state_of(began), after(100)) == after(100 + 760)
    weight = plan.steps[1].weight
    at_second = (
        *READY[1:],
        Intended(at=after(60), action=MoveTraffic(weight=weight, step=1)),
        WeightSeen(at=after(60), weight=weight, step=1),
    )
    assert earliest_end(state_of(began, *at_second), after(70)) == after(160 + 600)
    assert earliest_end(state_of(began, *at_second), after(200)) == after(200 + 600)


def test_before_the_first_step_all_soaks_are_ahead() -> None:
    """They count from now, as the canary is not there yet."""
    assert earliest_end(state_of(*READY[:1]), after(100)) == after(100 + 960)


def test_within_a_step_the_rest_of_its_soak_and_the_later_ones_are_ahead() -> None:
    """Time that has been soaked does not count again, and time past the soak is lost."""
    assert earliest_end(state_of(*SEEN), after(10)) == after(960)
    assert earliest_end(state_of(*SEEN), after(75)) == after(75 + 900)


def test_while_traffic_moves_the_whole_soak_is_ahead() -> None:
    """It begins when the weight is seen."""
    weight = PLAN.steps[1].weight
    move = (
        Intended(at=after(60), action=MoveTraffic(weight=weight, step=1)),
        Moved(at=after(60), weight=weight, step=1),
    )
    assert earliest_end(state_of(*SEEN, *move), after(70)) == after(70 + 900)
    seen = WeightSeen(at=after(72), weight=weight, step=1)
    assert earliest_end(state_of(*SEEN, *move, seen), after(80)) == after(72 + 900)


def test_what_is_over_or_on_its_way_back_has_no_end_ahead() -> None:
    """There is nothing to promise."""
    promoted = (*SEEN, Intended(at=NOON, action=Promote()), Promoted(at=NOON))
    assert earliest_end(state_of(*promoted), NOON) is None
    going_back = (*SEEN, Intended(at=NOON, action=RollBack(cause=Cause.BLIND, because="b")))
    assert earliest_end(state_of(*going_back), NOON) is None
