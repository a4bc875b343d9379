"""What people order: promote, approve, pause, resume, abort. An order is an event; whoever drives follows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never

from rollout.cli.opening import now, open_service
from rollout.core.commands import Refusal, accept
from rollout.core.events import Commanded, Order
from rollout.errors import JournalMoved, Refused

if TYPE_CHECKING:
    from rollout.cli.parser import Call


def order(call: Call) -> int:
    """Write the order into the journal, on top of the state it was checked against. Raises Refused."""
    opened = open_service(call)
    arguments = call.arguments
    step = arguments.step - 1 if arguments.step is not None else None
    while True:
        record, state = opened.read()
        answer = accept(state, Order(arguments.verb), by=arguments.by, now=now(), rollout=arguments.rollout, step=step)
        match answer:
            case Refusal(because=because, hint=hint):
                raise Refused(because, hint=hint)
            case Commanded():
                try:
                    opened.journal.append((answer,), expect=record.head)
                except JournalMoved:
                    continue
                return _acknowledge(call, answer)
            case _:
                assert_never(answer)


def _acknowledge(call: Call, commanded: Commanded) -> int:
    if call.json:
        print(json.dumps({"order": commanded.order, "by": commanded.by, "step": commanded.step + 1}))
    else:
        print(f"{commanded.order} by {commanded.by} is noted for step {commanded.step + 1}.")
        print("A running `rollout run` follows within a second; without one, the next `rollout tick` does.")
    return 0
