"""Where a rollout stands and what moves it on, in plain lines: the answer to `rollout status`.

Everything is read off the state and the time that is handed in. It must not promise more than the machine does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from rollout.core.gates import Gate
from rollout.core.instances import unready_until
from rollout.core.plan import NOTHING, OnBlind
from rollout.core.schedule import earliest_end
from rollout.core.state import Phase, State
from rollout.core.verdict import GateResult, Judgement, Verdict
from rollout.report.measures import RANGES, canary_figures, slow_words, stable_figures, told
from rollout.report.words import (
    action_words,
    because_words,
    clock,
    one_line,
    span,
    stamp,
    step_words,
    verdict_words,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something a person should know, and the commands that move the rollout on."""

    text: str
    commands: tuple[str, ...] = ()
    urgent: bool = False
    """Nothing moves on before somebody acts, or users are affected."""

    def __str__(self) -> str:
        tail = f": {' or '.join(f'`{command}`' for command in self.commands)}" if self.commands else ""
        return f"{'! ' if self.urgent else ''}{self.text}{tail}"


def summary(state: State, now: datetime, judgement: Judgement | None = None) -> tuple[str, ...]:
    """The state in lines: what is released where, the step, the soak, what comes next, each gate, what is needed.

    `judgement` is the newest verdict where the caller has one; else the last one of the journal counts.
    """
    judged = judgement or state.judgement
    told = (standing(state, now), *prospects(state, now))
    needed = tuple(str(note) for note in notes(state, now, judged))
    return (
        headline(state),
        *(f"  {one_line(text)}" for text in told),
        *_gates(judged, state, fresh=judgement is not None),
        *(f"  {one_line(text)}" for text in needed),
    )


def headline(state: State) -> str:
    """What is released where: `chat in production: v2 replaces v1 (rollout 12-v2)`."""
    plan, new = state.plan, state.release.tag
    if state.stable is None:
        change = f"{new}, its first release"
    else:
        match state.phase:
            case Phase.PROMOTED:
                change = f"{new} has replaced {state.stable.tag}"
            case Phase.ROLLED_BACK | Phase.ROLLING_BACK:
                change = f"{new} does not replace {state.stable.tag}"
            case Phase.DEPLOYING | Phase.CHECKING | Phase.STEPPING | Phase.PROMOTING:
                change = f"{new} is to replace {state.stable.tag}"
            case _:
                assert_never(state.phase)
    return one_line(f"{plan.service} in {plan.environment}: {change} (rollout {state.rollout})")


def standing(state: State, now: datetime) -> str:
    """The phase with what belongs to it, in one sentence."""
    match state.phase:
        case Phase.DEPLOYING:
            return f"deploying: the canary is being started and gets no traffic; {span(now - state.started_at)} so far"
        case Phase.CHECKING:
            return "checking: the canary runs without traffic, and the checks are next"
        case Phase.STEPPING:
            return _stepping(state, now)
        case Phase.PROMOTING:
            return "promoting: the canary is becoming the stable release"
        case Phase.PROMOTED:
            since = f" since {stamp(state.promoted_at)}" if state.promoted_at is not None else ""
            return f"✓ promoted: {state.release.tag} is the stable release{since}"
        case Phase.ROLLING_BACK:
            return f"rolling back to {_way_back(state)}: {because_words(state.cause, state.because)}"
        case Phase.ROLLED_BACK:
            since = f" since {stamp(state.rolled_back_at)}" if state.rolled_back_at is not None else ""
            return f"✗ rolled back{since}, to {_way_back(state)}: {because_words(state.cause, state.because)}"
        case _:
            assert_never(state.phase)


