"""One tick after another: observe, decide, act, record. The only place that sleeps.

Everything that decides is in `core`; everything that touches the world is behind a port. What is here is the order in
which they are called, which is what makes a killed run safe to take up: intent is written before an effect, the
outcome after it, and both only on top of the head that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never

from rollout import __version__
from rollout.analysis.blocks import Timeline
from rollout.analysis.judge import judge
from rollout.core.decisions import (
    Action,
    Again,
    Decision,
    Deploy,
    Discard,
    Finish,
    MoveTraffic,
    Promote,
    Retire,
    RollBack,
    RunChecks,
    Wait,
)
from rollout.core.events import (
    Checked,
    CheckResult,
    Deployed,
    Discarded,
    Event,
    Failed,
    Intended,
    Interrupted,
    Judged,
    Moved,
    Promoted,
    Retired,
    RolledBack,
    Started,
)
from rollout.core.instances import instances_result
from rollout.core.machine import Observation, decide
from rollout.core.plan import NOTHING, Plan
from rollout.core.release import Release
from rollout.core.state import Phase, State, evolve, fold
from rollout.core.verdict import Judgement, combine
from rollout.errors import (
    GitHubForbids,
    GitHubUnavailable,
    Interruption,
    JournalMoved,
    JournalUnreadable,
    Refused,
    RolloutError,
    TargetBusy,
    TargetFailed,
)
from rollout.evidence.values import Evidence
from rollout.journals.base import Journal, Lease, Record
from rollout.metrics.base import Source
from rollout.reading import read_gates
from rollout.targets.base import Health, Instance, Seen, Target

LEASE: Final = timedelta(minutes=15)
"""How long a driver that has vanished without a trace keeps others out; one of the same machine is noticed at once."""
MOST_TURNS: Final = 50
"""How many decisions one tick may take; more than a rollout ever needs, so that a fight with somebody else ends."""
NAP: Final = 0.25
"""Seconds between two looks into the journal for an order while a rollout waits; see `Ports.nap`."""
LAST_WORDS: Final = timedelta(seconds=4)
"""How long a process that was told to stop takes at most to write that down."""
AWAY: Final = 15.0
"""Seconds until GitHub is asked again where it does not answer."""


class Checks(Protocol):
    """The configured checks against both versions; a failing check is a result and no exception."""

    def __call__(self, *, canary: str, stable: str | None) -> tuple[CheckResult, ...]:
        """Run them all against the two addresses."""


class Audience(Protocol):
    """Whoever is told. Telling is a decoration: what it raises is swallowed and fails no rollout."""

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """One decision was made."""


def keep_nothing(evidence: Evidence) -> None:
    """What is judged is not kept."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The world, as the engine sees it."""

    journal: Journal
    target: Target
    source: Source
    checks: Checks
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    owner: str
    tell: Audience
    nap: float = NAP
    """Seconds between two looks into the journal; more where a look is a request."""
    keep: Callable[[Evidence], None] = keep_nothing
    """Puts away what a verdict rests on, before it is noted. Where that fails it says so, and raises nothing."""


def start(ports: Ports, plan: Plan, tag: str, *, commit: str = "", again: bool = False) -> None:
    """Claim a rollout of the release under a tag, or find that it is under way or stable already.

    A workflow that is run once more thus changes nothing; `again` releases the same image once more. `commit` is what
    the tag points to, where the caller knows it. Raises Refused
    where another release is under way, TargetFailed where the tag or the target is not fit for it.
    """
    _take_lease(ports)
    try:
        _claim(ports, plan, tag, commit=commit, again=again)
    except BaseException:  # whoever starts nothing must not keep the driver of another rollout out
        ports.journal.release(ports.owner)
        raise


def _claim(ports: Ports, plan: Plan, tag: str, *, commit: str, again: bool) -> None:
    record = ports.journal.read()
    state = fold(record.events)
    if state is not None and not state.over:
        if state.release.tag == tag:
            return
        raise Refused(
            f"rollout {state.rollout} of {state.release.tag} is under way ({state.phase}, step {state.step + 1})",
            hint="wait for its end, or end it: `rollout promote` or `rollout abort`; `rollout run` without a tag "
            "goes on with it",
        )
    if state is not None and not state.retired:
        run(ports)
        _take_lease(ports)
        record = ports.journal.read()
    seen = ports.target.look()
    if seen.weight is None:
        raise TargetBusy(
            f"the gateway cannot be asked what it serves: {seen.problem}",
            hint="nothing was changed; `rollout doctor` says more",
        )
    if seen.weight > NOTHING:
        raise Refused(
            f"the gateway gives {seen.weight} to a canary that this journal does not know",
            hint="another journal may drive it: look where; or bring the gateway back to stable by hand first",
        )
    release = ports.target.resolve(tag)
    if state is not None and state.phase is Phase.PROMOTED and not again:
        stable = seen.stable.release if seen.stable is not None else None
        if stable is not None and _same(stable, release) and _same(state.release, release):
            return
    started = Started(
        at=ports.clock(),
        rollout=f"{record.number + 1}-{tag}",
        release=replace(release, commit=commit or release.commit),
        stable=seen.stable.release if seen.stable is not None else None,
        plan=plan,
    )
    try:
        ports.journal.begin(started, expect=record.head)
    except JournalMoved:
        raise Refused("another rollout of this service has just begun", hint="see `rollout status`") from None


