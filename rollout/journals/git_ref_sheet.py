"""The one file that each commit of a git-ref journal holds: to a value and back, strictly and without I/O.

    {"schema":1,"serial":41,"rollout":7,"former":"<commit>","lease":{"owner":"...","until":"..."},"queue":["v3"]}
    {"at":"...","rollout":"7-v2",...,"kind":"started"}
    {"at":"...","kind":"deployed"}

All of it stands in one file, so that one request reads all of it and nothing of it can be of another moment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from rollout.core.events import Event, Started
from rollout.journals import codec
from rollout.journals.base import Lease

SCHEMA: Final = 1
"""Grows when the first line changes its meaning; the events have a version of their own."""


class UnreadableSheet(ValueError):
    """The text is not a journal of this version; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The latest rollout and what belongs to the journal as a whole. Empty: nothing was ever written."""

    serial: int = 0
    """How many writes there have been; it tells an old state from a new one."""
    rollout: int = 0
    """The number of the latest rollout."""
    former: str = ""
    """The commit that holds the rollout before this one, whole."""
    lease: Lease | None = None
    queue: tuple[str, ...] = ()
    """Tags of the releases that wait, the next one first."""
    events: tuple[Event, ...] = ()
    lines: str = ""
    """The events as they are written, so that only new ones have to be put into words."""

    @property
    def name(self) -> str:
        """The latest rollout's own name, such as `7-v2`; empty before the first."""
        first = self.events[0] if self.events else None
        return first.rollout if isinstance(first, Started) else ""

    def begun(self, started: Started, *, former: str) -> Sheet:
        """With another rollout in place of the latest one; its release no longer waits."""
        empty = replace(
            self,
            rollout=self.rollout + 1,
            former=former if self.rollout else "",
            queue=tuple(tag for tag in self.queue if tag != started.release.tag),
            events=(),
            lines="",
        )
        return empty.grown((started,))

    def grown(self, events: tuple[Event, ...]) -> Sheet:
        """With more events."""
        lines = "".join(codec.dump(event).decode() + "\n" for event in events)
        return replace(self, events=(*self.events, *events), lines=self.lines + lines)

    def text(self) -> str:
        """What is written into the file."""
        lease = {"owner": self.lease.owner, "until": self.lease.until.isoformat()} if self.lease else None
        head = {
            "schema": SCHEMA,
            "serial": self.serial,
            "rollout": self.rollout,
            "former": self.former,
            "lease": lease,
            "queue": list(self.queue),
        }
        return f"{json.dumps(head, separators=(',', ':'))}\n{self.lines}"


class _Held(BaseModel):
    model_config = ConfigDict(extra="forbid")
    owner: str
    until: AwareDatetime


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid")
    schema_: NonNegativeInt
    serial: NonNegativeInt
    rollout: NonNegativeInt
    former: str
    lease: _Held | None
    queue: tuple[str, ...]


def parse(text: str) -> Sheet:
    """The value of the text. Raises UnreadableSheet."""
    first, *rest = text.split("\n")
    if not text.endswith("\n"):
        raise UnreadableSheet(f"line {1 + len(rest)}: it is cut off")
    rest.pop()
    head = _head(first)
    events = tuple(_event(number, line) for number, line in enumerate(rest, start=2))
    if bool(events) != bool(head.rollout) or (events and not isinstance(events[0], Started)):
        raise UnreadableSheet("line 2: a rollout begins with its start, and with nothing else")
    lease = Lease(owner=head.lease.owner, until=head.lease.until) if head.lease else None
    return Sheet(
        serial=head.serial,
        rollout=head.rollout,
        former=head.former,
        lease=lease,
        queue=head.queue,
        events=events,
        lines=text[len(first) + 1 :],
    )


def _head(line: str) -> _Head:
    try:
        found = json.loads(line)
    except ValueError:
        raise UnreadableSheet("line 1: it is not JSON") from None
    schema = found.pop("schema", None) if isinstance(found, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise UnreadableSheet("line 1: it says no version")
    if schema > SCHEMA:
        raise UnreadableSheet(f"it was written by a newer version (schema {schema}; this version knows {SCHEMA})")
    try:
        return _Head.model_validate_json(json.dumps(found | {"schema_": schema}), strict=True)
    except ValidationError as wrong:
        error = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in error["loc"])
        raise UnreadableSheet(f"line 1: {place}: {error['msg']}") from None


def _event(number: int, line: str) -> Event:
    try:
        return codec.load(line)
    except codec.UnreadableEvent as wrong:
        raise UnreadableSheet(f"line {number}: {wrong}") from None
