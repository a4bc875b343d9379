"""The rollout that most tests of the core tell of: its releases, its plan, and how its events follow each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rollout.core.decisions import MoveTraffic
from rollout.core.events import Event, Intended, Moved, Started, WeightSeen
from rollout.core.gates import FailureGate
from rollout.core.plan import EVERYTHING, NOTHING, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.selector import parse
from rollout.core.state import State, fold

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STABLE = Release(tag="v1", image="example/chat", digest="sha256:" + "1" * 64)
RELEASE = Release(tag="v2", image="example/chat", digest="sha256:" + "2" * 64)
GATE = FailureGate(name="5xx", failures=parse('f{version="$version"}'), total=parse('t{version="$version"}'), max=0.02)
TEN = Weight(10)


def after(seconds: float) -> datetime:
    """A moment after the start."""
    return NOON + timedelta(seconds=seconds)


def plan_around(step: Step) -> Plan:
    """A minute of testers, then this step, then ten minutes of everything."""
    return Plan(
        service="chat",
        environment="production",
        steps=(
            Step(weight=NOTHING, soak=timedelta(seconds=60)),
            step,
            Step(weight=EVERYTHING, soak=timedelta(seconds=600)),
        ),
        gates=(GATE,),
    )


def started(plan: Plan, *, rollout: str = "1-v2", stable: Release | None = STABLE) -> Started:
    """The release begins to replace stable at noon."""
    return Started(at=NOON, rollout=rollout, release=RELEASE, stable=stable, plan=plan)


def moving(weight: Weight, step: int, seconds: float) -> tuple[Event, ...]:
    """Traffic is moved, and seen."""
    return (
        Intended(at=after(seconds), action=MoveTraffic(weight=weight, step=step)),
        Moved(at=after(seconds), weight=weight, step=step),
        WeightSeen(at=after(seconds), weight=weight, step=step),
    )


def state_of(*events: Event) -> State:
    """The state after the events."""
    state = fold(events)
    assert state is not None
    return state
