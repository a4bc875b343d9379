"""`rollout init`: the files it writes are right, and it writes over nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.config import load
from rollout.core.finding import Severity
from rollout.core.pacing import Pacing
from rollout.github.workflow_doctor import findings_of
from rollout.init import (
    FILL_IN,
    PLACEHOLDER,
    ROLLOUT_FILE,
    WORKFLOW_FILE,
    Pin,
    Project,
    first_files,
    pin_of_this_program,
    project_at,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
HELLO = Project(root=Path(), service="hello", image="ghcr.io/example/hello")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path, remote: str) -> Path:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "remote", "add", "origin", remote)
    return folder


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rollout", "init", *arguments],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("example", "pacing"), [("nginx-minimal", Pacing.HOLD), ("nginx-wake", Pacing.WAKE)])
def test_two_examples_are_what_it_writes(example: str, pacing: Pacing) -> None:
    for path, text in first_files(HELLO, pacing=pacing, pin=Pin()).items():
        assert (EXAMPLES / example / path).read_text() == text


@pytest.mark.parametrize("pacing", Pacing)
def test_the_doctor_finds_nothing_wrong_with_it(pacing: Pacing) -> None:
    text = first_files(HELLO, pacing=pacing, pin=Pin(commit="a" * 40))[WORKFLOW_FILE]
    assert {one.severity for one in findings_of({str(WORKFLOW_FILE): text})} == {Severity.OK}


def test_files_land_at_the_root_and_are_ready_to_be_read(tmp_path: Path) -> None:
    root = repository(tmp_path / "chat", "git@github.com:Acme-Corp/Chat_Web.git")
    (root / "deploy").mkdir()
    told = init(root / "deploy", "--pacing", "wake")
    assert told.returncode == 0, told.stderr
    made = load(root / ROLLOUT_FILE, env={})
    assert (made.plan.service, made.image, made.github.pacing) == ("chat-web", "ghcr.io/acme-corp/chat-web", "wake")
    jobs = yaml.safe_load((root / WORKFLOW_FILE).read_text())["jobs"]
    assert jobs["rollout"]["concurrency"] == {
        "group": "rollout-chat-web-production",
        "cancel-in-progress": False,
        "queue": "max",
    }
    assert "concurrency" not in jobs["order"]
    assert set(jobs) == {"rollout", "order", "wake"}


def test_what_a_person_must_fill_in_is_listed_with_its_line(tmp_path: Path) -> None:
    told = init(repository(tmp_path / "chat", "https://github.com/acme/chat")).stdout
    for path in (ROLLOUT_FILE, WORKFLOW_FILE):
        for number, line in enumerate((tmp_path / "chat" / path).read_text().splitlines(), start=1):
            assert (f"{path}:{number}: " in told) == (f"{FILL_IN}: " in line)


def test_nothing_is_written_over_unless_it_is_forced(tmp_path: Path) -> None:
    """One file that is there keeps the other from being written as well: half of a pair helps nobody."""
    (tmp_path / ROLLOUT_FILE).write_text("mine")
    refused = init(tmp_path)
    assert refused.returncode == 2
    assert "rollout.yml" in refused.stderr
    assert (tmp_path / ROLLOUT_FILE).read_text() == "mine"
    assert not (tmp_path / WORKFLOW_FILE).exists()
    forced = init(tmp_path, "--force", "--json")
    assert json.loads(forced.stdout) == {"written": [str(ROLLOUT_FILE), str(WORKFLOW_FILE)]}
    assert (tmp_path / ROLLOUT_FILE).read_text() != "mine"


@settings(max_examples=40)
@given(owner=st.from_regex(r"[A-Za-z0-9._-]{1,39}", fullmatch=True), name=st.text(min_size=1, max_size=60))
def test_whatever_a_repository_is_called_the_configuration_takes_it(
    tmp_path_factory: pytest.TempPathFactory, owner: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    for part in ("objects", "refs"):
        (folder / ".git" / part).mkdir()
    url = json.dumps(f"https://github.com/{owner}/{name}.git").replace("\\u", "\\\\u")
    (folder / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n', errors="replace")
    project = project_at(folder)
    file = folder / "made.yml"
    file.write_text(first_files(project, pacing=Pacing.HOLD, pin=Pin())[ROLLOUT_FILE])
    assert load(file, env={}).plan.service == project.service


def test_a_checkout_of_the_action_names_its_own_commit(tmp_path: Path) -> None:
    root = repository(tmp_path / "action", "https://github.com/acme/rollout.git")
    (root / "action.yml").write_text("name: x\n")
    git(root, "add", "--all")
    git(root, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=x")
    pin = pin_of_this_program(root / "rollout")
    assert pin == Pin(repository="acme/rollout", commit=git(root, "rev-parse", "HEAD"))
    assert str(pin).startswith(f"acme/rollout@{pin.commit} # v")


def test_a_program_that_does_not_know_its_commit_says_so(tmp_path: Path) -> None:
    pin = pin_of_this_program(tmp_path / "rollout")
    assert pin.commit == PLACEHOLDER
    assert FILL_IN in str(pin)
