"""An order is acknowledged under the comment itself, once, and a comment that is gone stops nothing."""

from __future__ import annotations

import pytest

from rollout.errors import GitHubForbids
from rollout.github.api import Repository
from rollout.github.reactions import Reaction, react
from tests.github.server import GitHubServer


@pytest.fixture
def comment(github: GitHubServer) -> int:
    """Somebody's order."""
    return github.say(github.open_pull("Answer faster"), "ada", "/rollout abort").id


@pytest.mark.parametrize("reaction", Reaction)
def test_every_reaction_is_one_that_github_knows(
    github: GitHubServer, repository: Repository, comment: int, reaction: Reaction
) -> None:
    """And is shown once, however often it is said."""
    assert react(repository, comment, reaction)
    assert react(repository, comment, reaction)
    assert [(one.comment, one.content) for one in github.facts.reactions.values()] == [(comment, str(reaction))]


def test_a_reaction_is_repeated_through_an_outage(github: GitHubServer, repository: Repository, comment: int) -> None:
    """Also where it had taken effect."""
    github.fault("POST", "reactions", status=502, times=2, after=True)
    assert react(repository, comment, Reaction.READ)
    assert len(github.facts.reactions) == 1


def test_under_a_comment_that_is_gone_there_is_nothing_to_show(
    github: GitHubServer, repository: Repository, comment: int
) -> None:
    """Its order counts all the same."""
    del github.facts.comments[comment]
    assert not react(repository, comment, Reaction.READ)


def test_without_the_permission_the_error_says_so(github: GitHubServer, repository: Repository, comment: int) -> None:
    """The caller goes on: a reaction is a decoration."""
    github.permissions["issues"] = github.permissions["pull-requests"] = "read"
    with pytest.raises(GitHubForbids):
        react(repository, comment, Reaction.READ)
