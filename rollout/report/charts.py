"""What the traffic did and how both versions failed, drawn over one time axis with every decision marked.

Versions differ by colour, dash and marker, so that the charts can be read without colour.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from rollout.analysis.blocks import Block
from rollout.analysis.wording import percent
from rollout.core.events import Event
from rollout.core.gates import FailureGate, LatencyGate
from rollout.core.plan import Weight
from rollout.report.curves import Bin, failing, of_canary, of_stable, traffic
from rollout.report.decided import Decided
from rollout.report.durations import Quantile
from rollout.report.markup import NONE, Html, joined, tag, text
from rollout.report.measures import quantile_name, seconds
from rollout.report.plot import (
    RIGHT,
    WIDTH,
    Mark,
    Panel,
    TimeAxis,
    lanes_height,
    marks_drawn,
    path,
    step_path,
    time_labels,
)
from rollout.report.words import clock, one_line, share

_GAP: Final = 40.0
_TITLE: Final = 26.0
_CLEANING: Final = frozenset({"retired", "discarded"})
_Point = TypeVar("_Point", bound=Bin)
_SIDES: Final = (("stable", of_stable), ("canary", of_canary))


def axis_of(events: Sequence[Event], blocks: Mapping[str, Sequence[Block]], now: datetime, *, over: bool) -> TimeAxis:
    """From the start to the last thing of interest: cleaning up hours later is none."""
    telling = [event.at for event in events if event.kind not in _CLEANING and not _cleans(event)]
    counted = [many[-1].at for many in blocks.values() if many]
    last = max([*telling, *counted, *(() if over else (now,))])
    begin = events[0].at
    return TimeAxis(begin=begin, end=max(last + (last - begin) / 50, begin + timedelta(seconds=5)))


def _cleans(event: Event) -> bool:
    return event.kind == "intended" and event.action.kind in ("retire", "discard")


def marks_of(decisions: Sequence[Decided]) -> tuple[Mark, ...]:
    """Every decision as a mark."""
    return tuple(
        Mark(
            at=one.at,
            label=one_line(one.label),
            sort=str(one.sort),
            tooltip=one_line(f"{clock(one.at)}: {one.what}: {one.why}"),
        )
        for one in sorted(decisions, key=lambda one: one.at)
    )


def traffic_chart(
    axis: TimeAxis,
    marks: Sequence[Mark],
    weights: Sequence[tuple[datetime, Weight]],
    blocks: Sequence[Block],
    until: datetime,
) -> Html:
    """The canary's weight as steps, and below it the requests per second of both versions."""
    top = lanes_height(axis, marks) + _TITLE + 8
    heaviest = max((weight.percent for _, weight in weights), default=0.0)
    weight = Panel(title="Canary's weight: its share of the traffic", top=top, height=104, highest=heaviest, unit=" %")
    curves = {name: traffic(blocks, side) for name, side in _SIDES}
    highest = max((bin_.per_second for bins in curves.values() for bin_ in bins), default=0.0)
    requests = Panel(title="Requests per second", top=weight.bottom + _GAP, height=104, highest=highest, unit="")
    lines = [_curve(axis, requests, name, curves[name], _requests_said, value=_per_second) for name, _ in _SIDES]
    body = (
        marks_drawn(axis, marks, top=top - _TITLE, bottom=requests.bottom),
        weight.paper(axis),
        requests.paper(axis),
        _weight_line(axis, weight, weights, until),
        *(lines if blocks else (_absent(requests, "no requests were counted"),)),
        time_labels(axis, requests.bottom),
    )
    return _svg(requests.bottom + 24, "Traffic over time", body)


def failures_chart(
    axis: TimeAxis, marks: Sequence[Mark], gates: Sequence[FailureGate], blocks: Mapping[str, Sequence[Block]]
) -> Html:
    """For each gate the failure rates of both versions, with what the gate allows."""
    top = lanes_height(axis, marks) + _TITLE + 8
    body: list[Html] = []
    bottom = top
    for gate in gates:
        curves = {name: failing(blocks.get(gate.name, ()), side) for name, side in _SIDES}
        rates = [_rate(bin_) for bins in curves.values() for bin_ in bins]
        highest = max([*rates, (gate.max or 0.0) * 125, 0.1])
        title = f"{one_line(gate.name)}: failed requests of each version"
        panel = Panel(title=title, top=top, height=112, highest=highest, unit=" %")
        body.append(panel.paper(axis))
        body.extend(_allowed(axis, panel, gate, curves["stable"]))
        body.extend(_curve(axis, panel, name, curves[name], _failures_said, value=_rate) for name, _ in _SIDES)
        if not rates:
            body.append(_absent(panel, "nothing was counted for this gate"))
        bottom = panel.bottom
        top = bottom + _GAP
    drawn = marks_drawn(axis, marks, top=lanes_height(axis, marks) + 8, bottom=bottom)
    return _svg(bottom + 24, "Failure rates over time", (drawn, *body, time_labels(axis, bottom)))


