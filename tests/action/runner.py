"""A real runner of workflows, act, on the tests' GitHub: a job runs our action.yml as a user's workflow calls it.

act runs on this machine without containers. What it cannot fetch is handed to it: our action from this tree, and
actions/setup-python as one that is never needed here. What it does not know yet is taken out (`UNKNOWN`).
A job that act cancels is killed outright; the signals of GitHub's runner are sent by the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from rollout.init import PLACEHOLDER
from tests.github.server import GitHubServer
from tests.github.wire import Json

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(sys.executable).parent
WORKFLOW: Final = Path(".github/workflows/rollout.yml")
UNKNOWN: Final = re.compile(r"^ +(?:queue: max|deployment: false)\b.*\n", re.MULTILINE)
"""Keys of 2026 that act does not know yet."""
OURS: Final = f"rollout-orchestrator/rollout@{PLACEHOLDER}"
NO_SECRETS: Final[Mapping[str, str]] = MappingProxyType({})
_OUTPUT: Final = re.compile(r"::set-output:: ([a-z-]+)=(.*)$", re.MULTILINE)
_PYTHON: Final = {
    "name": "A Python that is not needed",
    "description": "Stands for actions/setup-python, which cannot be fetched here.",
    "runs": {"using": "composite", "steps": [{"run": "exit 1", "shell": "bash"}]},
}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run of a workflow that has ended."""

    code: int
    """act's: 0 where every job was green."""
    text: str
    outputs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A run of a workflow that goes on."""

    process: subprocess.Popen[str]

    def program(self) -> int | None:
        """The process of Rollout that a job has started, once there is one."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(entry) == self.process.pid and b"rollout" in _words(entry):
                return int(entry.name)
        return None

    def kill(self) -> None:
        """As when a machine loses its power: the program first, and then the runner, without a word."""
        if (program := self.program()) is not None:
            os.kill(program, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()

    def end(self, *, within_s: float = 60) -> Ran:
        """Wait for its end. What it wrote so far is the message where it does not come."""
        try:
            text, _ = self.process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError((late.output or b"").decode(errors="replace")) from None
        return Ran(code=self.process.returncode, text=text, outputs=dict(_OUTPUT.findall(text)))


class Runner:
    """Runs the workflow that lies in a repository of the tests' GitHub, event by event."""

    def __init__(self, github: GitHubServer, folder: Path) -> None:
        self._github = github
        self._folder = folder
        self._action = _copy_of_the_action(folder / "action")
        self._python = folder / "setup-python"
        self._python.mkdir()
        (self._python / "action.yml").write_text(yaml.safe_dump(_PYTHON))
        self._runs = 0

    def run(self, event: str, payload: Json, secrets: Mapping[str, str] = NO_SECRETS, *, within_s: float = 180) -> Ran:
        """One run on an event, to its end."""
        with self.started(event, payload, secrets) as running:
            return running.end(within_s=within_s)

    @contextmanager
    def started(self, event: str, payload: Json, secrets: Mapping[str, str] = NO_SECRETS) -> Iterator[Running]:
        """A run on an event, which is killed at the end of the block if it has not ended."""
        self._runs += 1
        place = self._folder / f"run-{self._runs}"
        ref = str(payload.get("ref", "refs/heads/main"))
        work = self._work_tree(place / "work", ref)
        (place / "event.json").write_text(json.dumps(payload))
        process = subprocess.Popen(
            self._argv(event, place / "event.json", ref, secrets),
            cwd=work,
            env=self._env(place, secrets),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running = Running(process=process)
        try:
            yield running
        finally:
            if process.poll() is None:
                running.kill()

    def _argv(self, event: str, payload: Path, ref: str, secrets: Mapping[str, str]) -> list[str]:
        setup = re.search(r"uses: (actions/setup-python@\S+)", (ROOT / "action.yml").read_text())
        assert setup is not None
        env = {
            "GITHUB_API_URL": self._github.url,
            "GITHUB_RUN_ID": str(9000 + self._runs),
            "GITHUB_WORKFLOW_REF": f"{self._github.repository}/{WORKFLOW}@{ref}",
            "ROLLOUT_JOURNAL": str(self._folder / "files"),  # where evidence is kept
            "RUNNER_TOOL_CACHE": str(self._folder / "tools"),
        }
        return [
            *(str(PROGRAMS / "act"), event, "--eventpath", str(payload), "--no-cache-server"),
            *("--platform", "ubuntu-24.04=-self-hosted", "--platform", "self-hosted=-self-hosted"),
            *("--local-repository", f"{OURS}={self._action}", "--local-repository", f"{setup[1]}={self._python}"),
            *(word for name, value in env.items() for word in ("--env", f"{name}={value}")),
            *(word for name in ("GITHUB_TOKEN", *secrets) for word in ("--secret", name)),
        ]

    def _env(self, place: Path, secrets: Mapping[str, str]) -> dict[str, str]:
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"  # uv, which installs in a second
        own = {"PATH": path, "XDG_CACHE_HOME": str(place / "cache"), "GITHUB_TOKEN": self._github.token}
        return {**os.environ, **own, **secrets}

    def _work_tree(self, work: Path, ref: str) -> Path:
        def git(*words: str) -> None:
            subprocess.run(["git", "-C", str(work), *words], check=True, capture_output=True)

        work.mkdir(parents=True)
        git("init", "--quiet")
        git("fetch", "--quiet", str(self._github.git.folder), f"{ref}:{ref}", "--update-head-ok")
        git("checkout", "--quiet", "--force", ref)
        git("remote", "add", "origin", f"https://github.com/{self._github.repository}")
        file = work / WORKFLOW
        file.write_text(UNKNOWN.sub("", file.read_text()))
        return work


def _copy_of_the_action(place: Path) -> Path:
    """What a runner has of the action: the files of this tree that it needs, without what tests leave in it."""
    place.mkdir()
    shutil.copy(ROOT / "action.yml", place)
    for name in (".github", "requirements", "rollout"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def _words(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
