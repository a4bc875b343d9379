"""The journal under a git ref keeps what every journal promises, and costs no more requests than it must."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import partial
from random import Random

import pytest

from rollout.core.events import Interrupted
from rollout.errors import GitHubUnavailable
from rollout.journals.base import Journal, Lease, Record
from rollout.journals.git_ref import FILE, GitRefJournal, RefStore, ref_of
from tests.journals.contract import DEPLOY, DEPLOYED, MOVE, NOON, SOON, JournalContract, Open, order, started
from tests.journals.interleaving import Turns
from tests.journals.refs_in_memory import (
    MINE,
    REF,
    RIVAL,
    SPAN,
    Fate,
    Place,
    RefsInMemory,
    Script,
    asked,
    held,
    lease,
    opened,
)


@pytest.fixture
def place() -> Place:
    """Nothing has been written yet."""
    return Place()


class TestContract(JournalContract):
    """The journal keeps what every journal promises."""

    @pytest.fixture
    def reopen(self, place: Place) -> Open:
        """Every journal asks for itself."""
        return lambda: opened(place)


# What it asks for


def test_a_read_asks_for_the_ref_and_for_one_file(place: Place) -> None:
    """While nothing changes it asks for the ref alone, which GitHub answers for free; its own writes it knows."""
    journal = opened(place)
    head = journal.begin(started(), expect="")
    reader = opened(place)
    assert asked(place, reader.read) == ["head", "text"]
    assert asked(place, reader.read) == ["head"]
    assert asked(place, journal.read) == ["head"]
    journal.append((DEPLOY,), expect=head)
    assert asked(place, journal.read) == ["head"]
    assert asked(place, reader.read) == ["head", "text"]


def test_a_write_asks_for_nothing_that_is_known(place: Place) -> None:
    """One commit, which is two requests, and the ref: also for the first of all."""
    journal = opened(place)
    assert asked(place, lambda: journal.begin(started(), expect="")) == ["commit", "move"]
    head = journal.read().head
    assert asked(place, lambda: journal.append((DEPLOY, DEPLOYED), expect=head)) == ["commit", "move"]


def test_the_lease_costs_nothing_while_it_is_renewed_by_other_writes(place: Place) -> None:
    """Taken once; then each event moves its end, and to take it again asks for nothing."""
    journal = opened(place)
    assert asked(place, lambda: journal.take(MINE, now=NOON)) == ["head", "commit", "move"]
    head = journal.begin(started(), expect=journal.read().head)
    for minutes in range(5, 60, 5):
        now = NOON + timedelta(minutes=minutes)
        head = journal.append((Interrupted(at=now, signal="x"),), expect=head)
        assert held(place) == lease("run/1", minutes + 15)
        assert asked(place, partial(journal.take, Lease(owner="run/1", until=now + SPAN), now=now)) == []


def test_a_lease_is_written_again_when_less_than_half_of_it_is_left(place: Place) -> None:
    """Not before, as a write costs three requests."""
    journal = opened(place)
    journal.take(MINE, now=NOON)
    assert asked(place, lambda: journal.take(lease("run/1", 22), now=NOON + timedelta(minutes=7))) == []
    assert held(place) == MINE
    late = NOON + timedelta(minutes=8)
    assert asked(place, lambda: journal.take(lease("run/1", 23), now=late)) == ["head", "commit", "move"]
    assert held(place) == lease("run/1", 23)


# What stands in it


def test_each_write_is_a_commit_on_top_of_the_one_before(place: Place) -> None:
    """The log of the ref tells the story, and the tree holds the latest rollout."""
    journal = opened(place)
    journal.take(MINE, now=NOON)
    head = journal.begin(started(12), expect=journal.read().head)
    head = journal.append((DEPLOY, DEPLOYED), expect=head)
    head = journal.append((MOVE, order("ann")), expect=head)
    journal.enqueue("v3")
    chain = [place.commits[sha] for sha in place.chain(REF)]
    assert [made.message.partition("\n")[0] for made in chain] == [
        "lease: run/1 until 12:15:00",
        "12-v2: started v2",
        "12-v2: intended deploy, deployed",
        "12-v2: intended move_traffic 0.1 %, ann ordered pause",
        "queue: v3 waits",
    ]
    first, *lines = chain[-1].files[FILE].splitlines()
    assert json.loads(first) == {
        "schema": 1,
        "serial": 5,
        "rollout": 1,
        "former": "",
        "lease": {"owner": "run/1", "until": "2026-01-01T12:15:00+00:00"},
        "queue": ["v3"],
    }
    assert [json.loads(line)["kind"] for line in lines] == ["started", "intended", "deployed", "intended", "commanded"]


def test_the_same_write_by_two_writers_makes_two_commits(place: Place) -> None:
    """Else both would find their own commit at the head, and both would believe that they won."""
    for journal in (opened(place), opened(place)):
        with pytest.raises(GitHubUnavailable):
            GitRefJournal(RefsInMemory(place, Script({"move": [Fate.LOST] * 9})), ref=REF, sleep=lambda _: None).begin(
                started(), expect=""
            )
        assert journal.read().head == ""
    assert len(place.commits) == 2


def test_what_people_write_does_not_speak_in_a_commit_message(place: Place) -> None:
    """No issue is linked, nobody is called, and no line is added, whatever somebody's name is."""
    journal = opened(place)
    head = journal.begin(started(), expect="")
    journal.append((order("a\n\nFixes #7 @all [skip ci] `x` " + "y" * 200),), expect=head)
    subject, *rest = place.commits[journal.read().head].message.splitlines()
    assert re.fullmatch(r"[\w .,:;%()/+-]{1,100}", subject)
    assert next(line for line in rest if line).startswith("Rollout-Write: ")


