"""Where a rollout stands: a fold over its events, and nothing that the events do not say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from rollout.core.decisions import Action, Cause, Deploy, Discard, MoveTraffic, Promote, Retire, RollBack, RunChecks
from rollout.core.events import (
    Checked,
    Commanded,
    Deployed,
    Discarded,
    Drifted,
    Event,
    Failed,
    InstancesSeen,
    Intended,
    Interrupted,
    Judged,
    Moved,
    Order,
    OrderRefused,
    Paused,
    Promoted,
    Retired,
    RolledBack,
    Started,
    WeightSeen,
)
from rollout.core.plan import NOTHING, Advance, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.verdict import Judgement, Verdict


class Phase(StrEnum):
    """What a rollout is doing."""

    DEPLOYING = "deploying"
    CHECKING = "checking"
    STEPPING = "stepping"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One rollout at one moment."""

    rollout: str
    plan: Plan
    release: Release
    stable: Release | None
    started_at: datetime
    phase: Phase = Phase.DEPLOYING
    step: int = 0
    """The index of the step whose weight was ordered last."""
    ordered: Weight = NOTHING
    """The weight the gateway should serve."""
    pending: Action | None = None
    """An effect that was intended and of which no outcome is known."""
    tries: int = 0
    """How often the current effect has failed."""
    failed_at: datetime | None = None
    failure: str = ""
    permanent: bool = False
    """The last failure is one that another try cannot mend."""
    deployed_at: datetime | None = None
    checked: Checked | None = None
    moved_at: datetime | None = None
    seen_at: datetime | None = None
    """When the gateway was seen to serve the step's weight; None while traffic moves."""
    served: tuple[tuple[datetime, Weight], ...] = ()
    """Since when the gateway served which weight, as it was seen."""
    judgement: Judgement | None = None
    """The last verdict that was recorded in this step."""
    judged_at: datetime | None = None
    blind_since: datetime | None = None
    blind_for: timedelta = timedelta(0)
    """How long this step was blind before `blind_since`: time that does not count as soak."""
    instances: tuple[int, int] | None = None
    """How many of the canary's instances were ready, and how many should be; None while nothing was to be said."""
    restarts: int = 0
    """The most restarts of the canary's processes that were seen: a count that falls was begun anew, or not read."""
    unready_since: datetime | None = None
    """Since when not all of the canary's instances were seen to be ready; None while they are."""
    drift: Weight | None = None
    """What the gateway was seen to serve instead of `ordered`."""
    restore: bool = False
    """A person has resumed a rollout that drifted: traffic may be brought back up to the order."""
    patient: bool = False
    """A person has resumed a step that lacked a healthy verdict: it may go on for as long as it takes."""
    paused: str = ""
    """Who or what paused the rollout; empty while it is not paused."""
    approved: bool = False
    hurried: str = ""
    """Who ordered to promote without the remaining steps."""
    abort: str = ""
    """Who ordered to abort."""
    cause: Cause | None = None
    because: str = ""
    """Why the rollout goes or went back to stable."""
    promoted_at: datetime | None = None
    rolled_back_at: datetime | None = None
    retired: bool = False
    discarded: bool = False
    interrupted: str = ""
    """The signal that ended the last process that drove this rollout, until another one takes it up."""

    @property
    def current(self) -> Step:
        """The step whose weight was ordered last."""
        return self.plan.steps[self.step]

    @property
    def last_step(self) -> bool:
        """Whether promotion comes next."""
        return self.step == len(self.plan.steps) - 1

    @property
    def soaked_at(self) -> datetime | None:
        """When the step will have soaked long enough, blind time not counted; None while its weight is not seen."""
        if self.seen_at is None:
            return None
        return self.seen_at + self.current.soak + self.blind_for

    @property
    def shortened_at(self) -> datetime | None:
        """When evidence may end the step at the earliest, blind time not counted; `soaked_at` where none may."""
        if self.seen_at is None:
            return None
        return self.seen_at + shortest_soak(self.plan, self.current) + self.blind_for

    def rested_at(self, judgement: Judgement | None) -> datetime | None:
        """When the step has lasted long enough by that verdict; None while its weight is not seen."""
        return self.shortened_at if judgement is not None and judgement.advance else self.soaked_at

    @property
    def over(self) -> bool:
        """Whether the rollout has ended: promoted or rolled back. Cleaning up may remain."""
        return self.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)


def shortest_soak(plan: Plan, step: Step) -> timedelta:
    """How long a step of the plan lasts at least, with all the evidence there can be."""
    if plan.advance is Advance.SOAK or step.min_soak is None:
        return step.soak
    return step.min_soak


