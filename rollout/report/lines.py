"""One plain line for each event and a short summary of a state, because a CI log is all that many people ever see.

Lines carry no colour and no time but that of the events; nothing here reads a clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from rollout.core.decisions import RollBack
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
    OrderRefused,
    Paused,
    Promoted,
    Retired,
    RolledBack,
    Started,
    WeightSeen,
)
from rollout.core.plan import Plan
from rollout.core.verdict import Judgement, Verdict
from rollout.report.words import (
    action_words,
    because_words,
    clock,
    one_line,
    order_words,
    span,
    step_words,
    verdict_words,
)


def line(event: Event, plan: Plan | None = None) -> str:
    """One log line of one event, such as `12:03:41Z  step 3 of 7: the gateway serves 5 %; it soaks for 15 min`.

    The plan, where it is at hand, adds the number of steps and the soak. The line holds no line break and no control
    character, whatever the event holds.
    """
    return f"{clock(event.at)}  {sentence(event, plan)}"


def sentence(event: Event, plan: Plan | None = None) -> str:
    """What an event says, without its time."""
    return one_line(_sentence(event, plan))


def _sentence(event: Event, plan: Plan | None) -> str:
    match event:
        case Started():
            return _started(event)
        case Intended(action=RollBack(cause=cause, because=because)):
            return f"rolls back: {because_words(cause, because)}"
        case Intended(action=action):
            return f"is going to {action_words(action)}"
        case Failed(action=action, because=because, permanent=permanent):
            prospect = "another try is useless" if permanent else "it is tried again"
            return f"could not {action_words(action)}; {prospect}: {because}"
        case Deployed():
            return "the canary runs and is ready; it gets no traffic yet"
        case Checked():
            return _checked(event)
        case Moved(weight=weight, step=step):
            return f"{step_words(plan, step)}: the gateway accepted {weight} for the canary"
        case WeightSeen(weight=weight, step=step):
            return f"{step_words(plan, step)}: the gateway serves {weight}{_soak(plan, step)}"
        case Drifted(expected=expected, seen=seen):
            return f"drift: the gateway serves {seen} where {expected} was ordered"
        case Judged(step=step, judgement=judgement):
            return f"{step_words(plan, step)}: {verdict_words(judgement.verdict)}: {_reason(judgement)}"
        case InstancesSeen(ready=ready, wanted=wanted, restarts=restarts):
            return f"the canary's instances: {ready} of {wanted} ready, {_counted(restarts, 'restart')} so far"
        case Commanded(order=order, by=by, step=step):
            return f"{step_words(plan, step)}: {by} {order_words(order)}"
        case OrderRefused(order=order, by=by, because=because):
            return f"refused the order of {by} to {order}: {because}"
        case Paused(because=because):
            return f"paused {because}; a person is needed: `rollout resume` or `rollout abort`"
        case Promoted():
            return "promoted: the canary is the stable release now"
        case RolledBack():
            return "rolled back: the gateway serves the stable release and nothing else"
        case Retired():
            return "the version that gets no requests is stopped"
        case Discarded():
            return "the former release is removed; it is no longer a way back"
        case Interrupted(signal=signal):
            return f"interrupted by {signal}; this says nothing about the release, and the next tick goes on"
        case _:
            assert_never(event)


def _started(event: Started) -> str:
    plan = event.plan
    replaced = f", to replace {event.stable.tag}" if event.stable is not None else ", its first release"
    return (
        f"rollout {event.rollout} starts: {event.release} of {plan.service} in {plan.environment}{replaced}; "
        f"{_counted(len(plan.steps), 'step')}, {_counted(len(plan.gates), 'gate')}, "
        f"{span(sum((step.soak for step in plan.steps), timedelta(0)))} of soak"
    )


def _checked(event: Checked) -> str:
    failed = [result for result in event.results if not result.passed]
    if not event.results:
        return "no checks are configured"
    if not failed:
        return f"✓ {_counted(len(event.results), 'check')} passed"
    named = "; ".join(f"{result.name} against {result.version}: {result.detail}" for result in failed)
    return f"✗ {len(failed)} of {_counted(len(event.results), 'check')} failed: {named}"


def _soak(plan: Plan | None, step: int) -> str:
    if plan is None or step >= len(plan.steps):
        return "; its soak begins"
    return f"; it soaks for {span(plan.steps[step].soak)}"


def _reason(judgement: Judgement) -> str:
    """Why, and what a gate found that is only observed: nobody hears of it otherwise."""
    said = judgement.reason or "nothing was said about it"
    observed = [one for one in judgement.gates if one.observe and one.verdict is Verdict.UNHEALTHY]
    return "; only observed: ".join((said, *(f"{one.gate} is {one.verdict}: {one.sentence}" for one in observed)))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
