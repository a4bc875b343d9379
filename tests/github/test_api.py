"""A request is tried again when that can do no harm, waits as long as a limit says, and costs nothing where it can."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable
from rollout.github.api import TRIES, Repository, quoted
from tests.github.clock import Clock
from tests.serving import Quiet, serving

TOKEN = "ghs_ThisIsTheSecretOfTheTests"


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer of the server; status 0: it hangs up without one."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One request that arrived."""

    verb: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Script:
    """A GitHub that says what a test has written down, the last line for ever, and remembers what it was asked."""

    lines: list[Said]
    heard: list[Heard] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    url: str = ""

    def next(self) -> Said:
        """The answer to the next request."""
        return self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]

    def repository(self) -> Repository:
        """Our client of it; the dice always fall in the middle."""
        return Repository(
            "octo/chat",
            token=SecretStr(TOKEN),
            url=self.url,
            clock=self.clock,
            sleep=self.clock.sleep,
            dice=lambda: 0.5,
        )


@contextmanager
def scripted(*lines: Said) -> Iterator[Script]:
    """The server, until the block ends."""
    script = Script(list(lines))

    class Play(Quiet, BaseHTTPRequestHandler):
        def _play(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(sent) if sent else None
            script.heard.append(Heard(verb=self.command, path=self.path, headers=headers, body=body))
            said = script.next()
            if said.status == 0:
                self.close_connection = True
                return
            told = said.body.encode() if isinstance(said.body, str) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            empty = said.status in (204, 304)
            self.send_header("Content-Length", "0" if empty else str(len(told)))
            self.end_headers()
            if not empty:
                self.wfile.write(told)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _play  # noqa: N815  (the names in http.server)

    with serving(Play) as port:
        script.url = f"http://127.0.0.1:{port}"
        yield script


def get(repository: Repository) -> object:
    """A request that may be made again."""
    return repository.get("pulls/7")


def write(repository: Repository) -> object:
    """A request that must not be made twice."""
    return repository.send("POST", "issues/7/comments", {"body": "hello"})


def write_again(repository: Repository) -> object:
    """A write that may be made twice."""
    return repository.send("PATCH", "issues/comments/7", {"body": "hello"}, again=True)


OUTAGES = [Said(status=status, body="<html>no</html>") for status in (500, 502, 503, 504)] + [Said(status=0)]


def test_a_request_says_who_asks_and_in_which_version() -> None:
    """A path of the repository is completed, another one is left as it is."""
    with scripted(Said(body={"login": "ann"})) as github:
        repository = github.repository()
        assert repository.get("pulls/7", query={"page": 2}).body == {"login": "ann"}
        repository.get("/user")
        repository.get("")
    assert [heard.path for heard in github.heard] == ["/repos/octo/chat/pulls/7?page=2", "/user", "/repos/octo/chat"]
    headers = github.heard[0].headers
    assert headers["authorization"] == f"token {TOKEN}"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["accept"] == "application/vnd.github+json"


def test_a_write_sends_json() -> None:
    """And gives back what GitHub says about it."""
    with scripted(Said(status=201, body={"id": 5})) as github:
        answer = github.repository().send("POST", "issues/7/comments", {"body": "hello"})
    assert (answer.status, answer.body) == (201, {"id": 5})
    assert (github.heard[0].verb, github.heard[0].body) == ("POST", {"body": "hello"})


@pytest.mark.parametrize("request_", [get, write_again])
@pytest.mark.parametrize("outage", OUTAGES, ids=lambda said: str(said.status or "lost"))
def test_what_can_be_repeated_is_repeated_through_an_outage(
    outage: Said, request_: Callable[[Repository], object]
) -> None:
    """With longer and longer pauses."""
    with scripted(outage, outage, outage, Said()) as github:
        request_(github.repository())
    assert len(github.heard) == 4
    assert github.clock.slept == [1, 2, 4]


@pytest.mark.parametrize("request_", [get, write_again])
@pytest.mark.parametrize("outage", OUTAGES, ids=lambda said: str(said.status or "lost"))
def test_an_outage_that_lasts_is_an_error(outage: Said, request_: Callable[[Repository], object]) -> None:
    """After a fixed number of tries, with the path in it."""
    with scripted(outage) as github, pytest.raises(GitHubUnavailable, match=r"7.*\(5 tries\)"):
        request_(github.repository())
    assert len(github.heard) == TRIES


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda said: str(said.status or "lost"))
def test_a_write_that_may_have_taken_effect_is_never_repeated(outage: Said) -> None:
    """The caller looks whether it did."""
    with scripted(outage, Said(status=201)) as github, pytest.raises(GitHubUnavailable):
        write(github.repository())
    assert len(github.heard) == 1
    assert github.clock.slept == []


