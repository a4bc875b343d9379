"""The verbs that only look: status, doctor, schema, and a tester's token. They change nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from rollout import compose
from rollout.cli import documents
from rollout.cli.charts import write_page
from rollout.cli.opening import now, open_service
from rollout.cli.preflight import findings_of
from rollout.config import schema_text
from rollout.core.finding import Severity
from rollout.errors import ConfigurationError, Unfit
from rollout.github.workflow_doctor import look_at_workflows
from rollout.init.project import root_of
from rollout.report.findings import findings_text
from rollout.report.lines import line
from rollout.report.summary import summary

if TYPE_CHECKING:
    from rollout.cli.parser import Call


def status(call: Call) -> int:
    """Where the rollout stands, from the journal; and what the gateway serves, from the gateway."""
    opened = open_service(call)
    record, state = opened.read()
    if record.repaired:
        print(f"note: {record.repaired}")
    if state is None:
        print("{}" if call.json else "no rollout has been started; start one with `rollout run TAG`")
        return 0
    if call.json:
        print(documents.status(state, None, now()))
    else:
        seen = compose.target_of(opened.configuration, call.env, clock=now).look()
        for text in summary(state, now()):
            print(text)
        serves = f"{seen.weight} to the canary" if seen.weight is not None else f"unknown: {seen.problem}"
        print(f"the gateway serves {serves}")
        if call.arguments.events:
            print()
            print("\n".join(line(event, state.plan) for event in record.events))
    if call.arguments.html is not None:
        write_page(opened, compose.source_of(opened.configuration), call.arguments.html)
    return 0


def doctor(call: Call) -> int:
    """Everything that would go wrong, with what to do about it. Raises Unfit after printing where something would."""
    opened = open_service(call)
    opened.read()
    configuration = opened.configuration
    target, source = compose.target_of(configuration, call.env, clock=now), compose.source_of(configuration)
    workflows = look_at_workflows(root_of(call.config.resolve().parent))
    found = (*workflows, *findings_of(configuration, target, source))
    print(documents.findings(found) if call.json else findings_text(found))
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    return Unfit.exit_code if errors else 0


def schema(call: Call) -> int:  # noqa: ARG001 - a verb takes the call
    """The JSON Schema of rollout.yml."""
    print(schema_text(), end="")
    return 0


def token(call: Call) -> int:
    """A token that lets a tester reach a version whatever its weight is."""
    opened = open_service(call)
    expires = now().astimezone().date() + timedelta(days=call.arguments.days)
    try:
        text = compose.tester_token(
            opened.configuration, call.env, version=call.arguments.of, expires=expires, clock=now
        )
    except ValueError as wrong:
        raise ConfigurationError(str(wrong), hint="choose another number of --days") from None
    print(json.dumps({"token": text, "expires": expires.isoformat()}) if call.json else text)
    return 0
