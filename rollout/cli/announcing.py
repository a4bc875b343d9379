"""Which moments people outside hear of, once each: the start, the need for a person, blindness, and the end.

It decides what is told, from the journal and what was seen; how it is said and sent is in `notify`. Whatever goes
wrong here stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from rollout.config import Configuration
from rollout.core.decisions import Decision
from rollout.core.events import Event, Paused, Promoted, RolledBack, Started
from rollout.core.language import Language
from rollout.core.machine import Observation
from rollout.core.state import Phase, State, fold
from rollout.core.verdict import Judgement, Verdict
from rollout.engine import Audience
from rollout.errors import RolloutError
from rollout.journals.base import Journal
from rollout.notify.channels import Channels
from rollout.notify.memory import Memory, OwnMemory, Told
from rollout.notify.message import Message, Reason
from rollout.notify.wording import Need, Reader, message_of
from rollout.report.phrases import translated
from rollout.report.summary import awaits_approval

BLIND_FOR: Final = timedelta(minutes=1)
"""How long the metrics are away before it is told; half of the blind budget where that is less."""
STUCK_AFTER: Final = 3
"""How many tries to go back to stable fail before somebody is called."""
OLD: Final = timedelta(hours=24)
"""What nobody was told for so long is no news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that is told."""

    key: str
    """Names it within its rollout, always the same."""
    reason: Reason
    at: datetime
    state: State
    """As it was then."""
    need: Need | None = None
    judgement: Judgement | None = None


def news(events: tuple[Event, ...], state: State, observation: Observation, at: datetime) -> Iterator[News]:
    """Everything that is to be told of a rollout up to now, in its order; the same keys whoever asks."""
    for index, event in enumerate(events):
        if (reason := _reason(event)) is not None:
            then = fold(events[: index + 1])
            assert then is not None
            need = Need.PAUSED if reason is Reason.NEEDS_A_PERSON else None
            yield News(key=f"{event.kind}-{index}", reason=reason, at=event.at, state=then, need=need)
    judged = observation.judgement or state.judgement
    if awaits_approval(state, at, judged):
        key = f"approval-{state.step}"
        yield News(key=key, reason=Reason.NEEDS_A_PERSON, at=at, state=state, need=Need.APPROVAL, judgement=judged)
    if _is_blind(state, judged, at):
        yield News(key=f"blind-{state.step}", reason=Reason.BLIND, at=at, state=state, judgement=judged)
    if state.phase is Phase.ROLLING_BACK and state.tries >= STUCK_AFTER:
        yield News(key="stuck", reason=Reason.NEEDS_A_PERSON, at=at, state=state, need=Need.STUCK)


def _reason(event: Event) -> Reason | None:
    match event:
        case Started():
            return Reason.STARTED
        case Paused():
            return Reason.NEEDS_A_PERSON
        case Promoted():
            return Reason.PROMOTED
        case RolledBack():
            return Reason.ROLLED_BACK
        case _:
            return None


def _is_blind(state: State, judged: Judgement | None, at: datetime) -> bool:
    """Whether the metrics have been away for long enough; the first moments after a start are no news."""
    if state.phase is not Phase.STEPPING or state.blind_since is None:
        return False
    if judged is None or judged.verdict is not Verdict.BLIND:
        return False
    return at - state.blind_since >= min(BLIND_FOR, state.plan.blind_budget / 2)


class Announcer:
    """Watches the rollouts of one journal and tells what is new, whichever process has seen the rest.

    A memory that holds nothing yet begins with what the journal holds now: that counts as told.
    """

    def __init__(
        self,
        journal: Journal,
        send: Callable[[Message], None],
        *,
        language: Language = Language.EN,
        link: str = "",
        memory: Memory | None = None,
        complain: Callable[[str], None] = print,
    ) -> None:
        self._journal = journal
        self._send = send
        self._reader = Reader(language=language, translate=partial(translated, language))
        self._link = link
        self._memory = memory or OwnMemory()
        self._complain = complain
        self._complained = False
        self._told = self._begin()

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """Tell what is new and worth it."""
        told = self._told if self._told.rollout == state.rollout else Told(rollout=state.rollout)
        every = tuple(news(self._journal.read().events, state, observation, at))
        fresh = [one for one in every if one.key not in told.keys]
        for one in fresh:
            if at - one.at <= OLD:
                self._send(self._message(one))
        if fresh or told is not self._told:
            self._told = replace(told, keys=told.keys | {one.key for one in fresh})
            self._remember()

    def _begin(self) -> Told:
        """What has been told already."""
        try:
            told = self._memory.load()
        except RolloutError as wrong:
            self._complain_once(wrong)
            told = None
        if told is not None:
            return told
        events = self._journal.read().events
        state = fold(events)
        if state is None:
            self._told = Told(rollout="")
        else:
            known = news(events, state, Observation(), events[-1].at)
            self._told = Told(rollout=state.rollout, keys=frozenset(one.key for one in known))
        self._remember()
        return self._told

    def _remember(self) -> None:
        try:
            self._memory.save(self._told)
        except (OSError, RolloutError) as wrong:
            self._complain_once(wrong)

    def _complain_once(self, wrong: OSError | RolloutError) -> None:
        if not self._complained:
            self._complained = True
            why = wrong.message if isinstance(wrong, RolloutError) else wrong.strerror or type(wrong).__name__
            self._complain(f"what has been told is not remembered, so it may be told twice: {why}")

    def _message(self, one: News) -> Message:
        return message_of(
            one.state,
            one.reason,
            at=one.at,
            reader=self._reader,
            need=one.need,
            judgement=one.judgement,
            link=self._link,
        )


@contextmanager
def announcing(
    configuration: Configuration,
    journal: Journal,
    *,
    complain: Callable[[str], None],
    link: str = "",
    memory: Memory | None = None,
) -> Iterator[Audience]:
    """An audience that tells the channels of `notify`; nobody where there are none.

    `link` is where people see more. `memory` outlives the process; without one, what a process that ended has told
    counts as told, and an approval that is still missing is asked for once by each process.
    """
    if not configuration.notify:
        yield _nobody
        return
    with Channels(configuration.notify, complain=complain) as channels:
        yield Announcer(
            journal, channels.send, language=configuration.language, link=link, memory=memory, complain=complain
        )


def _nobody(state: State, observation: Observation, decision: Decision, at: datetime) -> None:
    """Nobody is told."""
