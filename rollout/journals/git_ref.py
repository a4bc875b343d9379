"""The journal as a chain of commits under a git ref of its own, so that it outlives the machine that writes it.

One commit per write, each with the one before as its only parent; the tree is one file (`git_ref_sheet`). To make the
ref is the claim, to move it forward is the compare-and-swap, and `git log` of the ref is the audit trail. The lease
and the queue stand in the same file: taking the lease is one more write, and every other write of its owner renews it.

It must not trust an answer more than it has to: a read may lag behind a write, a write whose answer is lost may have
taken effect, and what cannot be read is never written over.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from rollout.core.events import Event, Started
from rollout.errors import (
    GitHubForbids,
    GitHubLimits,
    GitHubUnavailable,
    JournalMoved,
    JournalUnreadable,
    JournalUnwritable,
)
from rollout.journals.base import Lease, Record
from rollout.journals.git_ref_sheet import Sheet, UnreadableSheet, parse
from rollout.journals.git_ref_wording import message, saying

FILE: Final = "journal.jsonl"
"""The file in each commit."""
PREFIX: Final = "refs/rollouts"
"""Refs below it are no branches: nothing shows, protects or builds them."""
WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between looks for what must be there and is not: GitHub's answers lag behind its writes for moments."""
MOST_ROUNDS: Final = 30
"""How often the lease and the queue are tried again when others are faster each time."""
_GONE: Final = "reference does not exist"
_LAGGING: Final = "object does not exist"
"""The part of GitHub that moves refs has not heard of the new commit yet."""
_RACES: Final = ("fast forward", "fast-forward", "already exists")


class RefStore(Protocol):
    """What the journal asks of a place with commits and refs; `rollout.github.refs.Refs` is one."""

    def head(self, ref: str) -> str:
        """The commit that the ref points to; empty where there is none. It may be an older one for a while."""

    def text(self, commit: str, name: str) -> str | None:
        """A file of a commit; None where that has none, or is not there yet."""

    def commit(self, *, name: str, text: str, message: str, parent: str) -> str:
        """A new commit with one file; nothing points to it yet."""

    def move(self, ref: str, *, to: str, parent: str) -> str:
        """Move the ref forward, or make it where the parent is empty: empty where that is done, else why not.

        Where GitHubUnavailable is raised it may have been done all the same.
        """

    def follows(self, commit: str, *, after: str) -> bool:
        """Whether the commit is the other one or a descendant of it."""

    def hurry(self, within: timedelta) -> None:
        """From now on give up rather than wait."""


def ref_of(service: str, environment: str, *, prefix: str = PREFIX) -> str:
    """The ref of one service in one environment."""
    return f"{prefix.rstrip('/')}/{service}/{environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tip:
    """A commit and what stands in it."""

    head: str
    sheet: Sheet