def latency_chart(
    axis: TimeAxis,
    marks: Sequence[Mark],
    gates: Sequence[LatencyGate],
    blocks: Mapping[str, Sequence[Block]],
    quantiles: Mapping[str, Mapping[str, Sequence[Quantile]]],
    bounds: Mapping[str, float],
) -> Html:
    """For each gate the quantile of both versions, and the share of slow requests that the canary is judged by.

    `bounds` says from which duration in seconds on a request of the canary is slow, gate by gate, where that is known.
    """
    top = lanes_height(axis, marks) + _TITLE + 8
    body: list[Html] = []
    bottom = top
    for gate in gates:
        long = _long(axis, gate, quantiles.get(gate.name, {}), top=top)
        slow = _slow(axis, gate, blocks.get(gate.name, ()), bounds.get(gate.name), top=long[0].bottom + _GAP)
        body.extend((*long[1], *slow[1]))
        bottom = slow[0].bottom
        top = bottom + _GAP
    drawn = marks_drawn(axis, marks, top=lanes_height(axis, marks) + 8, bottom=bottom)
    return _svg(bottom + 24, "Durations over time", (drawn, *body, time_labels(axis, bottom)))


def _long(
    axis: TimeAxis, gate: LatencyGate, curves: Mapping[str, Sequence[Quantile]], *, top: float
) -> tuple[Panel, tuple[Html, ...]]:
    """How long requests took; what is allowed moves with stable."""
    allowed = 1 + gate.max_increase
    stable = curves.get("stable", ())
    longest = max(
        [one.value for many in curves.values() for one in many] + [one.value * allowed for one in stable] + [0]
    )
    times, unit = (1000.0, " ms") if longest < 1 else (1.0, " s")
    name = quantile_name(gate)
    title = f"{one_line(gate.name)}: {name} of the durations of each version"
    panel = Panel(title=title, top=top, height=112, highest=longest * times, unit=unit)

    def value(point: Quantile) -> float:
        return point.value * times

    def said(version: str, point: Quantile) -> str:
        return (
            f"{clock(point.since)} to {clock(point.until)}: {name} of {version} {seconds(point.value)}, "
            f"of {point.counts.total:,} requests"
        )

    limit = _relative(axis, panel, stable, lambda point: value(point) * allowed, f"+ {percent(gate.max_increase)}")
    lines = (_curve(axis, panel, version, curves.get(version, ()), said, value=value) for version, _ in _SIDES)
    absent = () if longest else (_absent(panel, "no durations were counted"),)
    return panel, (panel.paper(axis), *limit, *lines, *absent)


def _slow(
    axis: TimeAxis, gate: LatencyGate, blocks: Sequence[Block], bound: float | None, *, top: float
) -> tuple[Panel, tuple[Html, ...]]:
    """What the canary is judged by. Stable's own slow requests are not counted: its line is what it allows."""
    known = bound is not None or any(block.whole.stable_failures for block in blocks)
    slower = f"that took longer than {seconds(bound)}" if bound is not None else "that were slow"
    canary, allowed = ((failing(blocks, side) if known else ()) for side in (of_canary, of_stable))
    highest = max([_rate(bin_) for bin_ in (*canary, *allowed)] + [(1 - gate.quantile) * 125])
    title = f"{one_line(gate.name)}: share of the canary's requests {slower}"
    panel = Panel(title=title, top=top, height=112, highest=highest, unit=" %")

    def said(version: str, bin_: Bin) -> str:
        return f"{clock(bin_.since)} to {clock(bin_.until)}: of {version} {share(bin_.counts)} requests were slow"

    limit = _relative(axis, panel, allowed, _rate, "allowed")
    line = _curve(axis, panel, "canary", canary, said, value=_rate)
    absent = () if canary or allowed else (_absent(panel, "no bucket was chosen: nothing counts as slow"),)
    return panel, (panel.paper(axis), *limit, line, *absent)


def _relative(
    axis: TimeAxis, panel: Panel, points: Sequence[_Point], value: Callable[[_Point], float], name: str
) -> tuple[Html, ...]:
    """A limit that moves with stable, named at its right end."""
    if not points:
        return ()
    places = [[(axis.x(one.middle), panel.y(value(one))) for one in run] for run in _runs(points)]
    lines = (tag("path", d=path(place), class_="limit relative") for place in places)
    y = min(panel.y(value(points[-1])) + 3.5, panel.bottom)
    return (*lines, tag("text", text(name), x=WIDTH - RIGHT + 6, y=y, class_="tick"))


def _svg(height: float, title: str, body: Sequence[Html]) -> Html:
    return tag("svg", tag("title", text(title)), *body, viewBox=f"0 0 {WIDTH:g} {height:g}", role="img")


