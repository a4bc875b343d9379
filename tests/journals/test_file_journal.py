"""The file journal keeps the contract, and no damage to its files goes unnoticed or gets worse by it."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import pytest

from rollout.core.events import Event
from rollout.errors import JournalMoved, JournalUnreadable, JournalUnwritable
from rollout.journals import codec
from rollout.journals import file as file_module
from rollout.journals.base import Lease
from rollout.journals.file import FileJournal, this_process
from tests.journals.contract import (
    DEPLOY,
    DEPLOYED,
    MOVE,
    NOON,
    SOON,
    JournalContract,
    Open,
    order,
    started,
)

STORY = (started(), DEPLOY, DEPLOYED, MOVE)
RIVAL = Lease(owner="elsewhere/2/2", until=SOON)


def written(directory: Path, events: tuple[Event, ...] = STORY) -> Path:
    """A journal with one rollout, each event appended by itself; its file."""
    journal = FileJournal(directory)
    head = journal.begin(events[0], expect="")  # type: ignore[arg-type] # the first event of every story is Started
    for event in events[1:]:
        head = journal.append((event,), expect=head)
    return directory / "000001.jsonl"


def chained(events: tuple[bytes, ...]) -> bytes:
    """The file that holds these events, by the format's description alone: what another version would write."""
    lines, before = [], ""
    for number, event in enumerate(events):
        before = hashlib.sha256(before.encode() + b" %d " % number + event).hexdigest()[:32]
        lines.append(b'{"seq":%d,"sum":"%s","event":%s}\n' % (number, before.encode(), event))
    return b"".join(lines)


def put(path: Path, text: bytes | bytearray) -> None:
    """Write a new file in place of the old one: to truncate one makes some file systems flush it, which takes long."""
    path.unlink(missing_ok=True)
    path.write_bytes(text)


def unreadable(directory: Path) -> JournalUnreadable:
    """The error that reading meets."""
    with pytest.raises(JournalUnreadable) as met:
        FileJournal(directory).read()
    return met.value


def refuses(directory: Path, before: bytes) -> JournalUnreadable:
    """Reading, beginning and appending all refuse, and the file stays as it is; the error."""
    path = directory / "000001.jsonl"
    error = unreadable(directory)
    with pytest.raises(JournalUnreadable):
        FileJournal(directory).append((order("ann"),), expect="1:4:")
    with pytest.raises(JournalUnreadable):
        FileJournal(directory).begin(started(), expect="1:4:")
    assert path.read_bytes() == before
    assert not path.with_suffix(".torn").exists()
    assert not (directory / "000002.jsonl").exists()
    return error


class TestFileJournal(JournalContract):
    """The contract, in a directory."""

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Open:
        """Opens the same directory."""
        return lambda: FileJournal(tmp_path / "journal")


def test_the_file_is_what_its_description_says(tmp_path: Path) -> None:
    """A file made by the description is read, and the same events written give the same bytes."""
    path = written(tmp_path)
    assert path.read_bytes() == chained(tuple(codec.dump(event) for event in STORY))


@pytest.mark.parametrize("length", range(2, len(STORY) + 1))
def test_a_last_line_torn_at_any_byte_is_reported_and_set_aside(tmp_path: Path, length: int) -> None:
    """The events before it are intact, it is kept in a file of its own, and the journal goes on."""
    path = written(tmp_path, STORY[:length])
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last + 1, len(whole)):
        put(path, whole[:cut])
        path.with_suffix(".torn").unlink(missing_ok=True)
        journal = FileJournal(tmp_path)
        record = journal.read()
        assert record.events == STORY[: length - 1], cut
        assert "cut off" in record.repaired, cut
        assert path.read_bytes() == whole[:cut], "reading repairs nothing"
        head = journal.append((order("ann"),), expect=record.head)
        assert path.with_suffix(".torn").read_bytes() == whole[last:cut]
        again = FileJournal(tmp_path).read()
        assert (again.events, again.head, again.repaired) == ((*STORY[: length - 1], order("ann")), head, ""), cut