class GitRefJournal:
    """The rollouts of one service in one environment, under one ref.

    Besides what the port says, every method lets GitHubUnavailable, GitHubLimits and GitHubForbids through: an outage
    is not corruption. After one of them a write may or may not have been made; the next read tells.
    """

    def __init__(
        self,
        refs: RefStore,
        *,
        ref: str,
        sleep: Callable[[float], None] = time.sleep,
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._refs = refs
        self._ref = ref
        self._sleep = sleep
        self._nonce = nonce
        self._tip = _Tip(head="", sheet=Sheet())
        self._past: set[str] = set()
        self._mine: Lease | None = None
        self._span = timedelta(0)
        self._hurried = False

    def read(self) -> Record:
        """The latest rollout's events. Two requests; where nothing has changed, one that is free."""
        tip = self._latest()
        return Record(events=tip.sheet.events, head=tip.head, number=tip.sheet.rollout)

    def rollouts(self) -> Iterator[tuple[Event, ...]]:
        """The events of every rollout that there has been, the oldest first; a request for each. JournalUnreadable."""
        sheet = self._latest().sheet
        found = [sheet.events] if sheet.rollout else []
        while sheet.former:
            sheet = self._sheet(sheet.former)
            found.append(sheet.events)
        yield from reversed(found)

    def begin(self, started: Started, *, expect: str) -> str:
        """Claim the next rollout; the new head. Its release no longer waits. Raises JournalMoved."""
        tip = self._expected(expect, "another rollout has begun in the meantime")
        sheet = self._renewed(tip.sheet.begun(started, former=tip.head), started.at)
        return self._write(tip, sheet, saying(sheet.name, (started,)))

    def append(self, events: tuple[Event, ...], *, expect: str) -> str:
        """Write events after the head that was read; the new head. Three requests. Raises JournalMoved."""
        tip = self._expected(expect, "the journal has moved on in the meantime")
        if not tip.sheet.rollout:
            raise JournalMoved("no rollout has begun")
        if not events:
            return tip.head
        sheet = self._renewed(tip.sheet.grown(events), events[-1].at)
        return self._write(tip, sheet, saying(sheet.name, events))

    def take(self, lease: Lease, *, now: datetime) -> Lease | None:
        """Take or renew the lease; None where it is taken, else the other one's.

        A lease of which at least half is left is not written again, and not even asked for where this process knows
        that it has it: nobody may have taken it. Raises JournalMoved where others were faster again and again.
        """
        half = (lease.until - now) / 2

        def taken(sheet: Sheet) -> Sheet:
            held = sheet.lease
            if held is not None and held.owner != lease.owner and held.until > now:
                return sheet
            if held is not None and held.owner == lease.owner and held.until - now >= half:
                return sheet
            return replace(sheet, lease=lease)

        known = self._tip.sheet
        sheet = known if known.lease is not None and known.lease.owner == lease.owner else None
        if sheet is None or taken(sheet) is not sheet:
            sheet = self._amend(taken, f"lease: {lease.owner} until {lease.until:%H:%M:%S}")
        if sheet.lease is not None and sheet.lease.owner != lease.owner:
            self._mine = None
            return sheet.lease
        self._mine, self._span = sheet.lease, lease.until - now
        return None

    def holder(self, now: datetime) -> str | None:
        """Who has the lease at a moment; None where nobody has."""
        held = self._latest().sheet.lease
        return held.owner if held is not None and held.until > now else None

    def release(self, owner: str) -> None:
        """Give the lease back, where this owner holds it."""

        def released(sheet: Sheet) -> Sheet:
            return replace(sheet, lease=None) if sheet.lease is not None and sheet.lease.owner == owner else sheet

        self._amend(released, f"lease: {owner} gives it back")
        self._mine = None

    def hurry(self, within: timedelta) -> None:
        """Give up rather than wait. What this process writes from now on also gives its lease back: it leaves."""
        self._hurried = True
        self._refs.hurry(within)

    def waiting(self) -> tuple[str, ...]:
        """The tags of the releases that wait for the one under way, the next one first."""
        return self._latest().sheet.queue

    def enqueue(self, tag: str, *, alone: bool = False) -> None:
        """Let a release wait, behind those that wait already; `alone` sends those away. Once, however often asked."""

        def queued(sheet: Sheet) -> Sheet:
            queue = (tag,) if alone else sheet.queue if tag in sheet.queue else (*sheet.queue, tag)
            return sheet if queue == sheet.queue else replace(sheet, queue=queue)

        self._amend(queued, f"queue: {tag} waits{' alone' if alone else ''}")

    def dequeue(self, tag: str) -> None:
        """Let a release wait no longer."""

        def left(sheet: Sheet) -> Sheet:
            queue = tuple(waiting for waiting in sheet.queue if waiting != tag)
            return sheet if queue == sheet.queue else replace(sheet, queue=queue)

        self._amend(left, f"queue: {tag} leaves")

    def _renewed(self, sheet: Sheet, at: datetime) -> Sheet:
        """With this process's own lease renewed, as far as an event's time proves; or given back, where it leaves."""
        held, mine = sheet.lease, self._mine
        if held is None or mine is None or held.owner != mine.owner:
            return sheet
        if self._hurried:
            return replace(sheet, lease=None)
        return replace(sheet, lease=replace(held, until=max(held.until, at + self._span)))

    def _expected(self, expect: str, moved: str) -> _Tip:
        tip = self._tip if self._tip.head == expect else self._latest()
        if tip.head != expect:
            raise JournalMoved(moved)
        return tip

    def _amend(self, change: Callable[[Sheet], Sheet], subject: str) -> Sheet:
        """Change what does not rest on the events, whoever else writes; a change that returns its argument is none."""
        for _ in range(MOST_ROUNDS):
            tip = self._latest()
            sheet = change(tip.sheet)
            if sheet is tip.sheet:
                return sheet
            try:
                self._write(tip, sheet, subject)
            except JournalMoved:
                continue
            return sheet
        raise JournalMoved(f"others were faster {MOST_ROUNDS} times in a row")

    def _latest(self) -> _Tip:
        """The newest state that is to be had, and never one behind what this process has seen."""
        head = self._refs.head(self._ref)
        if head and head != self._tip.head and head not in self._past:
            sheet = self._sheet(head)
            if sheet.serial > self._tip.sheet.serial:
                self._put(_Tip(head=head, sheet=sheet))
            else:
                self._past.add(head)
        return self._tip

    def _put(self, tip: _Tip) -> None:
        former, self._tip = self._tip, tip
        self._past.add(former.head)

    def _sheet(self, commit: str) -> Sheet:
        for _ in self._looks():
            text = self._refs.text(commit, FILE)
            if text is not None:
                break
        else:
            raise self._unreadable(commit, f"it holds no {FILE}")
        try:
            return parse(text)
        except UnreadableSheet as wrong:
            raise self._unreadable(commit, str(wrong)) from None

    def _unreadable(self, commit: str, why: str) -> JournalUnreadable:
        return JournalUnreadable(
            f"the journal {self._ref} cannot be read at {commit[:12]}: {why}",
            hint=f"nothing was changed; look at it with `git fetch origin {self._ref}` and `git log -p FETCH_HEAD`; "
            "once you know what runs where, move the ref back to its last good commit or delete it",
        )

    def _write(self, tip: _Tip, sheet: Sheet, subject: str) -> str:
        """Put the sheet on top of the tip; the new head. Raises JournalMoved where somebody else did."""
        sheet = replace(sheet, serial=tip.sheet.serial + 1)
        text = message(subject, nonce=self._nonce(), ref=self._ref)
        commit = self._refs.commit(name=FILE, text=sheet.text(), message=text, parent=tip.head)
        refusal, doubtful = self._moved(commit, tip.head)
        if refusal:
            self._outrun(commit, tip.head, refusal, doubtful=doubtful)
        if not refusal:
            self._put(_Tip(head=commit, sheet=sheet))
        return commit

    def _moved(self, commit: str, parent: str) -> tuple[str, bool]:
        """Why the ref was not moved, empty where it was; and whether an earlier try may have moved it."""
        lost: GitHubUnavailable | None = None
        refusal = ""
        for _ in self._looks():
            try:
                refusal = self._refs.move(self._ref, to=commit, parent=parent)
            except (GitHubForbids, GitHubLimits) as wrong:
                lost = wrong
                break
            except GitHubUnavailable as wrong:
                lost = wrong
            else:
                if _LAGGING not in refusal.lower():
                    return refusal, lost is not None
        if lost is None or self._refs.head(self._ref) == commit:
            return refusal if lost is None else "", lost is not None
        raise lost

    def _outrun(self, commit: str, parent: str, refusal: str, *, doubtful: bool) -> None:
        """Find out who was faster. Returns where it was this very write, whose answer was lost.

        Either way the newer state has been seen, so that a read that lags behind cannot bring the former one back.
        """
        for _ in self._looks():
            tip = self._latest()
            if tip.head != parent:
                if doubtful and (tip.head == commit or self._refs.follows(tip.head, after=commit)):
                    return
                raise JournalMoved("somebody else wrote into the journal first")
        words = refusal.lower()
        if parent and _GONE in words:
            raise self._unreadable(parent, "the ref was there before, and is gone")
        if any(race in words for race in _RACES):
            raise GitHubUnavailable(
                f"GitHub says that {self._ref} has moved, and still shows where it was before",
                hint="the next read tells what was written; if somebody moved the ref back by hand, start again",
            )
        raise JournalUnwritable(
            f"GitHub refuses to write {self._ref}: {refusal}",
            hint="see that the job has `contents: write` and that no rule of the repository protects the ref",
        )

    def _looks(self) -> Iterator[None]:
        """One look, and more with waits between them where there is time for it."""
        yield
        for seconds in WAITS:
            if self._hurried:
                return
            self._sleep(seconds)
            yield
