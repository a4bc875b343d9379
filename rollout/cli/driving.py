"""The verbs that move a rollout: `run` stays until it has ended, `tick` takes one turn and leaves."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from rollout import engine
from rollout.cli import documents
from rollout.cli.announcing import Announcer
from rollout.cli.audience import Live, Log, Quiet, Viewer
from rollout.cli.opening import Opened, now, open_service, ports_of
from rollout.cli.preflight import findings_of
from rollout.core.decisions import Decision, Finish, Outcome, Wait
from rollout.core.finding import Severity
from rollout.core.machine import Observation
from rollout.core.state import State
from rollout.errors import ROLLED_BACK, WAITING_FOR_A_PERSON, Unfit
from rollout.report.findings import findings_text

if TYPE_CHECKING:
    from rollout.cli.parser import Call


def run(call: Call) -> int:
    """Start the release that was named, or go on with the one under way, and stay until it has ended."""
    opened = open_service(call)
    with ExitStack() as stack:
        viewer = stack.enter_context(_viewer(call, opened))
        ports = ports_of(call, opened, _all(viewer, stack.enter_context(_announcing(opened))))
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
    with Quiet() if call.json else Log(opened.journal) as viewer, _announcing(opened) as announcer:
        ports = ports_of(call, opened, _all(viewer, announcer))
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


@contextmanager
def _announcing(opened: Opened) -> Iterator[engine.Audience]:
    urls = [url.get_secret_value() for url in opened.configuration.notify]
    if not urls:
        yield _nobody
        return
    from rollout.notify.channels import Channels  # noqa: PLC0415 - brings requests, and most ticks tell nobody

    with Channels(urls, complain=lambda text: print(text, file=sys.stderr)) as channels:
        yield Announcer(opened.journal, channels.send)


def _nobody(state: State, observation: Observation, decision: Decision, at: datetime) -> None:
    """Nobody is told."""


def _all(*audiences: engine.Audience) -> engine.Audience:
    """Everybody is told; one who stumbles keeps nobody else from hearing it."""

    def tell(state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        for audience in audiences:
            with suppress(Exception):
                audience(state, observation, decision, at)

    return tell


def _start(opened: Opened, ports: engine.Ports, arguments: Namespace) -> None:
    _, state = opened.read()
    if state is None or state.over:
        found = tuple(findings_of(opened.configuration, ports.target, ports.source))
        errors = tuple(finding for finding in found if finding.severity is Severity.ERROR)
        if errors:
            raise Unfit(f"nothing was changed, as this would go wrong:\n{findings_text(errors)}")
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
