"""What every journal promises, as one suite: a test class per adapter inherits it and says how its journal is opened.

It knows the port and nothing of any adapter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from rollout.core.decisions import Deploy, MoveTraffic
from rollout.core.events import Commanded, Deployed, Intended, Interrupted, Order, Started
from rollout.core.gates import FailureGate
from rollout.core.plan import EVERYTHING, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.selector import parse
from rollout.errors import JournalMoved
from rollout.journals.base import Journal, Lease

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = NOON + timedelta(minutes=15)
STABLE = Release(tag="v1", image="example/chat", digest="sha256:" + "1" * 64)
RELEASE = Release(tag="v2", image="example/chat", digest="sha256:" + "2" * 64)
GATE = FailureGate(
    name="http 5xx",
    failures=parse('http_requests_total{version="$version", code=~"5.."}'),
    total=parse('http_requests_total{version="$version"}'),
    max=0.02,
)
PLAN = Plan(
    service="chat",
    environment="production",
    steps=(
        Step(weight=Weight(0.1), soak=timedelta(minutes=5)),
        Step(weight=EVERYTHING, soak=timedelta(minutes=5), approve=True),
    ),
    gates=(GATE,),
)
DEPLOY = Intended(at=NOON, action=Deploy())
DEPLOYED = Deployed(at=NOON)
MOVE = Intended(at=NOON, action=MoveTraffic(weight=Weight(0.1), step=0))

Open = Callable[[], Journal]
"""Opens the same journal again, as another process would."""


def started(number: int = 1) -> Started:
    """The beginning of a rollout."""
    return Started(at=NOON, rollout=f"{number}-v2", release=RELEASE, stable=STABLE, plan=PLAN)


def order(by: str) -> Commanded:
    """An event that tells who wrote it."""
    return Commanded(at=NOON, order=Order.PAUSE, by=by, step=0)


def race(contenders: tuple[Callable[[], None], ...]) -> tuple[int, list[BaseException]]:
    """Let all of them loose at once: how many came through, and what the others met."""
    gate = threading.Barrier(len(contenders))
    through: list[int] = []
    met: list[BaseException] = []

    def run(contender: Callable[[], None]) -> None:
        gate.wait()
        try:
            contender()
        except BaseException as wrong:  # noqa: BLE001 - a thread would swallow it; the caller asserts on it
            met.append(wrong)
        else:
            through.append(1)

    threads = [threading.Thread(target=run, args=(contender,)) for contender in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(through), met


class JournalContract:
    """The suite. A class that inherits it overrides the fixture `reopen`."""

    @pytest.fixture
    def reopen(self) -> Open:
        """Opens one and the same empty journal, as often as it is called."""
        raise NotImplementedError

    @pytest.fixture
    def journal(self, reopen: Open) -> Journal:
        """The journal, opened once."""
        return reopen()

    def test_a_journal_that_nobody_has_written_is_empty(self, journal: Journal) -> None:
        """There are no events, no head and no rollouts."""
        record = journal.read()
        assert (record.events, record.head, record.number, record.repaired) == ((), "", 0, "")

    def test_what_is_written_is_read_back_by_the_writer_and_by_everyone_else(
        self, journal: Journal, reopen: Open
    ) -> None:
        """Events come back equal and in their order, and the head that was returned is the head that is read."""
        head = journal.begin(started(), expect="")
        head = journal.append((DEPLOY, DEPLOYED), expect=head)
        head = journal.append((MOVE,), expect=head)
        for reader in (journal, reopen()):
            record = reader.read()
            assert record.events == (started(), DEPLOY, DEPLOYED, MOVE)
            assert record.head == head
            assert record.number == 1
            assert not record.repaired

    def test_a_reader_that_stays_open_sees_what_others_write(self, journal: Journal, reopen: Open) -> None:
        """Nothing is remembered in place of reading."""
        reader = reopen()
        assert reader.read().events == ()
        head = journal.begin(started(), expect="")
        assert reader.read().events == (started(),)
        journal.append((DEPLOY,), expect=head)
        assert reader.read().events == (started(), DEPLOY)

    def test_every_write_changes_the_head(self, journal: Journal) -> None:
        """Even the same event twice gives two heads, or compare-and-swap would not notice the first."""
        heads = [journal.begin(started(), expect="")]
        for _ in range(3):
            heads.append(journal.append((DEPLOY,), expect=heads[-1]))
        assert len({*heads, ""}) == 5

    def test_a_write_on_top_of_an_old_head_changes_nothing(self, journal: Journal, reopen: Open) -> None:
        """JournalMoved is raised, the record stays, and after a fresh look the write succeeds."""
        first = journal.begin(started(), expect="")
        second = reopen().append((DEPLOY,), expect=first)
        for stale in (first, "", "nonsense"):
            with pytest.raises(JournalMoved):
                journal.append((order("late"),), expect=stale)
        assert journal.read().events == (started(), DEPLOY)
        assert journal.read().head == second
        journal.append((order("late"),), expect=journal.read().head)
        assert reopen().read().events == (started(), DEPLOY, order("late"))

    def test_a_rollout_begins_only_on_top_of_the_head_that_was_read(self, journal: Journal, reopen: Open) -> None:
        """Whoever believes that there has been none, or only the one before, is refused."""
        head = journal.begin(started(), expect="")
        with pytest.raises(JournalMoved):
            reopen().begin(started(), expect="")
        journal.append((DEPLOY,), expect=head)
        with pytest.raises(JournalMoved):
            reopen().begin(started(2), expect=head)
        assert reopen().read().events == (started(), DEPLOY)
        assert reopen().read().number == 1

    def test_nothing_can_be_appended_before_a_rollout_has_begun(self, journal: Journal) -> None:
        """An event without a beginning would be a record that nobody can read."""
        for head in ("", "0:0:", "1:0:"):
            with pytest.raises(JournalMoved):
                journal.append((DEPLOY,), expect=head)
        assert journal.read().events == ()

    def test_rollouts_are_numbered_and_the_latest_is_read(self, journal: Journal, reopen: Open) -> None:
        """A new rollout has a record of its own; the number tells how many there have been."""
        head = ""
        for number in (1, 2, 3):
            head = journal.begin(started(number), expect=head)
            head = journal.append((DEPLOY,), expect=head)
            for reader in (journal, reopen()):
                record = reader.read()
                assert record.number == number
                assert record.events == (started(number), DEPLOY)
                assert record.head == head

    def test_a_writer_of_the_former_rollout_notices_the_new_one(self, journal: Journal, reopen: Open) -> None:
        """Its head names a record that is closed."""
        old = journal.begin(started(), expect="")
        reopen().begin(started(2), expect=old)
        with pytest.raises(JournalMoved):
            journal.append((DEPLOY,), expect=old)
        assert journal.read().events == (started(2),)

    def test_of_many_who_begin_at_once_one_wins(self, reopen: Open) -> None:
        """Eight begin on top of the same head: one rollout, and seven who know that they lost."""
        for number in (1, 2, 3):
            head = reopen().read().head
            contenders = tuple(self._beginner(reopen, number, head) for _ in range(8))
            winners, met = race(contenders)
            assert winners == 1
            assert [type(wrong) for wrong in met] == [JournalMoved] * 7
            assert reopen().read().number == number
            assert reopen().read().events == (started(number),)

    def test_of_many_who_write_at_once_one_wins_each_time(self, reopen: Open) -> None:
        """Twenty rounds of four writers on the same head: twenty events, none lost and none written over."""
        reopen().begin(started(), expect="")
        for round_ in range(20):
            head = reopen().read().head
            contenders = tuple(self._writer(reopen, f"{round_}/{name}", head) for name in "abcd")
            winners, met = race(contenders)
            assert winners == 1
            assert [type(wrong) for wrong in met] == [JournalMoved] * 3
        assert len(reopen().read().events) == 21

    def test_writers_who_try_again_all_get_their_word_in_once(self, reopen: Open) -> None:
        """Four writers with ten events each, all with retries: forty events, each writer's in its own order."""
        reopen().begin(started(), expect="")
        winners, met = race(tuple(self._stubborn(reopen, name) for name in "abcd"))
        assert (winners, met) == (4, [])
        told = [event.by for event in reopen().read().events if isinstance(event, Commanded)]
        for name in "abcd":
            assert [by for by in told if by.startswith(name)] == [f"{name}{number}" for number in range(10)]
        assert len(told) == 40

    def test_the_lease_keeps_others_out_until_it_is_given_back(self, journal: Journal, reopen: Open) -> None:
        """Whoever asks in vain is told who holds it and until when."""
        held = Lease(owner="elsewhere/1/1", until=SOON)
        assert journal.take(held, now=NOON) is None
        assert reopen().take(Lease(owner="elsewhere/2/2", until=SOON), now=NOON) == held
        journal.release("elsewhere/1/1")
        assert reopen().take(Lease(owner="elsewhere/2/2", until=SOON), now=NOON) is None

    def test_the_lease_is_renewed_by_its_owner(self, journal: Journal, reopen: Open) -> None:
        """When little of it is left; then the new end counts, and the old one no longer does."""
        journal.take(Lease(owner="elsewhere/1/1", until=SOON), now=NOON)
        renewed = Lease(owner="elsewhere/1/1", until=SOON + timedelta(minutes=5))
        assert journal.take(renewed, now=SOON - timedelta(minutes=1)) is None
        late = SOON + timedelta(minutes=1)
        rival = Lease(owner="elsewhere/2/2", until=late + timedelta(minutes=15))
        assert reopen().take(rival, now=late) == renewed

    def test_a_lease_that_has_run_out_is_anybodys(self, journal: Journal, reopen: Open) -> None:
        """It ends at `until`, not a moment later; whoever let it run out is told who has it now."""
        journal.take(Lease(owner="elsewhere/1/1", until=SOON), now=NOON)
        rival = Lease(owner="elsewhere/2/2", until=SOON + timedelta(minutes=15))
        assert reopen().take(rival, now=SOON - timedelta(seconds=1)) is not None
        assert reopen().take(rival, now=SOON) is None
        assert journal.take(Lease(owner="elsewhere/1/1", until=SOON + timedelta(minutes=1)), now=SOON) == rival

    def test_nobody_gives_back_the_lease_of_another(self, journal: Journal, reopen: Open) -> None:
        """To release what one does not hold changes nothing."""
        held = Lease(owner="elsewhere/1/1", until=SOON)
        reopen().release("elsewhere/1/1")
        journal.take(held, now=NOON)
        reopen().release("elsewhere/2/2")
        assert reopen().take(Lease(owner="elsewhere/2/2", until=SOON), now=NOON) == held

    def test_a_process_that_was_told_to_stop_can_write_that_down_and_leave(
        self, journal: Journal, reopen: Open
    ) -> None:
        """Its last words are read by others, and the lease is free at once."""
        journal.take(Lease(owner="elsewhere/1/1", until=SOON), now=NOON)
        head = journal.begin(started(), expect=journal.read().head)
        journal.hurry(timedelta(seconds=4))
        last_words = Interrupted(at=NOON, signal="SIGTERM")
        journal.append((last_words,), expect=head)
        journal.release("elsewhere/1/1")
        assert reopen().read().events == (started(), last_words)
        assert reopen().take(Lease(owner="elsewhere/2/2", until=SOON), now=NOON) is None

    def test_of_many_who_take_the_lease_at_once_one_gets_it(self, reopen: Open) -> None:
        """Eight want a free lease: one has it, and the others all hear the same name."""
        answers: list[Lease | None] = []

        def taker(name: str) -> Callable[[], None]:
            journal = reopen()
            return lambda: answers.append(journal.take(Lease(owner=f"elsewhere/{name}/1", until=SOON), now=NOON))

        race(tuple(taker(name) for name in "12345678"))
        assert len(answers) == 8
        assert answers.count(None) == 1
        assert len({answer.owner for answer in answers if answer is not None}) == 1

    def _beginner(self, reopen: Open, number: int, head: str) -> Callable[[], None]:
        journal = reopen()
        return lambda: self._done(journal.begin(started(number), expect=head))

    def _writer(self, reopen: Open, name: str, head: str) -> Callable[[], None]:
        journal = reopen()
        return lambda: self._done(journal.append((order(name),), expect=head))

    def _stubborn(self, reopen: Open, name: str) -> Callable[[], None]:
        journal = reopen()

        def write() -> None:
            for number in range(10):
                while True:
                    try:
                        journal.append((order(f"{name}{number}"),), expect=journal.read().head)
                    except JournalMoved:
                        continue
                    break

        return write

    def _done(self, head: str) -> None:
        assert head
