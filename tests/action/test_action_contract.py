"""action.yml, the table in the code, the page for people and the program say the same."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.inputs import INPUTS, OUTPUTS

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
PAGE = (ROOT / "docs" / "action.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading of the page: the other cells of a row by its first."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_inputs_are_those_of_the_table() -> None:
    assert list(ACTION["inputs"]) == [one.name for one in INPUTS]
    for one in INPUTS:
        assert ACTION["inputs"][one.name] == {"description": one.description, "default": one.default}


def test_the_outputs_are_those_of_the_table() -> None:
    wanted = {
        one.name: {"description": one.description, "value": f"${{{{ steps.rollout.outputs.{one.name} }}}}"}
        for one in OUTPUTS
    }
    assert ACTION["outputs"] == wanted


def test_the_page_lists_both() -> None:
    assert rows("Inputs") == {one.name: [f"`{one.default}`" if one.default else "", one.description] for one in INPUTS}
    assert rows("Outputs") == {one.name: [one.description] for one in OUTPUTS}


def test_every_input_arrives_as_its_variable_and_nowhere_else() -> None:
    given = {name: value for step in STEPS for name, value in step.get("env", {}).items() if "inputs." in value}
    assert given == {one.variable: f"${{{{ inputs.{one.name} }}}}" for one in INPUTS}


def test_the_program_reads_every_variable() -> None:
    """A variable that nobody reads is an input that does nothing."""
    program = "".join(path.read_text() for path in (ROOT / "rollout").rglob("*.py") if path.name != "inputs.py")
    scripts = "".join(path.read_text() for path in (ROOT / ".github").glob("*.sh"))
    for one in INPUTS:
        assert f'"{one.variable}"' in program or f"${{{one.variable}:" in scripts, one.variable


def written() -> Iterator[str]:
    """The names of the outputs that the program sets: keywords of `outputs.set(...)`, and the dictionary `known`."""
    for path in (ROOT / "rollout" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="set", value=whose), keywords=given):
                    if ast.unparse(whose).endswith("outputs"):
                        yield from (one.arg for one in given if one.arg)
                case ast.Assign(targets=[ast.Name(id="known")], value=ast.Dict(keys=keys)):
                    yield from (
                        key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                    )
                case _:
                    pass


def test_the_program_sets_all_of_the_outputs_and_no_others() -> None:
    assert {name.replace("_", "-") for name in written()} == {one.name for one in OUTPUTS}


def test_every_script_hands_its_process_over() -> None:
    """The runner signals the process that it started: that is Python only behind `exec`."""
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 4
    for script in scripts:
        assert script.startswith("exec ")
        assert "${{" not in script
        assert "\n" not in script


def test_python_runs_isolated_from_the_repository() -> None:
    for step in STEPS:
        if "-m rollout" in step.get("run", ""):
            assert '"$PYTHON" -I -m rollout' in step["run"]


def test_actions_of_others_are_named_by_commit() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    ours = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    for name in used:
        assert re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}", name)
        assert name in ours, "the same commit as in our own workflow"


@pytest.mark.parametrize("script", sorted((ROOT / ".github").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_can_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
