"""The journal under a git ref, on real git behind a real socket: what it promises, what it costs, what it survives."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from pydantic import SecretStr

from rollout.core.events import Commanded, Interrupted
from rollout.errors import GitHubForbids, GitHubUnavailable, JournalMoved, JournalUnreadable
from rollout.github.api import Repository
from rollout.github.refs import Refs
from rollout.journals.base import Lease, Record
from rollout.journals.git_ref import GitRefJournal, ref_of
from tests.github.clock import Clock
from tests.github.server import GitHubServer
from tests.journals.contract import DEPLOY, DEPLOYED, MOVE, NOON, SOON, JournalContract, Open, order, race, started

REF = ref_of("chat", "production")
MINE = Lease(owner="run/1", until=SOON)

OpenCounted = Callable[[], tuple[GitRefJournal, Repository]]


@pytest.fixture
def opens(github: GitHubServer, clock: Clock) -> OpenCounted:
    """Opens the journal as another process would, and its client beside it."""

    def open_() -> tuple[GitRefJournal, Repository]:
        repository = Repository(
            github.repository, token=SecretStr(github.token), url=github.url, clock=clock, sleep=clock.sleep
        )
        return GitRefJournal(Refs(repository), ref=REF, sleep=clock.sleep), repository

    return open_


@pytest.fixture
def journal(opens: OpenCounted) -> GitRefJournal:
    """The journal, opened once."""
    return opens()[0]


class TestContract(JournalContract):
    """The journal keeps what every journal promises."""

    @pytest.fixture
    def reopen(self, opens: OpenCounted) -> Open:
        """Every journal has a client of its own."""
        return lambda: opens()[0]

    @pytest.fixture
    def journal(self, reopen: Open) -> GitRefJournal:
        """The journal, opened once."""
        opened = reopen()
        assert isinstance(opened, GitRefJournal)
        return opened


def test_what_each_call_costs(opens: OpenCounted) -> None:
    """Requests that count against the limit; what has not changed is asked for free, and one's own lease not at all."""
    journal, repository = opens()

    def cost(work: Callable[[], object]) -> tuple[int, int]:
        counted, free = repository.spent.counted, repository.spent.free
        work()
        return repository.spent.counted - counted, repository.spent.free - free

    assert cost(lambda: journal.take(MINE, now=NOON)) == (4, 0)
    assert cost(lambda: journal.take(MINE, now=NOON)) == (0, 0)
    assert cost(journal.read) == (1, 0)
    assert cost(journal.read) == (0, 1)
    head = journal.read().head
    assert cost(lambda: journal.begin(started(), expect=head)) == (3, 0)
    assert cost(journal.read) == (1, 0)
    head = journal.read().head
    assert cost(lambda: journal.append((DEPLOY, DEPLOYED), expect=head)) == (3, 0)
    other, _ = opens()
    other.append((order("ann"),), expect=other.read().head)
    assert cost(journal.read) == (2, 0)
    assert cost(journal.read) == (0, 1)
    assert cost(lambda: journal.enqueue("v3")) == (3, 1)
    assert cost(journal.waiting) == (1, 0)
    assert cost(lambda: journal.enqueue("v3")) == (0, 1)
    assert cost(lambda: journal.release("run/1")) == (3, 1)
    assert cost(lambda: journal.release("run/1")) == (1, 0)
    fresh, repository = opens()
    assert cost(fresh.read) == (2, 0)
    assert cost(lambda: fresh.take(MINE, now=NOON)) == (3, 1)


def test_two_hours_of_holding_cost_what_is_written_and_nothing_else(opens: OpenCounted) -> None:
    """Forty events and a look every twenty seconds: four requests an event, although the lease is held throughout."""
    journal, repository = opens()
    now = NOON
    journal.take(Lease(owner="run/1", until=now + timedelta(minutes=15)), now=now)
    head = journal.begin(started(), expect=journal.read().head)
    for _ in range(40):
        for _ in range(9):
            now += timedelta(seconds=20)
            assert journal.take(Lease(owner="run/1", until=now + timedelta(minutes=15)), now=now) is None
            assert journal.read().head == head
        head = journal.append((Interrupted(at=now, signal="x"),), expect=head)
    journal.release("run/1")
    assert repository.spent.counted == 4 + 1 + 3 + 40 * 4 + 4
    assert repository.spent.free == 40 * 8


def test_git_itself_tells_the_story(journal: GitRefJournal, github: GitHubServer) -> None:
    """An orphan chain beside the branches: `git log` is the audit trail, and the checks of git find nothing wrong."""
    head = journal.begin(started(12), expect="")
    head = journal.append((DEPLOY, DEPLOYED), expect=head)
    journal.append((MOVE,), expect=head)
    assert _git(github, "log", "--format=%s", REF).splitlines() == [
        "12-v2: intended move_traffic 0.1 %",
        "12-v2: intended deploy, deployed",
        "12-v2: started v2",
    ]
    assert _git(github, "ls-tree", "--name-only", REF).split() == ["journal.jsonl"]
    assert _git(github, "for-each-ref", "--format=%(refname)", "refs/heads").split() == ["refs/heads/main"]
    _git(github, "fsck", "--strict")