def _same(one: Release, other: Release) -> bool:
    """Whether two releases are the same tag of the same image, whoever knew the commit."""
    return replace(one, commit="") == replace(other, commit="")


def run(ports: Ports) -> Finish:
    """Tick until the rollout has ended. Raises Interruption after it has been recorded."""
    settled = run_until(ports, None)
    assert isinstance(settled, Finish)
    return settled


def run_until(ports: Ports, leave_at: datetime | None) -> Wait | Finish:
    """Tick until the rollout has ended, or until a moment from which on somebody else is to go on with it.

    While GitHub does not answer, the journal cannot be written, so nothing is decided: it is asked again. Raises
    Interruption after it has been recorded.
    """
    with driving(ports):
        while True:
            try:
                settled = tick(ports)
                if isinstance(settled, Finish) or (leave_at is not None and ports.clock() >= leave_at):
                    return settled
                due = min(settled.until, ports.clock() + LEASE / 3)
                _hold(ports, due if leave_at is None else min(due, leave_at))
            except GitHubForbids:
                raise
            except GitHubUnavailable:
                if leave_at is not None and ports.clock() >= leave_at:
                    raise
                ports.sleep(AWAY)


@contextmanager
def driving(ports: Ports) -> Iterator[None]:
    """Whatever happens within, the lease is given back; and a signal is written down, in time or not at all."""
    try:
        yield
    except Interruption as interruption:
        ports.journal.hurry(LAST_WORDS)
        with suppress(RolloutError):
            _note(ports, Interrupted(at=ports.clock(), signal=interruption.signal))
        raise
    finally:
        with suppress(GitHubUnavailable):  # it expires by itself
            ports.journal.release(ports.owner)


def tick(ports: Ports) -> Wait | Finish:
    """Decide and act until there is nothing to do for a while, or for good."""
    _take_lease(ports)
    for _ in range(MOST_TURNS):
        record = ports.journal.read()
        state = fold(record.events)
        if state is None:
            raise Refused("no rollout has been started", hint="start one with `rollout run TAG`")
        settled = _turn(ports, record, state)
        if settled is not None:
            return settled
    now = ports.clock()
    return Wait(until=now + timedelta(seconds=10), reason="the target changes as fast as it is put right")


def _turn(ports: Ports, record: Record, state: State) -> Wait | Finish | None:
    seen, observation, evidence = observe(ports, state)
    now = ports.clock()
    decision = decide(state, observation, now)
    then = decision.then
    _keep(ports, evidence, decision)
    intent: tuple[Event, ...] = () if isinstance(then, Wait | Finish | Again) else (Intended(at=now, action=then),)
    news = (*decision.noting, *intent)
    head = record.head
    if news:
        try:
            head = ports.journal.append(news, expect=head)
        except JournalMoved:
            return None
        for event in news:
            state = evolve(state, event)
    _tell(ports, state, observation, decision, now)
    match then:
        case Wait() | Finish():
            return then
        case Again():
            return None
        case _:
            _note(ports, act(ports, state, then, seen), expect=head)
            return None


def observe(ports: Ports, state: State) -> tuple[Seen, Observation, Evidence | None]:
    """One look at the target and, while users may be on the canary, at the metrics; and what the verdict rests on."""
    if state.phase is Phase.PROMOTED and state.retired:
        return Seen(weight=None, problem="nothing to look for"), Observation(), None
    seen = ports.target.look()
    canary = seen.canary
    seen_at = ports.clock()
    evidence = look_at_metrics(ports, state) if state.phase is Phase.STEPPING else None
    observation = Observation(
        weight=seen.weight,
        problem=seen.problem,
        canary_dead=canary is not None and canary.health is Health.DEAD,
        canary_reason=canary.reason if canary is not None else "",
        canary_digest=canary.release.digest if canary is not None else None,
        canary_restarts=canary.restarts if canary is not None else 0,
        canary_instances=(canary.ready, canary.wanted) if canary is not None else (1, 1),
        judgement=_with_instances(state, evidence.judgement, canary, seen_at) if evidence is not None else None,
    )
    return seen, observation, evidence


