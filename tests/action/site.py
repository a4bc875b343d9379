"""A repository on the tests' GitHub whose workflow is an example's, and whose service runs on this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from rollout.core.events import Event, Started, WeightSeen
from rollout.core.state import State, fold
from rollout.engine import LEASE
from rollout.github.api import Repository
from rollout.github.refs import Refs
from rollout.journals.base import Lease
from rollout.journals.git_ref import GitRefJournal
from tests.action.runner import WORKFLOW, Runner
from tests.github.server import GitHubServer
from tests.github.world import Comment


class Site:
    """What a test looks on from: the repository, its pull requests and the journal in it."""

    def __init__(self, github: GitHubServer, runner: Runner, *, example: Path, config: str, ref: str) -> None:
        self.github = github
        self.runner = runner
        repository = Repository(
            github.repository,
            token=SecretStr(github.token_of("ada")),  # looking on spends nothing of the workflow's requests
            url=github.url,
            clock=lambda: datetime.now(UTC),
            sleep=lambda _: None,
        )
        self.journal = GitRefJournal(Refs(repository), ref=ref)
        workflow = (example / WORKFLOW).read_text()
        github.commit({"rollout.yml": config, str(WORKFLOW): workflow}, "Add rollout")

    def release(self, tag: str) -> int:
        """Merge a pull request and tag the result; its number."""
        number = self.github.open_pull(f"Make it {tag}")
        self.github.tag(tag, self.github.merge_pull(number, "squash"))
        return number

    def events(self) -> tuple[Event, ...]:
        """What is written of the latest rollout."""
        return self.journal.read().events

    def state(self) -> State:
        """Where the latest rollout is."""
        state = fold(self.events())
        assert state is not None
        return state

    def let_the_lease_expire(self) -> None:
        """Come by when a driver that has vanished keeps nobody out any more, and leave again."""
        journal, later = self.journal, datetime.now(UTC) + LEASE + timedelta(seconds=1)
        assert journal.take(Lease(owner="somebody", until=later + LEASE), now=later) is None
        journal.release("somebody")

    def seen(self, tag: str) -> float:
        """The highest weight that the gateway was seen to serve while this release was on trial; -1 before that."""
        events = self.events()
        if not any(isinstance(event, Started) and event.release.tag == tag for event in events):
            return -1
        return max((event.weight.percent for event in events if isinstance(event, WeightSeen)), default=-1)

    def comments(self, number: int) -> list[Comment]:
        """What stands under a pull request, the oldest first."""
        return [one for one in self.github.facts.comments.values() if one.number == number]

    def bodies(self, number: int, kind: str = "") -> list[str]:
        """The texts under a pull request; those of a kind where one is named."""
        marked = f" kind={kind}" if kind else ""
        return [one.body for one in self.comments(number) if marked in one.body]
