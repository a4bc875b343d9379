"""One program of the user's: started without a shell, given one order, heard out, and never waited for without an end.

It gets only the variables that it is given. At its time-out, and where we are told to stop, it is killed with
everything it has started. What an exit code means for a rollout is said here; what an answer means is not.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

LIMIT: Final = 1024 * 1024
"""Bytes of an answer. More is refused where the answer counts, else the end is kept."""
_KEPT: Final = 64 * 1024
"""Bytes of stderr: the end."""
_POLL: Final = 0.02
"""Seconds between two looks whether a program has ended that left its output open to others."""
ALWAYS: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""The variables that every program gets."""


class NotStarted(Exception):  # a state of affairs, which the caller puts into a sentence
    """The program is not there, or may not be run."""


class TooSlow(Exception):  # see NotStarted
    """It did not end in time and was killed, with everything it had started."""


class TooMuch(Exception):  # see NotStarted
    """It printed more than an answer may hold, and was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A program to be run once."""

    argv: tuple[str, ...]
    stdin: bytes
    env: Mapping[str, str] = field(repr=False)
    directory: Path
    timeout: timedelta
    whole: bool
    """Whether all of its output counts: more than LIMIT is then an error. Else the end of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A program that ended by itself, or by the signal of somebody else."""

    code: int
    """The exit code; negative for a signal."""
    stdout: bytes
    stderr: bytes


def environment(env: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """What the programs get of our own environment: a few harmless variables, and those that are named."""
    return {name: env[name] for name in (*ALWAYS, *names) if name in env}


def run(call: Call) -> Ended:
    """Run a program to its end. Raises NotStarted, TooSlow or TooMuch.

    It is over when the program itself has ended, even where something it started still holds its output open; that is
    left running, as a service may be.
    """
    deadline = time.monotonic() + call.timeout.total_seconds()
    try:
        process = subprocess.Popen(
            call.argv,
            cwd=call.directory,
            env=dict(call.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as wrong:
        reason = (wrong.strerror if isinstance(wrong, OSError) else None) or str(wrong)
        raise NotStarted(reason.lower()) from None
    with process:
        try:
            return _heard(process, call, deadline)
        except BaseException:
            # The group, and before the process is waited for: its number is surely still its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _heard(process: subprocess.Popen[bytes], call: Call, deadline: float) -> Ended:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    left = memoryview(call.stdin)
    kept = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    stdout, stderr = kept.values()
    rest = LIMIT
    """Bytes that are read after the program has ended: more than a pipe holds. The rest is of what it left running."""
    with selectors.DefaultSelector() as ready:
        for pipe in (process.stdout, process.stderr):
            ready.register(pipe, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        ready.register(process.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            if (remaining := deadline - time.monotonic()) <= 0:
                raise TooSlow
            over = process.poll() is not None
            if over and not process.stdin.closed:
                _close(ready, process.stdin)
            events = ready.select(timeout=0 if over else min(remaining, _POLL))
            if over and (not events or rest <= 0):
                break
            for key, _ in events:
                if key.fileobj is process.stdin:
                    left = _written(key.fd, left)
                    if not left:
                        _close(ready, process.stdin)
                    continue
                part = os.read(key.fd, 65536)
                kept[key.fd] += part
                rest -= len(part) if over else 0
                if not part:
                    ready.unregister(key.fileobj)
            _limit(stdout, stderr, call)
    try:
        code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TooSlow from None
    return Ended(code=code, stdout=bytes(stdout), stderr=bytes(stderr))


def _written(number: int, left: memoryview) -> memoryview:
    """What is still to be written. A program that does not read its order is none of our business."""
    try:
        return left[os.write(number, left) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _close(ready: selectors.BaseSelector, pipe: IO[bytes]) -> None:
    ready.unregister(pipe)
    with suppress(BrokenPipeError):
        pipe.close()


def _limit(stdout: bytearray, stderr: bytearray, call: Call) -> None:
    if len(stdout) > LIMIT and call.whole:
        raise TooMuch
    _keep_end(stdout, LIMIT)
    _keep_end(stderr, _KEPT)


def _keep_end(kept: bytearray, most: int) -> None:
    """Keep the end, from the beginning of a line: no half of a secret stays, as a whole line of it is masked."""
    if len(kept) > most:
        start = kept.find(b"\n", len(kept) - most)
        del kept[: start + 1 if start >= 0 else len(kept) - most // 2]
