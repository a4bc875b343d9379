"""The journal under a git ref keeps its promises while answers are lost, reads lag behind and people interfere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.events import Event, Interrupted
from rollout.errors import GitHubUnavailable, JournalMoved, JournalUnreadable, JournalUnwritable
from rollout.journals import git_ref
from rollout.journals.base import Lease, Record
from rollout.journals.git_ref import GitRefJournal
from rollout.journals.git_ref_sheet import Sheet, UnreadableSheet, parse
from tests.journals.contract import DEPLOY, DEPLOYED, MOVE, NOON, order, started
from tests.journals.refs_in_memory import MINE, REF, Fate, Place, RefsInMemory, Script, asked, forge, held, opened


@pytest.fixture
def place() -> Place:
    """Nothing has been written yet."""
    return Place()


# Lost answers


@pytest.mark.parametrize("fates", [[Fate.DOUBTFUL], [Fate.LOST], [Fate.LOST, Fate.DOUBTFUL, Fate.LOST]])
def test_a_write_whose_answer_was_lost_is_made_once(place: Place, fates: list[Fate]) -> None:
    """Whether it had taken effect or not: the same commit is put there again, which changes nothing."""
    journal = opened(place, Script({"move": fates}))
    head = journal.begin(started(), expect="")
    assert journal.read().head == head
    journal = opened(place, Script({"move": [*fates]}))
    head = journal.append((DEPLOY,), expect=journal.read().head)
    assert journal.append((DEPLOYED,), expect=head)
    assert opened(place).read().events == (started(), DEPLOY, DEPLOYED)
    assert len(place.chain(REF)) == 3


def test_a_write_on_top_of_which_others_wrote_before_it_was_known_counts_as_made(place: Place) -> None:
    """The second try is refused, as the ref has moved on from this very commit: nothing is written twice."""
    writer = opened(place)
    writer.begin(started(), expect="")
    other = opened(place)

    def fate(name: str) -> Fate:
        if name != "move":
            return Fate.FINE
        if tries.pop() == 2:
            return Fate.DOUBTFUL
        other.append((order("other"),), expect=other.read().head)
        return Fate.FINE

    tries = [1, 2]
    journal = opened(place, fate)
    head = journal.append((DEPLOY,), expect=journal.read().head)
    assert opened(place).read().events == (started(), DEPLOY, order("other"))
    with pytest.raises(JournalMoved):
        journal.append((DEPLOYED,), expect=head)
    assert journal.read().events[-1] == order("other")


def test_a_write_that_lost_after_its_answer_was_lost_is_told_so(place: Place) -> None:
    """It had not taken effect, and then somebody else was faster."""
    writer = opened(place)
    writer.begin(started(), expect="")
    other = opened(place)

    def fate(name: str) -> Fate:
        if name == "move" and tries.pop() == 2:
            other.append((order("other"),), expect=other.read().head)
            return Fate.LOST
        return Fate.FINE

    tries = [1, 2]
    journal = opened(place, fate)
    head = journal.read().head
    with pytest.raises(JournalMoved):
        journal.append((DEPLOY,), expect=head)
    assert journal.read().events == (started(), order("other"))


def test_a_write_that_nobody_answers_is_an_outage_and_not_a_lost_race(place: Place) -> None:
    """It is looked for once; where it is there after all, it is made."""
    journal = opened(place, Script({"move": [Fate.LOST] * 5}))
    with pytest.raises(GitHubUnavailable):
        journal.begin(started(), expect="")
    assert journal.read() == Record()
    journal = opened(place, Script({"move": [Fate.LOST] * 4 + [Fate.DOUBTFUL]}))
    assert journal.begin(started(), expect="") == opened(place).read().head


def test_an_outage_while_reading_is_no_corruption(place: Place) -> None:
    """It comes through as it is, and the next read succeeds."""
    opened(place).begin(started(), expect="")
    for call in ("head", "text"):
        journal = opened(place, Script({call: [Fate.LOST]}))
        with pytest.raises(GitHubUnavailable):
            journal.read()
        assert journal.read().number == 1


# Signals


class _Signal(BaseException):
    """What a signal handler raises, wherever the program happens to be."""


def _interrupted_after(instructions: int, work: Callable[[], object]) -> bool:
    """Run the work and raise in the journal's code after that many instructions; whether it came that far."""
    left = instructions

    def trace(frame: FrameType, event: str, arg: object) -> Callable[[FrameType, str, object], object] | None:
        nonlocal left
        if frame.f_code.co_filename != git_ref.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if left == 0:
                raise _Signal
            left -= 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]  # the type of a trace function names itself
    try:
        work()
    except _Signal:
        return True
    finally:
        sys.settrace(None)
    return False


