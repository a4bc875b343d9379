"""What the tests of the demo share: a marker for tests that need real programs, and the service as a child process."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from rollout.demo import service
from rollout.demo.parts import free_port, missing
from rollout.demo.processes import running

type_of_service = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def needs() -> Callable[..., None]:
    """Skip the test, saying which package is missing, unless all these programs are here."""

    def check(*programs: str) -> None:
        lacking = [part.package for part in missing() if part.program in programs]
        if lacking:
            pytest.skip(f"missing: {', '.join(lacking)} (scripts/system-packages installs it)")

    return check


@pytest.fixture
def chat(tmp_path: Path) -> type_of_service:
    """Run the demo's service with these variables; the block gets its base URL."""

    @contextlib.contextmanager
    def start(**env: str) -> Iterator[str]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"

        def listening() -> bool:
            try:
                requests.get(f"{url}/api/health", timeout=1)
            except requests.ConnectionError:
                return False
            return True

        variables = {**os.environ, "PORT": str(port), "LATENCY_MS": "1", "SEED": "1", **env}
        argv = [sys.executable, "-I", service.__file__]
        with running(argv, log=tmp_path / f"{port}.log", ready=listening, env=variables):
            yield url

    return start