def test_under_a_branch_no_workflow_runs_because_of_a_write(place: Place) -> None:
    """Where refs of one's own are not to be had, each commit says that it is nothing to build."""
    branch = ref_of("chat", "production", prefix="refs/heads/rollouts/")
    GitRefJournal(RefsInMemory(place), ref=branch).begin(started(), expect="")
    assert branch == "refs/heads/rollouts/chat/production"
    assert "[skip ci]" in place.commits[place.refs[branch][-1]].message
    opened(place).begin(started(), expect="")
    assert "[skip ci]" not in place.commits[place.refs[REF][-1]].message


def test_the_former_rollouts_can_be_read_again(place: Place) -> None:
    """Each with all its events, the oldest first, whatever was written between them."""
    journal = opened(place)
    head = journal.begin(started(1), expect="")
    journal.append((DEPLOY,), expect=head)
    journal.enqueue("v9")
    head = journal.begin(started(2), expect=journal.read().head)
    head = journal.begin(started(3), expect=head)
    journal.append((DEPLOYED,), expect=head)
    assert list(opened(place).rollouts()) == [(started(1), DEPLOY), (started(2),), (started(3), DEPLOYED)]
    assert list(opened(Place()).rollouts()) == []


# The lease and the queue


def test_everybody_can_see_who_has_the_lease(place: Place) -> None:
    """A lease that has run out is nobody's, and so is one that was given back; to look writes nothing."""
    journal = opened(place)
    assert journal.holder(NOON) is None
    journal.take(MINE, now=NOON)
    assert opened(place).holder(SOON - timedelta(seconds=1)) == "run/1"
    assert opened(place).holder(SOON) is None
    journal.release("run/1")
    assert asked(place, lambda: journal.holder(NOON)) == ["head"]
    assert journal.holder(NOON) is None


def test_the_lease_outlives_the_beginning_of_a_rollout(place: Place) -> None:
    """It belongs to the service and not to one rollout."""
    journal = opened(place)
    journal.take(MINE, now=NOON)
    journal.begin(started(), expect=journal.read().head)
    assert opened(place).take(RIVAL, now=NOON) == MINE


