"""One repository on GitHub, request by request: what is asked again, what is waited for, and what is an error.

It knows verbs, paths and limits, and nothing of rollouts. PyGithub's transport carries the requests; its own retries
and pauses are off, as they repeat writes that took effect and wait for a limit without end.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

import github
import requests
from pydantic import SecretStr

from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable

API_VERSION: Final = "2022-11-28"
TRIES: Final = 5
TIMEOUT_S: Final = 15
HURRIED_S: Final = 1
"""Seconds that one request may take once the process has been told to stop."""
LONGEST_WAIT: Final = timedelta(minutes=2)
"""How long one request waits in all for a limit to pass. A rollout is driven on that very thread."""
_SERVER_ERRORS: Final = frozenset({500, 502, 503, 504})
_LIMITED: Final = frozenset({403, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What GitHub answered: a status that the caller asked to see, and the JSON beside it."""

    status: int
    body: Any = None
    """The JSON; where it is none, the text."""
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """GitHub's own words about what is wrong."""
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


@dataclass(slots=True)
class Spent:
    """How many requests were made."""

    counted: int = 0
    """Those that count against the limit of a repository."""
    free: int = 0
    """Those answered by 304."""
    by: dict[str, int] = field(default_factory=dict)
    """Counted ones by verb and the kind of what they were for."""


