"""The check of a live repository, against the double: whatever the double gets right must pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.github.server import GitHubServer

SCRIPT = Path(__file__).parents[2] / "scripts" / "live-check"


def run(github: GitHubServer, *more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GITHUB_TOKEN": github.token}
    call = [sys.executable, str(SCRIPT), github.repository, "--api", github.url, *more]
    return subprocess.run(call, env=env, capture_output=True, text=True, timeout=120)


def test_the_double_behaves_as_the_live_one_is_expected_to(tmp_path: Path) -> None:
    with GitHubServer(tmp_path) as github:
        number = github.open_pull("Answer faster")
        ran = run(github, "--pull", str(number))
    assert "✗" not in ran.stdout, ran.stdout
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("✓") == 11


def test_what_is_not_as_expected_is_named(tmp_path: Path) -> None:
    with GitHubServer(tmp_path) as github:
        github.permissions["contents"] = "read"
        ran = run(github)
    assert ran.returncode == 1
    assert "✗ a ref outside branches and tags can be made: GitHubForbids" in ran.stdout
