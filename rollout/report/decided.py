"""The decisions of a rollout, found in its events: what was decided, why, and on which evidence. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from rollout.core.decisions import Deploy, Discard, MoveTraffic, Promote, Retire, RollBack, RunChecks
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
from rollout.core.plan import Plan
from rollout.core.verdict import Judgement, Verdict
from rollout.report.words import because_words, order_words, span


class Sort(StrEnum):
    """What kind of decision it was: reports colour and dash by it."""

    MOVE = "move"
    PROMOTE = "promote"
    ROLL_BACK = "rollback"
    PERSON = "person"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision. Its texts may hold words of others: names, reasons, failures."""

    at: datetime
    sort: Sort
    label: str
    """A few words, for a mark in a chart."""
    what: str
    why: str
    evidence: Judgement | None = None
    """The verdict it rests on; None where it rests on none."""


def decided(events: Sequence[Event], plan: Plan) -> tuple[Decided, ...]:
    """Every decision in its order. An effect that is tried again without news in between is one decision."""
    found: list[Decided] = []
    judged: Judged | None = None
    last: Intended | None = None
    since: datetime | None = None
    for event in events:
        match event:
            case Judged():
                judged = event
            case WeightSeen(at=at):
                since = at
            case Intended(at=at, action=action):
                if last is None or last.action != action:
                    found.extend(_intended(event, plan, judged, since))
                last = event
            case Commanded(at=at, order=order, by=by):
                found.append(
                    Decided(
                        at=at,
                        sort=Sort.PERSON,
                        label=f"{_ORDERED[order]} by {by}",
                        what=f"{by} {order_words(order)}",
                        why="a person's order",
                    )
                )
            case Paused(at=at, because=because):
                found.append(
                    Decided(at=at, sort=Sort.TROUBLE, label="paused", what="Paused, a person is asked", why=because)
                )
                last = None
            case Drifted(at=at, expected=expected, seen=seen):
                found.append(
                    Decided(
                        at=at,
                        sort=Sort.TROUBLE,
                        label=f"drift to {seen}",
                        what=f"Drift noticed: the gateway serves {seen}",
                        why=f"{expected} was ordered",
                    )
                )
                last = None
            case (
                Started()
                | Failed()
                | Deployed()
                | Checked()
                | Moved()
                | InstancesSeen()
                | OrderRefused()
                | Promoted()
                | RolledBack()
                | Retired()
                | Discarded()
                | Interrupted()
            ):
                pass
            case _:
                assert_never(event)
    return tuple(found)


_ORDERED = {
    Order.PROMOTE: "promoted",
    Order.APPROVE: "approved",
    Order.PAUSE: "paused",
    Order.RESUME: "resumed",
    Order.ABORT: "aborted",
}


def _intended(event: Intended, plan: Plan, judged: Judged | None, since: datetime | None) -> tuple[Decided, ...]:
    fresh = judged.judgement if judged is not None and judged.at == event.at else None
    match event.action:
        case MoveTraffic(weight=weight, step=step):
            what = f"Move the canary to {weight} (step {step + 1} of {len(plan.steps)})"
            why = "the checks passed" if since is None else _rested(event.at, since, fresh)
            return (Decided(at=event.at, sort=Sort.MOVE, label=f"→ {weight}", what=what, why=why, evidence=fresh),)
        case Promote():
            why = "there was no release before" if since is None else _rested(event.at, since, fresh)
            return (
                Decided(
                    at=event.at,
                    sort=Sort.PROMOTE,
                    label="✓ promote",
                    what="Promote the canary",
                    why=why,
                    evidence=fresh,
                ),
            )
        case RollBack(cause=cause, because=because):
            return (
                Decided(
                    at=event.at,
                    sort=Sort.ROLL_BACK,
                    label="✗ roll back",
                    what="Roll back to stable",
                    why=because_words(cause, because),
                    evidence=judged.judgement if judged is not None else None,
                ),
            )
        case Deploy() | RunChecks() | Retire() | Discard():
            return ()
        case _:
            assert_never(event.action)


def _rested(at: datetime, since: datetime, judgement: Judgement | None) -> str:
    served = f"the weight before was served for {span(at - since)}"
    if judgement is None:
        return served
    if judgement.verdict is Verdict.HEALTHY:
        return f"{served}, and all gates are healthy"
    return f"{served}; {judgement.verdict}: {judgement.reason}"
