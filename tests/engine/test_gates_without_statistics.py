"""Whole rollouts that no rate of failures decides: restarts, readiness, and a query of the user's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.core.decisions import Cause, Finish, Outcome
from rollout.core.events import Judged
from rollout.core.gates import OnQuery, QueryGate
from rollout.core.verdict import Verdict
from tests.engine.simulation import GATE, Process, World, plan_of

PLAN = plan_of((0, 30), (10, 60), (50, 60), (100, 60))
MEMORY = QueryGate(name="memory", query='max(memory{version="$version"})', max_increase=0.3, scrapes=3)
ROLLED_BACK = Finish(outcome=Outcome.ROLLED_BACK)
PROMOTED = Finish(outcome=Outcome.PROMOTED)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine on which v1 serves users."""
    return World(tmp_path / "journal").has("v1")


def sentences(world: World, gate: str) -> list[str]:
    """What was said of a gate, in the order of the journal."""
    return [
        result.sentence
        for event in world.events()
        if isinstance(event, Judged)
        for result in event.judgement.gates
        if result.gate == gate
    ]


def test_a_canary_that_restarts_again_and_again_is_taken_back_though_its_metrics_are_fine(world: World) -> None:
    """Its counters begin anew each time, so nothing else would show it."""
    for seconds in (40, 45, 50):
        world.at(seconds, world.restart_canary)
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.RESTARTED
    assert "restarted 3 times" in world.state.because
    assert world.tags() == ("v1", None)


def test_two_restarts_are_borne(world: World) -> None:
    for seconds in (40, 45):
        world.at(seconds, world.restart_canary)
    assert Process(world).release("v2", PLAN) == PROMOTED


def test_a_canary_that_stays_unready_is_taken_back_after_its_minute(world: World) -> None:
    world.at(50, world.unready_canary)
    began = world.now
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.UNREADY
    assert world.state.rolled_back_at is not None
    assert timedelta(seconds=110) <= world.state.rolled_back_at - began <= timedelta(seconds=110) + 2 * PLAN.interval


def test_a_canary_that_is_ready_again_goes_on_and_got_no_traffic_meanwhile(world: World) -> None:
    world.at(80, world.unready_canary)
    world.at(120, world.ready_canary)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    rises = [at - began for at, weight, _ in world.served if weight.percent == 50]
    assert rises[0] >= timedelta(seconds=120)


def test_a_query_that_breaks_its_limit_holds_the_rollout_and_says_that_it_is_no_statistics(world: World) -> None:
    world.query_values = {MEMORY.of("canary"): 150.0, MEMORY.of("stable"): 100.0}
    world.at(200, lambda: world.query_values.update({MEMORY.of("canary"): 110.0}))
    began = world.now
    assert Process(world).release("v2", replace(PLAN, gates=(GATE, MEMORY))) == PROMOTED
    assert world.now - began > timedelta(seconds=200)
    assert any("outside the promise of false_rollback" in sentence for sentence in sentences(world, "memory"))


def test_a_step_that_has_soaked_says_in_the_journal_what_holds_it(world: World) -> None:
    """At the start of the step it was another gate, and without this a log would go on naming that one."""
    world.query_values = {MEMORY.of("canary"): 150.0, MEMORY.of("stable"): 100.0}
    world.at(400, lambda: world.query_values.update({MEMORY.of("canary"): 110.0}))
    assert Process(world).release("v2", replace(PLAN, gates=(GATE, MEMORY))) == PROMOTED
    judged = [event for event in world.events() if isinstance(event, Judged)]
    held = [event for event in judged if event.judgement.verdict is not Verdict.HEALTHY]
    told = [event for event in held if "holds the rollout" in event.judgement.reason]
    assert [event.judgement.reason.partition(":")[0] for event in told] == ["memory"] * len(told)
    assert 3 <= len(told) <= 8  # at the end of the soak, and each time that the hold has become twice as long


def test_a_query_that_may_roll_back_does(world: World) -> None:
    world.query_values = {MEMORY.of("canary"): 150.0, MEMORY.of("stable"): 100.0}
    gates = (GATE, replace(MEMORY, action=OnQuery.ROLL_BACK))
    assert Process(world).release("v2", replace(PLAN, gates=gates)) == ROLLED_BACK
    assert world.state.cause is Cause.UNHEALTHY
    assert "outside the promise of false_rollback" in world.state.because


def test_a_query_that_is_only_observed_changes_nothing(world: World) -> None:
    world.query_values = {MEMORY.of("canary"): 150.0, MEMORY.of("stable"): 100.0}
    gates = (GATE, replace(MEMORY, action=OnQuery.ROLL_BACK, observe=True))
    assert Process(world).release("v2", replace(PLAN, gates=gates)) == PROMOTED


def test_a_verdict_tells_of_the_instances_beside_the_gates(world: World) -> None:
    Process(world).release("v2", PLAN)
    judged = [event.judgement for event in world.events() if isinstance(event, Judged)]
    assert [result.gate for result in judged[-1].gates] == [GATE.name, "instances"]
    assert judged[-1].verdict is Verdict.HEALTHY
