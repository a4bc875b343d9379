"""What `doctor` and `plan` print."""

from __future__ import annotations

import io

from rich.console import Console

from rollout.core.finding import Finding, Severity
from rollout.report.findings import findings_text, totals
from rollout.report.timetable import timetable_view
from tests.report.stories import NOON, plan

FINE = Finding(subject="nginx", severity=Severity.OK, message="1.22 answers")
UNWISE = Finding(subject="gate", severity=Severity.WARNING, message="no limit", hint="set max")
WRONG = Finding(subject="prometheus", severity=Severity.ERROR, message="refuses\n\x1b[31m", hint="look at it\nor not")


def test_findings_are_words_with_their_hints_below() -> None:
    """A word for the severity, the hint indented, and the sum at the end."""
    assert findings_text((FINE, UNWISE, WRONG)).splitlines() == [
        "OK       nginx: 1.22 answers",
        "WARNING  gate: no limit",
        "           set max",
        "ERROR    prometheus: refuses [31m",
        "           look at it",
        "           or not",
        "",
        "3 things were looked at: 1 error and 1 warning. A rollout would fail or harm users.",
    ]


def test_the_sum_says_what_it_means_for_a_rollout() -> None:
    """All well, warnings only, errors."""
    assert totals((FINE,)) == "1 thing was looked at: all is well."
    assert totals((FINE, UNWISE)) == "2 things were looked at: 1 warning. A rollout can run."
    assert totals(()) == "0 things were looked at: all is well."


def _printed(approve: float | None, *, starts: bool) -> str:
    console = Console(width=80, no_color=True, file=io.StringIO())
    console.print(timetable_view(plan(1, 50, 100, soak=600, approve=approve), NOON if starts else None))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(" ".join(text.split()) for text in console.file.getvalue().splitlines())


def test_the_timetable_adds_the_soaks_up() -> None:
    """Every step with its earliest times since the start, and the whole."""
    text = _printed(50, starts=False)
    assert "1 1 % 10 min + 0 s + 10 min 50 %" in text
    assert "2 50 % 10 min + 10 min + 20 min 100 %, once a person approves" in text
    assert "3 100 % 10 min + 20 min + 30 min promotion" in text
    assert "The soaks take 30 min together; one step waits for an approval." in text
    assert "llm failures: at most 1.5 × stable" in text


def test_the_timetable_of_a_start_has_times_of_day() -> None:
    """With a moment to start from, the end is a time."""
    text = _printed(None, starts=True)
    assert "1 1 % 10 min 12:00:00Z 12:10:00Z 50 %" in text
    assert "promotion is at 12:30:00Z at the earliest" in text
