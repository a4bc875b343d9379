"""Evidence that every limit is kept may end a step early, where the plan says so and as far as it says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rollout.core.decisions import Action, Again, Finish, MoveTraffic, Wait
from rollout.core.events import (
    Checked,
    Commanded,
    Deployed,
    Event,
    Judged,
    Order,
)
from rollout.core.machine import Observation, decide
from rollout.core.plan import EVERYTHING, Advance, Plan, Step
from rollout.core.state import State
from rollout.core.verdict import GateResult, Judgement, Verdict
from tests.core.rollouts import NOON, RELEASE, TEN, after, moving, plan_around, started, state_of

MOVE_ON = MoveTraffic(weight=EVERYTHING, step=2)


def plan_of(advance: Advance, *, soak: float = 300, min_soak: float | None = 120, approve: bool = False) -> Plan:
    """A plan whose step at 10 % may be shortened."""
    shortest = timedelta(seconds=min_soak) if min_soak is not None else None
    ten = Step(weight=TEN, soak=timedelta(seconds=soak), min_soak=shortest, approve=approve)
    return replace(plan_around(ten), advance=advance, interval=timedelta(seconds=15))


def at_ten(plan: Plan, *more: Event) -> State:
    """The gateway serves 10 % from the start on."""
    return state_of(started(plan), Deployed(at=NOON), Checked(at=NOON, results=()), *moving(TEN, 1, 0), *more)


def judged(verdict: Verdict = Verdict.HEALTHY, *, proven: bool = True) -> Judgement:
    """A verdict, with evidence that the limit is kept or without."""
    gate = GateResult(gate="5xx", verdict=verdict, sentence="", log_threshold=1.0, advance=proven)
    return Judgement(verdict=verdict, gates=(gate,), reason="because")


def look(state: State, judgement: Judgement, seconds: float) -> Action | Wait | Finish | Again:
    """What a look that many seconds after the start leads to, with a canary that is ready."""
    seen = Observation(weight=TEN, canary_digest=RELEASE.digest, judgement=judgement)
    return decide(state, seen, after(seconds)).then


def test_evidence_ends_a_step_at_its_shortest_soak() -> None:
    """Not a second before it."""
    state = at_ten(plan_of(Advance.EVIDENCE))
    assert isinstance(look(state, judged(), 119), Wait)
    assert look(state, judged(), 120) == MOVE_ON


def test_evidence_that_comes_later_ends_the_step_when_it_comes() -> None:
    """Without it, and at last, the soak."""
    state = at_ten(plan_of(Advance.EVIDENCE))
    assert isinstance(look(state, judged(proven=False), 299), Wait)
    assert look(state, judged(), 200) == MOVE_ON
    assert look(state, judged(proven=False), 300) == MOVE_ON


def test_evidence_ends_no_step_of_a_plan_that_goes_by_soaks() -> None:
    """Nor one that has no shortest soak."""
    assert isinstance(look(at_ten(plan_of(Advance.SOAK)), judged(), 299), Wait)
    assert isinstance(look(at_ten(plan_of(Advance.EVIDENCE, min_soak=None)), judged(), 299), Wait)


def test_only_a_healthy_verdict_ends_a_step_early() -> None:
    """Every gate has its evidence, and one of them is in doubt for another reason."""
    state = at_ten(plan_of(Advance.EVIDENCE))
    for verdict in (Verdict.INCONCLUSIVE, Verdict.BLIND):
        assert isinstance(look(state, judged(verdict), 200), Wait)


def test_the_next_look_is_at_the_shortest_soak_and_then_at_the_soak() -> None:
    """Evidence is looked for as soon as it may end the step."""
    state = at_ten(plan_of(Advance.EVIDENCE))
    for now, until in ((100, 115), (110, 120), (290, 300)):
        then = look(state, judged(proven=False), now)
        assert isinstance(then, Wait)
        assert then.until == after(until)


def test_a_person_still_approves() -> None:
    """Evidence replaces time, and no person."""
    plan = plan_of(Advance.EVIDENCE, approve=True)
    then = look(at_ten(plan), judged(), 130)
    assert isinstance(then, Wait)
    assert then.person
    approved = Commanded(at=after(100), order=Order.APPROVE, by="ann", step=1)
    assert isinstance(look(at_ten(plan, approved), judged(proven=False), 130), Wait)
    assert look(at_ten(plan, approved), judged(), 130) == MOVE_ON


def test_blind_time_is_no_part_of_the_shortest_soak() -> None:
    """It moves by as much as the soak does."""
    blind = Judged(at=after(50), step=1, judgement=judged(Verdict.BLIND))
    back = Judged(at=after(80), step=1, judgement=judged())
    state = at_ten(plan_of(Advance.EVIDENCE), blind, back)
    assert state.shortened_at == after(150)
    assert isinstance(look(state, judged(), 149), Wait)
    assert look(state, judged(), 150) == MOVE_ON


@given(
    advance=st.sampled_from(Advance),
    soak=st.integers(0, 1000),
    part=st.one_of(st.none(), st.floats(0, 1)),
    now=st.integers(0, 1500),
    verdict=st.sampled_from(Verdict),
    proven=st.booleans(),
)
def test_no_step_ends_before_its_time(
    advance: Advance, soak: int, part: float | None, now: int, verdict: Verdict, proven: bool
) -> None:
    """Not before its shortest soak where evidence may end it, nor before its soak in any other case."""
    shortest = part * soak if part is not None else None
    state = at_ten(plan_of(advance, soak=soak, min_soak=shortest))
    moved_on = look(state, judged(verdict, proven=proven), now) == MOVE_ON
    may = proven and advance is Advance.EVIDENCE and shortest is not None
    due = timedelta(seconds=shortest) if may and shortest is not None else timedelta(seconds=soak)
    assert moved_on == (verdict is Verdict.HEALTHY and timedelta(seconds=now) >= due)
