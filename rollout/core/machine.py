"""What to do next: one pure function from the plan, the state and what was seen to a decision.

It reads like the policy it is. Each phase has one function; within a phase the rules stand in the order of their
urgency, and the first that applies decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from rollout.core.decisions import (
    Action,
    Again,
    Cause,
    Decision,
    Deploy,
    Discard,
    Finish,
    MoveTraffic,
    Outcome,
    Promote,
    Retire,
    RollBack,
    RunChecks,
    Wait,
)
from rollout.core.events import Drifted, Event, InstancesSeen, Judged, Paused, WeightSeen
from rollout.core.instances import instances_result, too_many, unready_until
from rollout.core.plan import NOTHING, OnBlind, OnDrift, Weight
from rollout.core.state import Phase, State
from rollout.core.verdict import GateResult, Judgement, Verdict

MAX_TRIES: Final = 5
"""How often an effect is tried before the machine stops trying by itself."""
LONGEST_DELAY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen in one look at the target and the metrics."""

    weight: Weight | None = None
    """The canary's share that the running gateway serves; None where it could not be asked."""
    problem: str = ""
    """Why the weight is None."""
    canary_dead: bool = False
    """The canary was started and no longer runs."""
    canary_reason: str = ""
    """What is wrong with its processes, where the target knows."""
    canary_digest: str | None = None
    """The image the canary runs; None where there is no canary."""
    canary_restarts: int = 0
    """Restarts of the canary's processes since it was deployed."""
    canary_instances: tuple[int, int] = (1, 1)
    """How many instances of the canary are ready, and how many should be; without meaning where there is no canary."""
    judgement: Judgement | None = None
    """The verdict on the metrics up to now; None where nobody looked."""

    @property
    def canary_unready(self) -> bool:
        """Whether fewer instances of the canary are ready than should be."""
        ready, wanted = self.canary_instances
        return self.canary_digest is not None and ready < wanted


def decide(state: State, seen: Observation, now: datetime) -> Decision:
    """The next decision. The plan that counts is the one the state has pinned."""
    match state.phase:
        case Phase.DEPLOYING:
            return _deploying(state, now)
        case Phase.CHECKING:
            return _checking(state, now)
        case Phase.STEPPING:
            return _stepping(state, seen, now)
        case Phase.PROMOTING:
            return _promoting(state, seen, now)
        case Phase.PROMOTED:
            return _promoted(state, now)
        case Phase.ROLLING_BACK:
            return Decision(then=_retried(state, _going_back(state), now))
        case Phase.ROLLED_BACK:
            return _rolled_back(state, seen, now)
        case _:
            assert_never(state.phase)


def _deploying(state: State, now: datetime) -> Decision:
    if state.abort:
        return _back(Cause.ORDERED, f"ordered by {state.abort}")
    if _given_up(state, Deploy()):
        return _back(Cause.DEPLOY_FAILED, state.failure)
    return Decision(then=_retried(state, Deploy(), now))


def _checking(state: State, now: datetime) -> Decision:
    if state.abort:
        return _back(Cause.ORDERED, f"ordered by {state.abort}")
    if state.checked is not None and not state.checked.passed:
        failed = [result for result in state.checked.results if not result.passed]
        named = ", ".join(f"{result.name} against {result.version} ({result.detail})" for result in failed)
        return _back(Cause.CHECKS_FAILED, f"{len(failed)} of {len(state.checked.results)} checks failed: {named}")
    if _given_up(state, RunChecks()):
        return _back(Cause.CHECKS_FAILED, state.failure)
    return Decision(then=_retried(state, RunChecks(), now))


def _stepping(state: State, seen: Observation, now: datetime) -> Decision:
    danger = _danger(state, seen, now)
    if danger is not None:
        return danger
    if state.stable is None or state.hurried:
        if _is_unready(state, seen):
            return _unready(state, seen, now)
        return Decision(then=Promote(), noting=_noted(state, seen, now, always=True))
    if state.ordered != state.current.weight:
        return _entering(state, seen, now)
    moving = _moving(state, seen, now)
    if moving is not None:
        return moving
    return _soaking(state, seen, now)


