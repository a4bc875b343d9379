"""The canary's own processes: restarts that are too many, and instances that are not ready for too long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from rollout.core.decisions import Again, Cause, Decision, MoveTraffic, RollBack, Wait
from rollout.core.events import (
    Checked,
    Commanded,
    Deployed,
    Event,
    InstancesSeen,
    Judged,
    Order,
    Paused,
    WeightSeen,
)
from rollout.core.instances import instances_result
from rollout.core.machine import Observation, decide
from rollout.core.plan import EVERYTHING, NOTHING, InstancesRule, Plan, Step, Weight
from rollout.core.state import State
from rollout.core.verdict import GateResult, Judgement, Verdict
from tests.core.rollouts import GATE, NOON, RELEASE, TEN, after, moving, plan_around, started, state_of

PLAN = replace(
    plan_around(Step(weight=TEN, soak=timedelta(seconds=300))),
    interval=timedelta(seconds=15),
    instances=InstancesRule(max_restarts=2, max_unready=timedelta(seconds=60)),
)
READY = (started(PLAN), Deployed(at=NOON), Checked(at=NOON, results=()))
AT_NOTHING: tuple[Event, ...] = (*READY, WeightSeen(at=NOON, weight=NOTHING, step=0))
AT_TEN: tuple[Event, ...] = (*AT_NOTHING, *moving(TEN, 1, 0))
HEALTHY = Judgement(verdict=Verdict.HEALTHY)


@dataclass
class Canary:
    """A rollout under way, and what is seen of its canary."""

    events: tuple[Event, ...] = AT_TEN
    weight: Weight = TEN
    digest: str | None = RELEASE.digest
    restarts: int = 0
    ready: int = 1
    wanted: int = 1
    dead: bool = False
    verdict: Verdict = Verdict.HEALTHY
    noted: list[Event] = field(default_factory=list)

    def look(self, seconds: float) -> Decision:
        """One look that many seconds after the start; the facts it brings are remembered."""
        seen = Observation(
            weight=self.weight if self.digest is not None else None,
            problem="connection refused",
            canary_dead=self.dead,
            canary_digest=self.digest,
            canary_restarts=self.restarts,
            canary_instances=(self.ready, self.wanted),
            judgement=Judgement(verdict=self.verdict, reason="because"),
        )
        decision = decide(self.state, seen, after(seconds))
        self.noted.extend(decision.noting)
        return decision

    @property
    def state(self) -> State:
        """Where the rollout stands by the journal."""
        return state_of(*self.events, *self.noted)

    def seen(self) -> list[tuple[int, int, int]]:
        """What was noted of the instances."""
        return [(e.ready, e.wanted, e.restarts) for e in self.noted if isinstance(e, InstancesSeen)]


def test_one_restart_more_than_is_borne_takes_the_canary_back() -> None:
    """Two are borne, whatever the metrics say; the third one is the cause."""
    canary = Canary(restarts=2)
    assert isinstance(canary.look(10).then, Wait)
    canary.restarts = 3
    then = canary.look(20).then
    assert then == RollBack(cause=Cause.RESTARTED, because="restarted 3 times, and 2 are borne")


def test_restarts_count_without_users_too() -> None:
    """A canary that restarts at weight 0 never gets its first user."""
    then = Canary(events=AT_NOTHING, weight=NOTHING, restarts=3).look(10).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.RESTARTED


def test_the_restarts_are_named_as_the_cause_before_the_metrics() -> None:
    """Both condemn the canary: what its processes do is certain."""
    then = Canary(restarts=3, verdict=Verdict.UNHEALTHY).look(10).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.RESTARTED


def test_a_canary_that_died_after_too_many_restarts_was_taken_back_for_them() -> None:
    """It restarts in a loop, which says more than that it does not run at this moment."""
    then = Canary(restarts=3, dead=True, ready=0).look(10).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.RESTARTED
    assert then.because.startswith("restarted 3 times")
    then = Canary(restarts=2, dead=True, ready=0).look(10).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.CANARY_DIED


def test_restarts_that_were_seen_stay_seen() -> None:
    """An engine that is away says 0: neither news nor an absolution, even where the rollback was not written down."""
    canary = Canary(restarts=1)
    canary.look(10)
    canary.restarts = 0
    canary.look(20)
    assert canary.seen() == [(1, 1, 1)]
    canary.ready = 0
    canary.look(30)
    assert canary.seen() == [(1, 1, 1), (0, 1, 0)]
    assert canary.state.restarts == 1
    condemned = Canary(events=(*AT_TEN, InstancesSeen(at=after(1), ready=1, wanted=1, restarts=3)))
    assert isinstance(condemned.look(10).then, RollBack)


def test_a_canary_that_is_ready_from_the_start_leaves_no_trace_in_the_journal() -> None:
    """Each change is noted, and that there is none is no change."""
    canary = Canary(ready=3, wanted=3)
    for seconds in (10, 20, 30):
        canary.look(seconds)
    assert canary.seen() == []
    for ready in (2, 2, 1, 3, 3):
        canary.ready = ready
        canary.look(40)
    assert canary.seen() == [(2, 3, 0), (1, 3, 0), (3, 3, 0)]


def test_users_are_taken_off_a_canary_that_is_not_ready_for_as_long_as_is_borne() -> None:
    """A minute, counted from the look that saw it first, whatever the number of looks in between."""
    canary = Canary(ready=0)
    assert isinstance(canary.look(100).then, Wait)
    assert isinstance(canary.look(159).then, Wait)
    then = canary.look(160).then
    assert then == RollBack(cause=Cause.UNREADY, because="0 of 1 ready for 1 min, and 1 min is borne")


def test_the_next_look_is_no_later_than_the_moment_it_is_borne_no_longer() -> None:
    """Not a whole interval later, and not at once again and again."""
    canary = Canary(ready=0)
    canary.look(100)
    then = canary.look(155).then
    assert isinstance(then, Wait)
    assert then.until == after(160)


def test_one_of_several_instances_that_is_not_ready_counts_from_the_first_look() -> None:
    """That another one fails does not begin the minute anew; that all answer ends it."""
    canary = Canary(ready=2, wanted=3)
    canary.look(100)
    since = [canary.state.unready_since]
    for seconds, ready in ((130, 1), (150, 3), (170, 2)):
        canary.ready = ready
        assert isinstance(canary.look(seconds).then, Wait)
        since.append(canary.state.unready_since)
    assert since == [after(100), after(100), None, after(170)]


def test_a_late_look_does_not_forgive() -> None:
    """Nobody looked for a day: it has not been ready for a day."""
    canary = Canary(ready=0)
    canary.look(100)
    then = canary.look(100 + 86_400).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.UNREADY


def test_nothing_is_borne_where_the_plan_bears_nothing() -> None:
    """The first look that finds it not ready takes it back."""
    rule = InstancesRule(max_restarts=0, max_unready=timedelta(0))
    strict = Plan(service="chat", environment="production", steps=PLAN.steps, gates=(), instances=rule)
    began = started(strict)
    assert isinstance(Canary(events=(began, *AT_TEN[1:]), ready=0).look(10).then, RollBack)
    then = Canary(events=(began, *AT_TEN[1:]), restarts=1).look(10).then
    assert then == RollBack(cause=Cause.RESTARTED, because="restarted once, and none is borne")


def test_a_step_lasts_until_the_canary_is_ready() -> None:
    """Its soak is over and the metrics are healthy; traffic rises with the first look that finds it ready."""
    canary = Canary(ready=0)
    canary.look(290)
    then = canary.look(301).then
    assert isinstance(then, Wait)
    assert then.reason == "traffic does not rise: the canary is not ready: 0 of 1 ready for 11 s, and 1 min is borne"
    canary.ready = 1
    decision = canary.look(310)
    assert decision.then == MoveTraffic(weight=EVERYTHING, step=2)
    assert [type(event) for event in decision.noting] == [InstancesSeen, Judged]


def test_without_users_it_is_waited_for_until_a_person_is_asked() -> None:
    """Nobody is harmed by it, so nothing is taken back; after `patience` somebody should look."""
    canary = Canary(events=AT_NOTHING, weight=NOTHING, ready=0)
    canary.look(100)
    assert isinstance(canary.look(100 + 3599).then, Wait)
    decision = canary.look(100 + 3600)
    assert isinstance(decision.then, Again)
    paused = decision.noting[-1]
    assert isinstance(paused, Paused)
    assert paused.because == "because the canary is not ready: 0 of 1 ready for 1 h"
    then = canary.look(100 + 3601).then
    assert isinstance(then, Wait)
    assert then.person
    canary.noted.append(Commanded(at=after(4000), order=Order.RESUME, by="ann", step=0))
    then = canary.look(4001).then
    assert isinstance(then, Wait)
    assert not then.person


def test_no_user_is_sent_to_a_canary_that_is_not_ready_at_the_first_step() -> None:
    """A plan may begin above 0 %, and an order to promote may come at any time."""
    first = Plan(service="chat", environment="production", steps=PLAN.steps[1:], gates=(GATE,))
    began = started(first)
    canary = Canary(events=(began, *READY[1:]), weight=NOTHING, ready=0)
    assert isinstance(canary.look(10).then, Wait)
    canary.digest = None
    assert isinstance(canary.look(11).then, Wait)
    hurried = Commanded(at=after(11), order=Order.PROMOTE, by="ann", step=0)
    assert isinstance(Canary(events=(*AT_NOTHING, hurried), weight=NOTHING, ready=0).look(12).then, Wait)
    alone = started(PLAN, stable=None)
    assert isinstance(Canary(events=(alone, *READY[1:]), weight=NOTHING, ready=0).look(10).then, Wait)


def test_a_move_that_was_cut_off_is_not_taken_up_while_the_canary_is_not_ready() -> None:
    """The gateway still serves the weight before. Down it may go at any time."""
    cut_off = AT_TEN[:-2]
    assert isinstance(Canary(events=cut_off, weight=NOTHING, ready=0).look(10).then, Wait)
    assert Canary(events=cut_off, weight=NOTHING).look(10).then == MoveTraffic(weight=TEN, step=1)
    above = Canary(weight=Weight(50), ready=0)
    above.look(10)
    assert above.look(11).then == MoveTraffic(weight=TEN, step=1)


def test_a_canary_that_cannot_be_seen_is_what_it_was_when_it_was_seen_last() -> None:
    """Whatever runs it is away: no news, and not ready is still not ready."""
    canary = Canary(ready=0)
    canary.look(100)
    canary.digest, canary.ready = None, 1
    assert isinstance(canary.look(120).then, Wait)
    assert canary.state.unready_since == after(100)
    then = canary.look(160).then
    assert isinstance(then, RollBack)
    assert then.cause is Cause.UNREADY


@pytest.mark.parametrize(
    ("events", "restarts", "ready", "verdict", "sentence"),
    [
        (AT_TEN, 0, 1, Verdict.HEALTHY, "1 of 1 ready, and none has restarted"),
        (AT_TEN, 2, 1, Verdict.HEALTHY, "restarted twice, and 2 are borne"),
        (AT_TEN, 3, 1, Verdict.UNHEALTHY, "restarted 3 times, and 2 are borne"),
        (AT_TEN, 0, 0, Verdict.INCONCLUSIVE, "0 of 1 ready for 30 s, and 1 min is borne"),
        (
            AT_TEN,
            1,
            0,
            Verdict.INCONCLUSIVE,
            "restarted once, and 2 are borne; 0 of 1 ready for 30 s, and 1 min is borne",
        ),
        (AT_NOTHING, 0, 0, Verdict.INCONCLUSIVE, "0 of 1 ready for 30 s"),
    ],
)
def test_a_report_says_what_the_machine_decides_by(
    events: tuple[Event, ...], restarts: int, ready: int, verdict: Verdict, sentence: str
) -> None:
    """One row beside those of the plan's gates, which weighs no evidence."""
    unready = (InstancesSeen(at=after(70), ready=0, wanted=1, restarts=0),)
    state = state_of(*events, *unready)
    result = instances_result(state, restarts=restarts, ready=ready, wanted=1, now=after(100))
    assert result == GateResult(gate="instances", verdict=verdict, sentence=sentence)
    assert not Judgement(verdict=Verdict.HEALTHY, gates=(result,)).advance


def test_what_is_seen_for_the_first_time_has_no_length_yet() -> None:
    """The report is made before the fact is noted."""
    result = instances_result(state_of(*AT_TEN), restarts=0, ready=2, wanted=3, now=after(100))
    assert result.sentence == "2 of 3 ready, and 1 min is borne"
