"""What somebody may do is asked of GitHub, and an answer that is none lets nobody order."""

from __future__ import annotations

import pytest

from rollout.errors import GitHubUnavailable
from rollout.github.api import Repository
from rollout.github.people import Permission, permission
from tests.github.server import GitHubServer


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("none", Permission.NONE),
        ("read", Permission.READ),
        ("triage", Permission.READ),
        ("write", Permission.WRITE),
        ("maintain", Permission.WRITE),
        ("admin", Permission.ADMIN),
    ],
)
def test_every_role_is_one_of_four_permissions(
    github: GitHubServer, repository: Repository, role: str, expected: Permission
) -> None:
    """As GitHub maps them."""
    github.person("bob", role)
    assert permission(repository, "bob") is expected


@pytest.mark.parametrize("login", ["nobody", "", "renovate[bot]", "../../user", "a b?c#d"])
def test_somebody_whom_github_does_not_know_here_may_do_nothing(repository: Repository, login: str) -> None:
    """Whatever the login looks like, it stays one part of the path."""
    assert permission(repository, login) is Permission.NONE


def test_a_permission_that_was_taken_away_is_gone(github: GitHubServer, repository: Repository) -> None:
    """It is asked again each time, for nothing while it has not changed."""
    github.person("bob", "write")
    assert permission(repository, "bob").reaches(Permission.WRITE)
    assert permission(repository, "bob").reaches(Permission.WRITE)
    github.person("bob", "read")
    assert not permission(repository, "bob").reaches(Permission.WRITE)
    assert github.count("GET", "permission") == 2


def test_an_outage_lets_nobody_order(github: GitHubServer, repository: Repository) -> None:
    """Nor does a word that is no permission."""
    github.person("bob", "write")
    github.fault("GET", "permission", times=5)
    with pytest.raises(GitHubUnavailable):
        permission(repository, "bob")


def test_permissions_have_an_order() -> None:
    """Each reaches itself and what is below it."""
    ranks = list(Permission)
    for rank, one in enumerate(ranks):
        assert [one.reaches(other) for other in ranks] == [rank >= below for below in range(len(ranks))]