def test_a_first_line_that_is_not_whole_blocks(tmp_path: Path) -> None:
    """A beginning is written under another name first, so half of one is damage and no crash."""
    path = written(tmp_path, STORY[:1])
    whole = path.read_bytes()
    for cut in range(len(whole)):
        put(path, whole[:cut])
        unreadable(tmp_path)
    refuses(tmp_path, whole[:-1])


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_a_byte_changed_anywhere_blocks(tmp_path: Path, mask: int) -> None:
    """Whichever byte of a small journal is changed, it is noticed, nothing is written and nothing is mended."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= mask
        put(path, damaged)
        unreadable(tmp_path)
        if place % 50 == 0 or place == len(whole) - 1:
            refuses(tmp_path, bytes(damaged))


def test_a_line_break_put_anywhere_blocks(tmp_path: Path) -> None:
    """Neither a byte that became a line break nor one more line break is taken for the end of an event."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for damaged in (whole[:place] + b"\n" + whole[place:], whole[:place] + b"\n" + whole[place + 1 :]):
            if damaged != whole:
                put(path, damaged)
                unreadable(tmp_path)


def test_a_byte_lost_anywhere_blocks_unless_it_is_the_last(tmp_path: Path) -> None:
    """Only the loss of the last byte, which no one can tell from a cut-off write, is repaired."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole) - 1):
        put(path, whole[:place] + whole[place + 1 :])
        unreadable(tmp_path)
    put(path, whole[:-1])
    assert FileJournal(tmp_path).read().repaired


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("place", range(len(STORY)))
def test_a_line_twice_blocks(tmp_path: Path, place: int) -> None:
    """Each sum covers the one before, and each line tells its number."""
    path = written(tmp_path)
    lines = _lines(path)
    damaged = b"".join([*lines[: place + 1], lines[place], *lines[place + 1 :]])
    put(path, damaged)
    refuses(tmp_path, damaged)


@pytest.mark.parametrize("place", range(len(STORY) - 1))
def test_a_line_lost_blocks(tmp_path: Path, place: int) -> None:
    """A gap in the chain is noticed at the line after it."""
    path = written(tmp_path)
    lines = _lines(path)
    damaged = b"".join([*lines[:place], *lines[place + 1 :]])
    put(path, damaged)
    refuses(tmp_path, damaged)


@pytest.mark.parametrize("place", range(len(STORY) - 1))
def test_two_lines_swapped_block(tmp_path: Path, place: int) -> None:
    """The order is part of what the sums cover."""
    path = written(tmp_path)
    lines = _lines(path)
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    damaged = b"".join(lines)
    put(path, damaged)
    refuses(tmp_path, damaged)


def test_a_line_of_another_rollout_blocks(tmp_path: Path) -> None:
    """A sound line of another journal is not sound here."""
    path = written(tmp_path / "here")
    other = written(tmp_path / "there", (started(2), *STORY[1:], order("ann")))
    damaged = path.read_bytes() + _lines(other)[4]
    put(path, damaged)
    refuses(tmp_path / "here", damaged)


def test_the_error_names_the_file_the_line_and_what_to_do(tmp_path: Path) -> None:
    """A person can go on from the message alone."""
    path = written(tmp_path)
    *lines, last = _lines(path)
    damaged = b"".join([*lines, last.replace(b'"percent":0.1', b'"percent":9.9')])
    put(path, damaged)
    error = refuses(tmp_path, damaged)
    assert str(path) in str(error)
    assert "line 4" in str(error)
    assert "nothing was changed" in error.hint


def _newer(change: Callable[[dict[str, Any]], None], place: int) -> bytes:
    events = [json.loads(codec.dump(event)) for event in STORY]
    change(events[place])
    return chained(tuple(json.dumps(event, separators=(",", ":")).encode() for event in events))


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        (0, {"schema_version": 2}, "schema 2"),
        (0, {"schema_version": 2, "colour": "blue"}, "schema 2"),
        (0, {"schema_version": 2, "plan": "as written elsewhere"}, "schema 2"),
        (0, {"colour": "blue"}, "colour"),
        (1, {"kind": "teleported"}, "teleported"),
        (1, {"action": {"kind": "deploy", "twice": True}}, "twice"),
        (2, {"colour": "blue"}, "colour"),
        (3, {"action": {"kind": "mirror_traffic", "share": 7}}, "its action is unknown"),
    ],
)
def test_a_journal_of_a_newer_version_is_refused_and_says_so(
    tmp_path: Path, place: int, change: dict[str, Any], says: str
) -> None:
    """A schema, an event or a field that is not known here is named, together with the likely cause."""
    text = _newer(lambda event: event.update(change), place)
    put(tmp_path / "000001.jsonl", text)
    error = refuses(tmp_path, text)
    assert "newer version" in str(error)
    assert says in str(error)
    assert f"line {place + 1}" in str(error)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"at": "2026-01-01T12:00:00"}),
        (0, {"at": "noon"}),
        (0, {"release": {"tag": "v2", "image": "example/chat", "digest": "latest", "commit": ""}}),
        (3, {"action": {"kind": "move_traffic", "weight": {"percent": 101}, "step": 0}}),
        (3, {"action": None}),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(tmp_path: Path, place: int, change: dict[str, Any]) -> None:
    """A sound line whose values cannot be is an error too, and no traceback."""
    text = _newer(lambda event: event.update(change), place)
    put(tmp_path / "000001.jsonl", text)
    assert f"line {place + 1}" in str(refuses(tmp_path, text))


def test_a_file_that_shrinks_under_an_open_journal_blocks(tmp_path: Path) -> None:
    """What was read before and is gone is noticed, even where the rest is sound in itself."""
    path = written(tmp_path)
    journal = FileJournal(tmp_path)
    head = journal.read().head
    shorter = b"".join(_lines(path)[:3])
    put(path, shorter)
    for _ in range(2):
        with pytest.raises(JournalUnreadable, match="gone"):
            journal.read()
    with pytest.raises(JournalUnreadable, match="gone"):
        journal.append((order("ann"),), expect=head)
    assert path.read_bytes() == shorter


def test_a_rollout_that_vanishes_under_an_open_journal_blocks(tmp_path: Path) -> None:
    """A removed file is not taken for the end of the rollout it recorded."""
    path = written(tmp_path)
    journal = FileJournal(tmp_path)
    journal.begin(started(2), expect=journal.read().head)
    (tmp_path / "000002.jsonl").unlink()
    with pytest.raises(JournalUnreadable, match="gone"):
        journal.read()
    path.unlink()
    with pytest.raises(JournalUnreadable, match="gone"):
        journal.read()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path, leave: int) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        while True:
            try:
                os.write(file.fileno(), b"x" * 4096)
            except OSError:
                break
        os.ftruncate(file.fileno(), max(0, file.tell() - leave))
    return ballast


def test_a_full_disk_leaves_the_journal_as_it_was(small_disk: Path) -> None:
    """The write is refused, the events before it stay, and once there is room the same write succeeds."""
    path = written(small_disk / "journal")
    ballast = _fill(small_disk, leave=0)
    before = path.read_bytes()
    journal = FileJournal(small_disk / "journal")
    head = journal.read().head
    many = tuple(order("a" * 100) for _ in range(60))
    for _ in range(2):
        with pytest.raises(JournalUnwritable, match="No space left"):
            journal.append(many, expect=head)
        assert path.read_bytes() == before
        assert journal.read().events == STORY
    ballast.unlink()
    journal.append(many, expect=head)
    assert FileJournal(small_disk / "journal").read().events == (*STORY, *many)


def test_a_full_disk_keeps_the_former_rollout_in_sight(small_disk: Path) -> None:
    """A rollout that could not begin has not begun: the one before is still the latest."""
    written(small_disk / "journal")
    ballast = _fill(small_disk, leave=0)
    journal = FileJournal(small_disk / "journal")
    before = journal.read()
    with pytest.raises(JournalUnwritable, match="No space left"):
        journal.begin(started(2), expect=before.head)
    for reader in (journal, FileJournal(small_disk / "journal")):
        assert reader.read() == before
    ballast.unlink()
    journal.begin(started(2), expect=before.head)
    assert FileJournal(small_disk / "journal").read().number == 2


def test_a_full_disk_refuses_the_lease_and_keeps_the_one_there_is(small_disk: Path) -> None:
    """To be unable to write the lease is not to have it."""
    journal = FileJournal(small_disk / "journal")
    held = Lease(owner="elsewhere/1/1", until=SOON)
    journal.take(held, now=NOON)
    _fill(small_disk, leave=0)
    with pytest.raises(JournalUnwritable):
        journal.take(Lease(owner="elsewhere/1/1", until=SOON + timedelta(minutes=1)), now=NOON)
    assert journal.take(RIVAL, now=NOON) == held


def _read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


def test_a_directory_that_cannot_be_written_can_still_be_read(small_disk: Path) -> None:
    """Every write is refused with a hint, and the record stays readable."""
    written(small_disk / "journal")
    _read_only(small_disk)
    journal = FileJournal(small_disk / "journal")
    record = journal.read()
    assert record.events == STORY
    with pytest.raises(JournalUnwritable, match="write access"):
        journal.append((order("ann"),), expect=record.head)
    with pytest.raises(JournalUnwritable):
        journal.begin(started(2), expect=record.head)
    with pytest.raises(JournalUnwritable):
        journal.take(RIVAL, now=NOON)
    assert journal.read() == record


def test_a_directory_that_cannot_be_made_is_said(small_disk: Path) -> None:
    """The first rollout of all fails with the same error."""
    _read_only(small_disk)
    journal = FileJournal(small_disk / "journal")
    assert journal.read().number == 0
    with pytest.raises(JournalUnwritable):
        journal.begin(started(), expect="")


def test_a_file_in_place_of_the_directory_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    """Reading and writing both say what is wrong."""
    (tmp_path / "journal").write_text("")
    with pytest.raises(JournalUnreadable):
        FileJournal(tmp_path / "journal").read()
    with pytest.raises(JournalUnwritable):
        FileJournal(tmp_path / "journal").begin(started(), expect="")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"owner": "a"}',
        b'{"owner": "a", "until": 7}',
        b'{"owner": "a", "until": "soon"}',
        b'{"owner": "a", "until": "2026-01-01T12:15:00"}',
        b"\xff\xfe",
    ],
)
def test_a_lease_that_cannot_be_read_blocks_and_stays(tmp_path: Path, text: bytes) -> None:
    """Nobody takes it, nobody removes it, and the hint says what a person can do."""
    written(tmp_path)
    lease = tmp_path / "lease.json"
    lease.write_bytes(text)
    with pytest.raises(JournalUnreadable, match="remove that file"):
        FileJournal(tmp_path).take(RIVAL, now=NOON)
    with pytest.raises(JournalUnreadable):
        FileJournal(tmp_path).release("elsewhere/2/2")
    assert lease.read_bytes() == text


def _dead_process() -> str:
    """The owner that a process of this machine was; it has ended."""
    program = "from rollout.journals.file import this_process; print(this_process())"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_the_lease_of_a_process_of_this_machine_that_has_ended_is_taken_over(tmp_path: Path) -> None:
    """A killed run keeps nobody waiting on its own machine."""
    journal = FileJournal(tmp_path)
    journal.take(Lease(owner=_dead_process(), until=SOON), now=NOON)
    assert journal.take(RIVAL, now=NOON) is None
    assert journal.take(Lease(owner=this_process(), until=SOON), now=NOON) == RIVAL


def test_the_lease_of_a_process_that_runs_is_respected(tmp_path: Path) -> None:
    """So is one of another machine, of which nothing can be known."""
    journal = FileJournal(tmp_path)
    host, pid, _ = this_process().split("/")
    assert host == socket.gethostname()
    assert pid == str(os.getpid())
    mine = Lease(owner=this_process(), until=SOON)
    journal.take(mine, now=NOON)
    assert journal.take(RIVAL, now=NOON) == mine
    journal.release(this_process())
    journal.take(Lease(owner=f"not-{host}/{2**22 + 7}/1", until=SOON), now=NOON)
    assert journal.take(RIVAL, now=NOON) is not None


def test_a_process_that_got_the_number_of_one_that_ended_is_not_taken_for_it(tmp_path: Path) -> None:
    """The start time is part of the name."""
    journal = FileJournal(tmp_path)
    reborn = f"{socket.gethostname()}/{os.getpid()}/1"
    journal.take(Lease(owner=reborn, until=SOON), now=NOON)
    assert journal.take(RIVAL, now=NOON) is None


def _compete(directory: str, name: str, gate: Barrier, through: SimpleQueue[str]) -> None:
    journal = FileJournal(Path(directory))
    for number in range(25):
        head = journal.read().head
        gate.wait()
        try:
            journal.append((order(f"{name}{number}"),), expect=head)
        except JournalMoved:
            pass
        else:
            through.put(f"{name}{number}")
        gate.wait()


def test_of_several_processes_that_write_at_once_one_wins_each_time(tmp_path: Path) -> None:
    """Twenty-five rounds of three processes on the same head: the journal holds exactly the winners."""
    written(tmp_path, STORY[:1])
    context = multiprocessing.get_context("spawn")
    gate, through = context.Barrier(3), context.SimpleQueue()
    processes = [context.Process(target=_compete, args=(str(tmp_path), name, gate, through)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    told = [event.by for event in FileJournal(tmp_path).read().events if event.kind == "commanded"]
    winners = [through.get() for _ in range(25)]
    assert through.empty()
    assert sorted(told) == sorted(winners)
    assert len({re.sub(r"\D", "", by) for by in told}) == 25


def test_a_long_journal_is_read_once_and_then_only_its_end(tmp_path: Path) -> None:
    """Five thousand events come back whole; a second look reads nothing again, and a new event only its own line."""
    journal = FileJournal(tmp_path)
    head = journal.begin(started(), expect="")
    events = tuple(order(str(number)) for number in range(5000))
    head = journal.append(events, expect=head)
    reader = FileJournal(tmp_path)
    parsed = _counted(reader.read)
    assert reader.read().events == (started(), *events)
    assert parsed == 5001
    assert _counted(reader.read) == 0
    journal.append((DEPLOY,), expect=head)
    assert _counted(reader.read) == 1
    assert reader.read().events[-1] == DEPLOY


def _counted(work: Callable[[], object]) -> int:
    """How many lines the work parses."""
    parsed = 0

    def trace(frame: FrameType, event: str, arg: object) -> None:
        nonlocal parsed
        if event == "call" and frame.f_code is codec.load.__code__:
            parsed += 1

    sys.setprofile(trace)
    try:
        work()
    finally:
        sys.setprofile(None)
    return parsed


_LEAKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""A signal between the opening of a file and its `with` leaves it to be closed when it is forgotten."""