def test_a_signal_in_the_middle_of_a_write_loses_or_keeps_it_whole() -> None:
    """Wherever it is interrupted, the same journal writes its last words on top, once, and gives the lease back."""
    last_words = Interrupted(at=NOON, signal="SIGINT")
    at = 0
    while True:
        place = Place()
        journal = opened(place)
        journal.take(MINE, now=NOON)
        head = journal.begin(started(), expect=journal.read().head)
        if not _interrupted_after(at, partial(journal.append, (DEPLOY,), expect=head)):
            break
        journal.hurry(timedelta(seconds=4))
        journal.append((last_words,), expect=journal.read().head)
        events = opened(place).read().events
        assert events in ((started(), last_words), (started(), DEPLOY, last_words)), at
        assert held(place) is None
        at += 1
    assert at > 100


# Reads that lag behind


def test_a_read_never_goes_back_behind_what_this_process_wrote(place: Place) -> None:
    """An older head is known to be older, be it one that was seen before, or none at all."""
    script = Script({"head": [Fate.STALE] * 2})
    journal = opened(place, script)
    head = journal.begin(started(), expect="")
    assert journal.read().head == head
    head = journal.append((DEPLOY,), expect=head)
    assert asked(place, journal.read) == ["head"]
    assert journal.read().head == head


def test_a_read_never_goes_back_to_a_state_that_this_process_has_not_seen(place: Place) -> None:
    """It was passed over before: the number of writes tells that it is older."""
    other = opened(place)
    head = other.begin(started(), expect="")
    journal = opened(place, Script({"head": [Fate.FINE, Fate.FINE, Fate.STALE, Fate.STALE]}))
    assert journal.read().head == head
    for name in ("a", "b"):
        head = other.append((order(name),), expect=head)
    assert journal.read().head == head
    assert asked(place, journal.read) == ["head", "text"]
    assert asked(place, journal.read) == ["head"]
    assert journal.read().head == head


def test_after_a_lost_race_a_read_that_lags_behind_does_not_lead_to_the_same_decision(place: Place) -> None:
    """Whoever hears that the journal has moved finds what it has moved to."""
    other = opened(place)
    head = other.begin(started(), expect="")
    stale = [Fate.FINE] + [Fate.STALE] * 3 + [Fate.FINE] + [Fate.STALE]
    journal = opened(place, Script({"head": stale}))
    journal.read()
    other.append((order("other"),), expect=head)
    with pytest.raises(JournalMoved):
        journal.append((DEPLOY,), expect=head)
    assert journal.read().events == (started(), order("other"))


def test_a_store_that_lags_behind_for_long_is_an_outage(place: Place) -> None:
    """It refuses the write and shows what was there before: neither answer leads anywhere."""
    other = opened(place)
    head = other.begin(started(), expect="")
    journal = opened(place, Script({"head": [Fate.FINE] + [Fate.STALE] * 5}))
    journal.read()
    other.append((order("other"),), expect=head)
    with pytest.raises(GitHubUnavailable, match="still shows"):
        journal.append((DEPLOY,), expect=head)


def test_a_commit_that_is_named_before_it_can_be_read_is_waited_for(place: Place) -> None:
    """The ref was faster than the objects."""
    opened(place).begin(started(), expect="")
    assert opened(place, Script({"text": [Fate.STALE] * 3})).read().number == 1


def test_a_commit_that_the_ref_cannot_be_moved_to_yet_is_waited_for(place: Place) -> None:
    """The objects were slower than the ref."""

    class Slow(RefsInMemory):
        """Moves refs to commits it has just heard of only at the third time."""

        tries = 0

        def move(self, ref: str, *, to: str, parent: str) -> str:
            """Too early twice."""
            self.tries += 1
            return "Object does not exist" if self.tries < 3 else super().move(ref, to=to, parent=parent)

    journal = GitRefJournal(Slow(place), ref=REF, sleep=lambda _: None)
    assert journal.begin(started(), expect="") == place.refs[REF][-1]


# What cannot be read, and what is refused


