"""Reading a log that grows, is rotated and may be huge: each line once per process, and only what is young enough.

It counts lines per second and kind. It keeps nothing on disk: another process counts again from the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from rollout.errors import SourceUnavailable
from rollout.metrics.access_log_lines import Kind, read_line

_CHUNK: Final = 1 << 20
_NEAR: Final = 1 << 16
_HEAD: Final = 256
_DISORDER: Final = 5.0
"""Seconds by which lines of several workers may be out of order."""
_GENERATIONS: Final = 9
_TRIES: Final = 100
"""How many lines that cannot be read are passed over at one place of the bisection."""


@dataclass(slots=True)
class _Tail:
    """How far a file was read. The inode alone does not identify it: a new file may get the number of a removed one."""

    head: bytes
    offset: int


@dataclass(slots=True)
class Tally:
    """What was counted since a moment."""

    since: float
    bins: dict[Kind, dict[int, int]] = field(default_factory=dict)
    """Requests per kind and second; second `k` holds what was logged after k - 1 and until k."""
    lines: int = 0
    unreadable: int = 0
    newest: float | None = None
    """When the newest line was written."""

    def count(self, line: bytes) -> None:
        """Take one complete line in."""
        if not line.strip():
            return
        self.lines += 1
        entry = read_line(line)
        if entry is None:
            self.unreadable += 1
            return
        if self.newest is None or entry.at > self.newest:
            self.newest = entry.at
        if entry.kind is None or entry.at <= self.since:
            return
        second = -int(-entry.at // 1)
        per_second = self.bins.setdefault(entry.kind, {})
        per_second[second] = per_second.get(second, 0) + 1


class AccessLogReader:
    """The counts of one log and of its rotated generations `<path>.1` to `<path>.9`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tally: Tally | None = None
        self._tails: dict[tuple[int, int], _Tail] = {}

    def read(self, *, since: datetime) -> Tally:
        """Take in what was written since the last call. Raises SourceUnavailable where the log cannot be read."""
        moment = since.timestamp()
        with ExitStack() as stack:
            tally = self._tally
            if tally is None or moment < tally.since:
                return self._from_scratch(moment, stack)
            files = self._open(moment, stack, known=True)
            if any(self._rewritten(file) for file in files):
                return self._from_scratch(moment, stack)
            self._take(files, tally)
            return tally

    def _from_scratch(self, moment: float, stack: ExitStack) -> Tally:
        files = self._open(moment, stack, known=False)
        self._tails = {}
        tally = self._tally = Tally(since=moment)
        self._take(files, tally)
        return tally

    def _take(self, files: list[BinaryIO], tally: Tally) -> None:
        for file in reversed(files):
            identity = _identity(file)
            tail = self._tails.get(identity)
            if tail is None:
                tail = _Tail(head=b"", offset=find_moment(file, tally.since - _DISORDER))
                self._tails[identity] = tail
            for line, end in _complete_lines(file, tail.offset):
                tally.count(line)
                tail.offset = end
            tail.head = _head(file)

    def _rewritten(self, file: BinaryIO) -> bool:
        """Whether a file that was read before holds something else now, as after logrotate's `copytruncate`."""
        tail = self._tails.get(_identity(file))
        return tail is not None and not _head(file).startswith(tail.head)

    def _open(self, moment: float, stack: ExitStack, *, known: bool) -> list[BinaryIO]:
        """The log and those of its generations that reach past the moment, the newest first.

        The newest is opened first, so that a rotation in between shows a file twice rather than not at all. A file
        that starts like one already opened is that file, or the copy that logrotate's `copytruncate` makes of it.
        """
        files: list[BinaryIO] = []
        heads: list[bytes] = []
        for path in self._generations(moment, known=known):
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue
            except OSError as failure:
                raise SourceUnavailable(
                    f"the access log {path} cannot be read: {failure.strerror}",
                    hint="Let the user who runs the rollout read it, such as by the group adm.",
                ) from None
            head = _head(file)
            if not any(_same_start(head, other) for other in heads):
                heads.append(head)
                files.append(file)
        if not files:
            raise SourceUnavailable(
                f"there is no access log at {self._path}",
                hint="nginx writes it once the include file of the target is loaded: check metrics.access_log.path "
                "and the access_log of the target.",
            )
        return files

    def _generations(self, moment: float, *, known: bool) -> Iterator[Path]:
        yield self._path
        if not self._path.exists() and not known:
            return
        for number in range(1, _GENERATIONS + 1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            packed = self._path.with_name(f"{older.name}.gz")
            if _written_after(older, moment):
                yield older
            elif not known and _written_after(packed, moment):
                since = datetime.fromtimestamp(moment, UTC)
                raise SourceUnavailable(
                    f"the access log since {since:%H:%M:%S} UTC is in part compressed, as {packed.name}",
                    hint="Set `delaycompress` for this log in logrotate, or rotate it less often than releases take.",
                )
            else:
                return


def find_moment(file: BinaryIO, moment: float) -> int:
    """An offset at the start of a line, close before the first line that was written at `moment` or later.

    By bisection, so that a file of gigabytes costs some thirty reads. Lines are taken to be in the order of time, but
    for seconds: a clock that was set back by more makes it start too early or too late.
    """
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _NEAR:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline(_CHUNK)
        at = None
        for _ in range(_TRIES):
            entry = read_line(file.readline(_CHUNK)) if file.tell() < high else None
            if entry is not None:
                at = entry.at
                break
        if at is not None and at < moment:
            low = middle
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline(_CHUNK)
    return file.tell()


def _complete_lines(file: BinaryIO, offset: int) -> Iterator[tuple[bytes, int]]:
    """Lines that end, each with the offset after it; what follows the last end is left for later."""
    file.seek(offset)
    rest = b""
    while chunk := file.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            offset += len(line) + 1
            yield line, offset
        if len(rest) > _CHUNK:  # no line of nginx's is that long: count it as one that cannot be read
            offset += len(rest)
            yield rest, offset
            rest = b""


def _head(file: BinaryIO) -> bytes:
    """The start of a file; it holds the time and the id of its first request, and so differs from that of any other."""
    file.seek(0)
    return file.read(_HEAD)


def _same_start(one: bytes, other: bytes) -> bool:
    shared = min(len(one), len(other))
    return shared > 0 and one[:shared] == other[:shared]


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _written_after(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime > moment
    except OSError:
        return False
