"""The one entry of a workflow: whatever woke the job, it reads the event and does what is due.

A tag starts a rollout, a comment is an order, and everything else is a tick. What is decided is decided by the same
engine as on the command line; here is only what a job of GitHub Actions adds: whose turn it is, and how to hand over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, assert_never

from rollout import compose, engine
from rollout.cli.announcing import announcing
from rollout.cli.audience import Log, everybody
from rollout.cli.conversation import Board
from rollout.cli.job import Job, job_of
from rollout.cli.ordering import follow
from rollout.cli.outputs import Outputs
from rollout.cli.preflight import refuse_unfit
from rollout.cli.surroundings import Surroundings
from rollout.config import Configuration
from rollout.core.commands import accept
from rollout.core.decisions import Decision, Finish, Outcome, Wait
from rollout.core.events import Commanded, Interrupted, Order
from rollout.core.machine import Observation
from rollout.core.pacing import Pacing, Supersede
from rollout.core.state import Phase, State, fold
from rollout.errors import ROLLED_BACK, GitHubUnavailable, Interruption, JournalMoved, Refused, RolloutError
from rollout.github.dispatch import dispatch, workflow_of
from rollout.github.pulls import commit_of, shipped_between
from rollout.github.refs import Refs
from rollout.github.trigger import CommentGiven, Nothing, Start, Tick, trigger_of
from rollout.journals.git_ref import GitRefJournal
from rollout.notify.memory import RefMemory
from rollout.report import pull_request as pages
from rollout.report.pull_request import Page, Shipped

if TYPE_CHECKING:
    from rollout.cli.parser import Call

NAP: Final = 10.0
"""Seconds between two looks into the journal while a job holds: an order is followed within that and a request."""
LOG_LINES: Final = 30


def run(call: Call, around: Surroundings | None = None) -> int:
    """Do what the event asks for. Outputs, the summary and an annotation are written whatever happens."""
    outputs = Outputs(env=call.env)
    try:
        job = job_of(call.env, call.config, around or Surroundings())
        trigger = job.named or trigger_of(call.env, job.event)
        match trigger:
            case Nothing(because=because):
                outputs.set(outcome="nothing", reason=because)
                outputs.annotate("notice", "rollout", because)
                return 0
            case CommentGiven():
                return follow(job, trigger, outputs)
            case Start() | Tick():
                return Drive(job, call, outputs).run(trigger)
            case _:
                assert_never(trigger)
    except RolloutError as wrong:
        outputs.set(outcome="error", reason=wrong.reason_code)
        outputs.annotate("error", "rollout", wrong.message)
        raise
    except Interruption as interruption:
        outputs.set(outcome="interrupted", reason=interruption.signal)
        raise


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A rollout that this job may drive."""

    configuration: Configuration
    ports: engine.Ports


