"""What a page about one rollout is made of, and what follows from it alone: who was exposed, what is the matter now.

It judges nothing and writes no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from rollout.core.events import Commanded, Event, Judged, Order, Paused, RolledBack
from rollout.core.language import Language
from rollout.core.plan import NOTHING, Weight
from rollout.core.state import Phase, State
from rollout.core.verdict import GateResult, Judgement, Unit, Verdict
from rollout.report.measures import counted, unit_of
from rollout.report.summary import awaits_approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a reader can go on. What is empty is not shown."""

    repository_url: str
    """Such as `https://github.com/octo/chat`, without a slash at the end."""
    run_url: str
    report_url: str = ""
    environment_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One commit that is new in the release."""

    sha: str
    title: str
    author: str
    """A login or a name. It is shown and never mentioned."""
    pull: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the comments, the summary and the deployment status of one rollout are made of."""

    state: State
    events: tuple[Event, ...]
    now: datetime
    judgement: Judgement | None
    """The newest verdict; None where nobody looked at the metrics."""
    weight: Weight | None
    """What the gateway serves; None where it cannot be asked."""
    links: Links
    shipped: tuple[Shipped, ...] = ()
    canary_log: tuple[str, ...] = ()
    """The last lines of the canary's log, the oldest first."""
    runs: tuple[str, ...] = ()
    """The addresses of all the workflow runs that drove the rollout, the oldest first."""
    approvers: tuple[str, ...] = ()
    """Who may approve, by login; empty where everybody with write access may."""
    language: Language = Language.EN

    @property
    def judged(self) -> Judgement | None:
        """The newest verdict there is: of now, of this step, or of an earlier one where this one has none yet."""
        if self.judgement is not None and not self.state.over and self.state.cause is None:
            return self.judgement
        if self.state.judgement is not None:
            return self.state.judgement
        last = next((event for event in reversed(self.events) if isinstance(event, Judged)), None)
        return last.judgement if last is not None else self.judgement

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """What every gate found, by the newest verdict."""
        return self.judged.gates if self.judged is not None else ()

    @property
    def served(self) -> Weight:
        """The canary's weight: what the gateway serves, or what it was ordered to serve where it cannot be asked."""
        return self.weight if self.weight is not None else self.state.ordered

    @property
    def pauses(self) -> int:
        """How often the rollout was paused so far."""
        return sum(
            isinstance(event, Paused) or (isinstance(event, Commanded) and event.order is Order.PAUSE)
            for event in self.events
        )


class Situation(StrEnum):
    """What a person should see first: the phase of a rollout, or what keeps it from going on."""

    DEPLOYING = "deploying"
    CHECKING = "checking"
    SOAKING = "soaking"
    LENGTHENED = "lengthened"
    """The soak is over, and the verdict is not healthy."""
    BLIND = "blind"
    APPROVAL = "approval"
    PAUSED = "paused"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


def situation(page: Page) -> Situation:
    """What is the matter now."""
    state = page.state
    match state.phase:
        case Phase.DEPLOYING:
            return Situation.PAUSED if state.paused else Situation.DEPLOYING
        case Phase.CHECKING:
            return Situation.PAUSED if state.paused else Situation.CHECKING
        case Phase.STEPPING:
            return _stepping(page)
        case Phase.PROMOTING:
            return Situation.PAUSED if state.paused else Situation.PROMOTING
        case Phase.PROMOTED:
            return Situation.PROMOTED
        case Phase.ROLLING_BACK:
            return Situation.ROLLING_BACK
        case Phase.ROLLED_BACK:
            return Situation.ROLLED_BACK
        case _:
            assert_never(state.phase)


def _stepping(page: Page) -> Situation:
    state, judged = page.state, page.judgement or page.state.judgement
    if state.paused:
        return Situation.PAUSED
    if state.blind_since is not None:
        return Situation.BLIND
    if awaits_approval(state, page.now, judged):
        return Situation.APPROVAL
    if state.ordered != state.current.weight:
        return Situation.CHECKING
    soaked_at = state.soaked_at
    late = soaked_at is not None and page.now > soaked_at + state.plan.interval
    if late and judged is not None and judged.verdict is not Verdict.HEALTHY:
        return Situation.LENGTHENED
    return Situation.SOAKING


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Which users were on the canary: the highest share, for how long in all, and what they got."""

    weight: Weight
    lasted: timedelta
    requests: int = 0
    """Of the canary, as far as gates counted them."""
    failures: int = 0
    """By the gate that found most."""


def exposure(page: Page) -> Exposure | None:
    """Who was on the canary up to now, or up to its end; None where nobody was."""
    state = page.state
    back = next((event.at for event in page.events if isinstance(event, RolledBack)), None)
    until = back or page.now
    served = [(at, weight) for at, weight in state.served if at <= until]
    lasted = timedelta(0)
    for place, (at, weight) in enumerate(served):
        end = served[place + 1][0] if place + 1 < len(served) else until
        if weight > NOTHING:
            lasted += end - at
    highest = max((weight for _, weight in served), default=NOTHING)
    if state.promoted_at is not None:
        highest = Weight(100)
        lasted += (
            max(until - state.promoted_at, timedelta(0)) if not served or served[-1][1] == NOTHING else timedelta(0)
        )
    if highest == NOTHING:
        return None
    requests, failures = _requests(page)
    return Exposure(weight=highest, lasted=lasted, requests=requests, failures=failures)


def _requests(page: Page) -> tuple[int, int]:
    judged = page.judged
    gates = [one for one in judged.gates if counted(one)] if judged is not None else []
    requests = max((one.canary.total for one in gates), default=0)
    failures = max((one.canary.failures for one in gates if unit_of(one) is Unit.RATIO), default=0)
    return requests, failures


def done(page: Page) -> float:
    """How much of the plan's soak is done, 0 to 1."""
    state = page.state
    if state.phase in (Phase.PROMOTED, Phase.PROMOTING):
        return 1.0
    whole = sum((step.soak for step in state.plan.steps), timedelta(0))
    if not whole or state.ordered != state.current.weight:
        return 0.0
    before = sum((step.soak for step in state.plan.steps[: state.step]), timedelta(0))
    return min((before + here(page)) / whole, 1.0)


def here(page: Page) -> timedelta:
    """How long the current step has soaked, blind time not counted, and never longer than its soak."""
    state = page.state
    if state.seen_at is None:
        return timedelta(0)
    until = state.rolled_back_at or state.promoted_at or page.now
    return min(max(until - state.seen_at - state.blind_for, timedelta(0)), state.current.soak)