LIMITED = [
    (Said(status=403, headers={"Retry-After": "7"}), 7),
    (Said(status=429, headers={"Retry-After": "7"}), 7),
    (Said(status=429), 60),
    (Said(status=403, body={"message": "You have exceeded a secondary rate limit. Wait."}), 60),
    (Said(status=403, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 60),
]


@pytest.mark.parametrize("request_", [get, write, write_again])
@pytest.mark.parametrize(("limit", "wait"), LIMITED)
def test_a_limit_is_waited_for_as_it_says(limit: Said, wait: float, request_: Callable[[Repository], object]) -> None:
    """A write too: GitHub has refused it, so it has no effect yet."""
    with scripted(limit, Said()) as github:
        request_(github.repository())
    assert github.clock.slept[0] == wait
    assert len(github.heard) == 2


def primary_limit(clock: Clock, seconds: int) -> Said:
    """The repository has used up its requests, until so many seconds from now."""
    reset = int(clock().timestamp()) + seconds
    headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    return Said(status=403, body={"message": "API rate limit exceeded"}, headers=headers)


def test_an_hours_limit_is_waited_for_when_the_hour_ends_soon() -> None:
    """One second longer than the clock says, as clocks differ."""
    with scripted(primary_limit(Clock(), 30), Said()) as github:
        write(github.repository())
    assert github.clock.slept[0] == 31


@pytest.mark.parametrize("request_", [get, write])
def test_a_limit_that_lasts_is_an_error_at_once(request_: Callable[[Repository], object]) -> None:
    """It says when the next try is due."""
    with (
        scripted(primary_limit(Clock(), 1800)) as github,
        pytest.raises(GitHubLimits, match=r"API rate limit exceeded.*due at 09:30:01 UTC"),
    ):
        request_(github.repository())
    assert github.clock.slept == []
    assert len(github.heard) == 1


def test_a_limit_is_no_refusal_that_the_caller_asked_to_see() -> None:
    """Whoever wants to see a 403 wants to know what the token may do."""
    with scripted(LIMITED[0][0], Said(status=403, body={"message": "Resource not accessible"})) as github:
        answer = github.repository().get("/user", but=frozenset({403}))
    assert answer.message == "Resource not accessible"
    assert len(github.heard) == 2


@pytest.mark.parametrize("request_", [get, write, write_again])
@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        (Said(status=401, body={"message": "Bad credentials"}), "has run out"),
        (
            Said(
                status=403, headers={"X-Accepted-GitHub-Permissions": "issues=write; pull_requests=write,contents=read"}
            ),
            "`issues: write` or `pull-requests: write, contents: read`",
        ),
        (Said(status=403), ""),
    ],
)
def test_what_the_token_may_not_do_is_an_error_that_names_the_permission(
    refusal: Said, hint: str, request_: Callable[[Repository], object]
) -> None:
    """Asking again would not help."""
    with scripted(refusal) as github, pytest.raises(GitHubForbids) as raised:
        request_(github.repository())
    assert hint in raised.value.hint
    assert len(github.heard) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
def test_every_other_status_is_an_error_unless_the_caller_wants_it(status: int) -> None:
    """With GitHub's own words."""
    with scripted(Said(status=status, body={"message": "Reference already exists"})) as github:
        repository = github.repository()
        with pytest.raises(GitHubUnavailable, match=f"answers {status}: Reference already exists"):
            repository.get("pulls/7")
        assert repository.get("pulls/7", but=frozenset({status})).message == "Reference already exists"
        assert repository.send("POST", "git/refs", {}, but=frozenset({status})).status == status
    assert len(github.heard) == 3


