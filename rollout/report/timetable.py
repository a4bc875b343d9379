"""The timetable of a plan as a table: the answer to `rollout plan`. The times are the machine's own, from `core`."""

from __future__ import annotations

from datetime import datetime, timedelta

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollout.analysis.wording import percent
from rollout.core.pacing import WAKE, Pacing, runner_minutes
from rollout.core.plan import Plan
from rollout.core.schedule import Row, timetable
from rollout.report.words import clock, limits, one_line, span


def timetable_view(plan: Plan, starts: datetime | None = None) -> RenderableType:
    """Step by step: weight, soak, begin and end, the earliest end by evidence, approval; the totals and the gates.

    Times are counted from the moment the canary is deployed and checked; with `starts` as that moment, they are
    times of day in UTC.
    """
    rows = timetable(plan)
    shortened = any(row.earliest != row.ends for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    times = "times by the soaks" if shortened else "the earliest times"
    table.title = Text(one_line(f"{plan.service} in {plan.environment}: {times}"))
    table.add_column("step", justify="right")
    table.add_column("traffic", justify="right")
    table.add_column("soak", justify="right")
    if not shortened:
        table.add_column("begins", justify="right")
    table.add_column("ends", justify="right")
    if shortened:
        table.add_column("earliest", justify="right")
    table.add_column("then")
    for row in rows:
        table.add_row(
            str(row.number),
            str(row.step.weight),
            span(row.step.soak),
            *([] if shortened else [_moment(row.begins, starts)]),
            _moment(row.ends, starts),
            *([_moment(row.earliest, starts)] if shortened else []),
            _then(row, rows),
        )
    return Group(table, *(Text(text) for text in _totals(plan, rows, starts)), *_gates(plan))


def _moment(offset: timedelta, starts: datetime | None) -> str:
    return clock(starts + offset) if starts is not None else f"+ {span(offset)}"


def _then(row: Row, rows: tuple[Row, ...]) -> str:
    what = "promotion" if row.number == len(rows) else str(rows[row.number].step.weight)
    return f"{what}, once a person approves" if row.step.approve else what


def _totals(plan: Plan, rows: tuple[Row, ...], starts: datetime | None) -> tuple[str, ...]:
    approvals = sum(row.step.approve for row in rows)
    waits = {0: "", 1: "; one step waits for an approval"}.get(approvals, f"; {approvals} steps wait for an approval")
    whole = rows[-1].ends
    first = rows[-1].earliest
    end = f", so promotion is at {clock(starts + first)} at the earliest" if starts is not None else ""
    evidence = f", with all the evidence that may shorten them {span(first)}" if first != whole else ""
    return (
        f"The soaks take {span(whole)} together{evidence}{end}{waits}.",
        f"A healthy canary is rolled back by mistake in at most {percent(plan.false_rollback)} of rollouts.",
        f"The metrics are looked at every {span(plan.interval)}.",
        _runners(whole),
    )


def _runners(whole: timedelta) -> str:
    hold, wake = (runner_minutes(whole, pacing) for pacing in (Pacing.HOLD, Pacing.WAKE))
    return (
        f"In GitHub Actions that is {hold:,} runner minutes with `pacing: hold`, and {wake:,} with `pacing: wake` and "
        f"a wait timer of {span(WAKE)}."
    )


def _gates(plan: Plan) -> tuple[RenderableType, ...]:
    if not plan.gates:
        return (Text("There are no gates: nothing but a person takes the canary back."),)
    lines = [
        f"{one_line(gate.name)}: {limits(gate)}{' (observed only)' if gate.observe else ''}" for gate in plan.gates
    ]
    return (Text("Gates:"), *(Padding(Text(text), (0, 0, 0, 2)) for text in lines))
