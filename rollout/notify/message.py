"""What is told, apart from how it is sent: the moments, and one message. It knows neither hosts nor formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from rollout.core.language import Language


class Reason(StrEnum):
    """A moment that people outside hear of. The list is closed; the words are those of `events` in rollout.yml."""

    STARTED = "started"
    """A rollout began."""
    NEEDS_A_PERSON = "needs_a_person"
    """Nothing goes on before somebody approves or resumes, or a rollback fails again and again."""
    BLIND = "blind"
    """The metrics have been away for a while, so nobody judges the canary."""
    ROLLED_BACK = "rolled_back"
    """All traffic is on the former release again."""
    PROMOTED = "promoted"
    """The new release serves everybody."""


URGENT: Final = frozenset({Reason.NEEDS_A_PERSON, Reason.BLIND, Reason.ROLLED_BACK})
"""The moments at which somebody must look: who is to be mentioned is mentioned then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, in one language. Every text is one line without control characters."""

    reason: Reason
    language: Language
    at: datetime
    title: str
    """Which service, where, and what happened."""
    evidence: str
    """Why, with the numbers; may be empty."""
    advice: str
    """What to do; may be empty."""
    rollout: str
    service: str
    environment: str
    release: str
    """The tag of the release on trial."""
    stable: str
    """The tag of the former release; empty where there was none."""
    step: int
    """The step's number, from 1 on."""
    steps: int
    weight: float
    """The step's weight in percent."""
    gate: str = ""
    """The gate that decided; empty where none did."""
    link: str = ""
    """An http(s) address that shows more; empty where there is none."""


def one_line(text: str, *, most: int = 1000) -> str:
    """Text of others as one line of at most so many characters: it can forge neither lines nor directions."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shortened(line, most)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and `…`, in at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def web_address(text: str) -> str:
    """An http(s) address that ends no link of any markup before its time; empty where the text is none."""
    if not re.match(r"https?://[^/\s]", text):
        return ""
    return quote(text, safe="/:?#@!$&*+,;=%~.-_")
