"""Child processes and free ports, so that every part of the demo starts and stops in the same careful way.

It stops only what it started, by process id. It knows nothing about what the programs do.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rollout.errors import RolloutError

START_DEADLINE_S: Final = 30.0
STOP_DEADLINE_S: Final = 15.0
POLL_S: Final = 0.05
SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


class PartFailed(RolloutError):
    """A server of the demo did not start, did not answer in time or did not do what was asked."""

    reason_code = "part_failed"


def find_program(*names: str) -> Path | None:
    """The first of these programs that is installed; system folders count although they are not on every PATH."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=":".join(SYSTEM_FOLDERS))
        if found:
            return Path(found)
    return None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now; somebody may take it before it is used."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(predicate: Callable[[], bool], *, deadline_s: float, what: str) -> None:
    """Return once the predicate holds; raises PartFailed, naming `what`, when it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() >= end:
            raise PartFailed(f"{what}: not so within {deadline_s:g} s")
        time.sleep(POLL_S)


@contextmanager
def running(
    argv: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[int]:
    """Run a program until the block ends; yields its process id once `ready` holds.

    Its output goes to `log`. It gets `stop` at the end, and SIGKILL when that is not enough; the same `stop` reaches
    it should this process be killed. Raises PartFailed, with the last lines of the log, when it ends too soon.
    """
    name = Path(argv[0]).name
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*_dies_with_parent(stop), *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,  # an interrupt typed at the terminal reaches us only: we stop the parts in order
        )
    try:

        def settled() -> bool:
            if child.poll() is not None:
                raise PartFailed(f"{name} ended at its start", hint=_last_lines(log))
            return ready()

        wait_until(settled, deadline_s=START_DEADLINE_S, what=f"{name} answers (its log: {log})")
        yield child.pid
    finally:
        _stop(child, stop)


def _dies_with_parent(stop: signal.Signals) -> tuple[str, ...]:
    setpriv = find_program("setpriv")
    return (str(setpriv), "--pdeathsig", stop.name.removeprefix("SIG"), "--") if setpriv else ()


def _stop(child: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    if child.poll() is None:
        child.send_signal(stop)
    try:
        child.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _last_lines(log: Path, lines: int = 5) -> str:
    return "\n  ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