def _weight_line(axis: TimeAxis, panel: Panel, weights: Sequence[tuple[datetime, Weight]], until: datetime) -> Html:
    if not weights:
        return _absent(panel, "the canary was never deployed")
    points = [(axis.x(at), panel.y(weight.percent)) for at, weight in weights]
    end = axis.x(until)
    line = step_path(points, end)
    area = f"{line} V{panel.bottom:.1f} H{points[0][0]:.1f} Z"
    ends = [*(at for at, _ in weights[1:]), until]
    said = [
        tag(
            "rect",
            tag("title", text(f"{clock(at)} to {clock(stop)}: {weight}")),
            x=axis.x(at),
            y=panel.top,
            width=max(axis.x(stop) - axis.x(at), 0.0),
            height=panel.height,
            class_="hit",
        )
        for (at, weight), stop in zip(weights, ends, strict=True)
    ]
    return tag("g", tag("path", d=area, class_="area"), tag("path", d=line, class_="line"), *said, class_="canary")


def _per_second(bin_: Bin) -> float:
    return bin_.per_second


def _rate(bin_: Bin) -> float:
    return (bin_.counts.rate or 0.0) * 100


def _requests_said(name: str, bin_: Bin) -> str:
    return f"{clock(bin_.since)} to {clock(bin_.until)}: {name} served {bin_.per_second:.3g} requests per second"


def _failures_said(name: str, bin_: Bin) -> str:
    return f"{clock(bin_.since)} to {clock(bin_.until)}: {name} failed {share(bin_.counts)} requests"


def _curve(
    axis: TimeAxis,
    panel: Panel,
    name: str,
    bins: Sequence[_Point],
    said: Callable[[str, _Point], str],
    *,
    value: Callable[[_Point], float],
) -> Html:
    """One version's line, broken where nothing was served, with a marker and its numbers at each point."""
    if not bins:
        return NONE

    def place(bin_: _Point) -> tuple[float, float]:
        return axis.x(bin_.middle), panel.y(value(bin_))

    lines = [tag("path", d=path([place(bin_) for bin_ in run]), class_="line") for run in _runs(bins)]
    markers = [tag("g", tag("title", text(said(name, bin_))), _marker(name, *place(bin_))) for bin_ in bins]
    return tag("g", *lines, *markers, class_=name)


def _runs(bins: Sequence[_Point]) -> tuple[tuple[_Point, ...], ...]:
    """The bins that follow each other without a gap."""
    runs: list[list[_Point]] = [[bins[0]]]
    for before, bin_ in itertools.pairwise(bins):
        if bin_.since > before.until:
            runs.append([])
        runs[-1].append(bin_)
    return tuple(tuple(run) for run in runs)


def _marker(name: str, x: float, y: float) -> Html:
    if name == "canary":
        return joined((tag("circle", cx=x, cy=y, r=7, class_="hit"), tag("circle", cx=x, cy=y, r=2.6)))
    hit = tag("circle", cx=x, cy=y, r=7, class_="hit")
    return joined((hit, tag("rect", x=x - 2.2, y=y - 2.2, width=4.4, height=4.4)))


def _allowed(axis: TimeAxis, panel: Panel, gate: FailureGate, stable: Sequence[Bin]) -> tuple[Html, ...]:
    """The limit as a dashed line, the multiple of stable's rate as a dotted one; each named at its right end."""
    named: list[tuple[float, str]] = []
    parts: list[Html] = []
    right = WIDTH - RIGHT
    if gate.max is not None:
        y = panel.y(gate.max * 100)
        parts.append(tag("line", x1=axis.x(axis.begin), x2=right, y1=y, y2=y, class_="limit"))
        named.append((y, f"limit {percent(gate.max)}"))
    if gate.max_ratio is not None and stable:
        ratio = gate.max_ratio
        for run in _runs(stable):
            points = [(axis.x(bin_.middle), panel.y(_rate(bin_) * ratio)) for bin_ in run]
            parts.append(tag("path", d=path(points), class_="limit relative"))
        named.append((panel.y(_rate(stable[-1]) * ratio), f"{ratio:g} × stable"))
    named.sort(reverse=True)
    lowest = panel.bottom + 12
    for y, words in named:
        lowest = min(y + 3.5, lowest - 12)
        parts.append(tag("text", text(words), x=right + 6, y=lowest, class_="tick"))
    return tuple(parts)


def _absent(panel: Panel, words: str) -> Html:
    return tag("text", text(words), x=(WIDTH - RIGHT) / 2, y=panel.top + panel.height / 2, class_="absent")


def legend(*, limits: bool) -> Html:
    """What the lines are, drawn as they are drawn."""
    entries = [_entry("canary", "canary"), _entry("stable", "stable")]
    if limits:
        entries.append(_entry("limit", "what the gate allows"))
    return tag("p", *entries, class_="legend")


def _entry(sort: str, words: str) -> Html:
    marker = NONE if sort == "limit" else _marker(sort, 17, 6)
    kind = "limit" if sort == "limit" else "line"
    sample = tag("g", tag("path", d="M1,6 L33,6", class_=kind), marker, class_=sort)
    return tag("span", tag("svg", sample, width=34, height=12, viewBox="0 0 34 12", aria_hidden="true"), text(words))