def test_the_events_of_others_do_not_renew_a_lease(place: Place) -> None:
    """An order that somebody writes does not prove that the driver lives."""
    journal = opened(place)
    journal.take(MINE, now=NOON)
    head = journal.begin(started(), expect=journal.read().head)
    late = NOON + timedelta(minutes=10)
    opened(place).append((Interrupted(at=late, signal="x"),), expect=head)
    assert held(place) == MINE


def test_a_driver_whose_lease_was_taken_over_does_not_renew_it(place: Place) -> None:
    """It may still write what it did, as that is true; the lease stays the other one's."""
    journal = opened(place)
    journal.take(MINE, now=NOON)
    journal.begin(started(), expect=journal.read().head)
    rival = lease("run/2", 28)
    assert opened(place).take(rival, now=SOON) is None
    journal.append((Interrupted(at=SOON, signal="x"),), expect=journal.read().head)
    assert held(place) == rival
    assert journal.take(lease("run/1", 31), now=SOON + timedelta(minutes=1)) == rival
    journal.release("run/1")
    assert held(place) == rival


def test_a_process_that_was_told_to_stop_gives_the_lease_back_with_its_last_words(place: Place) -> None:
    """One write does both, as there is little time; and nothing is waited for."""
    refs = RefsInMemory(place)
    journal = GitRefJournal(refs, ref=REF, sleep=lambda _: pytest.fail("it waited"))
    journal.take(MINE, now=NOON)
    journal.begin(started(), expect=journal.read().head)
    journal.hurry(timedelta(seconds=4))
    assert refs.hurried == timedelta(seconds=4)
    last_words = Interrupted(at=NOON, signal="SIGINT")
    assert asked(place, lambda: journal.append((last_words,), expect=journal.read().head)) == ["head", "commit", "move"]
    assert asked(place, lambda: journal.release("run/1")) == ["head"]
    assert held(place) is None
    refs.fate = Script({"move": [Fate.LOST]})
    with pytest.raises(GitHubUnavailable):
        journal.append((DEPLOY,), expect=journal.read().head)


def test_releases_wait_in_their_order_and_once(place: Place) -> None:
    """To ask again changes nothing and writes nothing."""
    journal = opened(place)
    for tag in ("v3", "v4", "v3"):
        journal.enqueue(tag)
    assert opened(place).waiting() == ("v3", "v4")
    assert asked(place, lambda: journal.enqueue("v4")) == ["head"]
    journal.dequeue("v3")
    journal.dequeue("v9")
    assert opened(place).waiting() == ("v4",)
    journal.enqueue("v5", alone=True)
    journal.enqueue("v5", alone=True)
    assert opened(place).waiting() == ("v5",)
    assert len(place.chain(REF)) == 4


def test_a_release_that_begins_waits_no_longer(place: Place) -> None:
    """In the same write, so that a run that is killed between them does not release it twice."""
    journal = opened(place)
    journal.enqueue("v3")
    journal.enqueue("v2")
    journal.begin(started(), expect=journal.read().head)
    assert journal.waiting() == ("v3",)


def test_many_who_enqueue_at_once_all_wait(place: Place) -> None:
    """Eight at once, none lost."""
    turns = Turns(place, Random(7))
    for tag in "abcdefgh":
        journal = GitRefJournal(turns.refs(), ref=REF, sleep=lambda _: None)
        turns.worker(partial(journal.enqueue, tag))
    turns.run()
    assert sorted(opened(place).waiting()) == list("abcdefgh")


def test_the_store_in_memory_is_one_of_those_the_journal_takes(place: Place) -> None:
    """The type checker holds it to the port."""
    store: RefStore = RefsInMemory(place)
    port: Journal = GitRefJournal(store, ref=REF)
    assert port.read() == Record()
