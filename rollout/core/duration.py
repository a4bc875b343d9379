"""Durations as people write them, so that no number in a configuration is ever without its unit.

This module only translates between text and `timedelta`; what a duration means is for whoever asked for it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)
_WORDS: Final = {"d": "d", "h": "h", "m": "min", "s": "s", "ms": "ms"}
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")

PATTERN: Final = r"(?=[0-9])(?:[0-9]{1,6}d)?(?:[0-9]{1,6}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,6}s)?(?:[0-9]{1,6}ms)?"
"""What `parse_duration` accepts, as a regular expression for schemas; it has no anchors."""

_DURATION: Final = re.compile("".join(rf"(?:([0-9]{{1,6}}){unit})?" for unit, _ in _UNITS), re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read `500ms`, `30s`, `5m`, `2h`, `1d`, or several of them with the largest first, such as `1h30m`.

    Raises ValueError with a sentence for people. A number without a unit is refused, even zero.
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        raise ValueError("a duration needs a unit, such as 30s or 5m")
    found = _DURATION.fullmatch(stripped)
    if found is None or not stripped:
        raise ValueError(f"{text!r} is not a duration: write 500ms, 30s, 5m, 2h, 1d or 1h30m")
    amounts = found.groups(default="0")
    return sum((int(n) * unit for n, (_, unit) in zip(amounts, _UNITS, strict=True)), timedelta(0))


def format_duration(duration: timedelta) -> str:
    """Write a duration for people: `30 s`, `5 min`, `2 h 5 min`. Parts below a millisecond are left out."""
    sign = "-" if duration < timedelta(0) else ""
    return sign + (" ".join(f"{n} {_WORDS[unit]}" for n, unit in _parts(abs(duration))) or "0 s")


def compact_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it: `1h30m`. Raises ValueError where it is negative."""
    if duration < timedelta(0):
        raise ValueError("a negative duration cannot be written")
    return "".join(f"{n}{unit}" for n, unit in _parts(duration)) or "0s"


def _parts(duration: timedelta) -> list[tuple[int, str]]:
    parts: list[tuple[int, str]] = []
    left = duration
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append((number, unit))
    return parts
