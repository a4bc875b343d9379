"""What a policy can see, as tables and sentences: the second half of `rollout plan`. It finds nothing out itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollout.analysis.expected import Traffic
from rollout.analysis.foresight import Foresight, Vision, listed
from rollout.analysis.power import SURE
from rollout.analysis.wording import duration, percent
from rollout.core.gates import LatencyGate
from rollout.core.plan import EVERYTHING, NOTHING, Advance, Plan
from rollout.core.schedule import timetable
from rollout.report.words import one_line, span


def foresight_view(plan: Plan, foresight: Foresight) -> RenderableType:
    """What is counted on, the smallest fault by step, the fate of bad canaries, the end, and the warnings."""
    return Group(
        Text(),
        Text("What the policy sees", style="bold"),
        *(_indented(line) for line in _grounds(foresight)),
        *_sights(plan, foresight.visions),
        *_catches(foresight.visions),
        Text(_finish(plan, foresight)),
        *_warnings(foresight),
    )


def _grounds(foresight: Foresight) -> Iterator[str]:
    """What each gate is taken to count, and once what is assumed of all of them."""
    everywhere: tuple[str, ...] = ()
    if len(foresight.visions) > 1:
        first, *others = (vision.traffic.assumed for vision in foresight.visions)
        everywhere = tuple(text for text in first if all(text in other for other in others))
    for vision in foresight.visions:
        traffic = vision.traffic
        guesses = [text for text in traffic.assumed if text not in everywhere]
        known = [f"{_rate(traffic.rate)} requests/s{'' if traffic.given else ' in the last hour'}", *_known(traffic)]
        yield f"{_name(vision)}: {', '.join(known)}{_assumed(guesses)}"
    for unseen in foresight.unseen:
        if not unseen.applies:
            yield f"{one_line(unseen.gate.name)}: takes no part, as {one_line(unseen.why)}"
    if everywhere:
        yield f"assumed for all: {', '.join(everywhere)}"


def _known(traffic: Traffic) -> Iterator[str]:
    if traffic.cut is not None:
        yield f"slow is over {duration(traffic.cut.bound)}, {_tolerance(traffic)} above stable"
    elif not any(text.startswith("stable fails") for text in traffic.assumed):
        yield f"stable fails {percent(traffic.stable)}"
    if not any("dispersion" in text for text in traffic.assumed):
        yield f"dispersion {traffic.dispersion:.2g}"


def _assumed(guesses: Sequence[str]) -> str:
    return f"; assumed: {', '.join(guesses)}" if guesses else ""


def _tolerance(traffic: Traffic) -> str:
    assert traffic.cut is not None
    low, high = (math.floor(edge * 100 + 0.5) for edge in traffic.cut.tolerance)
    return f"{low} %" if low == high else f"{low} to {high} %"


def _sights(plan: Plan, visions: tuple[Vision, ...]) -> Iterator[RenderableType]:
    yield Text()
    yield Text("The smallest fault that begins with a step and is rolled back within its soak,")
    yield Text("9 times of 10 (in brackets the canary's requests in the soak)")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step", justify="right")
    table.add_column("traffic", justify="right")
    table.add_column("soak", justify="right")
    for vision in visions:
        table.add_column(Text(_name(vision)), justify="right")
    for index, step in enumerate(plan.steps):
        if step.weight > NOTHING:
            cells = [_sight(vision, index, alone=step.weight == EVERYTHING) for vision in visions]
            table.add_row(str(index + 1), str(step.weight), span(step.soak), *cells)
    yield table
    if any(_is_relative(vision) for vision in visions):
        yield Text("At 100 % there is no stable release to compare with; only `max` decides there.\n")


def _sight(vision: Vision, index: int, *, alone: bool) -> Text:
    sight = vision.sights[index]
    if alone and _is_relative(vision):
        return Text(f"- ({_count(sight.requests)})", style="dim")
    if sight.smallest is None:
        return Text(f"none ({_count(sight.requests)})", style="yellow")
    return Text(f"{_fault(vision.traffic, sight.smallest)} ({_count(sight.requests)})")


def _is_relative(vision: Vision) -> bool:
    """Whether the gate only compares."""
    gate = vision.traffic.gate
    return isinstance(gate, LatencyGate) or gate.max is None


def _catches(visions: tuple[Vision, ...]) -> Iterator[RenderableType]:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("gate")
    table.add_column("fault")
    table.add_column("rolled back after", justify="right")
    table.add_column("failed by then", justify="right")
    table.add_column("before 100 %", justify="right")
    for vision in visions:
        for number, catch in enumerate(vision.catches):
            style = "" if catch.early >= SURE else "yellow"
            time = Text(span(catch.median) if catch.median is not None else "not half of them", style=style)
            failed = f"{catch.failed:,.0f}" if catch.failed is not None else "-"
            early = Text("over 90 %" if catch.early >= SURE else f"{math.floor(catch.early * 100)} %", style=style)
            name = Text("" if number else _name(vision))
            table.add_row(name, _told(vision.traffic, catch.fault), time, failed, early)
    if table.row_count:
        yield Text("A canary that is bad from the first user on (medians of simulated rollouts)")
        yield table


def _told(traffic: Traffic, fault: float) -> str:
    gate = traffic.gate
    if isinstance(gate, LatencyGate):
        return f"p{gate.quantile * 100:g} {_fault(traffic, fault)}"
    return f"fails {_fault(traffic, fault)}"


def _finish(plan: Plan, foresight: Foresight) -> str:
    earliest, last = timetable(plan)[-1].earliest, foresight.laps[-1]
    held = any(lap.held for lap in foresight.laps)
    latest = f"{span(last.latest)}{', and only once a person has let it go on' if held else ''}"
    if plan.advance is Advance.EVIDENCE:
        expected = f"{span(last.likely)} by the evidence to be expected"
        times = f"{span(earliest)} at the earliest, {expected}, at the latest {latest}"
    elif earliest == last.latest:
        times = latest
    else:
        times = f"{span(earliest)} at the earliest; at this traffic after {latest}"
    return f"A healthy canary is promoted after {times}. Approvals and trouble come on top."


def _warnings(foresight: Foresight) -> Iterator[RenderableType]:
    for caveat in foresight.warnings:
        gates = f"{listed(tuple(one_line(gate) for gate in caveat.gates))}: " if caveat.gates else ""
        yield Text(f"! {gates}{one_line(caveat.what)}", style="yellow")
        yield _indented(f"change: {one_line(caveat.change)}")


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2))


def _name(vision: Vision) -> str:
    gate = vision.traffic.gate
    return f"{one_line(gate.name)}{' (observed)' if gate.observe else ''}"


def _fault(traffic: Traffic, fault: float) -> str:
    if isinstance(traffic.gate, LatencyGate):
        return f"+ {percent(fault)}"
    return percent(fault)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1g}"
