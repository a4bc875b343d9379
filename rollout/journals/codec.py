"""Events to JSON and back, strictly: what is unknown or malformed is an error and never a guess."""

from __future__ import annotations

from typing import Annotated, Final, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from rollout.core import decisions, events, plan, release, selector, verdict
from rollout.core.events import SCHEMA, Event, Started

_VALUES: Final = (
    *get_args(events.Event),
    *get_args(decisions.Action),
    events.CheckResult,
    plan.Plan,
    plan.Step,
    plan.Gate,
    plan.Weight,
    release.Release,
    selector.Selector,
    selector.Matcher,
    verdict.Judgement,
    verdict.GateResult,
    verdict.Counts,
)
for _value in _VALUES:
    with_config(ConfigDict(extra="forbid"))(_value)

_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


class UnreadableEvent(ValueError):
    """The JSON is not an event of this version; the message says why."""


def dump(event: Event) -> bytes:
    """One event as JSON without a line break."""
    return _EVENT.dump_json(event)


def load(text: str | bytes) -> Event:
    """The event in one piece of JSON. Raises UnreadableEvent."""
    try:
        event = _EVENT.validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnreadableEvent(f"{place or 'the line'}: {first['msg']}") from None
    if isinstance(event, Started) and event.schema_version > SCHEMA:
        raise UnreadableEvent(
            f"it was written by a newer version (schema {event.schema_version}; this version knows {SCHEMA})"
        )
    if event.at.tzinfo is None:
        raise UnreadableEvent("its time has no time zone")
    return event
