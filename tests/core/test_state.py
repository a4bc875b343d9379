"""Where a rollout stands follows from its events alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.core.decisions import Cause, Deploy, MoveTraffic, Promote, Retire, RollBack
from rollout.core.events import (
    Checked,
    CheckResult,
    Commanded,
    Deployed,
    Discarded,
    Drifted,
    Event,
    Failed,
    Intended,
    Interrupted,
    Judged,
    Order,
    Paused,
    Promoted,
    Retired,
    RolledBack,
    WeightSeen,
)
from rollout.core.plan import EVERYTHING, NOTHING, Step, Weight
from rollout.core.state import Phase, evolve, fold
from rollout.core.verdict import Judgement, Verdict
from tests.core.rollouts import NOON, TEN, after, moving, plan_around, started, state_of

PLAN = plan_around(Step(weight=TEN, soak=timedelta(seconds=300), approve=True))
STARTED = started(PLAN)
PASSED = CheckResult(name="home", version="canary", passed=True, detail="200")
FAILED = CheckResult(name="home", version="stable", passed=False, detail="500")
DEPLOYED = (STARTED, Intended(at=NOON, action=Deploy()), Deployed(at=NOON))
CHECKED = (*DEPLOYED, Checked(at=NOON, results=(PASSED,)))
AT_TEN = (*CHECKED, WeightSeen(at=NOON, weight=NOTHING, step=0), *moving(TEN, 1, 60))


def judged(verdict: Verdict, seconds: float) -> Judged:
    """A verdict on the second step."""
    return Judged(at=after(seconds), step=1, judgement=Judgement(verdict=verdict))


def ordered(order: Order) -> Commanded:
    """An order of a person."""
    return Commanded(at=NOON, order=order, by="ann", step=0)


def test_no_events_are_no_rollout() -> None:
    """There is no state to speak of."""
    assert fold(()) is None


def test_a_record_that_does_not_begin_with_a_start_makes_no_sense() -> None:
    """So does one that starts twice."""
    with pytest.raises(ValueError, match="the first event is deployed"):
        fold((Deployed(at=NOON),))
    with pytest.raises(ValueError, match="starts twice"):
        fold((STARTED, STARTED))
    with pytest.raises(ValueError, match="starts twice"):
        evolve(state_of(STARTED), STARTED)


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ((STARTED,), Phase.DEPLOYING),
        (DEPLOYED, Phase.CHECKING),
        ((*DEPLOYED, Checked(at=NOON, results=(PASSED, FAILED))), Phase.CHECKING),
        (CHECKED, Phase.STEPPING),
        (AT_TEN, Phase.STEPPING),
        ((*AT_TEN, Intended(at=NOON, action=Promote())), Phase.PROMOTING),
        ((*AT_TEN, Intended(at=NOON, action=Promote()), Promoted(at=NOON)), Phase.PROMOTED),
        ((*AT_TEN, Intended(at=NOON, action=RollBack(cause=Cause.BLIND, because="b"))), Phase.ROLLING_BACK),
        ((*AT_TEN, RolledBack(at=NOON)), Phase.ROLLED_BACK),
    ],
)
def test_the_phase_follows_from_what_happened(events: tuple[Event, ...], phase: Phase) -> None:
    """Promotion and rollback begin when they are intended; everything else counts when it is done."""
    state = state_of(*events)
    assert state.phase is phase
    assert state.over == (phase in (Phase.PROMOTED, Phase.ROLLED_BACK))


def test_an_intent_is_pending_until_its_outcome_is_known() -> None:
    """A killed run leaves one behind."""
    intended = state_of(*DEPLOYED, Checked(at=NOON, results=(PASSED,)), *moving(TEN, 1, 60)[:1])
    assert intended.pending == MoveTraffic(weight=TEN, step=1)
    assert intended.ordered == TEN
    assert state_of(*AT_TEN).pending is None


def test_failures_are_counted_per_effect() -> None:
    """The same effect again counts on; success or another effect starts anew."""
    failed = Failed(at=after(1), action=Deploy(), because="busy", permanent=False)
    intended = Intended(at=after(2), action=Deploy())
    twice = state_of(STARTED, intended, failed, intended, failed)
    assert (twice.tries, twice.failure, twice.failed_at, twice.permanent) == (2, "busy", after(1), False)
    done = evolve(twice, Deployed(at=NOON))
    assert (done.tries, done.failure, done.failed_at, done.pending) == (0, "", None, None)
    other = evolve(twice, Intended(at=NOON, action=RollBack(cause=Cause.DEPLOY_FAILED, because="busy")))
    assert (other.tries, other.failure) == (0, "")


def test_the_soak_begins_when_the_weight_is_seen() -> None:
    """Not when it was ordered, nor when the gateway accepted it."""
    ordered_only = state_of(*CHECKED, *moving(TEN, 1, 60)[:2])
    assert ordered_only.soaked_at is None
    assert state_of(*AT_TEN).soaked_at == after(60 + 300)


def test_a_new_step_forgets_what_belonged_to_the_one_before() -> None:
    """Verdict, approval, drift, blindness and patience are of one step."""
    before = state_of(
        *AT_TEN,
        judged(Verdict.BLIND, 70),
        judged(Verdict.HEALTHY, 100),
        judged(Verdict.BLIND, 200),
        ordered(Order.APPROVE),
        Drifted(at=after(210), expected=TEN, seen=Weight(5)),
        ordered(Order.PAUSE),
        ordered(Order.RESUME),
    )
    assert before.approved
    assert before.patient
    assert before.restore
    assert before.drift == Weight(5)
    assert before.blind_for == timedelta(seconds=30)
    after_it = evolve(before, Intended(at=after(900), action=MoveTraffic(weight=EVERYTHING, step=2)))
    fresh = (after_it.approved, after_it.patient, after_it.restore, after_it.drift, after_it.blind_since)
    assert fresh == (False, False, False, None, None)
    assert (after_it.judgement, after_it.blind_for, after_it.seen_at) == (None, timedelta(0), None)
    assert after_it.last_step


def test_to_order_the_same_weight_again_keeps_the_verdict_and_begins_the_soak_anew() -> None:
    """A move that is tried again is the same step."""
    before = state_of(*AT_TEN, judged(Verdict.HEALTHY, 70))
    again = evolve(before, Intended(at=after(80), action=MoveTraffic(weight=TEN, step=1)))
    assert again.judgement == before.judgement
    assert again.seen_at is None


def test_blind_time_is_no_soak() -> None:
    """Each stretch of blindness moves the end of the soak by its length, as soon as it is over."""
    state = state_of(*AT_TEN, judged(Verdict.BLIND, 100), judged(Verdict.HEALTHY, 130))
    assert state.soaked_at == after(60 + 300 + 30)
    state = evolve(evolve(state, judged(Verdict.BLIND, 200)), judged(Verdict.INCONCLUSIVE, 210))
    assert state.soaked_at == after(60 + 300 + 40)
    assert state.blind_since is None


def test_blindness_is_counted_from_its_first_verdict() -> None:
    """Another blind verdict does not begin it anew."""
    state = state_of(*AT_TEN, judged(Verdict.BLIND, 100), judged(Verdict.BLIND, 150))
    assert state.blind_since == after(100)


def test_blindness_before_the_weight_was_seen_lengthens_no_soak() -> None:
    """The soak had not begun."""
    state = state_of(
        *CHECKED,
        *moving(TEN, 1, 60)[:2],
        judged(Verdict.BLIND, 70),
        moving(TEN, 1, 100)[2],
        judged(Verdict.HEALTHY, 110),
    )
    assert state.soaked_at == after(100 + 300 + 10)


def test_drift_ends_the_soak_until_the_weight_is_seen_again() -> None:
    """What was served meanwhile is remembered for the judge."""
    drifted = state_of(*AT_TEN, Drifted(at=after(100), expected=TEN, seen=Weight(80)))
    assert (drifted.drift, drifted.seen_at) == (Weight(80), None)
    back = evolve(drifted, WeightSeen(at=after(110), weight=TEN, step=1))
    assert (back.drift, back.soaked_at) == (None, after(410))
    assert back.served == (
        (NOON, NOTHING),
        (NOON, NOTHING),
        (after(60), TEN),
        (after(100), Weight(80)),
        (after(110), TEN),
    )


def test_a_resumed_rollout_may_try_again_what_had_failed() -> None:
    """Whatever the machine had given up counts as not tried."""
    failed = Failed(at=NOON, action=Promote(), because="no", permanent=True)
    held = state_of(*AT_TEN, Intended(at=NOON, action=Promote()), failed, Paused(at=NOON, because="because no"))
    assert (held.paused, held.permanent) == ("because no", True)
    resumed = evolve(held, ordered(Order.RESUME))
    assert (resumed.paused, resumed.permanent, resumed.tries, resumed.failed_at) == ("", False, 0, None)


def test_orders_are_remembered_with_who_gave_them() -> None:
    """For the report and for the next decision."""
    assert state_of(*AT_TEN, ordered(Order.PAUSE)).paused == "by ann"
    assert state_of(*AT_TEN, ordered(Order.ABORT)).abort == "ann"
    hurried = state_of(*AT_TEN, ordered(Order.PAUSE), ordered(Order.PROMOTE))
    assert (hurried.hurried, hurried.paused) == ("ann", "")


def test_the_first_cause_of_a_rollback_stays() -> None:
    """A rollback that is repeated, for drift or after a crash, does not rewrite why it began."""
    first = Intended(at=NOON, action=RollBack(cause=Cause.UNHEALTHY, because="5 %"))
    again = Intended(at=NOON, action=RollBack(cause=Cause.ORDERED, because="by ann"))
    state = state_of(*AT_TEN, first, RolledBack(at=NOON), again)
    assert (state.cause, state.because) == (Cause.UNHEALTHY, "5 %")


def test_a_rollback_leaves_nothing_ordered() -> None:
    """The weight is nothing, and neither a pause nor a drift remains."""
    state = state_of(*AT_TEN, ordered(Order.PAUSE), RolledBack(at=after(9)))
    assert (state.ordered, state.paused, state.drift, state.rolled_back_at) == (NOTHING, "", None, after(9))


def test_a_rollback_after_the_promotion_has_to_be_cleaned_up_again() -> None:
    """The promoted release is what is to be retired now."""
    promoted = (*AT_TEN, Intended(at=NOON, action=Promote()), Promoted(at=NOON))
    retired = (*promoted, Intended(at=NOON, action=Retire()), Retired(at=NOON))
    assert state_of(*retired).retired
    back = state_of(*retired, Intended(at=NOON, action=RollBack(cause=Cause.ORDERED, because="by ann")))
    assert not back.retired
    assert state_of(*retired, Discarded(at=NOON)).discarded


def test_an_interruption_is_remembered_until_somebody_goes_on() -> None:
    """It says nothing about the release, so nothing else changes."""
    before = state_of(*AT_TEN)
    stopped = evolve(before, Interrupted(at=NOON, signal="SIGTERM"))
    assert stopped.interrupted == "SIGTERM"
    assert stopped.phase is before.phase
    assert evolve(stopped, Intended(at=NOON, action=Promote())).interrupted == ""
