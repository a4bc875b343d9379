"""Who is told while a rollout runs: a live view in a terminal, plain lines in a log, or nobody."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from rollout.cli.opening import now
from rollout.core.decisions import Decision, Wait
from rollout.core.events import Started
from rollout.core.machine import Observation
from rollout.core.state import State
from rollout.engine import Audience
from rollout.journals.base import Journal
from rollout.report.lines import line
from rollout.report.summary import standing
from rollout.report.words import clock

if TYPE_CHECKING:
    from rich.console import RenderableType

HEARTBEAT: Final = timedelta(minutes=1)
"""How long a log stays silent at most while nothing happens."""


def everybody(*audiences: Audience) -> Audience:
    """Everybody is told; one who stumbles keeps nobody else from hearing it."""

    def tell(state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        for audience in audiences:
            with suppress(Exception):
                audience(state, observation, decision, at)

    return tell


class Viewer(Protocol):
    """Something that watches one rollout; used as a context."""

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """One decision was made."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Quiet:
    """Tells nobody: the answer is one JSON document at the end."""

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Log:
    """One line per event from now on, and a sign of life each minute."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        record = journal.read()
        self._rollout = record.number
        self._told = len(record.events)
        self._spoken_at: datetime | None = None

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """Print what is new in the journal."""
        self._print_news(at)
        then = decision.then
        silent = self._spoken_at is None or at - self._spoken_at >= HEARTBEAT
        if isinstance(then, Wait) and silent:
            print(f"{clock(at)}  {standing(state, at)}; {then.reason}", flush=True)
            self._spoken_at = at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._print_news(now())

    def _print_news(self, at: datetime) -> None:
        record = self._journal.read()
        started = record.events[0] if record.events else None
        plan = started.plan if isinstance(started, Started) else None
        if record.number != self._rollout:
            self._rollout, self._told = record.number, 0
        for event in record.events[self._told :]:
            print(line(event, plan), flush=True)
            self._spoken_at = at
        self._told = len(record.events)


class Live:
    """A view that is drawn again four times a second."""

    def __init__(self, journal: Journal) -> None:
        from rich.live import Live as RichLive  # noqa: PLC0415 - only a terminal pays for it

        self._log = Log(journal)
        self._journal = journal
        self._last: tuple[State, Observation, Decision] | None = None
        self._live = RichLive(get_renderable=self._render, refresh_per_second=4)

    def __call__(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        """Show the new state."""
        self._last = (state, observation, decision)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def _render(self) -> RenderableType:
        from rollout.report.live import view  # noqa: PLC0415 - only a terminal pays for it

        if self._last is None:
            return "looking at the machine, the target and the metrics"
        state, observation, decision = self._last
        return view(
            state,
            seen_weight=observation.weight,
            wait_reason=decision.then.reason if isinstance(decision.then, Wait) else "",
            now=now(),
            judgement=observation.judgement,
            events=self._journal.read().events,
        )
