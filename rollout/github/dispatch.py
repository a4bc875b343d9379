"""How a rollout wakes itself: it asks for a fresh run of its own workflow, on the default branch.

`workflow_dispatch` is one of the two events that a workflow's own token may cause:
https://docs.github.com/actions/concepts/security/github_token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rollout.errors import ConfigurationError
from rollout.github.api import Repository, quoted

_WORKFLOW: Final = re.compile(r"[^/]+/[^/]+/\.github/workflows/(?P<file>[^/@]+)@.+")


def workflow_of(reference: str) -> str:
    """The name of the workflow's file, from GITHUB_WORKFLOW_REF (`octo/chat/.github/workflows/rollout.yml@refs/...`).

    Raises ConfigurationError where it is none.
    """
    found = _WORKFLOW.fullmatch(reference)
    if found is None:
        raise ConfigurationError(
            f"GITHUB_WORKFLOW_REF is {reference!r}, which names no workflow",
            hint="a rollout can wake itself only in a workflow of GitHub Actions",
        )
    return found["file"]


def default_branch(repository: Repository) -> str:
    """The name of the branch whose workflows are dispatched, scheduled and run for comments."""
    return str(repository.get("").body["default_branch"])


def dispatch(repository: Repository, workflow: str, *, inputs: Mapping[str, str] | None = None) -> None:
    """Ask for a run of the workflow with this file name, on the default branch. It may start twice: ticks do no harm.

    Raises ConfigurationError where the workflow cannot be dispatched, and GitHubForbids without `actions: write`.
    """
    branch = default_branch(repository)
    body = {"ref": branch} | ({"inputs": dict(inputs)} if inputs else {})
    path = f"actions/workflows/{quoted(workflow)}/dispatches"
    answer = repository.send("POST", path, body, but=frozenset({404, 422}), again=True)
    match answer.status:
        case 404:
            raise ConfigurationError(
                f"there is no .github/workflows/{workflow} on {branch}, so no fresh run can be asked for",
                hint=f"merge the workflow to {branch}",
            )
        case 422:
            raise ConfigurationError(
                f".github/workflows/{workflow} on {branch} cannot be dispatched: {answer.message}",
                hint="give it `on: workflow_dispatch:` with an optional input `tag`",
            )
        case _:
            return