class TraceFunction(Protocol):
    """What `sys.settrace` takes."""

    def __call__(self, frame: FrameType, event: str, arg: object, /) -> TraceFunction | None:
        """Called for each thing that happens in the frame."""


class _Signal(BaseException):
    """What a signal handler raises, wherever the program happens to be."""


def _interrupted_after(instructions: int, work: Callable[[], object]) -> bool:
    """Run the work and raise in the journal's code after that many instructions; whether it came that far."""
    left = instructions

    def trace(frame: FrameType, event: str, arg: object) -> TraceFunction | None:
        nonlocal left
        if frame.f_code.co_filename != file_module.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if left == 0:
                raise _Signal
            left -= 1
        return trace

    sys.settrace(trace)
    try:
        work()
    except _Signal:
        return True
    finally:
        sys.settrace(None)
    return False


@_LEAKS
def test_a_signal_in_the_middle_of_a_read_harms_nothing(tmp_path: Path) -> None:
    """Wherever a read is interrupted, the next one finds every event and the same head."""
    written(tmp_path)
    whole = FileJournal(tmp_path).read()
    at = 0
    while True:
        journal = FileJournal(tmp_path)
        if not _interrupted_after(at, journal.read):
            break
        assert journal.read() == whole, at
        at += 1
    assert at > 100


