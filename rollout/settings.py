"""The types that settings of every kind are written in: durations and percentages, as text with a unit.

They exist so that `rollout.yml` reads the same everywhere. Nothing here knows what is being configured.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from rollout.core.duration import PATTERN as DURATION_PATTERN
from rollout.core.duration import parse_duration

PERCENT_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?%$"


def _duration(value: object) -> timedelta:
    """A duration from its text. A bare number is refused: nobody can tell seconds from minutes by it."""
    match value:
        case timedelta():
            return value
        case str():
            return parse_duration(value)
        case int() | float() if not isinstance(value, bool):
            raise ValueError(f"a duration needs a unit: write {value}s or {value}m")
        case _:
            raise ValueError("a duration is text with a unit, such as 30s or 5m")


def parse_percent(value: object, *, most: float = 1) -> float:
    """A ratio, 0 to `most`, from text such as `2%`. A bare number is refused: 0.02 may mean 2 % or 0.02 %.

    Raises ValueError with a sentence for people.
    """
    match value:
        case str():
            if not re.fullmatch(PERCENT_PATTERN, value):
                raise ValueError("a percentage is a number and a percent sign, such as 2% or 0.5%")
            ratio = float(value.rstrip("% ")) / 100
        case int() | float() if not isinstance(value, bool):
            meant = f"{value:g}%" if value >= 1 else f"{value:g}% or {value * 100:g}%"
            raise ValueError(f"a percentage has a percent sign: write {meant}")
        case _:
            raise ValueError("a percentage is a number and a percent sign, such as 2% or 0.5%")
    if ratio > most:
        raise ValueError(f"this percentage is between 0% and {most * 100:g}%")
    return ratio


def _increase(value: object) -> float:
    ratio = parse_percent(value, most=10)
    if not ratio:
        raise ValueError("an increase is above 0%")
    return ratio


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["30s", "5m", "1h30m"]}),
]
"""Text such as `30s` in the file, a timedelta in the program."""

Percent = Annotated[
    float,
    PlainValidator(parse_percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["2%", "0.5%"]}),
]
"""Text such as `2%` in the file, a ratio such as 0.02 in the program."""

Increase = Annotated[
    float,
    PlainValidator(_increase),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["30%", "100%"]}),
]
"""Text such as `30%` in the file, above 0 % and up to 1000 %; a ratio such as 0.3 in the program."""