def _entering(state: State, seen: Observation, now: datetime) -> Decision:
    """A first step above 0 %: the checks have passed, and nobody is sent to a canary that cannot be watched."""
    noted = _noted(state, seen, now)
    if state.paused:
        return _resting(state, seen, now, noted)
    if _is_unready(state, seen):
        return _unready(state, seen, now)
    if seen.judgement is None or seen.judgement.verdict is Verdict.BLIND:
        why = seen.judgement.reason if seen.judgement is not None else "nobody looked at the metrics"
        return Decision(then=_wait(state, seen, now, f"before the first user: {why}"), noting=noted)
    move = MoveTraffic(weight=state.current.weight, step=state.step)
    return Decision(then=_retried(state, move, now), noting=noted)


def _danger(state: State, seen: Observation, now: datetime) -> Decision | None:
    """What takes the canary back at once, whatever the clock says."""
    if state.abort:
        return _back(Cause.ORDERED, f"ordered by {state.abort}", _noted(state, seen, now, always=True))
    if state.judgement is not None and state.judgement.verdict is Verdict.UNHEALTHY:
        return _back(Cause.UNHEALTHY, state.judgement.reason)
    found = _instances(state, seen, now)
    if too_many(state, seen.canary_restarts):
        return _back(Cause.RESTARTED, found.sentence, _noted(state, seen, now, always=True))
    if seen.canary_dead:
        why = f": {seen.canary_reason}" if seen.canary_reason else ""
        return _back(Cause.CANARY_DIED, f"the canary was started and no longer runs{why}", _noted(state, seen, now))
    if seen.weight is not None and seen.canary_digest is None:
        return _back(Cause.CANARY_DIED, "the canary is gone", _noted(state, seen, now))
    if seen.canary_digest is not None and seen.canary_digest != state.release.digest:
        because = f"the canary runs {seen.canary_digest[:19]}, and the release is {state.release.digest[:19]}"
        return _back(Cause.WRONG_IMAGE, because)
    if found.verdict is Verdict.UNHEALTHY:
        return _back(Cause.UNREADY, found.sentence, _noted(state, seen, now, always=True))
    judged = seen.judgement
    if judged is not None and judged.verdict is Verdict.UNHEALTHY:
        return _back(Cause.UNHEALTHY, judged.reason, _noted(state, seen, now, always=True))
    return _too_blind(state, seen, now)


def _is_unready(state: State, seen: Observation) -> bool:
    """Whether the canary is not ready; of one that cannot be seen now, whether it was not when it was seen last."""
    return seen.canary_unready or (seen.canary_digest is None and state.unready_since is not None)


def _instances(state: State, seen: Observation, now: datetime) -> GateResult:
    """What is to be said of the canary's processes; of one that cannot be seen now, what was seen last."""
    known = state.instances if seen.canary_digest is None else seen.canary_instances
    ready, wanted = known or seen.canary_instances
    return instances_result(state, restarts=seen.canary_restarts, ready=ready, wanted=wanted, now=now)


def _too_blind(state: State, seen: Observation, now: datetime) -> Decision | None:
    """Users on a canary that nobody can see, for longer than the plan allows."""
    if seen.judgement is None or seen.judgement.verdict is not Verdict.BLIND or state.blind_since is None:
        return None
    blind_for = now - state.blind_since
    if state.ordered == NOTHING or state.plan.on_blind is OnBlind.HOLD or blind_for < state.plan.blind_budget:
        return None
    because = f"no metrics for {blind_for.total_seconds():.0f} s with users on the canary: {seen.judgement.reason}"
    return _back(Cause.BLIND, because, _noted(state, seen, now, always=True))


def _moving(state: State, seen: Observation, now: datetime) -> Decision | None:
    """Until the running gateway is seen to serve what was ordered; None when it does."""
    move = MoveTraffic(weight=state.ordered, step=state.step)
    noted = _noted(state, seen, now)
    if seen.weight is None:
        return Decision(then=_wait(state, seen, now, f"the gateway cannot be asked: {seen.problem}"), noting=noted)
    if seen.weight == state.ordered:
        if state.seen_at is not None:
            return None
        return Decision(then=Again(), noting=(WeightSeen(at=now, weight=state.ordered, step=state.step),))
    if state.drift != seen.weight and (state.seen_at is not None or state.pending is None):
        return Decision(then=Again(), noting=(Drifted(at=now, expected=state.ordered, seen=seen.weight), *noted))
    if state.drift is not None and seen.weight < state.ordered and not _restores(state):
        return _held(state, seen, now, f"the gateway serves {seen.weight} where {state.ordered} was ordered", noted)
    if state.paused and seen.weight < state.ordered:
        return _resting(state, seen, now, noted)
    if _is_unready(state, seen) and seen.weight < state.ordered:
        return _unready(state, seen, now)
    if _given_up(state, move):
        return _held(state, seen, now, f"traffic cannot be moved to {state.ordered}: {state.failure}", noted)
    return Decision(then=_retried(state, move, now), noting=noted)


