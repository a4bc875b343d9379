"""A rollout keeps one comment on a pull request, says each new thing once, and touches nobody else's words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable
from rollout.github import comments
from rollout.github.api import Repository
from rollout.github.comments import CUT, LONGEST, Thread
from tests.github.clock import Clock
from tests.github.server import GitHubServer
from tests.github.world import ACTIONS_BOT

MARKER = "<!-- rollout:v1 service=chat environment=production id=12-v2 kind=status -->"
OTHER = MARKER.replace("status", "rolled_back")
BODY = f"{MARKER}\n## v2 at 5 %"
NEWER = f"{MARKER}\n## v2 at 10 %"


@pytest.fixture
def number(github: GitHubServer) -> int:
    """A pull request that was merged."""
    number = github.open_pull("Answer faster")
    github.merge_pull(number)
    return number


def bodies(github: GitHubServer) -> list[tuple[str, str]]:
    """Everything that has been said, and by whom."""
    return [(comment.author, comment.body) for comment in github.facts.comments.values()]


def test_the_comment_is_made_once_and_edited_from_then_on(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """What stands there already costs no request."""
    thread = Thread(repository, number)
    first = thread.keep(MARKER, BODY)
    assert first.new
    assert first.url.endswith(f"/pull/{number}#issuecomment-{first.id}")
    before = len(github.requests)
    assert not thread.keep(MARKER, BODY).new
    assert len(github.requests) == before
    again = thread.keep(MARKER, NEWER)
    assert again.id == first.id
    assert bodies(github) == [(ACTIONS_BOT, NEWER)]
    assert len(github.requests) == before + 1


def test_another_run_finds_the_comment_again(github: GitHubServer, repository: Repository, number: int) -> None:
    """By marker and author, behind more than a page of talk; and does not write what stands there."""
    for count in range(101):
        github.say(number, "ada", f"remark {count}")
    first = Thread(repository, number).keep(MARKER, BODY)
    assert Thread(repository, number).keep(MARKER, BODY).id == first.id
    assert github.count("PATCH") == 0
    assert Thread(repository, number).keep(MARKER, NEWER).id == first.id
    assert len(github.facts.comments) == 102


def test_a_comment_that_was_stored_with_other_ends_of_lines_is_the_same(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """The form on the web sends them so."""
    first = Thread(repository, number).keep(MARKER, BODY)
    github.facts.comments[first.id].body = BODY.replace("\n", "\r\n")
    assert Thread(repository, number).keep(MARKER, BODY).id == first.id
    assert github.count("PATCH") == 0


@pytest.mark.parametrize("login", ["ada", "mallory"])
def test_a_marker_that_somebody_copied_is_left_alone(
    github: GitHubServer, repository: Repository, number: int, login: str
) -> None:
    """What is not ours is never edited, and does not keep us from speaking."""
    github.say(number, login, BODY)
    thread = Thread(repository, number)
    assert thread.keep(MARKER, NEWER).new
    assert thread.say_once(OTHER, f"{OTHER}\nwent back").new
    assert bodies(github)[0] == (login, BODY)
    assert len(github.facts.comments) == 3


@pytest.mark.parametrize(
    "body",
    [
        f"> {MARKER}\n> quoted",
        f"Look:\n{MARKER}",
        f"{MARKER} and more\nof it",
        MARKER.replace("12-v2", "12-v20") + "\nanother rollout",
        "",
    ],
)
def test_only_the_whole_first_line_is_the_marker(
    github: GitHubServer, repository: Repository, number: int, body: str
) -> None:
    """Also in what the same account has written."""
    github.say(number, ACTIONS_BOT, body or "x")
    assert Thread(repository, number).keep(MARKER, BODY).new


def test_a_person_with_a_token_of_their_own_is_known_by_name(github: GitHubServer, clock: Clock, number: int) -> None:
    """Then the workflow's own comments are somebody else's."""
    github.say(number, ACTIONS_BOT, BODY)
    token = SecretStr(github.token_of("ada"))
    repository = Repository(github.repository, token=token, url=github.url, clock=clock, sleep=clock.sleep)
    first = Thread(repository, number).keep(MARKER, BODY)
    assert first.new
    assert Thread(repository, number).keep(MARKER, NEWER).id == first.id
    assert bodies(github) == [(ACTIONS_BOT, BODY), ("ada", NEWER)]


def test_another_app_of_the_owners_finds_its_own_comment(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """Its token cannot ask who it is either; no person can write as an app."""
    github.say(number, "our-releases[bot]", BODY)
    assert not Thread(repository, number).keep(MARKER, NEWER).new
    assert bodies(github) == [("our-releases[bot]", NEWER)]


def test_a_limit_is_not_taken_for_the_answer_to_who_we_are(github: GitHubServer, clock: Clock, number: int) -> None:
    """GitHub answers 403 to both; taken for an app, a person would say everything twice."""
    token = SecretStr(github.token_of("ada"))
    repository = Repository(github.repository, token=token, url=github.url, clock=clock, sleep=clock.sleep)
    first = Thread(repository, number).keep(MARKER, BODY)
    github.secondary_limit(1, 5, method="GET", path="/user$")
    again = Repository(github.repository, token=token, url=github.url, clock=clock, sleep=clock.sleep)
    assert Thread(again, number).keep(MARKER, NEWER).id == first.id


def test_who_we_are_is_asked_only_where_a_marker_is_seen(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """And once."""
    Thread(repository, number).keep(MARKER, BODY)
    assert github.count("GET", "/user$") == 0
    thread = Thread(repository, number)
    thread.keep(MARKER, BODY)
    thread.say_once(OTHER, f"{OTHER}\nwent back")
    assert github.count("GET", "/user$") == 1


def test_news_are_said_once(github: GitHubServer, repository: Repository, number: int) -> None:
    """By this run, and by the one that takes over."""
    thread = Thread(repository, number)
    said = thread.say_once(OTHER, f"{OTHER}\nwent back")
    assert said.new
    assert not thread.say_once(OTHER, f"{OTHER}\nwent back, in other words").new
    assert Thread(repository, number).say_once(OTHER, f"{OTHER}\nlater").id == said.id
    assert bodies(github) == [(ACTIONS_BOT, f"{OTHER}\nwent back")]


def test_a_comment_that_somebody_deleted_is_made_again(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """There is one, whatever happens to it."""
    thread = Thread(repository, number)
    first = thread.keep(MARKER, BODY)
    del github.facts.comments[first.id]
    again = thread.keep(MARKER, NEWER)
    assert again.new
    assert thread.keep(MARKER, BODY).id == again.id
    assert bodies(github) == [(ACTIONS_BOT, BODY)]


def test_a_comment_that_was_deleted_and_could_not_be_made_again_is_not_taken_to_be_there(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """Also where the next words are the ones it had."""
    thread = Thread(repository, number)
    github.facts.comments.pop(thread.keep(MARKER, BODY).id)
    github.fault("POST", "comments", status=503, times=2)
    with pytest.raises(GitHubUnavailable):
        thread.keep(MARKER, NEWER)
    assert thread.keep(MARKER, BODY).new


@pytest.mark.parametrize("drop", [False, True])
def test_a_comment_that_was_made_although_the_answer_was_lost_is_found(
    github: GitHubServer, repository: Repository, number: int, *, drop: bool
) -> None:
    """It is not made twice."""
    github.fault("POST", "comments", status=502, after=True, drop=drop)
    thread = Thread(repository, number)
    first = thread.keep(MARKER, BODY)
    assert thread.keep(MARKER, NEWER).id == first.id
    assert bodies(github) == [(ACTIONS_BOT, NEWER)]


def test_a_comment_that_was_not_made_is_tried_again(github: GitHubServer, repository: Repository, number: int) -> None:
    """A rollback must not stay unsaid for one bad answer."""
    github.fault("POST", "comments", status=503)
    assert Thread(repository, number).say_once(OTHER, f"{OTHER}\nwent back").new
    assert len(github.facts.comments) == 1


def test_an_outage_is_an_error_and_the_next_try_says_it_once(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """Whatever took effect."""
    github.fault("POST", "comments", status=503, times=2)
    thread = Thread(repository, number)
    with pytest.raises(GitHubUnavailable):
        thread.say_once(OTHER, f"{OTHER}\nwent back")
    assert thread.say_once(OTHER, f"{OTHER}\nwent back").new
    assert len(github.facts.comments) == 1


def test_an_edit_is_repeated_through_an_outage(github: GitHubServer, repository: Repository, number: int) -> None:
    """Said twice it is the same."""
    thread = Thread(repository, number)
    thread.keep(MARKER, BODY)
    github.fault("PATCH", "comments", status=502, times=2, after=True)
    thread.keep(MARKER, NEWER)
    assert bodies(github) == [(ACTIONS_BOT, NEWER)]


@pytest.mark.parametrize(("kind", "status"), [(GitHubForbids, 403), (GitHubUnavailable, 422), (GitHubUnavailable, 410)])
def test_a_refusal_is_an_error_at_once(
    github: GitHubServer, repository: Repository, number: int, kind: type[GitHubUnavailable], status: int
) -> None:
    """A locked thread, a spammer's account, or a body that GitHub does not take: to repeat it is no use."""
    github.fault("POST", "comments", status=status, times=9, message="no")
    with pytest.raises(kind, match="no"):
        Thread(repository, number).keep(MARKER, BODY)


