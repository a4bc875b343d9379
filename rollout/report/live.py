"""A rollout under way as a terminal shows it, redrawn at every look. It says nothing that the plain lines do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, assert_never

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rollout.core.events import Event
from rollout.core.gates import Gate
from rollout.core.plan import NOTHING, Plan, Weight
from rollout.core.state import Phase, State
from rollout.core.verdict import GateResult, Judgement, Verdict
from rollout.report.lines import line
from rollout.report.measures import (
    RANGES,
    Figures,
    brief_limit,
    canary_figures,
    counted,
    slow_words,
    stable_figures,
    weighed,
)
from rollout.report.summary import commands, notes, prospects, repeated, standing
from rollout.report.words import evidence, evidence_words, one_line, span, verdict_words

_COLOURS: Final = {
    Verdict.HEALTHY: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.BLIND: "magenta",
    Verdict.UNHEALTHY: "bold red",
}
_EVENTS_SHOWN: Final = 6
_EVIDENCE_CELLS: Final = 8

Place = Literal["done", "current", "ahead"]


def view(
    state: State,
    *,
    seen_weight: Weight | None,
    wait_reason: str,
    now: datetime,
    judgement: Judgement | None = None,
    events: Sequence[Event] = (),
) -> RenderableType:
    """The whole picture: releases, steps, soak, gates, the last events and the orders that can be given.

    `seen_weight` is what the gateway was seen to serve (None where it could not be asked), `wait_reason` why the
    machine waits (empty where it does not), `judgement` the newest verdict (else the journal's last one counts).
    """
    judged = judgement or state.judgement
    parts: list[RenderableType] = [_releases(state, now), Text(), Track(state=state, now=now), Text()]
    parts.append(_standing(state, seen_weight, wait_reason, now))
    parts.extend(Text(one_line(text), style="dim") for text in prospects(state, now))
    parts.extend(
        Text(one_line(str(note)), style="bold yellow" if note.urgent else "") for note in notes(state, now, judged)
    )
    if judged is not None and judged.gates:
        parts.extend((Text(), *_gates(judged, state.plan)))
        said = repeated(judged.reason, state.because) or judged.reason in wait_reason
        if judged.verdict is not Verdict.HEALTHY and not said:
            parts.append(Text(one_line(judged.reason), style=_COLOURS[judged.verdict]))
    if events:
        parts.append(Text())
        shown = events[-_EVENTS_SHOWN:]
        parts.extend(Text(line(event, state.plan), style="dim", no_wrap=True, overflow="ellipsis") for event in shown)
    orders = commands(state)
    if orders:
        parts.extend((Text(), Text(f"rollout {' | '.join(orders)}", style="dim")))
    return Panel(
        Group(*parts),
        title=Text(one_line(f" {state.plan.service} in {state.plan.environment} "), style="bold"),
        title_align="left",
        subtitle=Text(one_line(f" rollout {state.rollout} "), style="dim"),
        subtitle_align="right",
        box=box.ROUNDED,
        border_style=_border(state),
        padding=(0, 1),
    )


def _border(state: State) -> str:
    match state.phase:
        case Phase.PROMOTED:
            return "green"
        case Phase.ROLLING_BACK | Phase.ROLLED_BACK:
            return "red"
        case Phase.DEPLOYING | Phase.CHECKING | Phase.STEPPING | Phase.PROMOTING:
            return "yellow" if state.paused else "blue"
        case _:
            assert_never(state.phase)


def _releases(state: State, now: datetime) -> Table:
    old = f"{state.stable.tag} (stable)" if state.stable is not None else "no release yet"
    change = Text.assemble(old, "  →  ", (f"{state.release.tag} (canary)", "bold"))
    ended = state.promoted_at if state.phase is Phase.PROMOTED else state.rolled_back_at
    took = span((ended or now) - state.started_at)
    row = Table.grid(expand=True)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    row.add_row(change, Text(f"took {took}" if ended is not None else f"for {took}", style="dim"))
    return row


def _standing(state: State, seen: Weight | None, wait_reason: str, now: datetime) -> Text:
    text = Text.assemble((one_line(standing(state, now)), "bold"))
    if state.over:
        return text
    serves = "the gateway cannot be asked" if seen is None else f"the gateway serves {seen}"
    expected = state.ordered if state.cause is None else NOTHING
    text.append(f"\n{serves}", style="" if seen == expected else "yellow")
    if wait_reason:
        text.append(f"; {one_line(wait_reason)}", style="dim")
    return text


def _gates(judged: Judgement, plan: Plan) -> tuple[RenderableType, ...]:
    """Two lines for each gate: its verdict and values, and below them its limit, its evidence and the ranges."""
    gates = {gate.name: gate for gate in plan.gates}
    table = _columns(2, None, 5)
    table.add_row(_dim("gate"), _dim("verdict"), _pair(_dim("canary"), _dim("stable")))
    below: list[str] = []
    ranges = False
    for result in judged.gates:
        gate = gates.get(result.gate)
        if not counted(result):
            said = Text(one_line(result.sentence), style=_COLOURS[result.verdict] if _alarming(result) else "")
            table.add_row(_name(result, gate), _verdict(result), said)
            continue
        canary, stable = canary_figures(result, gate), stable_figures(result, gate)
        table.add_row(_name(result, gate), _verdict(result), _pair(_cell(canary), _cell(stable)))
        ranges = ranges or bool(canary.span or stable.span)
        if slow := slow_words(result):
            below.append(f"{one_line(result.gate)}: {slow}")
    if ranges:
        below.append(RANGES)
    return (table, *(Text(text, style="dim") for text in below))


def _columns(*ratios: int | None) -> Table:
    """A grid of columns that share the width by these ratios; one without a ratio is as wide as it must be."""
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for ratio in ratios:
        grid.add_column(ratio=ratio, no_wrap=ratio is None, overflow="ellipsis")
    return grid


def _pair(canary: Text, stable: Text) -> Table:
    pair = _columns(1, 1)
    pair.add_row(canary, stable)
    return pair


def _lines(first: str | Text, second: str | Text) -> Text:
    """One cell of two lines, of which the second is less important; neither wraps."""
    both = Text(no_wrap=True, overflow="ellipsis").append(first)
    if second:
        both.append("\n").append(second, style="dim" if isinstance(second, str) else None)
    return both


def _dim(text: str) -> Text:
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _name(result: GateResult, gate: Gate | None) -> Text:
    limit = brief_limit(gate)
    observed = "observed" if result.observe else ""
    return _lines(one_line(result.gate), ": ".join(part for part in (observed, limit) if part))


def _cell(figures: Figures) -> Text:
    return _lines(figures.value, figures.span)


def _alarming(result: GateResult) -> bool:
    return result.verdict is not Verdict.HEALTHY


def _verdict(result: GateResult) -> Text:
    """The word, and where the gate weighs evidence a small bar: how far it has come towards a rollback."""
    word = Text(verdict_words(result.verdict), style=_COLOURS[result.verdict])
    return _lines(word, _bar(result) if weighed(result) else "")


def _bar(result: GateResult) -> Text:
    full = round(evidence(result) * _EVIDENCE_CELLS)
    bar = Text.assemble(("█" * full, _COLOURS[result.verdict]))
    bar.append("░" * (_EVIDENCE_CELLS - full), style="dim")
    return bar.append(f" {evidence_words(result)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The steps side by side, each with its weight; the current one fills while it soaks."""

    state: State
    now: datetime

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Two lines as wide as there is room for; steps that do not fit are left out at both ends, and counted."""
        steps = self.state.plan.steps
        room = options.max_width
        fitting = max(1, min(len(steps), room // _NARROWEST))
        first = min(max(0, self.state.step - fitting // 2), len(steps) - fitting)
        shown = range(first, first + fitting)
        width = min(room // fitting, _WIDEST)
        bars, labels = Text(no_wrap=True), Text(no_wrap=True)
        for index in shown:
            bars.append_text(self._bar(index, width - 1)).append(" ")
            place = self._place(index)
            labels.append(f"{self._label(index):<{width}}"[:width], style=_PLACE_STYLES[place])
        yield bars
        yield labels
        legend = []
        if fitting < len(steps):
            legend.append(f"steps {first + 1} to {first + fitting} of {len(steps)}")
        if any(steps[index].approve for index in shown):
            legend.append("* a person approves before traffic moves on")
        if legend:
            yield Text("; ".join(legend), style="dim")

    def _place(self, index: int) -> Place:
        state = self.state
        if index < state.step or state.phase is Phase.PROMOTED:
            return "done"
        started = state.ordered == state.current.weight and state.phase not in (Phase.DEPLOYING, Phase.CHECKING)
        reached = started or state.cause is not None
        return "current" if index == state.step and reached else "ahead"

    def _bar(self, index: int, width: int) -> Text:
        back = self.state.cause is not None
        match self._place(index):
            case "done":
                return Text("━" * width, style="dim" if back else "green")
            case "ahead":
                return Text("╌" * width, style="dim")
            case "current":
                full = round(width * self._soaked())
                bar = Text.assemble(("━" * full, "red" if back else "green"))
                return bar.append("─" * (width - full), style="red" if back else "blue")

    def _soaked(self) -> float:
        """How much of the current step's soak is over, 0 to 1."""
        if self.state.soaked_at is None:
            return 0.0
        soak = self.state.current.soak
        if soak <= timedelta(0):
            return 1.0
        return min(max(1 - (self.state.soaked_at - self.now) / soak, 0.0), 1.0)

    def _label(self, index: int) -> str:
        step = self.state.plan.steps[index]
        approval = "*" if step.approve else ""
        match self._place(index):
            case "done":
                return f"✓ {step.weight}{approval}"
            case "ahead":
                return f"  {step.weight}{approval}"
            case "current":
                icon = "✗" if self.state.cause is not None else "‖" if self.state.paused else "▶"
                return f"{icon} {step.weight}{approval}"


_NARROWEST: Final = 10
_WIDEST: Final = 24
_PLACE_STYLES: Final[dict[Place, str]] = {"done": "", "current": "bold", "ahead": "dim"}
