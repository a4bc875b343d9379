"""The environment that the action makes: from the lock and nothing else, once, with no way in for a repository."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIND = ROOT / ".github" / "find-python.sh"
INSTALL = ROOT / ".github" / "install.sh"
BIN = Path(sys.executable).parent


class Machine:
    """A runner's machine: its directories, and what a script put out."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("temp", "tools"):
            (home / name).mkdir()

    def call(self, script: Path, name: str = "output", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the action does."""
        own = {"GITHUB_OUTPUT": str(self.home / name), "RUNNER_TEMP": str(self.home / "temp")}
        cache = {"RUNNER_TOOL_CACHE": str(self.home / "tools")}
        (self.home / name).write_text("")
        return subprocess.run(
            [script], env={**os.environ, **own, **cache, **env}, capture_output=True, text=True, timeout=120
        )

    def python(self, name: str = "output") -> str:
        """The path that the last script put out."""
        return (self.home / name).read_text().strip().removeprefix("python=")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_machines_own_python_is_found(machine: Machine) -> None:
    assert machine.call(FIND).returncode == 0
    assert Path(machine.python()).is_absolute()
    assert subprocess.run([machine.python(), "-c", "import sys; assert sys.version_info >= (3, 11)"]).returncode == 0


def test_a_machine_without_python_is_said_to_have_none(machine: Machine, tmp_path: Path) -> None:
    """An empty answer, upon which the action fetches one."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "bash").symlink_to("/bin/bash")
    (tools / "env").symlink_to("/usr/bin/env")
    done = machine.call(FIND, PATH=str(tools))
    assert done.returncode == 0, done.stderr
    assert (machine.home / "output").read_text() == "python=\n"


def test_a_python_that_was_asked_for_is_taken_or_refused(machine: Machine) -> None:
    assert machine.call(FIND, ROLLOUT_PYTHON=sys.executable).returncode == 0
    assert machine.python() == sys.executable
    refused = machine.call(FIND, ROLLOUT_PYTHON="/bin/false")
    assert refused.returncode == 1
    assert refused.stdout.startswith("::error ")
    assert machine.python() == ""


@pytest.mark.real
@pytest.mark.parametrize("path", [f"{BIN}:/usr/bin:/bin", "/usr/bin:/bin"], ids=["uv", "pip"])
def test_the_program_runs_from_the_lock_alone(machine: Machine, path: str, tmp_path: Path) -> None:
    """A second call finds the environment ready, and a module in the working directory is not taken for ours."""
    done = machine.call(INSTALL, PYTHON=sys.executable, PATH=path)
    assert done.returncode == 0, done.stderr
    first = machine.python()
    assert machine.call(INSTALL, PYTHON=sys.executable, PATH="/usr/bin:/bin").returncode == 0
    assert machine.python() == first
    (tmp_path / "rollout.py").write_text("raise SystemExit('from the repository')")
    (tmp_path / "requests.py").write_text("raise SystemExit('from the repository')")
    said = subprocess.run([first, "-I", "-m", "rollout", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.startswith("rollout ")
    assert [one.name for one in (machine.home / "tools" / "rollout").iterdir()] == [Path(first).parents[1].name]


@pytest.mark.real
def test_a_package_that_is_not_the_locked_one_is_refused(machine: Machine, tmp_path: Path) -> None:
    action = tmp_path / "action"
    (action / ".github").mkdir(parents=True)
    (action / "requirements").mkdir()
    script = action / ".github" / "install.sh"
    script.write_bytes(INSTALL.read_bytes())
    script.chmod(0o755)
    (action / "requirements" / "runtime.txt").write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\n")
    done = machine.call(script, PYTHON=sys.executable, PATH=f"{BIN}:/usr/bin:/bin")
    assert done.returncode != 0
    assert machine.python() == ""
    assert list((machine.home / "tools" / "rollout").iterdir()) == []


@pytest.mark.real
def test_two_jobs_of_one_machine_may_install_at_once(machine: Machine) -> None:
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(machine.call, INSTALL, name, PYTHON=sys.executable, PATH=f"{BIN}:/usr/bin:/bin")
            for name in ("one", "two")
        ]
    assert [call.result().returncode for call in calls] == [0, 0]
    assert machine.python("one") == machine.python("two")
    assert subprocess.run([machine.python("one"), "-I", "-c", "import github"]).returncode == 0
