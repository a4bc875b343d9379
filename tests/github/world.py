"""What the GitHub of the tests remembers: one repository with its people, pulls, comments and deployments.

It keeps facts and answers nothing: what is said about them is in `answers_*.py`, and how it looks in `shapes.py`.
Git's part of it is in a real repository.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from tests.github.bare import BareRepository, NoObject, Person
from tests.github.wire import Refusal

ACTIONS_BOT = "github-actions[bot]"
"""Who a workflow's own token is."""


@dataclass
class Pull:
    """A pull request."""

    number: int
    title: str
    author: str
    head: str
    """A branch."""
    base: str
    body: str
    head_sha: str
    base_sha: str
    created_at: datetime
    merged_at: datetime | None = None
    merged_by: str = ""
    merge_commit: str = ""
    brought: tuple[str, ...] = ()
    """The commits of the base branch that this pull request brought there, by GitHub's own record."""
    moves_after: int = -1
    """How many more times it is read before its head moves; less than none: it stays."""


@dataclass
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    number: int
    author: str
    body: str
    created_at: datetime
    updated_at: datetime


@dataclass
class Reaction:
    """What somebody showed under a comment."""

    id: int
    comment: int
    author: str
    content: str
    created_at: datetime


@dataclass
class Status:
    """A status of a deployment."""

    id: int
    state: str
    creator: str
    created_at: datetime
    description: str = ""
    environment: str = ""
    log_url: str = ""
    environment_url: str = ""


@dataclass
class Deployment:
    """A deployment and its statuses, the oldest first."""

    id: int
    ref: str
    sha: str
    task: str
    environment: str
    description: str
    payload: object
    creator: str
    production: bool
    transient: bool
    created_at: datetime
    statuses: list[Status] = field(default_factory=list)

    @property
    def state(self) -> str:
        """What the Environments page shows."""
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass
class Run:
    """A run of a workflow."""

    id: int
    workflow: str
    event: str
    ref: str
    sha: str
    created_at: datetime
    inputs: dict[str, str] = field(default_factory=dict)
    status: str = "queued"
    conclusion: str | None = None


@dataclass
class Facts:
    """Everything but git."""

    people: dict[str, str] = field(default_factory=dict)
    """Login to role: none, read, triage, write, maintain, admin."""
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    reactions: dict[int, Reaction] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)

    @property
    def statuses(self) -> dict[int, Status]:
        """Of every deployment, the oldest first."""
        found = {one.id: one for each in self.deployments.values() for one in each.statuses}
        return dict(sorted(found.items()))

    def shown(self, comment: int) -> tuple[str, ...]:
        """The reactions to a comment, the oldest first."""
        return tuple(one.content for one in self.reactions.values() if one.comment == comment)


@dataclass(frozen=True, kw_only=True)
class World:
    """The repository `name`. `lagging` shows it as it was before what was last done to each part of it."""

    name: str
    url: str
    git: BareRepository
    clock: Callable[[], datetime]
    facts: Facts = field(default_factory=Facts)
    former_refs: dict[str, str | None] = field(default_factory=dict)
    lagging: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Of pull requests."""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(9_000_001))

    @property
    def repository_url(self) -> str:
        """Where the API has this repository."""
        return f"{self.url}/repos/{self.name}"

    @property
    def page_url(self) -> str:
        """Where a browser has it."""
        return f"https://github.com/{self.name}"

    def stale(self, facts: Facts) -> World:
        """The same repository as a copy that lags behind has it."""
        return replace(self, facts=facts, lagging=True)

    def memory(self) -> Facts:
        """What is remembered now, to be shown later."""
        return copy.deepcopy(self.facts)

    def ref(self, name: str) -> str | None:
        """Where a ref points to."""
        if self.lagging and name in self.former_refs:
            return self.former_refs[name]
        return self.git.ref(name)

    def move(self, name: str, sha: str, *, before: str | None) -> None:
        """Point a ref elsewhere. Raises RefRefused."""
        self.git.move(name, sha, before=before)
        self.former_refs[name] = before

    def drop(self, name: str) -> None:
        """Remove a ref."""
        before = self.git.ref(name)
        self.git.delete(name)
        self.former_refs[name] = before

    def advance(self, branch: str, sha: str) -> None:
        """Point a branch to a commit, whatever it pointed to: somebody pushes."""
        self.move(f"refs/heads/{branch}", sha, before=self.git.ref(f"refs/heads/{branch}"))

    def commit_at(self, name: str) -> str:
        """The commit that a branch, a tag, a ref or a commit's name leads to. Raises Refusal (404)."""
        for ref in (f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}", name):
            if (sha := self.ref(ref)) is not None:
                return self.git.commit(sha).sha
        try:
            return self.git.commit(name).sha
        except NoObject:
            raise Refusal(404, f"No commit found for SHA: {name}") from None

    def person(self, login: str) -> Person:
        """As whom somebody writes commits."""
        return Person(name=login, email=f"{login}@users.noreply.github.com", at=self.clock())

    def when(self, text: str | None) -> datetime:
        """A time as a request has it; now, where it has none."""
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else self.clock()

    def login_of(self, email: str) -> str | None:
        """Who has an e-mail address, if it is somebody known here."""
        login = email.removesuffix("@users.noreply.github.com").split("+")[-1]
        return login if login == ACTIONS_BOT or login in self.facts.people else None