def _restores(state: State) -> bool:
    """Whether traffic may be brought back up to the order: the plan says so, or a person has resumed."""
    return not state.paused and (state.plan.on_drift is OnDrift.RESTORE or state.restore)


def _soaking(state: State, seen: Observation, now: datetime) -> Decision:
    noted = _noted(state, seen, now)
    if state.paused:
        return _resting(state, seen, now, noted)
    judged = seen.judgement
    rested_at, shortened_at = state.rested_at(judged), state.shortened_at
    assert rested_at is not None
    assert shortened_at is not None
    if now < rested_at:
        wake = shortened_at if now < shortened_at else rested_at
        return Decision(then=_wait(state, seen, now, "soaking", at_latest=wake), noting=noted)
    if _is_unready(state, seen):
        return _unready(state, seen, now)
    if judged is None or judged.verdict is not Verdict.HEALTHY or state.blind_since is not None:
        return _lengthened(state, seen, now, noted)
    if state.current.approve and not state.approved:
        return Decision(then=_wait(state, seen, now, "waiting for approval", person=True), noting=noted)
    resting = _noted(state, seen, now, always=True)
    if state.last_step:
        return Decision(then=Promote(), noting=resting)
    after = state.plan.steps[state.step + 1]
    return Decision(then=MoveTraffic(weight=after.weight, step=state.step + 1), noting=resting)


def _lengthened(state: State, seen: Observation, now: datetime, noted: tuple[Event, ...]) -> Decision:
    """The soak is over and the verdict is not healthy: stay, and ask for a person when patience ends."""
    judged = seen.judgement
    if judged is not None and judged.verdict is Verdict.HEALTHY:
        return Decision(then=Again(), noting=noted)
    why = judged.reason if judged is not None else "nobody looked at the metrics"
    soaked_at = state.soaked_at
    assert soaked_at is not None
    if now >= soaked_at + state.plan.patience and not state.patient:
        return _held(state, seen, now, f"no healthy verdict {state.plan.patience} after the soak: {why}", noted)
    return Decision(then=_wait(state, seen, now, f"the soak goes on: {why}"), noting=noted)


def _unready(state: State, seen: Observation, now: datetime) -> Decision:
    """Not all of the canary's instances are ready: it gets no more traffic, and a person is asked in the end."""
    noted = _noted(state, seen, now)
    why = f"the canary is not ready: {_instances(state, seen, now).sentence}"
    since = state.unready_since or now
    if now >= since + state.plan.patience and not state.patient:
        return _held(state, seen, now, why, noted)
    return Decision(then=_wait(state, seen, now, f"traffic does not rise: {why}"), noting=noted)


def _promoting(state: State, seen: Observation, now: datetime) -> Decision:
    if state.abort:
        return _back(Cause.ORDERED, f"ordered by {state.abort}")
    if seen.canary_dead:
        return _back(Cause.CANARY_DIED, "the canary died before it was promoted")
    if _given_up(state, Promote()):
        return _held(state, seen, now, f"the canary cannot be promoted: {state.failure}", ())
    return Decision(then=_retried(state, Promote(), now))


def _promoted(state: State, now: datetime) -> Decision:
    assert state.promoted_at is not None
    if state.abort and not state.discarded and state.stable is not None:
        return _back(Cause.ORDERED, f"ordered by {state.abort} after the promotion")
    if not state.retired:
        return _after(state, state.promoted_at + state.plan.drain, Retire(), Outcome.PROMOTED, now)
    if not state.discarded and now >= state.promoted_at + state.plan.keep:
        return _after(state, state.promoted_at, Discard(), Outcome.PROMOTED, now)
    return Decision(then=Finish(outcome=Outcome.PROMOTED))


def _rolled_back(state: State, seen: Observation, now: datetime) -> Decision:
    assert state.rolled_back_at is not None
    if seen.weight is not None and seen.weight > NOTHING:
        noted = () if state.drift == seen.weight else (Drifted(at=now, expected=NOTHING, seen=seen.weight),)
        return Decision(then=_going_back(state), noting=noted)
    if not state.retired:
        return _after(state, state.rolled_back_at + state.plan.drain, Retire(), Outcome.ROLLED_BACK, now)
    return Decision(then=Finish(outcome=Outcome.ROLLED_BACK))