def _git(github: GitHubServer, *arguments: str) -> str:
    command = ["git", "--git-dir", str(github.git.folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_names_and_words_of_any_language_come_back(opens: OpenCounted) -> None:
    """Also where the file is asked for as it is."""
    names = ("李雷 🚀", "a\u2028b\r\nc", 'quo"te\\', "\x7f")
    journal, _ = opens()
    journal.append(tuple(map(order, names)), expect=journal.begin(started(), expect=""))
    assert opens()[0].read().events == (started(), *map(order, names))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("drop", [False, True])
def test_a_write_whose_answer_is_lost_is_made_once(
    journal: GitRefJournal, opens: OpenCounted, github: GitHubServer, after: bool, drop: bool
) -> None:
    """The first write of all and a later one; by a 5xx or a connection that ends, before it takes effect or after."""
    github.fault("POST", "git/refs", after=after, drop=drop)
    head = journal.begin(started(), expect="")
    github.fault("PATCH", "git/refs", after=after, drop=drop, times=2)
    head = journal.append((DEPLOY,), expect=head)
    assert journal.read() == opens()[0].read() == Record(events=(started(), DEPLOY), head=head, number=1)


def test_a_write_that_never_gets_an_answer_is_found_by_the_next_read(
    journal: GitRefJournal, github: GitHubServer
) -> None:
    """Whoever is told that GitHub is away does not know, and must read."""
    head = journal.begin(started(), expect="")
    github.fault("PATCH", "git/refs", after=True, times=5)
    fault = github.fault("GET", "git/ref/", times=5)
    with pytest.raises(GitHubUnavailable):
        journal.append((DEPLOY,), expect=head)
    assert fault.left == 0
    assert journal.read().events == (started(), DEPLOY)


def test_a_read_that_lags_behind_a_write_is_not_believed(journal: GitRefJournal, github: GitHubServer) -> None:
    """Neither after the first write nor after a later one."""
    head = journal.begin(started(), expect="")
    github.stale_reads(1, "git/ref")
    assert journal.read().head == head
    head = journal.append((DEPLOY,), expect=head)
    github.stale_reads(2, "git/ref")
    for _ in range(3):
        assert journal.read().head == head


def test_a_lost_race_whose_reads_lag_behind_ends_with_what_the_other_wrote(
    journal: GitRefJournal, opens: OpenCounted, github: GitHubServer
) -> None:
    """Whoever decides again does so on the newer state."""
    head = journal.begin(started(), expect="")
    other, _ = opens()
    other.append((order("ann"),), expect=other.read().head)
    github.stale_reads(3, "git/ref")
    with pytest.raises(JournalMoved):
        journal.append((DEPLOY,), expect=head)
    github.stale_reads(1, "git/ref")
    assert journal.read().events == (started(), order("ann"))


@pytest.mark.parametrize("path", ["git/trees", "git/commits", "git/refs"])
def test_a_limit_is_waited_for_and_nothing_is_written_twice(
    journal: GitRefJournal, github: GitHubServer, clock: Clock, path: str
) -> None:
    """GitHub says for how long."""
    head = journal.begin(started(), expect="")
    github.secondary_limit(1, 30, method="", path=path)
    begun = clock()
    head = journal.append((DEPLOY,), expect=head)
    assert timedelta(seconds=30) <= clock() - begun < timedelta(seconds=33)
    assert journal.read().events == (started(), DEPLOY)


def test_a_token_that_may_not_write_is_told_so(journal: GitRefJournal, github: GitHubServer) -> None:
    """Reading goes on."""
    head = journal.begin(started(), expect="")
    github.permissions["contents"] = "read"
    with pytest.raises(GitHubForbids):
        journal.append((DEPLOY,), expect=head)
    assert journal.read().events == (started(),)


def test_the_last_words_take_five_requests_and_no_waiting(
    journal: GitRefJournal, github: GitHubServer, clock: Clock
) -> None:
    """What is left of the time before the process is killed is enough."""
    journal.take(MINE, now=NOON)
    journal.begin(started(), expect=journal.read().head)
    before, begun = github.count(), clock()
    journal.hurry(timedelta(seconds=4))
    journal.append((Interrupted(at=NOON, signal="SIGINT"),), expect=journal.read().head)
    journal.release("run/1")
    assert github.count() - before == 5
    assert clock() == begun
    assert journal.take(Lease(owner="run/2", until=SOON), now=NOON) is None


def test_a_journal_that_somebody_edited_by_hand_blocks(
    journal: GitRefJournal, opens: OpenCounted, github: GitHubServer
) -> None:
    """It stays as it is."""
    head = journal.begin(started(), expect="")
    refs = Refs(opens()[1])
    broken = refs.commit(name="journal.jsonl", text='{"schema":1}\n', message="by hand", parent=head)
    assert refs.move(REF, to=broken, parent=head) == ""
    with pytest.raises(JournalUnreadable):
        journal.append((DEPLOY,), expect=head)
    with pytest.raises(JournalUnreadable):
        opens()[0].take(MINE, now=NOON)
    assert github.git.ref(REF) == broken


def test_writers_in_bad_weather_get_each_word_in_once(opens: OpenCounted, github: GitHubServer) -> None:
    """Three writers at once, while answers are lost before and after they take effect, and reads lag behind."""
    opens()[0].begin(started(), expect="")
    die = random.Random(11)
    for _ in range(30):
        github.fault("PATCH", "git/refs", times=1, after=die.random() < 0.5, drop=die.random() < 0.5)
    github.stale_reads(20, "git/ref")

    def write(name: str) -> None:
        journal, _ = opens()
        for number in range(8):
            while not _told(record := journal.read(), f"{name}{number}"):
                with suppress(JournalMoved, GitHubUnavailable):
                    journal.append((order(f"{name}{number}"),), expect=record.head)

    winners, met = race(tuple(partial(write, name) for name in "abc"))
    assert (winners, met) == (3, [])
    record = opens()[0].read()
    assert all(_told(record, f"{name}{number}") == 1 for name in "abc" for number in range(8))
    assert len(record.events) == 25


def _told(record: Record, name: str) -> int:
    return sum(isinstance(event, Commanded) and event.by == name for event in record.events)
