"""A store of commits and refs in memory that can lag and fail call by call, as the tests choose.

It answers as GitHub does: objects first, then a ref that is made only where there is none and moved only forward.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from rollout.errors import GitHubUnavailable
from rollout.journals.base import Lease
from rollout.journals.git_ref import FILE, GitRefJournal, ref_of
from rollout.journals.git_ref_sheet import parse
from tests.journals.contract import NOON, SOON

REF = ref_of("chat", "production")
SPAN = timedelta(minutes=15)
MINE = Lease(owner="run/1", until=SOON)
RIVAL = Lease(owner="run/2", until=SOON)


class Fate(StrEnum):
    """What becomes of one call."""

    FINE = "fine"
    LOST = "lost before it took effect"
    DOUBTFUL = "took effect, and the answer was lost"
    LATE = "the answer was lost, and it takes effect later, if it still can"
    STALE = "answered with what was there before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A commit."""

    parent: str
    files: dict[str, str]
    message: str


Asked = Callable[[str], Fate]
"""Called before each call with its name; says what becomes of it, and may take its time."""


@dataclass
class Place:
    """The commits and refs that everybody shares, and what was asked of them."""

    commits: dict[str, Made] = field(default_factory=dict)
    refs: dict[str, list[str]] = field(default_factory=dict)
    """Every value that each ref has had, the newest last."""
    asked: list[str] = field(default_factory=list)
    late: list[tuple[str, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def moved(self, ref: str, to: str, parent: str) -> str:
        """Move a ref as GitHub would; its words where it does not."""
        values = self.refs.setdefault(ref, [])
        if to not in self.commits:
            return "Object does not exist"
        if not parent:
            if values:
                return "Reference already exists"
        elif not values:
            return "Reference does not exist"
        elif values[-1] not in self.ancestry(to):
            return "Update is not a fast forward"
        values.append(to)
        return ""

    def ancestry(self, commit: str) -> Iterator[str]:
        """A commit and all before it."""
        while commit:
            yield commit
            commit = self.commits[commit].parent

    def chain(self, ref: str) -> list[str]:
        """The commits of a ref, the oldest first."""
        values = self.refs.get(ref) or [""]
        return list(self.ancestry(values[-1]))[::-1]


def always_fine(name: str) -> Fate:
    """Nothing goes wrong."""
    return Fate.FINE


@dataclass
class RefsInMemory:
    """One client of the place."""

    place: Place
    fate: Asked = always_fine
    hurried: timedelta | None = None

    def head(self, ref: str) -> str:
        """The newest value; an older one where it is stale."""
        with self._asking("head") as fate:
            values = self.place.refs.get(ref) or [""]
            return (["", *values])[-2] if fate is Fate.STALE else values[-1]

    def text(self, commit: str, name: str) -> str | None:
        """The file; None where it is not there, or not yet."""
        with self._asking("text") as fate:
            made = self.place.commits.get(commit)
            return None if made is None or fate is Fate.STALE else made.files.get(name)

    def commit(self, *, name: str, text: str, message: str, parent: str) -> str:
        """A commit named by all that is in it, as git does."""
        with self._asking("commit"):
            sha = hashlib.sha1(repr((name, text, message, parent)).encode()).hexdigest()
            self.place.commits[sha] = Made(parent=parent, files={name: text}, message=message)
            return sha

    def move(self, ref: str, *, to: str, parent: str) -> str:
        """Moved, refused, or nobody knows."""
        with self._asking("move") as fate:
            if fate is Fate.LATE:
                self.place.late.append((ref, to, parent))
                raise GitHubUnavailable("the connection was lost")
            return self.place.moved(ref, to, parent)

    def follows(self, commit: str, *, after: str) -> bool:
        """Whether one is an ancestor of the other."""
        with self._asking("follows"):
            return after in self.place.ancestry(commit)

    def hurry(self, within: timedelta) -> None:
        """Noted."""
        self.hurried = within

    def _asking(self, name: str) -> _Call:
        return _Call(self.place, name, self.fate(name))


class _Call:
    """One call: what is late takes effect first; what is lost raises, before or after."""

    def __init__(self, place: Place, name: str, fate: Fate) -> None:
        self._place, self._name, self._fate = place, name, fate

    def __enter__(self) -> Fate:
        self._place.lock.acquire()
        self._place.asked.append(self._name)
        if self._fate is Fate.LOST:
            self._place.lock.release()
            raise GitHubUnavailable("the connection was lost")
        return self._fate

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._place.lock.release()
        if self._fate is Fate.DOUBTFUL and kind is None:
            raise GitHubUnavailable("the server answers 502")


def opened(place: Place, fate: Callable[[str], Fate] = always_fine) -> GitRefJournal:
    """A journal of the place, which waits without time."""
    return GitRefJournal(RefsInMemory(place, fate), ref=REF, sleep=lambda _: None)


def lease(owner: str, minutes: float) -> Lease:
    """A lease that ends so many minutes after noon."""
    return Lease(owner=owner, until=NOON + timedelta(minutes=minutes))


class Script:
    """What becomes of the calls, in their order: `{"move": [Fate.LOST]}` loses the first move and no other call."""

    def __init__(self, fates: dict[str, list[Fate]]) -> None:
        self._fates = fates

    def __call__(self, name: str) -> Fate:
        """The fate of the next call of this name."""
        left = self._fates.get(name, [])
        return left.pop(0) if left else Fate.FINE


def held(place: Place) -> Lease | None:
    """The lease as it is written now."""
    return parse(place.commits[place.refs[REF][-1]].files[FILE]).lease


def forge(place: Place, text: str | None) -> str:
    """Somebody else writes what no journal writes."""
    parent = place.refs.setdefault(REF, [""])[-1]
    sha = f"{len(place.commits):040d}"
    place.commits[sha] = Made(parent=parent, files={} if text is None else {FILE: text}, message="by hand")
    place.refs[REF].append(sha)
    return sha


def asked(place: Place, work: Callable[[], object]) -> list[str]:
    """What the work asks of the place."""
    place.asked.clear()
    work()
    return place.asked
