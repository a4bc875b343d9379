"""A program of the user's gets one order and its time, and leaves nothing behind that was not meant to stay."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rollout.demo.processes import wait_until
from rollout.errors import Interruption
from rollout.targets.command import programs
from rollout.targets.command.programs import Call, Ended


def call(
    code: str,
    *more: str,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    seconds: float = 20,
    whole: bool = True,
    directory: Path | None = None,
) -> Ended:
    """Run a piece of Python as the program."""
    return programs.run(
        Call(
            argv=(sys.executable, "-I", "-S", "-c", code, *more),
            stdin=stdin,
            env=env or {},
            directory=directory or Path(),
            timeout=timedelta(seconds=seconds),
            whole=whole,
        )
    )


def is_gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_order_comes_on_stdin_and_the_answer_on_stdout(tmp_path: Path) -> None:
    """However long either is, and in the directory that was named."""
    code = "import os, sys; text = sys.stdin.read(); print(len(text), os.getcwd()); print('x' * 900_000)"
    ended = call(code, stdin=b"a" * 500_000, directory=tmp_path)
    assert ended.code == 0
    first, rest = ended.stdout.split(b"\n", 1)
    assert first.decode() == f"500000 {tmp_path}"
    assert len(rest) == 900_001


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    """What a shell would carry out arrives as it was written."""
    wicked = f"$(touch {tmp_path}/x); `id` && echo 'a' \"b\" * ~ ${{HOME}}\n"
    ended = call("import sys, json; print(json.dumps(sys.argv[1]))", wicked)
    assert json.loads(ended.stdout) == wicked
    assert not (tmp_path / "x").exists()


def test_a_program_that_does_not_read_its_order_is_no_failure() -> None:
    """The pipe breaks, and nobody minds."""
    assert call("", stdin=b"a" * 500_000).code == 0


def test_only_the_named_variables_reach_a_program() -> None:
    """A token of the job is not among them."""
    ours = {"PATH": "/bin", "GITHUB_TOKEN": "ghs_x", "AWS_REGION": "eu", "HOME": "/root", "SECRET": "y"}
    given = programs.environment(ours, ("AWS_REGION", "NOT_SET"))
    assert given == {"PATH": "/bin", "HOME": "/root", "AWS_REGION": "eu"}
    ended = call("import os, json; print(json.dumps(dict(os.environ)))", env=given)
    told = json.loads(ended.stdout)
    told.pop("LC_CTYPE", None)  # Python sets it for itself
    assert told == given


@pytest.mark.parametrize("code", [0, 1, 75, 255])
def test_the_exit_code_is_told(code: int) -> None:
    """With what was said on stderr."""
    ended = call(f"import sys; print('why', file=sys.stderr); sys.exit({code})")
    assert (ended.code, ended.stderr) == (code, b"why\n")


def test_a_signal_is_told_as_a_negative_code() -> None:
    """As when the machine is out of memory."""
    assert call("import os; os.kill(os.getpid(), 9)").code == -signal.SIGKILL


@pytest.mark.parametrize("argv", [("/no/such/program",), ("no-such-program",), (str(Path(__file__)),), ("/",)])
def test_a_program_that_cannot_be_run_is_not_started(argv: tuple[str, ...]) -> None:
    """It is missing, not on the PATH, not executable, or a directory."""
    with pytest.raises(programs.NotStarted):
        programs.run(Call(argv=argv, stdin=b"", env={}, directory=Path(), timeout=timedelta(seconds=5), whole=True))


FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
with open(sys.argv[1], "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1], sys.argv[2])
"""


def test_at_its_time_out_a_program_dies_with_everything_it_started(tmp_path: Path) -> None:
    """Also where it catches the polite signal."""
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY + "time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(programs.TooSlow):
        call(code, str(tmp_path / "new"), str(tmp_path / "pids"), seconds=2)
    assert time.monotonic() - began < 10
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until(partial(is_gone, pid), deadline_s=5, what="the process is gone")


def test_where_we_are_told_to_stop_the_program_is_stopped_too(tmp_path: Path) -> None:
    """A signal in the middle leaves nobody behind."""

    def interrupt(number: int, frame: object) -> None:
        raise Interruption("SIGUSR1", number)

    pids = tmp_path / "pids"

    def tell() -> None:
        wait_until(pids.exists, deadline_s=10, what="the program has started")
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    teller = threading.Thread(target=tell)
    teller.start()
    try:
        with pytest.raises(Interruption):
            call(FAMILY + "time.sleep(60)", str(tmp_path / "new"), str(pids), seconds=30)
    finally:
        teller.join()
        signal.signal(signal.SIGUSR1, before)
    for pid in map(int, pids.read_text().split()):
        wait_until(partial(is_gone, pid), deadline_s=5, what="the process is gone")


def test_what_a_program_leaves_running_goes_on_and_is_not_waited_for(tmp_path: Path) -> None:
    """A service that was started in the background holds the output open, and the program is over all the same."""
    began = time.monotonic()
    ended = call(FAMILY + "print('done')", str(tmp_path / "new"), str(tmp_path / "pids"), seconds=30)
    assert (ended.code, ended.stdout) == (0, b"done\n")
    assert time.monotonic() - began < 15
    child = int((tmp_path / "pids").read_text().split()[1])
    try:
        assert not is_gone(child)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_an_answer_that_is_too_long_is_refused_and_its_program_killed() -> None:
    """One that prints without an end as well."""
    with pytest.raises(programs.TooMuch):
        call("while True: print('x' * 10_000)")


def test_of_an_effect_that_prints_without_measure_the_end_is_kept() -> None:
    """From the beginning of a line, so that no half of anything is left."""
    ended = call("for n in range(200_000): print(f'line {n}')", whole=False)
    assert ended.code == 0
    assert len(ended.stdout) <= programs.LIMIT
    lines = ended.stdout.decode().splitlines()
    assert lines[0].startswith("line ")
    assert lines[-1] == "line 199999"


def test_a_background_process_that_never_stops_printing_does_not_hold_the_answer_up() -> None:
    """What is read after the program has ended has a measure too."""
    code = (
        "import subprocess, sys; print('done', flush=True); "
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import os, time\\nend = time.monotonic() + 8\\n"
        "while time.monotonic() < end: os.write(1, bytes(60000))'])"
    )
    began = time.monotonic()
    ended = call(code, seconds=30, whole=False)
    assert ended.code == 0
    assert time.monotonic() - began < 7
