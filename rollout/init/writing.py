"""The text of the first files, from templates and a few values that have been checked. Pure but for the templates."""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from rollout.core.pacing import Pacing
from rollout.init.pin import Pin
from rollout.init.project import Project

FILL_IN: Final = "FILL IN"
"""Marks what a person must decide."""
ROLLOUT_FILE: Final = PurePosixPath("rollout.yml")
WORKFLOW_FILE: Final = PurePosixPath(".github/workflows/rollout.yml")

_OUTPUTS: Final = """\
    outputs:
      outcome: ${{ steps.rollout.outputs.outcome }}
      left: ${{ steps.left.outputs.at }}
"""
_LEFT: Final = """\
      - id: left
        name: Note the time
        run: echo "at=$(date +%s)" >> "$GITHUB_OUTPUT"
"""
_WHY: Final = {
    Pacing.HOLD: "a job sleeps between two looks; `wake` leaves it and is woken, which costs fewer minutes",
    Pacing.WAKE: "a job leaves after each look and is woken; `hold` sleeps in it, and reacts within seconds",
}


def first_files(project: Project, *, pacing: Pacing, pin: Pin) -> dict[PurePosixPath, str]:
    """Every file to write, by its path below the root of the repository."""
    return {ROLLOUT_FILE: _rollout_text(project, pacing), WORKFLOW_FILE: workflow_text(project, pacing=pacing, pin=pin)}


def workflow_text(project: Project, *, pacing: Pacing, pin: Pin) -> str:
    """The workflow alone."""
    wakes = pacing is Pacing.WAKE
    text = _template("workflow.yml") + (_template("wake.yml") if wakes else "")
    for place, block in (("@outputs@\n", _OUTPUTS), ("@left@\n", _LEFT)):
        text = text.replace(place, block if wakes else "")
    return _filled(text, project, action=str(pin))


def _rollout_text(project: Project, pacing: Pacing) -> str:
    return _filled(_template("rollout.yml"), project, image=project.image, pacing=pacing.value, why=_WHY[pacing])


def _template(name: str) -> str:
    return files("rollout.init").joinpath("templates", name).read_text("utf-8")


def _filled(text: str, project: Project, **values: str) -> str:
    known = {"service": project.service, "environment": project.environment, **values}
    for name, value in known.items():
        text = text.replace(f"@{name}@", value)
    return text
