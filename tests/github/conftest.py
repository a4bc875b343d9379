"""A GitHub of its own for each test, and our client on it, with a clock that only waiting moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollout.github.api import Repository
from tests.github.clock import Clock
from tests.github.server import GitHubServer


@pytest.fixture
def clock() -> Clock:
    """The time of GitHub and of the client."""
    return Clock()


@pytest.fixture
def github(tmp_path: Path, clock: Clock) -> Iterator[GitHubServer]:
    """A started GitHub; the test fails where GitHub's description was broken."""
    with GitHubServer(tmp_path, clock=clock) as server:
        yield server


@pytest.fixture
def repository(github: GitHubServer, clock: Clock) -> Repository:
    """Our client with the workflow's token."""
    return Repository(github.repository, token=SecretStr(github.token), url=github.url, clock=clock, sleep=clock.sleep)