@_LEAKS
def test_a_signal_in_the_middle_of_a_write_loses_or_keeps_it_whole(tmp_path: Path) -> None:
    """Wherever a write is interrupted, the same open journal can be read and written to afterwards."""
    path = written(tmp_path, STORY[:2])
    whole = path.read_bytes()
    at = 0
    while True:
        put(path, whole)
        journal = FileJournal(tmp_path)
        head = journal.read().head
        if not _interrupted_after(at, partial(journal.append, (DEPLOYED,), expect=head)):
            break
        record = journal.read()
        assert record.events in (STORY[:2], STORY[:3]), at
        journal.append((order("after"),), expect=record.head)
        assert FileJournal(tmp_path).read().events == (*record.events, order("after")), at
        at += 1
    assert at > 100


@_LEAKS
def test_a_signal_in_the_middle_of_a_beginning_leaves_one_rollout_or_two(tmp_path: Path) -> None:
    """Wherever it is interrupted, either the former rollout is still the latest or the new one is, whole."""
    whole = written(tmp_path, STORY[:2]).read_bytes()
    at = 0
    while True:
        put(tmp_path / "000001.jsonl", whole)
        (tmp_path / "000002.jsonl").unlink(missing_ok=True)
        journal = FileJournal(tmp_path)
        head = journal.read().head
        if not _interrupted_after(at, partial(journal.begin, started(2), expect=head)):
            break
        for reader in (journal, FileJournal(tmp_path)):
            record = reader.read()
            assert (record.number, record.events) in ((1, STORY[:2]), (2, (started(2),))), at
        journal.append((order("after"),), expect=record.head)
        assert FileJournal(tmp_path).read().events == (*record.events, order("after")), at
        at += 1
    assert at > 100
