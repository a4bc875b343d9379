"""An order from a comment: who may give it, whether it is in time and in place, and the answer.

It runs in a job of its own, beside the one that drives the rollout, and changes nothing but the journal: whoever drives
follows within seconds, and where nobody does a tick is dispatched.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rollout.cli.conversation import Board
from rollout.cli.job import Job
from rollout.cli.outputs import Outputs
from rollout.config import Configuration
from rollout.config.github import GitHubSection
from rollout.core.commands import Refusal, accept
from rollout.core.comment_orders import Misunderstood, NotForUs, Ordered, Question, read_order
from rollout.core.decisions import MoveTraffic
from rollout.core.events import Commanded, Event, Intended, Order, OrderRefused, Started
from rollout.core.state import State, fold
from rollout.errors import JournalMoved
from rollout.github.comments import Thread
from rollout.github.dispatch import dispatch, workflow_of
from rollout.github.people import Permission, permission
from rollout.github.pulls import pull_of
from rollout.github.reactions import Reaction, react
from rollout.github.trigger import CommentGiven
from rollout.journals.base import Record
from rollout.journals.git_ref import GitRefJournal
from rollout.report import pull_request as pages
from rollout.report.pull_request import Page

_FORWARD: Final = (Order.APPROVE, Order.PROMOTE, Order.RESUME)
"""Orders that bring users nearer to the canary. Those that hold or go back are open to everybody with write access."""


def follow(job: Job, comment: CommentGiven, outputs: Outputs) -> int:
    """Read one comment, and follow it or say why not. A comment that is no order costs nothing."""
    read = read_order(comment.body)
    if isinstance(read, NotForUs):
        outputs.set(outcome="nothing", reason="the comment is no order")
        return 0
    configuration = job.nearest_policy()
    if not _may_speak(job, comment, configuration.github):
        react(job.repository, comment.comment_id, Reaction.REFUSED)
        outputs.set(outcome="refused", reason=f"{comment.login} may not steer rollouts here")
        return 0
    react(job.repository, comment.comment_id, Reaction.READ)
    answer = _Answer(job, comment, configuration, job.journal(configuration))
    match read:
        case Misunderstood(because=because, hint=hint):
            reaction, said = Reaction.NOT_UNDERSTOOD, answer.reply(f"{because}. {hint}".strip())
        case Ordered(order=Order() as order, tag=tag, step=step):
            reaction, said = answer.order(order, tag=tag, step=step)
        case Ordered(order=question):
            reaction, said = Reaction.DONE, answer.help() if question is Question.HELP else answer.status()
    react(job.repository, comment.comment_id, reaction)
    outputs.set(outcome="ordered" if reaction is Reaction.DONE else "refused", reason=said)
    return 0


def _may_speak(job: Job, comment: CommentGiven, rules: GitHubSection) -> bool:
    """Asked of GitHub, and never read from the comment. A bot is heard where the configuration lists it."""
    if comment.bot:
        return comment.login in rules.bots
    return permission(job.repository, comment.login).reaches(Permission.WRITE)


class _Answer:
    """What is said and done about one comment."""

    def __init__(self, job: Job, comment: CommentGiven, configuration: Configuration, journal: GitRefJournal) -> None:
        self._job = job
        self._comment = comment
        self._configuration = configuration
        self._journal = journal

    def help(self) -> str:
        """The commands, as a new comment: the person asked for it."""
        self._say(pages.help_comment(self._configuration.language))
        return "help"

    def status(self) -> str:
        """The rollout's comment brought up to date; where it is on another pull request, a reply that says so."""
        record = self._journal.read()
        state = fold(record.events)
        if state is None:
            return self.reply("no rollout has been started")
        self._show(state, record.events)
        if not self._is_its_thread(state):
            self._say(pages.status_comment(self._page(state, record.events)))
        return "status"

    def order(self, order: Order, *, tag: str, step: int | None) -> tuple[Reaction, str]:
        """Into the journal, on top of the state it was checked against. `step` counts from 1, as people do."""
        by = f"@{self._comment.login}"
        while True:
            record = self._journal.read()
            state = fold(record.events)
            answer = self._checked(order, tag, step, record, by)
            if isinstance(answer, Refusal) and state is None:
                return Reaction.REFUSED, self.reply(answer.because)
            event: Commanded | OrderRefused = (
                answer
                if isinstance(answer, Commanded)
                else OrderRefused(at=self._job.clock(), order=order.value, by=by, because=answer.because)
            )
            try:
                self._journal.append((event,), expect=record.head)
            except JournalMoved:
                continue
            break
        events = (*record.events, event)
        state = fold(events)
        assert state is not None
        if isinstance(answer, Refusal):
            self._show(state, events)
            if not self._is_its_thread(state):
                self.reply(answer.because)
            return Reaction.REFUSED, answer.because
        if self._journal.holder(self._job.clock()) is None:
            dispatch(self._job.repository, workflow_of(self._job.env.get("GITHUB_WORKFLOW_REF", "")))
        self._show(state, events)
        return Reaction.DONE, f"{order.value} by {by}"

    def _checked(self, order: Order, tag: str, step: int | None, record: Record, by: str) -> Commanded | Refusal:
        """Fenced by rollout, by step, and by the time at which the person wrote."""
        state = fold(record.events)
        if state is None:
            return Refusal(because="no rollout has been started")
        names = (state.release.tag, state.rollout)
        if not tag and not self._is_its_thread(state):
            return Refusal(
                because=f"rollout {state.rollout} is steered from another pull request; here, name its release: "
                f"/rollout {order.value} {state.release.tag}"
            )
        if tag and tag not in names:
            return Refusal(because=f"the order is for {tag}, and this is rollout {state.rollout}")
        seen = _since(order, record.events).replace(microsecond=0)  # GitHub tells the second, and no more
        if self._comment.created_at < seen:
            return Refusal(because=f"the order was written before {seen:%H:%M:%S} UTC, when the rollout moved on")
        return self._barred(order, state, by) or accept(
            state, order, by=by, now=self._job.clock(), step=step - 1 if step is not None else None
        )

    def _barred(self, order: Order, state: State, by: str) -> Refusal | None:
        """Who may not bring users nearer to the canary."""
        rules = self._configuration.github
        if order in _FORWARD and rules.approvers and self._comment.login not in rules.approvers:
            return Refusal(because=f"only the approvers may {order.value}: {', '.join(rules.approvers)}")
        if order in (Order.APPROVE, Order.PROMOTE) and not rules.author_approves and self._author(state) == by:
            return Refusal(because=f"the author of a release may not {order.value} it (`author_approves: false`)")
        return None

    def _author(self, state: State) -> str:
        if self._is_its_thread(state):
            return f"@{self._comment.author_of_pull}"
        pull = pull_of(self._job.repository, state.release.commit) if state.release.commit else None
        return f"@{pull.author}" if pull is not None else ""

    def _is_its_thread(self, state: State) -> bool:
        if not state.release.commit:
            return False
        pull = pull_of(self._job.repository, state.release.commit)
        return pull is not None and pull.number == self._comment.pull

    def _page(self, state: State, events: tuple[Event, ...]) -> Page:
        return Page(
            state=state,
            events=events,
            now=self._job.clock(),
            judgement=state.judgement,
            weight=None,
            links=self._job.links,
            approvers=self._configuration.github.approvers,
            language=self._configuration.language,
        )

    def _show(self, state: State, events: tuple[Event, ...]) -> None:
        """At once, whoever drives the rollout."""
        Board(self._job.repository).show(self._page(state, events))

    def reply(self, text: str) -> str:
        """A new comment, where there is no rollout's comment to answer in."""
        self._say(pages.reply_comment(text, self._configuration.language))
        return text

    def _say(self, body: str) -> None:
        marker = f"<!-- rollout:v1 reply={self._comment.comment_id} -->"
        Thread(self._job.repository, self._comment.pull).say_once(marker, f"{marker}\n{body}")


def _since(order: Order, events: tuple[Event, ...]) -> datetime:
    """From when on an order can mean this rollout; one that lets it move on must have seen the step it is at."""
    started = next(event.at for event in events if isinstance(event, Started))
    if order not in _FORWARD:
        return started
    moves = [event.at for event in events if isinstance(event, Intended) and isinstance(event.action, MoveTraffic)]
    return max([started, *moves])