def _stepping(state: State, now: datetime) -> str:
    here = f"stepping: {step_words(state.plan, state.step)}"
    if state.ordered != state.current.weight:
        return f"{here}: the canary has no traffic yet, and gets {state.current.weight} first"
    soaked_at = state.soaked_at
    if soaked_at is None:
        return f"{here}: traffic moves to {state.ordered}, and the soak begins when the gateway serves it"
    left = soaked_at - now
    if left > timedelta(0):
        return f"{here}: the canary gets {state.ordered}; {span(left)} of {span(state.current.soak)} soak left"
    return f"{here}: the canary gets {state.ordered}; it has soaked for {span(state.current.soak)}"


def _way_back(state: State) -> str:
    return state.stable.tag if state.stable is not None else "nothing, as there was no release before"


def prospects(state: State, now: datetime) -> tuple[str, ...]:
    """What comes next and when, at the earliest."""
    if state.over:
        return _afterwards(state, now)
    if state.cause is not None:
        return ()
    ends = earliest_end(state, now)
    end = f"; promotion at {clock(ends)} at the earliest" if ends is not None else ""
    if state.phase is Phase.PROMOTING:
        return ()
    if state.hurried:
        return (f"next: promotion at once, ordered by {state.hurried}",)
    if state.ordered != state.current.weight or state.phase is not Phase.STEPPING:
        return (f"next: step 1 with {state.current.weight}{end}",)
    if state.last_step:
        if state.paused:
            return ("next: promotion once somebody resumes the rollout",)
        return (f"next: promotion{f', at {clock(ends)} at the earliest' if ends is not None else ''}",)
    after = state.plan.steps[state.step + 1]
    if state.paused:
        return (f"next: {after.weight} once somebody resumes the rollout",)
    approval = " after an approval" if state.current.approve and not state.approved else ""
    return (f"next: {after.weight}{_due(state, now)}{approval} if the gates are healthy{end}",)


def _due(state: State, now: datetime) -> str:
    soaked_at, shortened_at = state.soaked_at, state.shortened_at
    if soaked_at is None or shortened_at is None:
        return ""
    if shortened_at < soaked_at and now < soaked_at:
        return f" at {clock(max(shortened_at, now))} with evidence, else at {clock(soaked_at)}"
    return f" at {clock(max(soaked_at, now))}"


def _afterwards(state: State, now: datetime) -> tuple[str, ...]:
    if state.phase is Phase.ROLLED_BACK:
        return () if state.retired else ("next: the canary is stopped once its answers are drained",)
    if state.stable is None or state.promoted_at is None:
        return ()
    if state.discarded:
        return (f"{state.stable.tag} has been removed and is no longer a way back",)
    until = state.promoted_at + state.plan.keep
    if now >= until:
        return (f"{state.stable.tag} is kept in reserve and due to be removed",)
    return (f"{state.stable.tag} stays in reserve until {stamp(until)}",)


def _gates(judged: Judgement | None, state: State, *, fresh: bool) -> tuple[str, ...]:
    if judged is None:
        return ("  gates: not judged yet",) if state.plan.gates and not state.over and state.cause is None else ()
    when = "" if fresh or state.judged_at is None else f" at {clock(state.judged_at)}"
    said = "" if repeated(judged.reason, state.because) else f": {judged.reason}"
    head = one_line(f"gates, judged{when}: {verdict_words(judged.verdict)}{said}")
    gates = {gate.name: gate for gate in state.plan.gates}
    names = [one_line(result.gate) for result in judged.gates]
    verdicts = [_verdict(result) for result in judged.gates]
    wide, broad = (max(map(len, many), default=0) for many in (names, verdicts))
    rows = (
        f"    {name:{wide}}  {verdict:{broad}}  {'; '.join(_told(result, gates.get(result.gate)))}"
        for name, verdict, result in zip(names, verdicts, judged.gates, strict=True)
    )
    ranges = any(canary_figures(result).span or stable_figures(result).span for result in judged.gates)
    return (f"  {head}", *rows, *((f"    ({RANGES})",) if ranges else ()))


def _verdict(result: GateResult) -> str:
    return f"{verdict_words(result.verdict)}{', observed only' if result.observe else ''}"


def _told(result: GateResult, gate: Gate | None) -> tuple[str, ...]:
    return tuple(words for words in (told(result, gate), slow_words(result)) if words)


