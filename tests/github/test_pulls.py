"""A release leads to the pull request that brought it, however it was merged, and to everything that came with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.errors import ConfigurationError, GitHubUnavailable
from rollout.github import pulls
from rollout.github.api import Repository
from rollout.github.pulls import Change, Pull, commit_of, pull_of, shipped_between
from tests.github.clock import Clock
from tests.github.server import GitHubServer

HOW = ("merge", "squash", "rebase")


def merged(github: GitHubServer, title: str, how: str = "squash", *, author: str = "ada", commits: int = 1) -> str:
    """Somebody's pull request is opened and merged; the commit that main is at then."""
    return github.merge_pull(github.open_pull(title, author=author, commits=commits), how)


def number_of(github: GitHubServer, title: str) -> int:
    """The pull request with this title."""
    return next(pull.number for pull in github.facts.pulls.values() if pull.title == title)


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_leads_to_its_commit(github: GitHubServer, repository: Repository, *, annotated: bool) -> None:
    """Also where the tag is an object of its own."""
    github.tag("v1.4.0", github.head(), annotated=annotated)
    assert commit_of(repository, "v1.4.0") == github.head()
    assert github.count("GET", "git/") == (2 if annotated else 1)


def test_a_tag_of_a_tag_leads_to_the_commit(github: GitHubServer, repository: Repository) -> None:
    """As git allows it."""
    inner = github.tag("inner", github.head(), annotated=True)
    github.tag("outer", inner, annotated=True)
    assert commit_of(repository, "outer") == github.head()


def test_a_tag_that_is_not_there_is_named(github: GitHubServer, repository: Repository) -> None:
    """Another tag that begins like it is not taken for it."""
    github.tag("v1.4.0")
    with pytest.raises(ConfigurationError, match=r"no tag v1\.4 in octo/chat") as raised:
        commit_of(repository, "v1.4")
    assert "git push origin v1.4" in raised.value.hint


@pytest.mark.parametrize("how", HOW)
def test_the_pull_request_is_found_however_it_was_merged(
    github: GitHubServer, repository: Repository, how: str
) -> None:
    """A rebase leaves no trace in git; GitHub keeps its own record."""
    github.person("cid", "write")
    sha = merged(github, "Answer faster", how, author="cid", commits=2)
    number = number_of(github, "Answer faster")
    assert pull_of(repository, sha) == Pull(
        number=number, title="Answer faster", author="cid", url=f"https://github.com/octo/chat/pull/{number}"
    )


def test_a_commit_that_was_pushed_has_no_pull_request(github: GitHubServer, repository: Repository) -> None:
    """Then there is no thread to steer the release from."""
    merged(github, "Before")
    assert pull_of(repository, github.commit({"a": "b"}, "Straight to main")) is None


def test_an_open_pull_request_is_not_taken(github: GitHubServer, repository: Repository) -> None:
    """Its commit is not on the default branch, and neither is what it may become."""
    number = github.open_pull("Not yet")
    assert pull_of(repository, github.facts.pulls[number].head_sha) is None


def test_a_fix_on_a_branch_of_its_own_is_found(github: GitHubServer, repository: Repository) -> None:
    """A release from a branch of fixes is steered in the pull request that was merged there."""
    github.commit({"fix": "base"}, "Branch off", parents=(github.head(),), branch="fixes")
    number = github.open_pull("Mend it", base="fixes")
    sha = github.merge_pull(number, "merge")
    github.facts.pulls[number].head_sha = sha  # off the default branch, the double goes by the branch that was merged
    found = pull_of(repository, sha)
    assert found is not None
    assert found.number == number


def test_a_part_of_unmerged_work_is_not_taken(github: GitHubServer, repository: Repository) -> None:
    """A pull request into another one's branch brought nothing to users by itself, unless this is its very result."""
    github.commit({"work": "base"}, "Work", parents=(github.head(),), branch="work")
    number = github.open_pull("A part", base="work", commits=2)
    github.merge_pull(number, "merge")
    assert pull_of(repository, github.facts.pulls[number].head_sha) is None