class Drive:
    """One job's turn at the rollouts of a service: the one under way, and those that wait for its end."""

    def __init__(self, job: Job, call: Call, outputs: Outputs) -> None:
        self._job = job
        self._call = call
        self._outputs = outputs
        self._here = job.nearest_policy()
        self._journal: GitRefJournal = job.journal(self._here)
        self._pacing = job.pacing or self._here.github.pacing
        self._page: Page | None = None
        self._shipped: dict[str, tuple[Shipped, ...]] = {}

    def run(self, trigger: Start | Tick) -> int:
        """Drive what is under way, then what waits."""
        if isinstance(trigger, Start):
            self._enqueue(trigger)
        state = self._state()
        if isinstance(trigger, Tick) and self._is_settled(state) and not self._journal.waiting():
            return self._told("nothing", "no rollout is under way")
        settled: Wait | Finish | None = None
        commits = {trigger.tag: trigger.commit} if isinstance(trigger, Start) else {}
        while True:
            if not self._is_settled(self._state()):
                settled = self._go_on()
                if settled is None:
                    return self._left_to_another(trigger)
                if isinstance(settled, Wait):
                    break
            waiting = self._journal.waiting()
            if not waiting:
                break
            self._begin(waiting[0], commits.get(waiting[0], ""))
            self._journal.dequeue(waiting[0])
        return self._report(settled)

    def _left_to_another(self, trigger: Start | Tick) -> int:
        """Another run drives; it starts what waits once its own rollout has ended."""
        if isinstance(trigger, Start) and trigger.tag in self._journal.waiting():
            return self._told("queued", f"{trigger.tag} starts once the release under way has ended")
        return self._told("held", "another run drives this rollout")

    def _enqueue(self, start: Start) -> None:
        """Put the release into the queue. Raises Refused where a newer release may not wait."""
        state = self._state()
        under_way = state is not None and not state.over and state.release.tag != start.tag
        if under_way:
            assert state is not None
            policy = self._here.supersede
            if policy is Supersede.REFUSE:
                raise Refused(
                    f"rollout {state.rollout} of {state.release.tag} is under way ({state.phase})",
                    hint="wait for its end, abort it, or set `supersede: queue` or `replace` in rollout.yml",
                )
            if policy is Supersede.REPLACE:
                self._abort(f"release {start.tag}, which replaces it")
            self._journal.enqueue(start.tag, alone=policy is Supersede.REPLACE)
        elif state is None or state.over or state.release.tag != start.tag:
            self._journal.enqueue(start.tag)

    def _abort(self, by: str) -> None:
        while True:
            record = self._journal.read()
            answer = accept(fold(record.events), Order.ABORT, by=by, now=self._job.clock())
            if not isinstance(answer, Commanded):
                return
            try:
                self._journal.append((answer,), expect=record.head)
            except JournalMoved:
                continue
            return

    def _begin(self, tag: str, commit: str) -> None:
        """Start a release. One that cannot start waits no longer, as it would fail again at each tick."""
        try:
            commit = commit or commit_of(self._job.repository, tag)
            configuration = self._job.configuration_at(commit)
            with self._opened(configuration) as opened:
                refuse_unfit(configuration, opened.ports.target, opened.ports.source)
                engine.start(opened.ports, configuration.plan, tag, commit=commit, again=self._call.arguments.again)
        except GitHubUnavailable:
            raise
        except RolloutError:
            self._journal.dequeue(tag)
            raise

    def _go_on(self) -> Wait | Finish | None:
        """Drive the rollout under way; None where another run does."""
        state = self._state()
        assert state is not None
        with self._opened(self._job.configuration_at(state.release.commit)) as opened:
            try:
                if self._pacing is Pacing.HOLD:
                    return engine.run_until(opened.ports, self._job.leave_at)
                with engine.driving(opened.ports):
                    return engine.tick(opened.ports)
            except Refused:
                if self._journal.holder(self._job.clock()) in (None, self._job.owner):
                    raise
                return None

    @contextmanager
    def _opened(self, configuration: Configuration) -> Iterator[_Opened]:
        env, job = self._call.env, self._job
        target = job.around.target(configuration, env)
        with ExitStack() as stack:
            aside = stack.enter_context(job.around.teller(Board(job.another()), _complain))
            log = stack.enter_context(Log(self._journal))
            announcer = stack.enter_context(
                announcing(
                    configuration,
                    self._journal,
                    link=job.links.run_url,
                    memory=RefMemory(Refs(job.repository), ref=f"{job.ref(configuration)}.told"),
                    complain=_complain,
                )
            )

            def show(state: State, observation: Observation, decision: Decision, at: datetime) -> None:  # noqa: ARG001 - an audience
                page = self._page_of(configuration, state, observation, at)
                if state.phase is Phase.ROLLED_BACK:
                    page = replace(page, canary_log=tuple(target.logs(lines=LOG_LINES).splitlines()))
                self._page = page
                aside.put(page)

            ports = engine.Ports(
                journal=self._journal,
                target=target,
                source=job.around.source(configuration),
                checks=job.around.checks(configuration, env),
                clock=job.clock,
                sleep=job.around.sleep,
                owner=job.owner,
                tell=everybody(log, announcer, show),
                nap=NAP,
                keep=compose.keeper_of(configuration, root=self._call.journal, env=env, complain=_complain),
            )
            yield _Opened(configuration=configuration, ports=ports)

    def _page_of(
        self, configuration: Configuration, state: State, observation: Observation | None, at: datetime
    ) -> Page:
        return Page(
            state=state,
            events=self._journal.read().events,
            now=at,
            judgement=(observation.judgement if observation is not None else None) or state.judgement,
            weight=observation.weight if observation is not None else None,
            links=self._job.links,
            shipped=self._shipped_by(state),
            approvers=configuration.github.approvers,
            language=configuration.language,
        )

    def _shipped_by(self, state: State) -> tuple[Shipped, ...]:
        """The commits between the two releases; looked up once, when the rollout ends."""
        if not state.over or state.stable is None:
            return ()
        if state.rollout not in self._shipped:
            try:
                found = shipped_between(self._job.repository, state.stable.tag, state.release.tag)
            except RolloutError as wrong:
                _complain(f"the commits of this release cannot be listed: {wrong.message}")
                found = ()
            self._shipped[state.rollout] = tuple(
                Shipped(sha=one.sha, title=one.title, author=one.author, pull=one.pull) for one in found
            )
        return self._shipped[state.rollout]

    def _state(self) -> State | None:
        return fold(self._journal.read().events)

    def _is_settled(self, state: State | None) -> bool:
        """Nothing is left to be done now; the reserve is kept for its while."""
        if state is None:
            return True
        if not (state.over and state.retired):
            return False
        if state.phase is Phase.ROLLED_BACK or state.discarded or state.promoted_at is None:
            return True
        return self._job.clock() < state.promoted_at + state.plan.keep and not state.abort

    def _told(self, outcome: str, because: str) -> int:
        self._outputs.set(outcome=outcome, reason=because)
        self._outputs.annotate("notice", "rollout", because)
        return 0

    def _report(self, settled: Wait | Finish | None) -> int:
        """What the job hands back. It is green where the rollout promoted or goes on, and red else."""
        state = self._state()
        if state is None or settled is None:
            return self._told("nothing", "no rollout is under way")
        page = self._page or self._page_of(self._here, state, None, self._job.clock())
        page = replace(page, state=state, now=self._job.clock())
        self._outputs.summarize(pages.job_summary(page))
        known = {"release": state.release.tag, "rollout_id": state.rollout, "weight": f"{state.ordered.percent:g}"}
        if isinstance(settled, Wait):
            self._outputs.set(
                **known,
                outcome="under-way",
                reason=settled.reason,
                report=self._job.links.run_url,
                next=settled.until.isoformat(),
            )
            if self._pacing is Pacing.HOLD:
                dispatch(self._job.repository, workflow_of(self._job.env.get("GITHUB_WORKFLOW_REF", "")))
            return 0
        if settled.outcome is Outcome.PROMOTED:
            self._outputs.set(**known, outcome="promoted", reason="", report=self._job.links.run_url)
            return 0
        cause = state.cause.value if state.cause is not None else ""
        self._outputs.set(**known, outcome="rolled-back", reason=cause, report=self._job.links.run_url)
        self._outputs.annotate("error", "rolled back", pages.annotation(page))
        return ROLLED_BACK


def interrupted(call: Call) -> int:
    """Write down that this run was cancelled, where it drives a rollout and could not do it itself any more."""
    job = job_of(call.env, call.config, Surroundings())
    journal = job.journal(job.nearest_policy())
    journal.hurry(engine.LAST_WORDS)
    owner = journal.holder(job.clock())
    if owner is None or owner.rpartition("/")[0] != job.owner.rpartition("/")[0]:
        return 0
    record = journal.read()
    with suppress(JournalMoved):  # whoever was faster drives it now
        journal.append((Interrupted(at=job.clock(), signal="a cancelled run"),), expect=record.head)
    journal.release(owner)
    return 0


def _complain(text: str) -> None:
    print(f"rollout: {text}", file=sys.stderr, flush=True)
