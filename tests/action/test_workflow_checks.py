"""actionlint, zizmor and the schemas of GitHub find nothing in our action, our workflows and those that we write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollout.core.pacing import Pacing
from rollout.init import WORKFLOW_FILE, Pin, Project, workflow_text

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((*(ROOT / ".github/workflows").glob("*.yml"), *ROOT.glob("examples/*/.github/workflows/*.yml")))
PROJECT = Project(root=Path(), service="chat", image="ghcr.io/acme/chat")


def checked(*argv: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAMS / argv[0], *argv[1:]], cwd=cwd, capture_output=True, text=True, timeout=120)


def finds_nothing(file: Path, schema: str) -> None:
    """Every checker is content with the file."""
    calls: list[tuple[str | Path, ...]] = [
        ("check-jsonschema", "--builtin-schema", f"vendor.{schema}", file),
        ("zizmor", "--offline", "--no-progress", "--quiet", file),
    ]
    if schema == "github-workflows":
        calls.append(("actionlint", file))
    for call in calls:
        done = checked(*call)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_is_in_order() -> None:
    finds_nothing(ACTION, "github-actions")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.relative_to(ROOT).parts[1])
def test_our_workflows_are_in_order(file: Path) -> None:
    finds_nothing(file, "github-workflows")


@pytest.mark.parametrize("pacing", Pacing)
def test_what_init_writes_is_in_order(pacing: Pacing, tmp_path: Path) -> None:
    file = tmp_path / WORKFLOW_FILE
    file.parent.mkdir(parents=True)
    file.write_text(workflow_text(PROJECT, pacing=pacing, pin=Pin(commit="a" * 40)))
    finds_nothing(file, "github-workflows")


@pytest.mark.parametrize(
    ("checker", "wrong"),
    [
        ("actionlint", "${{ steps.nowhere.outputs.x }}"),
        ("zizmor", "${{ github.event.comment.body }}"),
        ("check-jsonschema", None),
    ],
)
def test_the_checkers_do_find_something(checker: str, wrong: str | None, tmp_path: Path) -> None:
    """A checker that is content with everything would be no check."""
    file = tmp_path / WORKFLOW_FILE
    file.parent.mkdir(parents=True)
    script = f"echo '{wrong}'" if wrong else "[]"
    file.write_text(
        f"on: push\npermissions: {{}}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: {script}\n"
    )
    options = {
        "actionlint": (),
        "zizmor": ("--offline", "--no-progress", "--quiet"),
        "check-jsonschema": ("--builtin-schema", "vendor.github-workflows"),
    }[checker]
    assert checked(checker, *options, file).returncode != 0
