"""Which moments people outside hear of: the start, the need for a person, and the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rollout.core.decisions import Decision, Wait
from rollout.core.events import Event, Paused, Promoted, RolledBack, Started
from rollout.core.machine import Observation
from rollout.core.state import State
from rollout.journals.base import Journal
from rollout.notify.message import Message
from rollout.report.summary import headline, standing


class Announcer:
    """Watches one process's rollouts. What an earlier process has seen is not told again."""

    def __init__(self, journal: Journal, send: Callable[[Message], None]) -> None:
        self._journal = journal
        self._send = send
        record = journal.read()
        self._told = (record.number, len(record.events))
        self._asked = ""

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """Tell what is new and worth it."""
        record = self._journal.read()
        number, count = self._told
        self._told = (record.number, len(record.events))
        for event in record.events[count if number == record.number else 0 :]:
            if (reason := _reason(event)) is not None:
                self._send(_message(state, reason, at))
        self._ask(state, decision, at)

    def _ask(self, state: State, decision: Decision, at: datetime) -> None:
        """A wait that only a person ends is told once per step and reason; a pause has its event already."""
        then = decision.then
        if not (isinstance(then, Wait) and then.person) or state.paused:
            return
        asked = f"{state.rollout} {state.step} {then.reason}"
        if asked != self._asked:
            self._asked = asked
            self._send(_message(state, "needs_a_person", at))


def _reason(event: Event) -> str | None:
    match event:
        case Started():
            return "started"
        case Paused():
            return "needs_a_person"
        case Promoted():
            return "promoted"
        case RolledBack():
            return "rolled_back"
        case _:
            return None


def _message(state: State, reason: str, at: datetime) -> Message:
    return Message(title=headline(state), text=standing(state, at), reason=reason)