def repeated(reason: str, said: str) -> bool:
    """Whether a reason only says again, perhaps with its gate, what has been said."""
    return bool(said) and reason.endswith(said)


def notes(state: State, now: datetime, judged: Judgement | None = None) -> tuple[Note, ...]:
    """What a person should know beyond the step itself, the most urgent first."""
    found: list[Note] = []
    if not state.over and state.abort:
        found.append(Note(text=f"{state.abort} has ordered to abort", urgent=True))
    if state.paused:
        found.append(Note(text=f"paused {state.paused}", commands=("rollout resume", "rollout abort"), urgent=True))
    elif awaits_approval(state, now, judged or state.judgement):
        after = "the promotion" if state.last_step else str(state.plan.steps[state.step + 1].weight)
        found.append(
            Note(text=f"waits for an approval of {after}", commands=("rollout approve", "rollout abort"), urgent=True)
        )
    if state.drift is not None:
        expected = state.ordered
        found.append(Note(text=f"the gateway serves {state.drift} where {expected} was ordered", urgent=True))
    if state.failure and state.pending is not None:
        tries = f" ({state.tries} {'try' if state.tries == 1 else 'tries'} failed)" if state.tries else ""
        found.append(Note(text=f"could not {action_words(state.pending)}{tries}: {state.failure}", urgent=True))
    found.extend(_unreadiness(state, now))
    found.extend(_blindness(state, now))
    if state.interrupted:
        found.append(
            Note(
                text=f"the process that drove this rollout was stopped by {state.interrupted}; take it up again",
                commands=("rollout run", "rollout tick"),
            )
        )
    if state.phase is Phase.PROMOTED and state.stable is not None and not state.discarded:
        found.append(Note(text=f"the way back to {state.stable.tag} while it is kept", commands=("rollout abort",)))
    return tuple(found)


def _unreadiness(state: State, now: datetime) -> tuple[Note, ...]:
    if state.unready_since is None or state.instances is None or state.phase is not Phase.STEPPING:
        return ()
    ready, wanted = state.instances
    unready = f"{ready} of {wanted} of the canary's instances ready for {span(now - state.unready_since)}"
    due = unready_until(state, state.unready_since)
    if due is None:
        return (Note(text=f"{unready}; the canary gets no traffic until all are", urgent=True),)
    return (Note(text=f"{unready}; it goes back to stable at {clock(due)} unless all are", urgent=True),)


def _blindness(state: State, now: datetime) -> tuple[Note, ...]:
    if state.blind_since is None or state.phase is not Phase.STEPPING:
        return ()
    blind = f"no metrics for {span(now - state.blind_since)}"
    if state.ordered == NOTHING or state.plan.on_blind is OnBlind.HOLD:
        return (Note(text=f"{blind}; the weight is held until they are back", urgent=True),)
    due = state.blind_since + state.plan.blind_budget
    return (Note(text=f"{blind}; the canary goes back to stable at {clock(due)} unless they return", urgent=True),)


def awaits_approval(state: State, now: datetime, judged: Judgement | None) -> bool:
    """Whether nothing but a person's approval is missing for the next step."""
    return (
        state.phase is Phase.STEPPING
        and state.current.approve
        and not (state.approved or state.hurried or state.paused or state.abort)
        and (rested_at := state.rested_at(judged)) is not None
        and now >= rested_at
        and state.unready_since is None
        and judged is not None
        and judged.verdict is Verdict.HEALTHY
    )


def commands(state: State) -> tuple[str, ...]:
    """The orders that make sense now, for the hint line of a terminal."""
    if state.over or state.phase is Phase.ROLLING_BACK:
        return ()
    steer = ("resume",) if state.paused else ("pause",)
    if state.phase is not Phase.STEPPING:
        return (*steer, "abort")
    approve = ("approve",) if state.current.approve and not state.approved else ()
    return (*approve, *steer, "promote", "abort")
