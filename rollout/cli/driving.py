"""The verbs that move a rollout: `run` stays until it has ended, `tick` takes one turn and leaves."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, assert_never

from rollout import compose, engine
from rollout.cli import documents
from rollout.cli.announcing import announcing
from rollout.cli.audience import Live, Log, Quiet, Viewer, everybody
from rollout.cli.opening import Opened, now, open_service, ports_of
from rollout.cli.outputs import in_a_workflow
from rollout.cli.preflight import refuse_unfit
from rollout.core.decisions import Finish, Outcome, Wait
from rollout.errors import ROLLED_BACK, WAITING_FOR_A_PERSON
from rollout.notify.memory import FileMemory

if TYPE_CHECKING:
    from rollout.cli.parser import Call


def run(call: Call) -> int:
    """Start the release that was named, or go on with the one under way, and stay until it has ended.

    In a job of GitHub Actions that names no release, the event says what is due.
    """
    if call.arguments.tag is None and in_a_workflow(call.env):
        from rollout.cli import workflow  # noqa: PLC0415 - brings PyGithub, which no other call needs

        return workflow.run(call)
    opened = open_service(call)
    with ExitStack() as stack:
        viewer = stack.enter_context(_viewer(call, opened))
        ports = ports_of(
            call,
            opened,
            everybody(viewer, stack.enter_context(_announcing(call, opened))),
        )
        try:
            if call.arguments.tag is not None:
                _start(opened, ports, call.arguments)
            finish = engine.run(ports)
        finally:
            opened.journal.release(ports.owner)
    if call.arguments.html is not None:
        from rollout.cli.charts import write_page  # noqa: PLC0415 - most runs draw nothing

        write_page(opened, ports.source, call.arguments.html)
    return _report(call, opened, finish)


def tick(call: Call) -> int:
    """One turn of the rollout under way, or the first one of the release that was named."""
    opened = open_service(call)
    with (
        Quiet() if call.json else Log(opened.journal) as viewer,
        _announcing(call, opened) as announcer,
    ):
        ports = ports_of(call, opened, everybody(viewer, announcer))
        try:
            if call.arguments.tag is not None:
                _start(opened, ports, call.arguments)
            settled = engine.tick(ports)
        finally:
            opened.journal.release(ports.owner)
    return _report(call, opened, settled)


def _viewer(call: Call, opened: Opened) -> Viewer:
    if call.json:
        return Quiet()
    if call.arguments.plain or not sys.stdout.isatty():
        return Log(opened.journal)
    return Live(opened.journal)


def _announcing(call: Call, opened: Opened) -> AbstractContextManager[engine.Audience]:
    told = compose.journal_directory(opened.configuration, root=call.journal, env=call.env) / "told.json"
    return announcing(opened.configuration, opened.journal, memory=FileMemory(told), complain=_complain)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _start(opened: Opened, ports: engine.Ports, arguments: Namespace) -> None:
    _, state = opened.read()
    if state is None or state.over:
        refuse_unfit(opened.configuration, ports.target, ports.source)
    engine.start(ports, opened.configuration.plan, arguments.tag, again=arguments.again)


def _report(call: Call, opened: Opened, settled: Wait | Finish) -> int:
    _, state = opened.read()
    assert state is not None
    if call.json:
        print(documents.status(state, settled, now()))
    match settled:
        case Wait(person=True):
            return WAITING_FOR_A_PERSON
        case Wait():
            return 0
        case Finish(outcome=outcome, leftover=leftover):
            if leftover and not call.json:
                print(f"left over, to be removed by hand: {leftover}", file=sys.stderr)
            return 0 if outcome is Outcome.PROMOTED else ROLLED_BACK
        case _:
            assert_never(settled)
