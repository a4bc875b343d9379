"""Jobs of a workflow in a simulated world: GitHub is the double on its socket, the machine and its users are simulated.

A job is our own entry with the variables a runner would set. Time passes only when it waits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rollout.cli import workflow
from rollout.cli.conversation import Board
from rollout.cli.parser import parsed
from rollout.cli.surroundings import Surroundings
from rollout.errors import Interruption, RolloutError
from rollout.report.page import Page
from tests.engine.simulation import Life, Process, SimulatedSource, SimulatedTarget, World
from tests.github.server import GitHubServer

CONFIGURATION = """\
service: chat
image: example/chat
target:
  nginx:
    include: /etc/nginx/rollout.d/chat.conf
    listen: 127.0.0.1:8080
    container: {{ port: 3210 }}
metrics:
  prometheus: {{ url: "http://127.0.0.1:9090" }}
steps:
  - {{ weight: 5, soak: 2m }}
  - {{ weight: 50, soak: 2m{approve} }}
  - {{ weight: 100, soak: 2m }}
gates:
  - name: http 5xx
    failures: 'http_requests_total{{version="$version", code="500"}}'
    total: 'http_requests_total{{version="$version"}}'
    max: 2%
interval: 10s
warm_up: 0s
{more}"""


class Inline:
    """Shows each page at once, so that a test can tell what was shown when."""

    def __init__(self, board: Board, complain: Callable[[str], None]) -> None:
        self._board = board
        self._complain = complain

    def put(self, page: Page) -> None:
        """See Teller."""
        try:
            self._board.show(page)
        except RolloutError as wrong:
            self._complain(wrong.message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One job that has ended."""

    code: int
    outputs: Mapping[str, str]
    summary: str
    error: RolloutError | None = None


@dataclass
class Site:
    """A repository with a service that runs somewhere."""

    github: GitHubServer
    world: World
    folder: Path
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    life: Callable[[], Life] = Life

    def clock(self) -> datetime:
        """The time of the world."""
        return self.world.now

    def sleep(self, seconds: float) -> None:
        """Let time pass in the world."""
        self.world.advance(timedelta(seconds=seconds))

    def configure(self, *, approve: bool = False, more: str = "") -> None:
        """Commit a rollout.yml."""
        text = CONFIGURATION.format(approve=", approve: true" if approve else "", more=more)
        self.github.commit({"rollout.yml": text}, "Configure the rollout")

    def release(self, tag: str, title: str = "Answer faster") -> int:
        """Merge a pull request and tag the result; its number."""
        number = self.github.open_pull(title)
        self.github.tag(tag, self.github.merge_pull(number, "squash"))
        return number

    def push(self, tag: str, **more: str) -> Ran:
        """The job of the push of a tag."""
        return self.job("push", self.github.push_tag_event(tag), **more)

    def tick(self) -> Ran:
        """The job of the watchdog."""
        return self.job("schedule", self.github.schedule_event())

    def comment(self, number: int, body: str, login: str = "ada") -> Ran:
        """The job of a new comment."""
        return self.job("issue_comment", self.github.comment(number, login, body))

    def job(self, event: str, payload: Any, **more: str) -> Ran:  # noqa: ANN401 - an event is any JSON
        """One job on an event, in this process."""
        number = next(self.numbers)
        folder = self.folder / f"job-{number}"
        env = {**self.github.variables(event, payload, folder, run_id=str(7000 + number)), **more}
        life = self.life()
        around = Surroundings(
            clock=self.clock,
            sleep=lambda seconds: self._sleep(life, seconds),
            target=lambda _configuration, _env: SimulatedTarget(self.world, life),
            source=lambda _configuration: SimulatedSource(self.world),
            checks=lambda _configuration, _env: Process(world=self.world, life=life)._check,
            teller=Inline,
        )
        call = parsed(["run", "--journal", str(folder / "files")], env)
        error: RolloutError | None = None
        code = -1
        with suppress(Interruption):
            try:
                code = workflow.run(call, around)
            except RolloutError as wrong:
                error, code = wrong, wrong.exit_code
        lines = (folder / "output").read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return Ran(code=code, outputs=outputs, summary=(folder / "summary").read_text(), error=error)

    def _sleep(self, life: Life, seconds: float) -> None:
        if life.passed[-1:] != ["sleep"]:
            life.at("sleep")
        self.sleep(seconds)

    def bodies(self, number: int) -> list[str]:
        """What stands under a pull request, the oldest first, without what people wrote."""
        said = [one for one in self.github.facts.comments.values() if one.number == number]
        return [one.body for one in said if one.author != "ada"]

    def reactions(self) -> list[str]:
        """Every reaction in its order."""
        return [one.content for one in self.github.facts.reactions.values()]
