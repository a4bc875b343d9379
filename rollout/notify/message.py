"""What is told, apart from how it is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What people outside are told."""

    title: str
    """One line: which service, where, and what happened."""
    text: str
    """Why, and what to do; may be empty."""
    reason: str
    """For programs: `started`, `needs_a_person`, `promoted` or `rolled_back`."""
