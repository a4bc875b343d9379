"""A ref on GitHub is made once, moves only forward, and says why where it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest
from pydantic import SecretStr

from rollout.errors import GitHubForbids, GitHubUnavailable
from rollout.github.api import Repository
from rollout.github.refs import Refs
from rollout.journals.git_ref import RefStore
from tests.github.clock import Clock
from tests.github.server import GitHubServer

REF = "refs/rollouts/chat/production"
FILE = "journal.jsonl"


@pytest.fixture
def refs(repository: Repository) -> Refs:
    """The refs of the repository."""
    return Refs(repository)


def committed(refs: RefStore, text: str, parent: str = "") -> str:
    """A commit with one file."""
    return refs.commit(name=FILE, text=text, message=f"write {text[:9]}", parent=parent)


def test_a_commit_holds_one_file_and_has_one_parent(refs: Refs, github: GitHubServer) -> None:
    """The text comes back byte by byte, whatever the language; nothing else of the repository is in the tree."""
    text = '{"by":"李雷 🚀 \\u2028"}\r\n\tend without a line break'
    first = committed(refs, text)
    second = committed(refs, "next\n", first)
    assert refs.text(first, FILE) == text
    assert refs.text(second, FILE) == "next\n"
    assert github.git.commit(first).parents == ()
    assert github.git.commit(second).parents == (first,)
    assert list(github.git.entries(github.git.commit(second).tree)) == [FILE]


def test_a_file_that_is_not_there_is_none(refs: Refs) -> None:
    """Nor is one of a commit that is not there."""
    assert refs.text(committed(refs, "x"), "other") is None
    assert refs.text("0" * 40, FILE) is None


def test_a_ref_is_made_once_and_moves_only_forward(refs: Refs, github: GitHubServer) -> None:
    """Whoever comes second is told so, and changes nothing."""
    assert refs.head(REF) == ""
    first, rival = committed(refs, "1"), committed(refs, "one")
    assert refs.move(REF, to=first, parent="") == ""
    assert "already exists" in refs.move(REF, to=rival, parent="")
    second, sibling = committed(refs, "2", first), committed(refs, "two", first)
    assert refs.move(REF, to=second, parent=first) == ""
    assert "fast forward" in refs.move(REF, to=sibling, parent=first)
    assert refs.move(REF, to=second, parent=first) == ""
    assert refs.head(REF) == second == github.git.ref(REF)


def test_a_ref_that_is_gone_is_not_moved(refs: Refs) -> None:
    """A ref that was deleted stays so."""
    first = committed(refs, "1")
    assert "does not exist" in refs.move(REF, to=committed(refs, "2", first), parent=first)
    assert refs.head(REF) == ""


def test_one_commit_follows_another_or_not(refs: Refs) -> None:
    """Itself, and those before it; not a sibling, and not the one after it."""
    first = committed(refs, "1")
    second, sibling = committed(refs, "2", first), committed(refs, "two", first)
    assert refs.follows(second, after=second)
    assert refs.follows(second, after=first)
    assert not refs.follows(second, after=sibling)
    assert not refs.follows(first, after=second)


def test_a_ref_that_has_not_changed_costs_nothing(refs: Refs, repository: Repository) -> None:
    """A rollout that holds looks every few seconds."""
    first = committed(refs, "1")
    refs.move(REF, to=first, parent="")
    refs.head(REF)
    counted = repository.spent.counted
    for _ in range(50):
        assert refs.head(REF) == first
    assert repository.spent.counted == counted
    assert repository.spent.free == 50


def test_objects_are_made_again_where_the_answer_was_lost(refs: Refs, github: GitHubServer) -> None:
    """Nobody sees those that were made in vain."""
    github.fault("POST", "git/trees", status=502, after=True)
    github.fault("POST", "git/commits", drop=True)
    assert refs.text(committed(refs, "1"), FILE) == "1"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("drop", [False, True])
def test_a_ref_is_not_moved_again_by_itself(refs: Refs, github: GitHubServer, after: bool, drop: bool) -> None:
    """Whoever moves it must know that the answer was lost; the second try says nothing wrong in either case."""
    first = committed(refs, "1")
    second = committed(refs, "2", first)
    for to, parent, verb in ((first, "", "POST"), (second, first, "PATCH")):
        github.fault(verb, "git/refs", status=503, after=after, drop=drop)
        with pytest.raises(GitHubUnavailable):
            refs.move(REF, to=to, parent=parent)
        assert github.count(verb, "git/refs") == 1
        refs.move(REF, to=to, parent=parent)
        assert refs.head(REF) == to


def test_of_many_who_move_a_ref_at_once_one_wins(github: GitHubServer, clock: Clock) -> None:
    """They meet before the first of them takes effect, when it is made and when it moves."""
    parent = ""
    for round_ in range(3):
        meeting = github.barrier("git/refs", 4)
        answers: list[tuple[str, str]] = []
        threads = [Thread(target=_move, args=(_client(github, clock), parent, answers, at)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert meeting.met, round_
        (parent,) = [commit for commit, refusal in answers if not refusal]
        assert github.git.ref(REF) == parent


def _client(github: GitHubServer, clock: Clock) -> Refs:
    return Refs(
        Repository(github.repository, token=SecretStr(github.token), url=github.url, clock=clock, sleep=clock.sleep)
    )


def _move(refs: Refs, parent: str, answers: list[tuple[str, str]], at: int) -> None:
    commit = committed(refs, f"{at}", parent)
    answers.append((commit, refs.move(REF, to=commit, parent=parent)))


def test_a_token_that_may_only_read_is_told_so(refs: Refs, github: GitHubServer) -> None:
    """It is no outage and no race."""
    github.permissions["contents"] = "read"
    works: tuple[Callable[[], object], ...] = (
        lambda: committed(refs, "1"),
        lambda: refs.move(REF, to="0" * 40, parent=""),
        lambda: refs.move(REF, to="0" * 40, parent="1" * 40),
    )
    for work in works:
        with pytest.raises(GitHubForbids):
            work()
    assert refs.head(REF) == ""


def test_in_a_hurry_nothing_is_tried_for_long(refs: Refs, github: GitHubServer, clock: Clock) -> None:
    """The process is killed soon."""
    refs.hurry(timedelta(seconds=4))
    github.fault("", "git", status=503, times=99)
    begun = clock()
    with pytest.raises(GitHubUnavailable):
        committed(refs, "1")
    assert clock() - begun <= timedelta(seconds=4)
