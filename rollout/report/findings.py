"""What a diagnosis found, as plain text: the answer to `rollout doctor`. It judges nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rollout.core.finding import Finding, Severity
from rollout.report.words import one_line

_WORDS: Final = {Severity.OK: "OK", Severity.WARNING: "WARNING", Severity.ERROR: "ERROR"}
_WIDTH: Final = max(len(word) for word in _WORDS.values())


def findings_text(findings: Sequence[Finding]) -> str:
    """Every finding in its order, one line each with the hint indented below it, and the count at the end."""
    return "\n".join((*_lines(findings), "", totals(findings)))


def _lines(findings: Iterable[Finding]) -> Iterable[str]:
    for finding in findings:
        word = _WORDS[finding.severity]
        yield f"{word:<{_WIDTH}}  {one_line(finding.subject)}: {one_line(finding.message)}"
        for hint in finding.hint.splitlines():
            yield f"{'':<{_WIDTH}}    {one_line(hint)}"


def totals(findings: Sequence[Finding]) -> str:
    """How many of which kind, and what that means for a rollout."""
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    looked = _counted(len(findings), "thing was looked at", "things were looked at")
    if errors:
        found = _counted(errors, "error", "errors")
        more = f" and {_counted(warnings, 'warning', 'warnings')}" if warnings else ""
        return f"{looked}: {found}{more}. A rollout would fail or harm users."
    if warnings:
        return f"{looked}: {_counted(warnings, 'warning', 'warnings')}. A rollout can run."
    return f"{looked}: all is well."


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