def _after(state: State, due: datetime, action: Action, outcome: Outcome, now: datetime) -> Decision:
    """Cleaning up: tried when due; what cannot be cleaned up is said and fails no rollout."""
    if _given_up(state, action):
        return Decision(then=Finish(outcome=outcome, leftover=state.failure))
    if now < due:
        return Decision(then=Wait(until=due, reason="draining"))
    return Decision(then=_retried(state, action, now))


def _back(cause: Cause, because: str, noting: tuple[Event, ...] = ()) -> Decision:
    return Decision(then=RollBack(cause=cause, because=because), noting=noting)


def _going_back(state: State) -> RollBack:
    assert state.cause is not None
    return RollBack(cause=state.cause, because=state.because)


def _held(state: State, seen: Observation, now: datetime, because: str, noted: tuple[Event, ...]) -> Decision:
    """A person is asked, once; until then nothing moves."""
    if state.paused:
        return _resting(state, seen, now, noted)
    return Decision(then=Again(), noting=(*noted, Paused(at=now, because=f"because {because}")))


def _resting(state: State, seen: Observation, now: datetime, noted: tuple[Event, ...]) -> Decision:
    return Decision(then=_wait(state, seen, now, f"paused {state.paused}", person=True), noting=noted)


def _given_up(state: State, action: Action) -> bool:
    if state.pending is None or state.pending.kind != action.kind or not state.tries:
        return False
    return state.permanent or state.tries >= MAX_TRIES


def _retried(state: State, action: Action, now: datetime) -> Action | Wait:
    """The action, or the wait that is left before it is tried again (1, 2, 4 … 30 seconds)."""
    if state.failed_at is None or state.pending is None or state.pending.kind != action.kind:
        return action
    due = state.failed_at + min(timedelta(seconds=2 ** min(state.tries - 1, 10)), LONGEST_DELAY)
    return action if now >= due else Wait(until=due, reason=f"trying again: {state.failure}")


def _wait(
    state: State,
    seen: Observation,
    now: datetime,
    reason: str,
    *,
    at_latest: datetime | None = None,
    person: bool = False,
) -> Wait:
    due = unready_until(state, state.unready_since or now) if _is_unready(state, seen) else None
    moments = (_next_look(state.plan.interval, seen.judgement, now), at_latest, due)
    return Wait(until=min(at for at in moments if at is not None), reason=reason, person=person)


def _next_look(interval: timedelta, judged: Judgement | None, now: datetime) -> datetime:
    """Just after the next scrape, which comes an interval after the newest sample; never later than in one interval."""
    if judged is None or judged.until is None:
        return now + interval
    return min(max(judged.until + interval * 1.05, now + interval / 4), now + interval)


def _noted(state: State, seen: Observation, now: datetime, *, always: bool = False) -> tuple[Event, ...]:
    """What was seen of the instances as an event, where it is news; so the verdict, or where a decision rests on it.

    Once the soak is over, what keeps the step from ending is news now and then.
    """
    noted: tuple[Event, ...] = (_instances_seen(seen, now),) if _instances_changed(state, seen) else ()
    judged = seen.judgement
    if judged is None:
        return noted
    news = state.judgement is None or state.judgement.verdict is not judged.verdict or _holds_on(state, judged, now)
    return (*noted, Judged(at=now, step=state.step, judgement=judged)) if news or always else noted


def _holds_on(state: State, judged: Judgement, now: datetime) -> bool:
    """Whether a verdict that keeps a step from ending is to be told: first after the soak, then ever more rarely.

    Each time the hold has lasted twice as long as when it was told before, as its reason may be another by then.
    """
    soaked_at = state.soaked_at
    if judged.verdict is Verdict.HEALTHY or soaked_at is None or now < soaked_at:
        return False
    if state.judged_at is None or state.judged_at < soaked_at:
        return True
    return now >= state.judged_at + max(state.judged_at - soaked_at, state.plan.interval)


def _instances_changed(state: State, seen: Observation) -> bool:
    """Whether the instances are another picture; the first one is news only where something is wrong with it."""
    if seen.canary_digest is None:
        return False
    before = state.instances
    changed = seen.canary_unready if before is None else seen.canary_instances != before
    return changed or seen.canary_restarts > state.restarts


def _instances_seen(seen: Observation, now: datetime) -> InstancesSeen:
    ready, wanted = seen.canary_instances
    return InstancesSeen(at=now, ready=ready, wanted=wanted, restarts=seen.canary_restarts)
