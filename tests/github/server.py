"""A GitHub for tests: one repository that remembers, on a real socket, with real git, and bad weather on order.

    from tests.github.server import GitHubServer

    with GitHubServer(tmp_path) as github:        # or the fixtures `github`, `repository` and `clock` in conftest.py
        number = github.open_pull("Answer faster"); sha = github.merge_pull(number, "squash"); github.tag("v2", sha)
        github.fault("PATCH", "git/refs/", status=502, after=True)   # it takes effect, and then says 502
        repository = Repository(github.repository, token=SecretStr(github.token), url=github.url, clock=..., sleep=...)
        ...
        assert github.count("POST", "git/commits$") == 3             # 304s are not among them
        assert github.facts.comments[id].body.startswith("<!-- rollout")   # facts: see world.py; git: github.git

Acts of people (`commit`, `tag`, `open_pull`, `merge_pull`, `person`, ...) are in stage.py, events in events.py. Every
request and every answer is held against GitHub's own description (described.py); what breaks it stands in
`violations`, and the end of the block fails for it. It knows GitHub and nothing of rollouts.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.github import answers_git, answers_history, answers_threads, answers_work
from tests.github.bare import BareRepository
from tests.github.described import Description, installed
from tests.github.events import TOKEN, Events
from tests.github.listening import Listener
from tests.github.weather import Fault, Limits, Matched, Meeting, Weather
from tests.github.wire import NOT_FOUND, Call, Refusal, Reply, Route
from tests.github.world import ACTIONS_BOT, Facts, Run, World

ROUTES: tuple[Route, ...] = (
    *answers_git.ROUTES,
    *answers_history.ROUTES,
    *answers_threads.ROUTES,
    *answers_work.ROUTES,
)
WORKFLOW_MAY: Mapping[str, str] = dict.fromkeys(
    ("contents", "deployments", "issues", "pull-requests", "actions"), "write"
)
"""What the workflow's token may do unless a test takes it away: `github.permissions["contents"] = "read"`."""
_INTEGRATION = "Resource not accessible by integration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came, and the status of its answer (0: hung up)."""

    verb: str
    path: str
    """Below the repository without a slash at its beginning; anything else as it is."""
    query: Mapping[str, str]
    body: Any
    status: int
    who: str
    at: datetime

    @property
    def free(self) -> bool:
        """Whether it did not count against the limit."""
        return self.status == 304


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Whose a token is, and what it may do; None: all that its owner may."""

    login: str
    may: Mapping[str, str] | None = None


class GitHubServer(Events):
    """The repository `octo/chat`. Everything that is public here may be used from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        description: Description | None = None,
    ) -> None:
        self.git = BareRepository(folder / "chat.git")
        self._http = Listener(self._respond)
        self.url = f"http://127.0.0.1:{self._http.port}"
        self.repository = "octo/chat"
        self.permissions = dict(WORKFLOW_MAY)
        self.requests: list[Asked] = []
        self.on_dispatch: Callable[[Run], str | None] | None = None
        """Called on a thread of its own for each run that is dispatched; it returns the run's conclusion."""
        self.weather = Weather(clock=clock)
        self._access = {TOKEN: Access(login=ACTIONS_BOT, may=self.permissions)}
        self._running: list[threading.Thread] = []
        world = World(name=self.repository, url=self.url, git=self.git, clock=clock)
        super().__init__(world, description or installed())
        self._former = self.world.memory()

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait_for_runs()
        self._http.stop()
        self.git.close()
        if error is None and self.violations:
            raise AssertionError("\n".join(["GitHub's description is broken:", *self.violations]))

    @property
    def facts(self) -> Facts:
        """Everything it remembers but git."""
        return self.world.facts

    def token_of(self, login: str, may: Mapping[str, str] | None = None) -> str:
        """A token of a person's own, with all that its owner may, or with these permissions."""
        token = f"ghp_{hashlib.sha256(login.encode()).hexdigest()[:36]}"
        self._access[token] = Access(login=login, may=may)
        return token

    # Bad weather

    def fault(
        self,
        method: str,
        path: str,
        *,
        status: int = 502,
        times: int = 1,
        after: bool = False,
        drop: bool = False,
        headers: Mapping[str, str] | None = None,
        message: str = "Server Error",
    ) -> Fault:
        """The next `times` requests like this fail (method "" is any; path is a regular expression looked for in the
        path). `after`: they take effect first. `drop`: the connection is closed instead of an answer.
        """
        made = Fault(
            verb=method,
            pattern=re.compile(path),
            left=times,
            status=status,
            after=after,
            drop=drop,
            headers=headers or {},
            message=message,
        )
        self.weather.faults.append(made)
        return made

    def barrier(self, path: str, parties: int = 2, *, method: str = "", rounds: int = 1) -> Meeting:
        """Requests like this wait until there are `parties` of them, and go on at once; assert its `met` later."""
        made = Meeting(verb=method, pattern=re.compile(path), left=parties * rounds, parties=parties)
        self.weather.meetings.append(made)
        return made

    def stale_reads(self, times: int, path: str = "") -> None:
        """The next reads like this see what was before the last change."""
        self.weather.lags.append(Matched(verb="GET", pattern=re.compile(path), left=times))

    def primary_limit(self, remaining: int, reset_in: timedelta = timedelta(minutes=30)) -> None:
        """The workflow's token has this many requests left until the hour is over."""
        self.weather.limits[ACTIONS_BOT] = Limits(remaining=remaining, resets=self.world.clock() + reset_in)

    def secondary_limit(self, times: int = 1, retry_after: int = 60, *, method: str = "", path: str = "") -> None:
        """The next requests like this are refused as too many at once."""
        self.weather.secondary = Matched(verb=method, pattern=re.compile(path), left=times)
        self.weather.retry_after = retry_after

    # What was asked

    def count(self, method: str = "", path: str = "") -> int:
        """Requests that counted against the limit, by method and a regular expression looked for in the path."""
        wanted = re.compile(path)
        return sum(not one.free and method in ("", one.verb) and bool(wanted.search(one.path)) for one in self.requests)

    def wait_for_runs(self, within_s: float = 60) -> None:
        """Until every dispatched run has ended."""
        while self._running:
            self._running.pop().join(within_s)

    # A request on its way

    def _respond(self, verb: str, target: str, headers: Mapping[str, str], raw: bytes) -> Reply | None:
        url = urlsplit(target)
        path = unquote(url.path).removeprefix(f"/repos/{self.repository}/")
        token = headers.get("authorization", "").partition(" ")[2]
        access = self._access.get(token)
        call = Call(
            verb=verb,
            path=path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers,
            body=json.loads(raw) if raw else None,
            who=access.login if access else "",
            url=f"{self.url}{url.path}",
        )
        reply = self._through_weather(call, url.path, access)
        status = reply.status if reply else 0
        asked = Asked(
            verb=verb, path=path, query=call.query, body=call.body, status=status, who=call.who, at=self.world.clock()
        )
        self.requests.append(asked)
        if access is None or reply is None:
            return reply
        if not asked.free:
            self.weather.spend(access.login)
        return replace(reply, headers={**self.weather.limit(access.login).headers(), **reply.headers})

    def _through_weather(self, call: Call, path: str, access: Access | None) -> Reply | None:
        if access is None:
            return Refusal(401, "Bad credentials").reply()
        if not call.headers.get("user-agent"):
            return Refusal(403, "Request forbidden by administrative rules. Please use a User-Agent header.").reply()
        if (refused := self.weather.refused(call)) is not None:
            return refused
        fault = self.weather.fault(call)
        if fault is not None and not fault.after:
            return fault.reply()
        self.weather.meet(call)
        try:
            reply = self._answer(call, path, access)
        except Refusal as refusal:
            reply = refusal.reply()
        except Exception:  # noqa: BLE001  (a mistake of this double: the test fails for it)
            self.violations.append(f"{call.verb} {call.path}: {traceback.format_exc()}")
            reply = Reply(status=500, body={"message": "the double of GitHub failed; see the end of the test"})
        return fault.reply() if fault is not None else _conditional(call, reply)

    def _answer(self, call: Call, path: str, access: Access) -> Reply:
        route, parts = self._route(call, path)
        call = replace(call, parts=parts)
        if parts and "owner" in parts and f"{parts['owner']}/{parts['repo']}" != self.repository:
            raise Refusal(404, NOT_FOUND)
        if access.may is not None and route.needs and not any(_allows(access.may, need) for need in route.needs):
            raise Refusal(403, _INTEGRATION)
        if self.description is not None and (wrong := self.description.of_request(route, call)):
            self.violations += wrong
            raise Refusal(422, f"Invalid request: {wrong[0]}")
        with self.lock:
            reply = self._read(route, call) if call.verb == "GET" else self._write(route, call)
        if self.description is not None:
            reply, wrong = self.description.of_reply(route, reply)
            self.violations += wrong
        if call.path.endswith("/dispatches") and reply.status < 300:
            self._run_newest()
        return reply

    def _read(self, route: Route, call: Call) -> Reply:
        self._move_heads(call)
        world = self.world.stale(self._former) if self.weather.lagging(call) else self.world
        try:
            return route.answers(world, call)
        except Refusal as refusal:
            return refusal.reply()

    def _write(self, route: Route, call: Call) -> Reply:
        before = self.world.memory()
        try:
            reply = route.answers(self.world, call)
        except Refusal as refusal:
            return refusal.reply()
        self._former = before
        return reply

    def _route(self, call: Call, path: str) -> tuple[Route, dict[str, str]]:
        for route in ROUTES:
            if (parts := route.match(call.verb, path)) is not None:
                return route, parts
        self.violations.append(f"{call.verb} {path}: there is no such operation here (a wrong path, or a new one)")
        raise Refusal(404, NOT_FOUND)

    def _move_heads(self, call: Call) -> None:
        for pull in self.facts.pulls.values():
            if pull.moves_after >= 0 and call.path.startswith(f"pulls/{pull.number}"):
                pull.moves_after -= 1
                if pull.moves_after < 0:
                    self.move_pull_head(pull.number)

    def _run_newest(self) -> None:
        run = list(self.facts.runs.values())[-1]
        if self.on_dispatch is None:
            return
        hook = self.on_dispatch

        def runs() -> None:
            run.status = "in_progress"
            run.conclusion = hook(run) or "success"
            run.status = "completed"

        thread = threading.Thread(target=runs, daemon=True)
        self._running.append(thread)
        thread.start()


def _allows(may: Mapping[str, str], need: str) -> bool:
    name, _, level = need.partition(":")
    return may.get(name) in ("write", level)


def _conditional(call: Call, reply: Reply) -> Reply:
    """With the answer's ETag; without the answer, where the caller has it already."""
    if call.verb != "GET" or reply.status != 200:
        return reply
    etag = f'W/"{hashlib.sha256(reply.bytes()).hexdigest()}"'
    headers = {**reply.headers, "ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60"}
    if call.headers.get("if-none-match") == etag:
        return Reply(status=304, headers=headers)
    return replace(reply, headers=headers)