def test_what_has_not_changed_is_free() -> None:
    """The same answer is given again, and the request does not count."""
    first = Said(body={"sha": "a"}, headers={"ETag": 'W/"1"'})
    second = Said(body={"sha": "b"}, headers={"ETag": 'W/"2"'})
    with scripted(first, Said(status=304), second, Said(status=304)) as github:
        repository = github.repository()
        assert [repository.get("git/ref/x").body["sha"] for _ in range(4)] == ["a", "a", "b", "b"]
    assert [heard.headers.get("if-none-match") for heard in github.heard] == [None, 'W/"1"', 'W/"1"', 'W/"2"']
    assert (repository.spent.counted, repository.spent.free) == (2, 2)


def test_another_form_of_the_same_is_not_the_same() -> None:
    """The raw content and the JSON of one path have each their own memory."""
    with scripted(Said(headers={"ETag": '"1"'})) as github:
        repository = github.repository()
        repository.get("contents/f")
        repository.get("contents/f", accept="application/vnd.github.raw+json")
        repository.get("contents/f", query={"ref": "v1"})
    assert not any("if-none-match" in heard.headers for heard in github.heard)


def test_a_list_is_read_to_its_end() -> None:
    """A page that is not full is the last."""
    with scripted(Said(body=[*range(100)]), Said(body=[100])) as github:
        assert list(github.repository().pages("pulls", query={"state": "open"})) == [*range(101)]
    assert [dict(parse_qsl(urlsplit(heard.path).query)) for heard in github.heard] == [
        {"state": "open", "per_page": "100", "page": "1"},
        {"state": "open", "per_page": "100", "page": "2"},
    ]


def test_a_list_without_end_is_read_up_to_its_limit() -> None:
    """Here of two pages."""
    with scripted(Said(body=[0] * 100)) as github:
        assert len(list(github.repository().pages("pulls", most=2))) == 200
    assert len(github.heard) == 2


def test_requests_are_counted_by_what_they_are_for() -> None:
    """Without names and numbers, so that a table can be made of them."""
    with scripted(Said(body=[])) as github:
        repository = github.repository()
        repository.get("issues/7/comments")
        repository.get("issues/8/comments")
        repository.send("POST", "issues/comments/9/reactions", {})
        repository.get(f"git/ref/{quoted('rollouts/chat/production')}")
    assert repository.spent.by == {"GET issues/comments": 2, "POST issues/comments/reactions": 1, "GET git/ref": 1}


def test_in_a_hurry_nothing_is_waited_for() -> None:
    """A pause that ends after the deadline is an error before it begins."""
    with scripted(Said(status=502)) as github:
        repository = github.repository()
        repository.hurry(timedelta(seconds=2.5))
        with pytest.raises(GitHubLimits):
            repository.get("pulls/7")
    assert github.clock.slept == [1]
    assert len(github.heard) == 2


def test_after_the_deadline_nothing_is_asked() -> None:
    """The process is killed soon, and its last words have been said."""
    with scripted(Said()) as github:
        repository = github.repository()
        repository.hurry(timedelta(seconds=2))
        repository.get("pulls/7")
        github.clock.sleep(2)
        with pytest.raises(GitHubUnavailable, match="no time left"):
            repository.get("pulls/7")
    assert len(github.heard) == 1


def test_a_repository_that_moved_to_another_host_is_an_error_of_ours() -> None:
    """The token is not taken there."""
    with scripted(Said(status=301, headers={"Location": "http://elsewhere.example/repositories/1"})) as github:
        with pytest.raises(GitHubUnavailable, match="leads elsewhere"):
            github.repository().get("pulls/7")
        with pytest.raises(GitHubUnavailable, match="leads elsewhere"):
            write(github.repository())
    assert len(github.heard) == 2


@pytest.mark.parametrize(
    "said",
    [*OUTAGES, Said(status=401), Said(status=403), Said(status=422), primary_limit(Clock(), 1800)],
    ids=lambda said: str(said.status or "lost"),
)
@pytest.mark.parametrize("request_", [get, write])
def test_the_token_is_in_no_text(said: Said, request_: Callable[[Repository], object]) -> None:
    """Neither in the message nor in what led to it, nor in what the client shows of itself."""
    with scripted(said) as github, pytest.raises(GitHubUnavailable) as raised:
        request_(github.repository())
    whole = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=False).format())
    assert TOKEN not in whole + str(raised.value) + repr(raised.value) + raised.value.hint
    assert TOKEN not in repr(vars(github.repository()))
