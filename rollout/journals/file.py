"""The journal as files: one per rollout, one JSON event per line, chained by checksums.

    <directory>/000007.jsonl     {"seq":0,"sum":"<32 hex>","event":{...}}
    <directory>/lease.json       who drives the rollout, and until when
    <directory>/lock             held (flock) while one of the others changes

Each sum covers the one before, so that a changed, lost or doubled line anywhere is noticed. A file appears whole, with
its first line, by a rename. A last line without its line break is a write that was cut off by a crash: it is set aside
in `<file>.torn` by the next write. Anything else that cannot be read blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rollout.core.events import Event, Started
from rollout.errors import JournalMoved, JournalUnreadable, JournalUnwritable
from rollout.journals import codec
from rollout.journals.base import Lease, Record

_LINE: Final = re.compile(rb'\{"seq":(\d+),"sum":"([0-9a-f]{32})","event":(\{.*\})\}', re.DOTALL)
_NAME: Final = re.compile(r"(\d{6})\.jsonl")


class FileJournal:
    """The rollouts of one service in one environment, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = _Lock(directory / "lock")
        self._read = _Parsed()

    def read(self) -> Record:
        """The latest rollout's events. Raises JournalUnreadable."""
        parsed = self._parsed()
        return Record(events=parsed.events, head=parsed.head, number=parsed.number, repaired=parsed.torn_note)

    def rollouts(self) -> Iterator[tuple[Event, ...]]:
        """The events of every rollout that there has been, the oldest first. Raises JournalUnreadable."""
        latest = self._parsed()
        for number in range(1, latest.number):
            path = self._path(number)
            try:
                yield _Parsed(number=number).fed(path.read_bytes(), path).events
            except FileNotFoundError:  # somebody may have moved an old one away
                continue
            except OSError as wrong:
                raise JournalUnreadable(f"{path} cannot be read: {wrong.strerror}") from None
        if latest.number:
            yield latest.events

    def begin(self, started: Started, *, expect: str) -> str:
        """Claim the next rollout; the new head. Raises JournalMoved, JournalUnwritable."""
        with self._locked():
            parsed = self._parsed()
            if parsed.head != expect:
                raise JournalMoved("another rollout has begun in the meantime")
            text, begun = _Parsed(number=parsed.number + 1).grown((started,))
            _replace(self._path(begun.number), text)
            self._read = begun
            return begun.head

    def append(self, events: tuple[Event, ...], *, expect: str) -> str:
        """Write events after the head that was read; the new head. Raises JournalMoved, JournalUnwritable."""
        with self._locked():
            parsed = self._parsed()
            if parsed.head != expect or not parsed.number:
                raise JournalMoved("the journal has moved on in the meantime")
            text, grown = parsed.grown(events)
            self._write(parsed, text)
            self._read = grown
            return grown.head

    def take(self, lease: Lease, *, now: datetime) -> Lease | None:
        """Take or renew the lease. One of a process of this machine that is gone counts as given back."""
        with self._locked():
            held = self._lease()
            if held is not None and held.owner != lease.owner and held.until > now and not _gone(held.owner):
                return held
            text = json.dumps({"owner": lease.owner, "until": lease.until.isoformat()})
            _replace(self._lease_path, text.encode())
            return None

    def hurry(self, within: timedelta) -> None:
        """Nothing here waits."""

    def release(self, owner: str) -> None:
        """Give the lease back, where this owner holds it."""
        with self._locked():
            held = self._lease()
            if held is not None and held.owner == owner:
                self._lease_path.unlink(missing_ok=True)

    @property
    def _lease_path(self) -> Path:
        return self._directory / "lease.json"

    def _lease(self) -> Lease | None:
        try:
            held = json.loads(self._lease_path.read_text())
            return Lease(owner=str(held["owner"]), until=_aware(datetime.fromisoformat(held["until"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as wrong:
            raise JournalUnreadable(
                f"the lease {self._lease_path} cannot be read: {type(wrong).__name__}",
                hint="make sure that no rollout of this service runs, then remove that file",
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except OSError as wrong:
            raise _unwritable(self._directory / "lock", wrong) from None
        try:
            yield
        finally:
            self._lock.give_back()

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:06d}.jsonl"

    def _parsed(self) -> _Parsed:
        """What the latest file holds; what was parsed before is not parsed again."""
        try:
            found = [_NAME.fullmatch(path.name) for path in self._directory.iterdir()]
        except FileNotFoundError:
            found = []
        except OSError as wrong:
            raise JournalUnreadable(f"{self._directory} cannot be read: {wrong.strerror}") from None
        number = max((int(name[1]) for name in found if name), default=0)
        if number < self._read.number:
            raise _corrupt(self._path(self._read.number), 1, "it was there before, and is gone")
        known = self._read if number == self._read.number else _Parsed(number=number)
        if number:
            path = self._path(number)
            try:
                with path.open("rb") as file:
                    if file.seek(0, os.SEEK_END) < known.size:
                        raise _corrupt(path, len(known.events), "it was there before, and is gone")
                    file.seek(known.size)
                    known = known.fed(file.read(), path)
            except OSError as wrong:
                raise JournalUnreadable(f"{path} cannot be read: {wrong.strerror}") from None
        self._read = known
        return known

    def _write(self, parsed: _Parsed, text: bytes) -> None:
        path = self._path(parsed.number)
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as wrong:
            raise _unwritable(path, wrong) from None
        try:
            if parsed.torn:
                path.with_suffix(".torn").write_bytes(parsed.torn)
            os.ftruncate(descriptor, parsed.size)
            os.lseek(descriptor, parsed.size, os.SEEK_SET)
            _write_all(descriptor, text)
            os.fsync(descriptor)
        except OSError as wrong:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, parsed.size)
            raise _unwritable(path, wrong) from None
        finally:
            os.close(descriptor)


class _Lock:
    """Keeps other processes out. Who has it can take it again: a signal may come before it has been given back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Wait for the lock. Raises OSError."""
        while True:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self._still_there():
                return
            self._close()

    def give_back(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _still_there(self) -> bool:
        """Whether the file that is locked is the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self._close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """What has been read of one file. It never changes, so a signal in the middle of a read leaves the former one."""

    number: int = 0
    events: tuple[Event, ...] = ()
    size: int = 0
    last_sum: str = ""
    torn: bytes = b""

    @property
    def head(self) -> str:
        return f"{self.number}:{len(self.events)}:{self.last_sum}" if self.number else ""

    @property
    def torn_note(self) -> str:
        return "the last line was cut off by a crash while it was written, and is left out" if self.torn else ""

    def fed(self, text: bytes, path: Path) -> _Parsed:
        """With what stands in the file after what was read before. Raises JournalUnreadable."""
        *lines, rest = text.split(b"\n")
        events: list[Event] = []
        last_sum = self.last_sum
        for seq, line in enumerate(lines, start=len(self.events)):
            event, last_sum = _event(line, seq, last_sum, path)
            events.append(event)
        count = len(self.events) + len(events)
        if not count:
            raise _corrupt(path, 1, "the beginning of the rollout is not whole")
        if rest and _sound(rest[:-1], count, last_sum):
            raise _corrupt(path, count + 1, "its line break was changed")
        size = self.size + len(text) - len(rest)
        return replace(self, events=(*self.events, *events), size=size, last_sum=last_sum, torn=rest)

    def grown(self, events: tuple[Event, ...]) -> tuple[bytes, _Parsed]:
        """The lines to write for more events, and what has been read once they are written."""
        text, last_sum = _lines(events, seq=len(self.events), last_sum=self.last_sum)
        size = self.size + len(text)
        return text, replace(self, events=(*self.events, *events), size=size, last_sum=last_sum, torn=b"")


def _event(line: bytes, seq: int, last_sum: str, path: Path) -> tuple[Event, str]:
    found = _LINE.fullmatch(line)
    if found is None or not _sound(line, seq, last_sum):
        raise _corrupt(path, seq + 1, "it is not the line that was written")
    try:
        return codec.load(found[3]), found[2].decode()
    except codec.UnreadableEvent as wrong:
        raise _corrupt(path, seq + 1, str(wrong)) from None


def _lines(events: tuple[Event, ...], *, seq: int, last_sum: str) -> tuple[bytes, str]:
    lines: list[bytes] = []
    for number, event in enumerate(events, start=seq):
        text = codec.dump(event)
        last_sum = _sum(last_sum, number, text)
        lines.append(b'{"seq":%d,"sum":"%s","event":%s}\n' % (number, last_sum.encode(), text))
    return b"".join(lines), last_sum


def _sum(before: str, seq: int, text: bytes) -> str:
    return hashlib.sha256(b"%s %d %s" % (before.encode(), seq, text)).hexdigest()[:32]


def _sound(line: bytes, seq: int, before: str) -> bool:
    found = _LINE.fullmatch(line)
    return found is not None and found[1] == b"%d" % seq and found[2].decode() == _sum(before, seq, found[3])


def _corrupt(path: Path, line: int, why: str) -> JournalUnreadable:
    return JournalUnreadable(
        f"{path}, line {line} cannot be read: {why}",
        hint="nothing was changed; restore the file from a copy, or move it away once you know what runs where",
    )


def _unwritable(path: Path, wrong: OSError) -> JournalUnwritable:
    return JournalUnwritable(
        f"{path} cannot be written: {wrong.strerror or wrong}",
        hint="make room or give write access; the rollout goes on where it stopped with the next tick",
    )


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def _replace(path: Path, text: bytes) -> None:
    """Put the text in place of the file as a whole, or leave it as it was. Raises JournalUnwritable."""
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_directory(path.parent)
    except OSError as wrong:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise _unwritable(path, wrong) from None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the time has no time zone")
    return moment


def this_process() -> str:
    """A name for this process that no other one on any machine has: host, process id and its start time."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def _gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that no longer runs."""
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    return host == socket.gethostname() and pid.isdecimal() and _started(int(pid)) != started


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