WHOLE = Sheet(serial=3).begun(started(), former="").grown((DEPLOY,)).text()
HEAD, FIRST, SECOND, _ = WHOLE.split("\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "it holds no journal.jsonl"),
        ("", "cut off"),
        ("{", "cut off"),
        (WHOLE[:-1], "line 3: it is cut off"),
        ("x\n", "line 1: it is not JSON"),
        ("[]\n", "line 1: it says no version"),
        ('{"schema":"1"}\n', "line 1: it says no version"),
        ('{"schema":1}\n', "line 1: serial: Field required"),
        (WHOLE.replace('"schema":1', '"schema":2', 1), "newer version"),
        (WHOLE.replace('"queue":[]', '"queue":[7]', 1), "line 1: queue.0"),
        (WHOLE.replace('"queue"', '"cue"', 1), "line 1: queue"),
        (
            WHOLE.replace('"lease":null', '"lease":{"owner":"a","until":"2026-01-01T12:15:00"}', 1),
            "line 1: lease.until",
        ),
        (WHOLE.replace('"lease":null', '"lease":{"owner":"a"}', 1), "line 1: lease.until"),
        (WHOLE.replace('"serial":3', '"serial":-3', 1), "line 1: serial"),
        (f"{HEAD}\n", "line 2: a rollout begins with its start"),
        (f"{HEAD}\n{SECOND}\n", "line 2: a rollout begins with its start"),
        (Sheet().text() + FIRST + "\n", "line 2: a rollout begins with its start"),
        (f"{HEAD}\n{FIRST}\n{{}}\n", "line 3: "),
        (f"{HEAD}\n{FIRST}\n\n{SECOND}\n", "line 3: "),
        (WHOLE.replace('"kind":"intended"', '"kind":"dreamt"'), "line 3: "),
    ],
)
def test_what_cannot_be_read_blocks_and_stays(place: Place, text: str | None, why: str) -> None:
    """Nothing is written over it by anybody, and the error says where it is and what a person can do."""
    sha = forge(place, text)
    journal = opened(place)
    works: tuple[Callable[[], object], ...] = (
        journal.read,
        journal.waiting,
        lambda: journal.append((DEPLOY,), expect=sha),
        lambda: journal.begin(started(), expect=sha),
        lambda: journal.take(MINE, now=NOON),
        lambda: journal.release("run/1"),
        lambda: journal.enqueue("v3"),
        lambda: journal.dequeue("v3"),
    )
    for work in works:
        with pytest.raises(JournalUnreadable, match=re.escape(REF)) as met:
            work()
        assert why in str(met.value)
        assert met.value.hint
    with pytest.raises(JournalUnreadable):
        journal.begin(started(), expect="")
    assert place.refs[REF][-1] == sha


@given(
    serial=st.integers(0, 10**9),
    former=st.sampled_from(["", "f" * 40]),
    held=st.none() | st.builds(Lease, owner=st.text(max_size=9), until=st.datetimes(timezones=st.just(UTC))),
    queue=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    events=st.lists(st.sampled_from([DEPLOY, DEPLOYED, MOVE]) | st.text(max_size=9).map(order), max_size=4).map(tuple),
)
def test_what_is_written_into_the_file_is_read_back_equal(
    serial: int, former: str, held: Lease | None, queue: tuple[str, ...], events: tuple[Event, ...]
) -> None:
    """Whatever people are called; and what was cut off anywhere is noticed."""
    sheet = Sheet(serial=serial, lease=held, queue=queue).begun(started(), former=former).grown(events)
    text = sheet.text()
    assert parse(text) == sheet
    for end in range(0, len(text), 7):
        if text[end - 1 : end] != "\n":
            with pytest.raises(UnreadableSheet):
                parse(text[:end])


def test_a_ref_that_is_gone_is_not_made_again(place: Place) -> None:
    """Whoever deleted it may have had a reason; the rollout that this process knows is not put in its place."""
    journal = opened(place)
    head = journal.begin(started(), expect="")
    place.refs.clear()
    assert journal.read().head == head
    with pytest.raises(JournalUnreadable, match="is gone"):
        journal.append((DEPLOY,), expect=head)
    assert opened(place).read() == Record()


def test_a_refusal_that_is_no_race_says_what_github_says(place: Place) -> None:
    """A rule of the repository, for example; the hint names the permission."""

    class Ruled(RefsInMemory):
        """A repository with a rule."""

        def move(self, ref: str, *, to: str, parent: str) -> str:
            """Refused."""
            return "Repository rule violations found"

    journal = GitRefJournal(Ruled(place), ref=REF, sleep=lambda _: None)
    with pytest.raises(JournalUnwritable, match="rule violations") as met:
        journal.begin(started(), expect="")
    assert "contents: write" in met.value.hint
