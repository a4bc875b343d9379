"""From a call to the open parts of one service: its configuration, journal and ports."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout import compose
from rollout.config import Configuration, load
from rollout.core.state import State, fold
from rollout.engine import Audience, Ports
from rollout.journals.base import Record
from rollout.journals.file import FileJournal, this_process

if TYPE_CHECKING:
    from rollout.cli.parser import Call


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One service's configuration and journal."""

    configuration: Configuration
    journal: FileJournal

    def read(self) -> tuple[Record, State | None]:
        """The latest rollout's record and its state."""
        record = self.journal.read()
        return record, fold(record.events)


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


def open_service(call: Call) -> Opened:
    """Read the configuration and find the journal. Raises ConfigurationError."""
    configuration = load(call.config, env=call.env)
    return Opened(
        configuration=configuration, journal=compose.journal_of(configuration, root=call.journal, env=call.env)
    )


def ports_of(call: Call, opened: Opened, tell: Audience) -> Ports:
    """The world for the engine."""
    configuration = opened.configuration
    return Ports(
        journal=opened.journal,
        target=compose.target_of(configuration, call.env, clock=now),
        source=compose.source_of(configuration),
        checks=compose.ConfiguredChecks(configuration.checks, call.env),
        clock=now,
        sleep=time.sleep,
        owner=this_process(),
        tell=tell,
        keep=compose.keeper_of(configuration, root=call.journal, env=call.env, complain=_complain),
    )


def _complain(text: str) -> None:
    print(f"rollout: {text}", file=sys.stderr, flush=True)
