"""Events to JSON and back, strictly: what is unknown or malformed is an error and never a guess."""

from __future__ import annotations

import json
from typing import Annotated, Final, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

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

_ACTIONS: Final = get_args(decisions.Action)
_UNKNOWN: Final = frozenset({"union_tag_invalid", "unexpected_keyword_argument", "extra_forbidden", "literal_error"})
"""What is wrong, in pydantic's words, with a name that this version does not know."""
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
        raise UnreadableEvent(_why(text, wrong.errors(include_url=False, include_input=False))) from None
    if isinstance(event, Started) and event.schema_version > SCHEMA:
        raise UnreadableEvent(_newer(event.schema_version))
    if event.at.tzinfo is None:
        raise UnreadableEvent("its time has no time zone")
    return event


def _newer(schema: int) -> str:
    return f"it was written by a newer version (schema {schema}; this version knows {SCHEMA})"


def _why(text: str | bytes, errors: list[ErrorDetails]) -> str:
    """The cause in a sentence: a newer version where it says so itself, else the first thing that is wrong."""
    schema = _schema(text)
    if schema is not None and schema > SCHEMA:
        return _newer(schema)
    unknown = [error for error in errors if error["type"] in _UNKNOWN]
    if not unknown:
        return _sentence(errors[0])
    if len([error for error in unknown if error["loc"][-1:] == ("kind",)]) == len(_ACTIONS):
        return "its action is unknown; a newer version may have written it"
    return f"{_sentence(unknown[0])}; a newer version may have written it"


def _sentence(error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place or 'the line'}: {error['msg']}"


def _schema(text: str | bytes) -> int | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    schema = event.get("schema_version") if isinstance(event, dict) else None
    return schema if isinstance(schema, int) else None
