"""A duration is read as it is written, and never without its unit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.duration import compact_duration, format_duration, parse_duration


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    """To the millisecond."""
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(compact_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("500ms", 0.5, "500 ms"),
        ("30s", 30, "30 s"),
        ("5m", 300, "5 min"),
        ("90m", 5400, "1 h 30 min"),
        ("1h30m", 5400, "1 h 30 min"),
        ("1d", 86400, "1 d"),
        ("0s", 0, "0 s"),
    ],
)
def test_every_unit_is_known(text: str, seconds: float, words: str) -> None:
    """And written for people with a space."""
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize("text", ["5", "0", "1.5", " 30 "])
def test_a_number_without_a_unit_is_refused_with_an_example(text: str) -> None:
    """Nobody can tell seconds from minutes by it."""
    with pytest.raises(ValueError, match="a duration needs a unit, such as 30s or 5m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "s", "5min", "-5s", "30m1h", "1.5h", "5 m", "٣s", "1w"])
def test_other_text_is_refused(text: str) -> None:
    """With what can be written instead."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
