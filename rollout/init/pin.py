"""Which commit of the action a new workflow names: the one that this program is, where it can know that.

It asks git and the installer's own record, and never the network.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from rollout import __version__

REPOSITORY: Final = "rollout-orchestrator/rollout"
PLACEHOLDER: Final = "0" * 40
"""Stands where a commit belongs that only a person can look up; `rollout doctor` finds it."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ON_GITHUB: Final = re.compile(
    r"(?:https://|ssh://git@|git@)github\.com[:/]([A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A commit of the action, as a workflow names it."""

    repository: str = REPOSITORY
    commit: str = PLACEHOLDER

    def __str__(self) -> str:
        version = f"v{__version__}"
        if self.commit == PLACEHOLDER:
            return f"{self.repository}@{self.commit} # FILL IN: the commit of {version}"
        return f"{self.repository}@{self.commit} # {version}"


def pin_of_this_program(package: Path = Path(__file__).parents[1]) -> Pin:
    """The commit that `package` was installed from (PEP 610), or is checked out at; else the placeholder."""
    url, commit = _as_installed()
    if not commit and (package.parent / "action.yml").is_file():
        url, commit = _git(package.parent, "remote", "get-url", "origin"), _git(package.parent, "rev-parse", "HEAD")
    found = _ON_GITHUB.fullmatch(url)
    if found is None or not _COMMIT.fullmatch(commit):
        return Pin()
    return Pin(repository=found[1], commit=commit)


def _as_installed() -> tuple[str, str]:
    try:
        written = distribution("rollout-orchestrator").read_text("direct_url.json")
    except PackageNotFoundError:
        return "", ""
    record = json.loads(written) if written else {}
    return str(record.get("url", "")), str(record.get("vcs_info", {}).get("commit_id", ""))


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