class Repository:
    """A repository, by its API. `sleep` and `clock` are arguments, so that a test needs no time.

    One thread at a time: PyGithub keeps the request that is under way on its connection.
    """

    def __init__(
        self,
        name: str,
        *,
        token: SecretStr,
        url: str = "https://api.github.com",
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name: Final = name
        """`owner/name`."""
        self.spent: Final = Spent()
        self._clock = clock
        self._sleep = sleep
        self._dice = dice
        self._patient = _transport(token, url, timeout=TIMEOUT_S)
        self._brisk = _transport(token, url, timeout=HURRIED_S)
        self._deadline: datetime | None = None
        self._seen: dict[str, tuple[str, Answer]] = {}

    def hurry(self, within: timedelta) -> None:
        """From now on give up rather than wait: the process has been told to stop and is killed soon."""
        self._deadline = self._clock() + within

    def get(
        self,
        path: str,
        *,
        but: frozenset[int] = frozenset(),
        accept: str = "application/vnd.github+json",
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """What is there now. An answer that has not changed costs no request of the limit.

        `but` are statuses other than success that the caller wants to see, such as 404; a 403 that tells of a limit is
        waited for all the same. Raises as `send` does.
        """
        where = self._path(path, query or {})
        key = f"{accept} {where}"
        etag, known = self._seen.get(key, ("", None))
        headers = {"Accept": accept} | ({"If-None-Match": etag} if etag else {})
        answer = self._asked("GET", where, headers=headers, but=but | {304}, again=True)
        if answer.status == 304 and known is not None:
            return known
        if answer.status == 200 and (tag := answer.headers.get("etag")):
            self._seen[key] = (tag, answer)
        return answer

    def pages(self, path: str, *, most: int = 10, query: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """Every element of a list, page by page, up to `most` pages of a hundred."""
        for page in range(1, most + 1):
            found = self.get(path, query={**(query or {}), "per_page": 100, "page": page}).body
            yield from found
            if len(found) < 100:
                return

    def send(
        self, verb: str, path: str, body: object = None, *, but: frozenset[int] = frozenset(), again: bool = False
    ) -> Answer:
        """Change something. `again` says that doing it twice does no harm, so it may be tried again after a 5xx or a
        lost connection; a request that GitHub refused because of a limit is always tried again.

        Raises GitHubForbids for what the token may not do, GitHubLimits where a limit lasts for too long, and
        GitHubUnavailable for everything else that is neither success nor in `but`.
        """
        return self._asked(verb, self._path(path, {}), body=body, but=but, again=again)

    def _path(self, path: str, query: Mapping[str, str | int]) -> str:
        """Paths that do not begin with a slash are the repository's own."""
        whole = path if path.startswith("/") else f"/repos/{self.name}/{path}".rstrip("/")
        return f"{whole}?{urlencode(query)}" if query else whole

    def _asked(
        self,
        verb: str,
        path: str,
        *,
        but: frozenset[int],
        again: bool,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        problem, waited, wait = "", timedelta(0), None
        for tried in range(1, TRIES + 1):
            if tried > 1:
                wait = wait or timedelta(seconds=2 ** (tried - 2) * (0.75 + self._dice() / 2))
                self._pause(wait, waited, problem)
                waited, wait = waited + wait, None
            try:
                answer = self._once(verb, path, body, headers)
            except requests.RequestException as wrong:
                problem = f"{verb} {_plain(path)}: {type(wrong).__name__}"
                if not again:
                    raise GitHubUnavailable(problem) from None
                continue
            except RuntimeError:  # PyGithub's word for a redirection to another host
                raise GitHubUnavailable(
                    f"{verb} {_plain(path)} leads elsewhere", hint="the repository may have moved: check its name"
                ) from None
            problem = f"{verb} {_plain(path)} answers {answer.status}{': ' if answer.message else ''}{answer.message}"
            if answer.status in _LIMITED and (wait := self._limit(answer)) is not None:
                continue
            if answer.status in but or 200 <= answer.status < 300:
                return answer
            if answer.status in (401, 403):
                raise GitHubForbids(problem, hint=_remedy(answer))
            if not (answer.status in _SERVER_ERRORS and again):
                raise GitHubUnavailable(problem)
        raise GitHubUnavailable(f"{problem} ({TRIES} tries)")

    def _pause(self, wait: timedelta, waited: timedelta, problem: str) -> None:
        now = self._clock()
        if waited + wait > LONGEST_WAIT or (self._deadline is not None and now + wait > self._deadline):
            raise GitHubLimits(f"{problem}; the next try is due at {now + wait:%H:%M:%S} UTC")
        self._sleep(wait.total_seconds())

    def _limit(self, answer: Answer) -> timedelta | None:
        """How long a limit lasts, as its own headers say; None where the refusal is none."""
        if after := answer.headers.get("retry-after"):
            return timedelta(seconds=float(after)) if after.isdigit() else timedelta(minutes=1)
        if answer.headers.get("x-ratelimit-remaining") == "0":
            reset = answer.headers.get("x-ratelimit-reset", "")
            ends = datetime.fromtimestamp(int(reset), UTC) if reset.isdigit() else self._clock()
            return max(ends - self._clock(), timedelta(0)) + timedelta(seconds=1)
        limited = answer.status == 429 or "rate limit" in answer.message.lower()
        return timedelta(minutes=1) if limited else None

    def _once(self, verb: str, path: str, body: object, headers: Mapping[str, str] | None) -> Answer:
        if self._deadline is not None and self._clock() >= self._deadline:
            raise GitHubUnavailable(f"{verb} {_plain(path)}: there is no time left for it")
        transport = self._patient if self._deadline is None else self._brisk
        status, got, text = transport.requestJson(verb, path, headers=dict(headers or {}), input=body)
        if status == 304:
            self.spent.free += 1
        else:
            self.spent.counted += 1
            kind = f"{verb} {_kind(path, self.name)}"
            self.spent.by[kind] = self.spent.by.get(kind, 0) + 1
        return Answer(
            status=status,
            body=_json(text),
            text=text or "",
            headers={name.lower(): str(value) for name, value in got.items()},
        )


def quoted(part: str) -> str:
    """One part of a path, whatever is in it."""
    return quote(part, safe="")


def _remedy(answer: Answer) -> str:
    """What to do about a refusal: the permissions that GitHub says it wants, as a workflow writes them.

    https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api#insufficient-permissions
    """
    if answer.status == 401:
        return "the token is wrong or has run out: a GITHUB_TOKEN ends with its job"
    wanted = answer.headers.get("x-accepted-github-permissions", "")
    ways = [way.strip().replace("_", "-").replace("=", ": ").replace(",", ", ") for way in wanted.split(";")]
    named = " or ".join(f"`{way}`" for way in ways if way)
    return f"the token needs {named}; in a workflow, that goes under `permissions:`" if named else ""


def _transport(token: SecretStr, url: str, *, timeout: int) -> github.Requester.Requester:
    auth = github.Auth.Token(token.get_secret_value())
    return github.Github(
        auth=auth,
        base_url=url.rstrip("/"),
        timeout=timeout,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
        user_agent="rollout",
        api_version=API_VERSION,
    ).requester


def _json(text: str) -> Any:  # noqa: ANN401 - whatever GitHub says
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(path: str) -> str:
    return path.split("?", 1)[0]


def _kind(path: str, name: str) -> str:
    """What a request was for, without names and numbers: `git/refs`, `issues/comments`."""
    parts = [part for part in _plain(path).removeprefix(f"/repos/{name}").strip("/").split("/") if part.isalpha()]
    return "/".join(parts[:3])
