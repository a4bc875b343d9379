"""What a diagnosis found, for `rollout doctor` and for the preflight of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Wrong or unwise, but a rollout can run."""
    ERROR = "error"
    """A rollout would fail or harm users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """What was looked at, such as `nginx` or `gate "http 5xx"`."""
    severity: Severity
    message: str
    hint: str = ""
    """What to do about it; empty for OK."""
