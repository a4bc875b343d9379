"""The HTML report: the journal and the counters it was judged by, drawn by `report` and written to a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rollout import engine
from rollout.analysis.judge import blocks_of, judge
from rollout.analysis.readings import Reading
from rollout.cli.opening import Opened, now
from rollout.core.events import Discarded, Retired
from rollout.core.gates import LatencyGate
from rollout.core.instances import instances_result
from rollout.core.state import Phase, State
from rollout.core.verdict import Judgement, combine
from rollout.errors import ConfigurationError
from rollout.journals.base import Record
from rollout.metrics.base import Source
from rollout.reading import read_gates
from rollout.report import html
from rollout.report.durations import quantiles_of


def write_page(opened: Opened, source: Source, path: Path) -> None:
    """Write the report of the latest rollout. Raises ConfigurationError where the file cannot be written."""
    record, state = opened.read()
    if state is None:
        return
    text = html.page((section(record, state, source),), now=now())
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as wrong:
        raise ConfigurationError(f"{path} cannot be written: {wrong.strerror}", hint="choose another file") from None


def section(record: Record, state: State, source: Source, *, title: str = "") -> html.Section:
    """One rollout for the report: its events, and the counts of every gate, block by block."""
    timeline = engine.timeline_of(state)
    lived = [event.at for event in record.events if not isinstance(event, Retired | Discarded)]
    until = lived[-1] if state.over else now()
    canary, stable = state.release.tag, state.stable.tag if state.stable is not None else ""
    readings = read_gates(source, state.plan, start=timeline.start, until=until, clock=now)
    blocks = {
        reading.gate.name: blocks_of(
            reading, plan=state.plan, timeline=timeline, canary_release=canary, stable_release=stable, now=until
        )
        for reading in readings
    }
    quantiles = {
        reading.gate.name: quantiles_of(reading.of_releases(canary=canary, stable=stable), blocks[reading.gate.name])
        for reading in readings
        if isinstance(reading.gate, LatencyGate)
    }
    return html.Section(
        state=state,
        events=record.events,
        blocks=blocks,
        quantiles=quantiles,
        judgement=_judged_now(state, readings, until) if state.phase is Phase.STEPPING else None,
        title=title,
    )


def _judged_now(state: State, readings: Sequence[Reading], at: datetime) -> Judgement:
    """The verdict on the samples that are drawn, with what was last seen of the canary's instances."""
    judged = judge(
        state.plan,
        readings,
        timeline=engine.timeline_of(state),
        canary_release=state.release.tag,
        stable_release=state.stable.tag if state.stable is not None else "",
        now=at,
    )
    if state.instances is None:
        return judged
    ready, wanted = state.instances
    found = instances_result(state, restarts=state.restarts, ready=ready, wanted=wanted, now=at)
    return combine((*judged.gates, found), until=judged.until)