def test_a_limit_is_an_error_and_makes_no_second_comment(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """It says when to come again."""
    github.primary_limit(1)
    with pytest.raises(GitHubLimits):
        Thread(repository, number).keep(MARKER, BODY)
    assert github.count("POST", "comments") <= 1


def test_two_runs_that_write_at_once_settle_on_the_older_comment(
    github: GitHubServer, repository: Repository, number: int
) -> None:
    """One does not see the other in time; from then on one of the two comments is kept."""
    Thread(repository, number).keep(MARKER, BODY)
    github.stale_reads(1, "comments")
    Thread(repository, number).keep(MARKER, NEWER)
    first, second = github.facts.comments.values()
    assert Thread(repository, number).keep(MARKER, f"{MARKER}\nlast").id == first.id
    assert second.body == NEWER


@pytest.mark.parametrize(("sign", "lines"), [("a", 1300), ("界", 1300), ("🚀", 1300), ("🚀", 700)])
def test_a_comment_is_never_longer_than_github_takes(
    github: GitHubServer, repository: Repository, number: int, sign: str, lines: int
) -> None:
    """It ends after a whole line and says that something is left out."""
    line = sign * 50 + "\n"
    Thread(repository, number).keep(MARKER, f"{MARKER}\n{line * lines}")
    ((_, body),) = bodies(github)
    assert re.fullmatch(f"{MARKER}\n({line})+{re.escape(CUT.removeprefix(chr(10)))}", body)
    assert len(body.encode("utf-16-le")) // 2 <= LONGEST
    assert Thread(repository, number).keep(MARKER, f"{MARKER}\n{line * lines}").id
    assert github.count("PATCH") == 0


@given(text=st.text(), times=st.integers(1, 70_000))
@settings(max_examples=30)
def test_whatever_is_said_fits_and_keeps_its_marker(text: str, times: int) -> None:
    """A body that fits is not changed."""
    body = f"{MARKER}\n{text * min(times, 200_000 // max(len(text), 1))}"
    try:
        fit = comments._fit(MARKER, body)
    except UnicodeEncodeError:
        return
    assert fit.startswith(f"{MARKER}\n")
    assert len(fit) <= len(fit.encode("utf-16-le")) // 2 <= LONGEST
    assert fit == body or fit.endswith(CUT)


@pytest.mark.parametrize("body", ["hello", f"x\n{MARKER}", f"{MARKER}x\n"])
def test_a_body_without_its_marker_is_a_mistake(repository: Repository, body: str) -> None:
    """It would never be found again."""
    with pytest.raises(ValueError, match="marker"):
        Thread(repository, 1).keep(MARKER, body)