def fold(events: Iterable[Event]) -> State | None:
    """The state after the events of one rollout; None for no events. Raises ValueError where they make no sense."""
    state: State | None = None
    for event in events:
        if isinstance(event, Started):
            if state is not None:
                raise ValueError("a rollout starts twice")
            state = State(
                rollout=event.rollout,
                plan=event.plan,
                release=event.release,
                stable=event.stable,
                started_at=event.at,
            )
        elif state is None:
            raise ValueError(f"the first event is {event.kind}, not started")
        else:
            state = evolve(state, event)
    return state


def evolve(state: State, event: Event) -> State:
    """The state after one more event."""
    match event:
        case Started():
            raise ValueError("a rollout starts twice")
        case Intended(action=action):
            if state.pending is None or state.pending.kind != action.kind:
                state = _done(state)
            return _intended(replace(state, pending=action, interrupted=""), action)
        case Failed(at=at, because=because, permanent=permanent):
            return replace(state, tries=state.tries + 1, failed_at=at, failure=because, permanent=permanent)
        case Deployed(at=at):
            return replace(_done(state), phase=Phase.CHECKING, deployed_at=at, served=((at, NOTHING),))
        case Checked():
            return replace(_done(state), checked=event, phase=Phase.STEPPING if event.passed else state.phase)
        case Moved(at=at):
            return replace(_done(state), moved_at=at)
        case WeightSeen(at=at, weight=weight):
            return replace(
                state,
                seen_at=at,
                drift=None,
                restore=False,
                blind_for=timedelta(0),
                served=(*state.served, (at, weight)),
            )
        case Drifted(at=at, seen=seen):
            return replace(state, drift=seen, seen_at=None, served=(*state.served, (at, seen)))
        case Judged():
            return _judged(state, event)
        case InstancesSeen():
            return _instances_seen(state, event)
        case Commanded():
            return _commanded(state, event)
        case OrderRefused():
            return state
        case Paused(because=because):
            return replace(state, paused=because)
        case Promoted(at=at):
            return replace(_done(state), phase=Phase.PROMOTED, promoted_at=at, paused="")
        case RolledBack(at=at):
            return replace(
                _done(state), phase=Phase.ROLLED_BACK, rolled_back_at=at, ordered=NOTHING, paused="", drift=None
            )
        case Retired():
            return replace(_done(state), retired=True)
        case Discarded():
            return replace(_done(state), discarded=True)
        case Interrupted(signal=signal):
            return replace(state, interrupted=signal)
        case _:
            assert_never(event)


def _done(state: State) -> State:
    return replace(state, pending=None, tries=0, failed_at=None, failure="", permanent=False)


def _intended(state: State, action: Action) -> State:
    match action:
        case MoveTraffic(weight=weight, step=step):
            if step == state.step and weight == state.ordered:
                return replace(state, seen_at=None)
            return replace(
                state,
                step=step,
                ordered=weight,
                moved_at=None,
                seen_at=None,
                judgement=None,
                judged_at=None,
                blind_since=None,
                blind_for=timedelta(0),
                drift=None,
                restore=False,
                patient=False,
                approved=False,
            )
        case Promote():
            return replace(state, phase=Phase.PROMOTING)
        case RollBack(cause=cause, because=because):
            return replace(
                state,
                phase=Phase.ROLLING_BACK,
                cause=state.cause or cause,
                because=state.because or because,
                abort="",
                paused="",
                retired=False,
            )
        case Deploy() | RunChecks() | Retire() | Discard():
            return state
        case _:
            assert_never(action)


def _judged(state: State, event: Judged) -> State:
    blind = event.judgement.verdict is Verdict.BLIND
    blind_for = state.blind_for
    if state.blind_since is not None and not blind and state.seen_at is not None:
        blind_for += event.at - max(state.blind_since, state.seen_at)
    return replace(
        state,
        judgement=event.judgement,
        judged_at=event.at,
        blind_since=(state.blind_since or event.at) if blind else None,
        blind_for=blind_for,
    )


def _instances_seen(state: State, event: InstancesSeen) -> State:
    unready = event.ready < event.wanted
    return replace(
        state,
        instances=(event.ready, event.wanted),
        restarts=max(state.restarts, event.restarts),
        unready_since=(state.unready_since or event.at) if unready else None,
    )


def _commanded(state: State, event: Commanded) -> State:
    match event.order:
        case Order.PAUSE:
            return replace(state, paused=f"by {event.by}")
        case Order.RESUME:
            return replace(
                state,
                paused="",
                tries=0,
                failed_at=None,
                permanent=False,
                restore=state.drift is not None,
                patient=True,
            )
        case Order.APPROVE:
            return replace(state, approved=True)
        case Order.PROMOTE:
            return replace(state, hurried=event.by, paused="")
        case Order.ABORT:
            return replace(state, abort=event.by)
        case _:
            assert_never(event.order)
