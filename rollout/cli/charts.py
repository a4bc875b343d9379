"""The HTML report: the journal and the counters it was judged by, drawn by `report` and written to a file."""

from __future__ import annotations

from pathlib import Path

from rollout import engine
from rollout.analysis.blocks import Block
from rollout.analysis.judge import blocks_of
from rollout.cli.opening import Opened, now
from rollout.core.events import Discarded, Retired
from rollout.core.state import State
from rollout.errors import ConfigurationError
from rollout.journals.base import Record
from rollout.metrics.base import Source
from rollout.report import html


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
    return html.Section(state=state, events=record.events, blocks=_blocks(record, state, source), title=title)


def _blocks(record: Record, state: State, source: Source) -> dict[str, tuple[Block, ...]]:
    timeline = engine.timeline_of(state)
    lived = [event.at for event in record.events if not isinstance(event, Retired | Discarded)]
    until = lived[-1] if state.over else now()
    readings = engine.read_gates(source, state.plan, start=timeline.start, until=until, clock=now)
    return {
        reading.gate.name: blocks_of(
            reading,
            plan=state.plan,
            timeline=timeline,
            canary_release=state.release.tag,
            stable_release=state.stable.tag if state.stable is not None else "",
            now=until,
        )
        for reading in readings
    }
