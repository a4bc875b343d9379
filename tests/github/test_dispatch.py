"""A rollout wakes itself by a fresh run of its own workflow, or says why it cannot."""

from __future__ import annotations

import pytest

from rollout.errors import ConfigurationError, GitHubForbids, GitHubUnavailable
from rollout.github.api import Repository
from rollout.github.dispatch import default_branch, dispatch, workflow_of
from tests.github.server import GitHubServer

FILE = ".github/workflows/rollout.yml"


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("octo/chat/.github/workflows/rollout.yml@refs/heads/main", "rollout.yml"),
        ("octo/chat/.github/workflows/rollout.yaml@refs/tags/v1.4.0", "rollout.yaml"),
        ("octo/chat/.github/workflows/a b.yml@refs/heads/me@home/x", "a b.yml"),
        ("octo/chat/.github/workflows/rollout.yml@0123456789", "rollout.yml"),
    ],
)
def test_the_workflow_is_the_one_that_runs(reference: str, file: str) -> None:
    """Whatever it was started for."""
    assert workflow_of(reference) == file


@pytest.mark.parametrize("reference", ["", "rollout.yml", "octo/chat/rollout.yml@main", "octo/chat/.github/workflows/"])
def test_outside_a_workflow_there_is_none(reference: str) -> None:
    """The error names the variable."""
    with pytest.raises(ConfigurationError, match="GITHUB_WORKFLOW_REF"):
        workflow_of(reference)


def test_a_run_is_dispatched_on_the_default_branch(github: GitHubServer, repository: Repository) -> None:
    """Not on the tag that this run was started for: a tag's workflow may be years old."""
    github.tag("v1")
    dispatch(repository, "rollout.yml")
    dispatch(repository, "rollout.yml", inputs={"tag": "v1"})
    first, second = github.facts.runs.values()
    assert (first.ref, first.event, first.inputs) == ("main", "workflow_dispatch", {})
    assert second.inputs == {"tag": "v1"}
    assert default_branch(repository) == "main"


def test_a_dispatch_is_repeated_through_an_outage(github: GitHubServer, repository: Repository) -> None:
    """A second run finds nothing to do; none at all would leave a rollout alone."""
    github.fault("POST", "dispatches", status=502, times=2)
    dispatch(repository, "rollout.yml")
    assert len(github.facts.runs) == 1
    github.fault("POST", "dispatches", status=502, after=True)
    dispatch(repository, "rollout.yml")
    assert len(github.facts.runs) == 3


@pytest.mark.parametrize("name", ["other.yml", "../rollout.yml"])
def test_a_workflow_that_is_not_on_the_default_branch_is_named(
    github: GitHubServer, repository: Repository, name: str
) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=r"no \.github/workflows/.* on main") as raised:
        dispatch(repository, name)
    assert "main" in raised.value.hint


def test_a_workflow_that_cannot_be_dispatched_is_named(github: GitHubServer, repository: Repository) -> None:
    """With GitHub's own words, and what to add."""
    github.commit({FILE: "on: push\njobs: {}\n"}, "Forget the dispatch")
    with pytest.raises(ConfigurationError, match="workflow_dispatch") as raised:
        dispatch(repository, "rollout.yml")
    assert "workflow_dispatch" in raised.value.hint


def test_an_input_that_the_workflow_does_not_take_is_named(github: GitHubServer, repository: Repository) -> None:
    """GitHub refuses the whole dispatch for it."""
    with pytest.raises(ConfigurationError, match="Unexpected inputs"):
        dispatch(repository, "rollout.yml", inputs={"tug": "v1"})


def test_without_the_permission_the_error_says_so(github: GitHubServer, repository: Repository) -> None:
    """It is `actions: write`."""
    github.permissions["actions"] = "read"
    with pytest.raises(GitHubForbids):
        dispatch(repository, "rollout.yml")


def test_an_outage_that_lasts_is_an_error(github: GitHubServer, repository: Repository) -> None:
    """Then the watchdog is what wakes the rollout."""
    github.fault("POST", "dispatches", status=503, times=5)
    with pytest.raises(GitHubUnavailable):
        dispatch(repository, "rollout.yml")
