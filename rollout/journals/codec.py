"""Events to JSON and back, strictly: what is unknown or malformed is an error and never a guess."""

from __future__ import annotations

import json
from typing import Annotated, Final, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

from rollout.core import decisions, events, gates, plan, release, selector, verdict
from rollout.core.events import SCHEMA, Event, Started

_VALUES: Final = (
    *get_args(events.Event),
    *get_args(decisions.Action),
    events.CheckResult,
    plan.Plan,
    plan.Step,
    *get_args(gates.Gate),
    gates.Emergency,
    plan.InstancesRule,
    plan.Weight,
    release.Release,
    selector.Selector,
    selector.Matcher,
    verdict.Judgement,
    verdict.GateResult,
    verdict.Counts,
    verdict.Measured,
    verdict.Estimate,
)
for _value in _VALUES:
    with_config(ConfigDict(extra="forbid"))(_value)

_ACTIONS: Final = get_args(decisions.Action)
_GATES: Final = frozenset(kind.__name__ for kind in get_args(gates.Gate))
_UNKNOWN: Final = frozenset({"union_tag_invalid", "unexpected_keyword_argument", "extra_forbidden", "literal_error"})
"""What is wrong, in pydantic's words, with a name that this version does not know."""
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(
    Annotated[Event, Field(discriminator="kind")],
    config=ConfigDict(ser_json_inf_nan="strings"),  # JSON itself has no infinity
)


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
    telling = _of_nearest_kind(errors)
    unknown = [error for error in telling if error["type"] in _UNKNOWN]
    if not unknown:
        return _sentence(telling[0])
    if len([error for error in unknown if error["loc"][-1:] == ("kind",)]) == len(_ACTIONS):
        return "its action is unknown; a newer version may have written it"
    return f"{_sentence(unknown[0])}; a newer version may have written it"


def _of_nearest_kind(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors, but of a gate that is of no kind only what the kind that fits best says."""
    kinds: dict[tuple[int | str, ...], int] = {}
    for error in errors:
        kind = _kind(error)
        kinds[kind] = kinds.get(kind, 0) + 1
    best: dict[tuple[int | str, ...], tuple[int | str, ...]] = {}
    for kind, count in kinds.items():
        if kind[:-1] not in best or count < kinds[best[kind[:-1]]]:
            best[kind[:-1]] = kind
    return [error for error in errors if _kind(error) in best.values()]


def _kind(error: ErrorDetails) -> tuple[int | str, ...]:
    """The location up to the kind of a gate that pydantic tried; empty for what is in no gate."""
    loc = error["loc"]
    return next((loc[: at + 1] for at, part in enumerate(loc) if part in _GATES), ())


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