def _with_instances(state: State, judged: Judgement, canary: Instance | None, now: datetime) -> Judgement:
    """The verdict with that on the canary's own processes, which no metric tells of."""
    if canary is None:
        return judged
    found = instances_result(state, restarts=canary.restarts, ready=canary.ready, wanted=canary.wanted, now=now)
    return combine((*judged.gates, found), until=judged.until)


def look_at_metrics(ports: Ports, state: State) -> Evidence:
    """The verdict now, recomputed from everything since the canary was deployed, with everything it rests on."""
    timeline, now = timeline_of(state), ports.clock()
    readings = read_gates(ports.source, state.plan, start=timeline.start, until=now, clock=ports.clock)
    canary, stable = state.release.tag, state.stable.tag if state.stable is not None else ""
    judgement = judge(state.plan, readings, timeline=timeline, canary_release=canary, stable_release=stable, now=now)
    return Evidence(
        rollout=state.rollout,
        at=now,
        now=now,
        canary_release=canary,
        stable_release=stable,
        plan=state.plan,
        timeline=timeline,
        readings=readings,
        judgement=judgement,
        written_by=__version__,
    )


def timeline_of(state: State) -> Timeline:
    """When the canary was ready, and since when the gateway has served which weight."""
    return Timeline(
        start=state.started_at,
        deployed_at=state.deployed_at or state.started_at,
        weights=state.served,
        seen_at=state.seen_at,
    )


def act(ports: Ports, state: State, action: Action, seen: Seen) -> Event:
    """Carry one order out; the outcome as an event, whatever it is."""
    try:
        return _carried_out(ports, state, action, seen)
    except TargetBusy as wrong:
        return Failed(at=ports.clock(), action=action, because=str(wrong), permanent=False)
    except TargetFailed as wrong:
        return Failed(at=ports.clock(), action=action, because=str(wrong), permanent=True)


def _carried_out(ports: Ports, state: State, action: Action, seen: Seen) -> Event:
    target = ports.target
    match action:
        case Deploy():
            target.deploy(state.release, rollout=state.rollout)
            return Deployed(at=ports.clock())
        case RunChecks():
            return _checked(ports, seen)
        case MoveTraffic(weight=weight, step=step):
            target.move(weight)
            return Moved(at=ports.clock(), weight=weight, step=step)
        case Promote():
            target.promote()
            return Promoted(at=ports.clock())
        case RollBack():
            target.roll_back(rollout=state.rollout)
            return RolledBack(at=ports.clock())
        case Retire():
            target.retire()
            return Retired(at=ports.clock())
        case Discard():
            target.discard()
            return Discarded(at=ports.clock())
        case _:
            assert_never(action)


def _checked(ports: Ports, seen: Seen) -> Event:
    if seen.canary is None:
        raise TargetFailed("the canary that was deployed is gone")
    stable = seen.stable.url if seen.stable is not None else None
    results = ports.checks(canary=seen.canary.url, stable=stable)
    return Checked(at=ports.clock(), results=results)


def _note(ports: Ports, event: Event, *, expect: str = "") -> None:
    """Write a fact on top of whatever the head is by now: an order that came in between does not make it less true.

    `expect` is the head that was written last, which spares the look where nobody came in between.
    """
    while True:
        if not expect:
            record = ports.journal.read()
            if not record.events:
                return
            expect = record.head
        try:
            ports.journal.append((event,), expect=expect)
        except JournalMoved:
            expect = ""
            continue
        return


def _hold(ports: Ports, until: datetime) -> None:
    """Sleep until something is due, or until somebody writes an order into the journal."""
    head = ports.journal.read().head
    while (left := (until - ports.clock()).total_seconds()) > 0:
        ports.sleep(min(left, ports.nap))
        try:
            if ports.journal.read().head != head:
                return
        except JournalUnreadable:
            return


def _take_lease(ports: Ports) -> None:
    now = ports.clock()
    held = ports.journal.take(Lease(owner=ports.owner, until=now + LEASE), now=now)
    if held is not None:
        raise Refused(
            f"{held.owner} drives this rollout until {held.until:%H:%M:%S} UTC",
            hint="steer it with `rollout pause | resume | approve | promote | abort`, or wait until it has ended",
        )


def _keep(ports: Ports, evidence: Evidence | None, decision: Decision) -> None:
    """Put away what a verdict that is about to be noted rests on."""
    for event in decision.noting:
        if isinstance(event, Judged) and evidence is not None:
            with suppress(Exception):  # nothing that goes wrong with a copy may delay a rollback
                ports.keep(replace(evidence, at=event.at))


def _tell(ports: Ports, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
    with suppress(Exception):  # a broken terminal or a page that cannot be drawn must not stop a rollout
        ports.tell(state, observation, decision, at)
