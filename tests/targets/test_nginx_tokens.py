"""A tester's token opens the version it names, until its day is over, for its service only."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.targets.nginx.tokens import LONGEST, VERSIONS, Version, issue, valid_tokens, verify

TODAY: Final = date(2026, 11, 22)
KEY: Final = "0123456789abcdef"


@given(version=st.sampled_from(VERSIONS), days=st.integers(0, 30), later=st.integers(0, 40))
def test_a_token_holds_through_its_day_and_no_longer(version: Version, days: int, later: int) -> None:
    """Whatever its version and its day."""
    token = issue(KEY, service="chat", version=version, expires=TODAY + timedelta(days=days), today=TODAY)
    then = TODAY + timedelta(days=later)
    assert verify(token, KEY, service="chat", today=then) == (version if later <= days else None)


@given(st.text(max_size=100))
def test_no_other_text_is_a_token(text: str) -> None:
    """Not even one of the right length."""
    assert verify(text, KEY, service="chat", today=TODAY) is None


def test_a_token_of_another_key_service_or_version_opens_nothing() -> None:
    """Each is part of what is signed."""
    token = issue(KEY, service="chat", version="stable", expires=TODAY, today=TODAY)
    assert verify(token, KEY + "x", service="chat", today=TODAY) is None
    assert verify(token, KEY, service="mail", today=TODAY) is None
    assert verify(token.replace("stable", "canary"), KEY, service="chat", today=TODAY) is None
    assert verify(token.replace("2026-11-22", "2026-13-45"), KEY, service="chat", today=TODAY) is None
    assert verify("canary", KEY, service="chat", today=TODAY) is None


@pytest.mark.parametrize("days", [-1, 31])
def test_a_token_cannot_be_issued_for_the_past_or_for_long(days: int) -> None:
    """A gateway without njs lists the tokens of so many days only."""
    with pytest.raises(ValueError, match="expires"):
        issue(KEY, service="chat", version="canary", expires=TODAY + timedelta(days=days), today=TODAY)


def test_the_list_holds_every_token_that_is_valid() -> None:
    """And nothing else."""
    listed = list(valid_tokens(KEY, service="chat", today=TODAY))
    assert len(listed) == 2 * (LONGEST.days + 1)
    for version, expires, token in listed:
        assert token == issue(KEY, service="chat", version=version, expires=expires, today=TODAY)
        assert verify(token, KEY, service="chat", today=TODAY) == version