def test_of_several_pull_requests_the_one_whose_result_it_is_comes_first(
    github: GitHubServer, repository: Repository, clock: Clock
) -> None:
    """Else the one that was merged last."""
    sha = merged(github, "First")
    clock.sleep(timedelta(minutes=1).total_seconds())
    merged(github, "Second")
    first, second = (github.facts.pulls[number_of(github, title)] for title in ("First", "Second"))
    second.brought = (sha, *second.brought)
    found = pull_of(repository, sha)
    assert found is not None
    assert found.number == first.number
    first.merge_commit = second.merge_commit
    found = pull_of(repository, sha)
    assert found is not None
    assert found.number == second.number


def test_the_changes_between_two_releases_have_their_pull_requests(
    github: GitHubServer, repository: Repository
) -> None:
    """The newest first, with the titles and authors that people know them by; what a merge brought is one change."""
    github.person("bob", "write")
    before = merged(github, "In both")
    squashed = merged(github, "Squashed", "squash", author="bob", commits=3)
    merge = merged(github, "Merged", "merge", commits=3)
    rebased = merged(github, "Rebased", "rebase", commits=2)
    pushed = github.commit({"a": "b"}, "Straight to main\n\nwith reasons", "bob")
    github.tag("v1", before)
    github.tag("v2", pushed, annotated=True)
    expected = (
        Change(sha=pushed, title="Straight to main", author="bob", pull=None),
        Change(sha=rebased, title="Rebased", author="ada", pull=number_of(github, "Rebased")),
        Change(sha=merge, title="Merged", author="ada", pull=number_of(github, "Merged")),
        Change(sha=squashed, title="Squashed", author="bob", pull=number_of(github, "Squashed")),
    )
    assert shipped_between(repository, before, pushed) == expected
    assert github.count("GET", "/pulls$") == 5
    assert shipped_between(repository, "v1", "v2") == expected


def test_no_more_changes_are_looked_at_than_asked_for(github: GitHubServer, repository: Repository) -> None:
    """Each costs a request."""
    before = github.head()
    after = [github.commit({"a": str(number)}, f"Change {number}") for number in range(5)][-1]
    shipped = shipped_between(repository, before, after, most=2)
    assert [change.title for change in shipped] == ["Change 4", "Change 3"]
    assert github.count("GET", "/pulls$") == 2


@pytest.mark.parametrize("wanted", [1, 6, 7, 30])
def test_of_many_commits_the_newest_are_read(github: GitHubServer, repository: Repository, wanted: int) -> None:
    """GitHub sends the oldest first, a page at a time; at most three pages at the end are read."""
    before = github.head()
    shas = [github.commit({"a": str(number)}, f"Change {number}") for number in range(wanted)]
    found = [commit["sha"] for commit in pulls._commits_between(repository, before, shas[-1], per_page=2)]
    assert found == shas[-len(found) :]
    assert min(wanted, 5) <= len(found) <= 6
    assert github.count("GET", "compare/") <= 4


def test_without_anything_new_there_are_no_changes(github: GitHubServer, repository: Repository) -> None:
    """The same release again, an older one, or one that GitHub does not know."""
    before = github.head()
    after = github.commit({"a": "b"}, "Newer")
    assert shipped_between(repository, after, after) == ()
    assert shipped_between(repository, after, before) == ()
    assert shipped_between(repository, "0" * 40, after) == ()
    assert shipped_between(repository, before, "v9") == ()


def test_somebody_who_has_left_is_a_ghost() -> None:
    """As GitHub calls them."""
    assert pulls._login(None) == "ghost"


def test_an_outage_is_not_taken_for_an_answer(github: GitHubServer, repository: Repository) -> None:
    """No pull request, and no word about pull requests, are two things."""
    github.fault("GET", "/pulls$", status=502, times=5)
    with pytest.raises(GitHubUnavailable):
        pull_of(repository, github.head())
