"""Under every interleaving of their calls, of those who write into a git-ref journal at once exactly one is first.

Six times a thousand random orders of calls: writers, rollouts that begin, and leases; in calm weather, and where
answers are lost before and after the effect, come late or show what was there before.
"""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.events import Commanded
from rollout.errors import GitHubUnavailable, JournalMoved, JournalUnreadable
from rollout.journals.base import Journal, Lease
from rollout.journals.git_ref import FILE, GitRefJournal
from rollout.journals.git_ref_sheet import parse
from tests.journals.contract import NOON, SOON, order, started
from tests.journals.interleaving import Turns
from tests.journals.refs_in_memory import REF, SPAN, Fate, Place, held, lease, opened

EVENTFUL = (Fate.FINE,) * 6 + (Fate.LOST, Fate.DOUBTFUL, Fate.LATE, Fate.STALE)
CALM = (Fate.FINE,)
EXAMPLES = 1000


def write_all(journal: Journal, name: str, count: int, done: list[str], doubtful: list[str]) -> None:
    """Get so many events in; what ends in an outage may or may not be there, and is not tried again."""
    for number in range(count):
        while True:
            try:
                head = journal.read().head
            except GitHubUnavailable:
                continue
            try:
                journal.append((order(f"{name}{number}"),), expect=head)
            except JournalMoved:
                continue
            except GitHubUnavailable:
                doubtful.append(f"{name}{number}")
            else:
                done.append(f"{name}{number}")
            break


@pytest.mark.parametrize("fates", [CALM, EVENTFUL], ids=["calm", "eventful"])
@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_in_every_interleaving_each_event_is_written_once(fates: tuple[Fate, ...], seed: int) -> None:
    """Three writers, calls in any order, answers lost, late and stale.

    What was said to be written is there once; what was refused was not written, so the next try does not double it;
    only what ended in an outage may be there or not. No commit has two children, and each writer's order is kept.
    """
    place = Place()
    opened(place).begin(started(), expect="")
    turns = Turns(place, Random(seed), fates)
    done: list[str] = []
    doubtful: list[str] = []
    for name in "abc":
        journal = GitRefJournal(turns.refs(), ref=REF, sleep=lambda _: None)
        turns.worker(partial(write_all, journal, name, 3, done, doubtful))
    turns.run()
    told = [event.by for event in opened(place).read().events if isinstance(event, Commanded)]
    assert len(set(told)) == len(told)
    assert set(done) <= set(told) <= {*done, *doubtful}
    assert len(done) + len(doubtful) == 9
    for name in "abc":
        mine = [by for by in told if by.startswith(name)]
        assert mine == sorted(mine)
    chain = place.chain(REF)
    assert [parse(place.commits[sha].files[FILE]).serial for sha in chain] == list(range(1, len(chain) + 1))
    if fates is CALM:
        assert not doubtful


@pytest.mark.parametrize("fates", [CALM, EVENTFUL], ids=["calm", "eventful"])
@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), fresh=st.booleans())
def test_in_every_interleaving_one_rollout_begins(fates: tuple[Fate, ...], seed: int, fresh: bool) -> None:
    """Three begin on the same head: never two winners; and where nothing is lost, exactly one."""
    place = Place()
    head = "" if fresh else opened(place).begin(started(1), expect="")
    turns = Turns(place, Random(seed), fates)
    won: list[str] = []
    doubtful: list[str] = []

    def begin(journal: GitRefJournal, name: str) -> None:
        try:
            journal.begin(started(ord(name)), expect=head)
        except (JournalMoved, JournalUnreadable):
            return
        except GitHubUnavailable:
            doubtful.append(f"{ord(name)}-v2")
        else:
            won.append(f"{ord(name)}-v2")

    for name in "abc":
        journal = GitRefJournal(turns.refs(), ref=REF, sleep=lambda _: None)
        turns.worker(partial(begin, journal, name))
    turns.run()
    assert len(won) <= 1
    begun = [events[0].rollout for events in opened(place).rollouts() if events[0].kind == "started"][not fresh :]
    assert len(begun) <= 1
    assert set(won) <= set(begun) <= {*won, *doubtful}
    if fates is CALM:
        assert len(begun) == 1


@pytest.mark.parametrize("fates", [CALM, EVENTFUL], ids=["calm", "eventful"])
@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), expired=st.booleans())
def test_in_every_interleaving_one_has_the_lease(fates: tuple[Fate, ...], seed: int, expired: bool) -> None:
    """Three want a lease that is free or has run out, while others write: never do two believe that they have it."""
    place = Place()
    opened(place).begin(started(), expect="")
    if expired:
        opened(place).take(lease("run/0", 15), now=NOON)
    now = SOON
    turns = Turns(place, Random(seed), fates)
    have: list[str] = []
    doubtful: list[str] = []
    lost: list[Lease] = []

    def take(journal: GitRefJournal, owner: str) -> None:
        try:
            other = journal.take(Lease(owner=owner, until=now + SPAN), now=now)
        except GitHubUnavailable:
            doubtful.append(owner)
        else:
            if other is None:
                have.append(owner)
            else:
                lost.append(other)

    for owner in ("run/1", "run/2", "run/3"):
        journal = GitRefJournal(turns.refs(), ref=REF, sleep=lambda _: None)
        turns.worker(partial(take, journal, owner))
    writer = GitRefJournal(turns.refs(), ref=REF, sleep=lambda _: None)
    turns.worker(lambda: write_all(writer, "w", 2, [], []))
    turns.run()
    assert len(have) <= 1
    final = held(place)
    owner = final.owner if final is not None else ""
    assert owner in {*have, *doubtful, "run/0" if expired else ""}
    assert not have or owner == have[0]
    assert {other.owner for other in lost} <= {owner}
    if fates is CALM:
        assert len(have) == 1
