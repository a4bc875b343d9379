"""What people see of a rollout on GitHub: one comment on the pull request, a deployment, and the page of the run.

Telling is a decoration. It runs in a thread of its own, so that a slow answer delays no rollback, and whatever fails
is said once in the log and tried again with the next page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from rollout.core.events import Commanded, OrderRefused, Paused, Promoted, RolledBack
from rollout.core.plan import Weight
from rollout.core.state import Phase, State
from rollout.core.verdict import Verdict
from rollout.errors import RolloutError
from rollout.github.api import Repository
from rollout.github.comments import Thread
from rollout.github.deployments import DeploymentRecord, Status, standing_of
from rollout.github.pulls import pull_of
from rollout.report import pull_request as pages
from rollout.report.pull_request import Page
from rollout.report.summary import awaits_approval

OFTEN: Final = timedelta(seconds=30)
"""The least time between two edits of the comment, unless something happened that nobody should wait for."""
SELDOM: Final = timedelta(minutes=10)
"""How old the numbers in the comment become while nothing happens."""
LAGS: Final = timedelta(minutes=2)
"""How long after a start the pull request is looked for again: GitHub learns of a merge a little later."""
LAST_WORDS_S: Final = 20.0
_URGENT: Final = (Commanded, OrderRefused, Paused, Promoted, RolledBack)


class Board:
    """Everything that is shown of one rollout, brought up to date page by page. It remembers what it has shown."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._rollout = ""
        self._thread: Thread | None = None
        self._number: int | None = None
        self._deployment: DeploymentRecord | None = None
        self._shown: _Shown | None = None
        self._said: set[str] = set()
        self._reinstated = False
        self._weight: Weight | None = None

    def show(self, page: Page) -> None:
        """Bring everything up to date. Raises GitHubUnavailable; what was shown before stays shown."""
        state = page.state
        if state.rollout != self._rollout:
            self._open(state)
        elif self._thread is None and page.now - state.started_at < LAGS:
            self._find_thread(state)
        wrongs: list[RolloutError] = []
        for part in (self._keep_comment, self._say_what_is_new, self._record):
            try:
                part(page)
            except RolloutError as wrong:
                wrongs.append(wrong)
        if wrongs:
            raise wrongs[0]

    def _open(self, state: State) -> None:
        self._find_thread(state)
        plan = state.plan
        self._deployment = DeploymentRecord(
            self._repository,
            service=plan.service,
            environment=plan.environment,
            rollout=state.rollout,
            release=state.release,
        )
        self._shown, self._said, self._reinstated = None, set(), False
        self._rollout = state.rollout

    def _find_thread(self, state: State) -> None:
        pull = pull_of(self._repository, state.release.commit) if state.release.commit else None
        self._number = pull.number if pull is not None else None
        self._thread = Thread(self._repository, pull.number) if pull is not None else None

    def _keep_comment(self, page: Page) -> None:
        if self._thread is None or not self._is_due(page):
            return
        body = pages.status_comment(page)
        self._thread.keep(_marker(body), body)
        self._shown = _Shown.of(page)

    def _is_due(self, page: Page) -> bool:
        before, after = self._shown, _Shown.of(page)
        if before is None:
            return True
        urgent = any(isinstance(event, _URGENT) for event in page.events[before.events :])
        if urgent or before.over != after.over:
            return True
        news = replace(after, at=before.at) != before
        return after.at - before.at >= (OFTEN if news else SELDOM)

    def _say_what_is_new(self, page: Page) -> None:
        """New comments, for what people must look at."""
        if self._thread is None:
            return
        state = page.state
        if awaits_approval(state, page.now, page.judgement or state.judgement):
            self._say(self._thread, pages.approval_comment(page))
        if state.paused.startswith("because "):
            self._say(self._thread, pages.paused_comment(page))
        if state.phase is Phase.ROLLED_BACK:
            self._say(self._thread, pages.rolled_back_comment(page))
        if state.phase is Phase.PROMOTED:
            self._say(self._thread, pages.finished_comment(page))
        if state.over:
            for number in sorted({one.pull for one in page.shipped if one.pull is not None} - {self._number}):
                self._say(Thread(self._repository, number), pages.feature_comment(page), to=number)

    def _say(self, thread: Thread, body: str, *, to: int = 0) -> None:
        key = f"{to} {_marker(body)}"
        if key not in self._said:
            thread.say_once(_marker(body), body)
            self._said.add(key)

    def _record(self, page: Page) -> None:
        assert self._deployment is not None
        state = page.state
        asks = awaits_approval(state, page.now, page.judgement or state.judgement)
        status = Status(
            standing=standing_of(state, needs_a_person=asks),
            description=pages.short_status(page),
            log_url=page.links.run_url,
            environment_url=page.links.environment_url,
        )
        moved, self._weight = state.ordered != self._weight, state.ordered
        self._deployment.tell(status, now=page.now, at_once=moved)
        if state.phase is Phase.ROLLED_BACK and state.stable is not None and not self._reinstated:
            self._deployment.reinstate(state.stable, log_url=page.links.run_url)
            self._reinstated = True


def _marker(body: str) -> str:
    return body.partition("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the comment showed when it was last edited, as far as it decides when the next edit is due."""

    at: datetime
    events: int
    verdict: Verdict | None
    over: bool

    @classmethod
    def of(cls, page: Page) -> Self:
        judged = page.judgement
        return cls(
            at=page.now,
            events=len(page.events),
            verdict=judged.verdict if judged is not None else None,
            over=page.state.over and page.state.retired,
        )


class Teller(Protocol):
    """Shows pages; used as a context."""

    def put(self, page: Page) -> None:
        """Show it, now or soon."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Aside:
    """Shows pages in a thread. A page that has not been begun when the next one comes is left out."""

    def __init__(self, board: Board, *, complain: Callable[[str], None]) -> None:
        self._board = board
        self._complain = complain
        self._changed = threading.Condition()
        self._next: Page | None = None
        self._ended = False
        self._complaint = ""
        self._worker = threading.Thread(target=self._work, daemon=True, name="conversation")

    def put(self, page: Page) -> None:
        """Show it, as soon as there is time."""
        with self._changed:
            self._next = page
            self._changed.notify()

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        stopped = kind is not None and not issubclass(kind, Exception)
        self._worker.join(timeout=0.5 if stopped else LAST_WORDS_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next is not None or self._ended)
                page, self._next = self._next, None
            if page is None:
                return
            try:
                self._board.show(page)
            except RolloutError as wrong:
                self._say_once(f"the pull request could not be told: {wrong.message}")
            except Exception as wrong:  # noqa: BLE001 - a defect in a decoration is told, and stops nothing
                self._say_once(f"the pull request could not be told: {type(wrong).__name__}")

    def _say_once(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            with suppress(Exception):
                self._complain(text)
