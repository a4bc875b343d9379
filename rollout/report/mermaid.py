"""Charts that GitHub draws out of text: the canary's traffic, and how both versions failed.

Mermaid's xychart has traps: no exponents, no gaps, no empty series, no quotes in titles, and no legend. So numbers
are written out, gaps are dropped, titles are reduced to harmless letters and name the series: bars and a line differ
without colour. The chart is a decoration: every number stands in a table as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.core.events import Judged
from rollout.core.plan import NOTHING
from rollout.core.state import Phase
from rollout.core.verdict import Counts, Judgement, Unit, Verdict
from rollout.report.curves import ENOUGH, nice_ceiling, served_weights
from rollout.report.markdown import NOTHING as NO_CHART
from rollout.report.markdown import Markdown, fenced
from rollout.report.measures import counted, unit_of
from rollout.report.page import Page
from rollout.report.phrases import plain

MOST_POINTS: Final = 60
MOST_BARS: Final = 12
_SIZES: Final = (
    '"width": 760, "height": 260, "titleFontSize": 15, "xAxis": {"labelFontSize": 11, "titleFontSize": 12}, '
    '"yAxis": {"labelFontSize": 10, "titleFontSize": 12}'
)
_ORANGE, _BLUE, _GREY = "#d9730d", "#3b7dd8", "#8b949e"
_HARMLESS: Final = re.compile(r"[^\w .,:()/+%，：（）-]+")
_UNITS: Final = ((timedelta(hours=1), "chart.hours"), (timedelta(minutes=1), "chart.minutes"))


def charts(page: Page) -> tuple[Markdown, ...]:
    """The charts there is something to draw for; perhaps none."""
    return tuple(chart for chart in (traffic_chart(page), failure_chart(page)) if chart)


def traffic_chart(page: Page) -> Markdown:
    """The canary's share of the traffic over time; nothing while it never had any."""
    begin, end = page.state.started_at, _end(page)
    weights = list(served_weights(page.state, page.events))
    if all(weight == NOTHING for _, weight in weights) or end - begin < timedelta(seconds=2):
        return NO_CHART
    if page.state.phase is Phase.PROMOTED and weights[-1][1] != NOTHING:
        end = max(end, weights[-1][0])
    unit, key = next(
        ((size, key) for size, key in _UNITS if end - begin > size * 2), (timedelta(seconds=1), "chart.seconds")
    )
    step, ticks = _ticks((end - begin) / unit)
    points = []
    for tick in range(ticks + 1):
        at = begin + unit * (tick * step)
        points.append(next((weight.percent for since, weight in reversed(weights) if since <= at), 0.0))
    if len(points) < 2:
        return NO_CHART
    language = page.language
    high = nice_ceiling(max(points))
    axis = f'x-axis "{_title(plain(language, key))}" 0 --> {_number(step * ticks)}'
    return _chart(plain(language, "chart.traffic"), axis, high, (_Series("line", points),), (_ORANGE,))


def _ticks(length: float) -> tuple[float, int]:
    """How far apart points are, and how many spaces: the distances are such as have no rounding error in binary."""
    step = 1.0
    while length / step > MOST_POINTS:
        step *= 2
    while length / step < MOST_POINTS / 2:
        step /= 2
    return step, max(1, math.ceil(length / step))


def _end(page: Page) -> datetime:
    state = page.state
    over = state.rolled_back_at or state.promoted_at
    return over + (over - state.started_at) / 20 if over is not None else page.now


@dataclass(frozen=True, slots=True)
class _Between:
    """What both versions did between two verdicts."""

    until: datetime
    canary: Counts
    stable: Counts


def failure_chart(page: Page) -> Markdown:
    """How both versions failed from verdict to verdict, at the gate that matters most; nothing without counts."""
    gate = telling_gate(page.judged)
    if gate is None:
        return NO_CHART
    spans = _merged(tuple(_between(page, gate)))[-MOST_BARS:]
    language = page.language
    title = plain(language, "chart.failures", gate=_title(gate))
    if len(spans) > 1:
        names = [f"{span.until.astimezone(UTC):%H:%M:%S}" for span in spans]
        if len(set(names)) == len(names):
            canary = [_rate(span.canary) for span in spans]
            stable = [_rate(span.stable) for span in spans]
            high = nice_ceiling(max(*canary, *stable))
            series = (_Series("bar", stable), _Series("line", canary))
            return _chart(title, _categories(names), high, series, (_BLUE, _ORANGE))
    last = _counts(page.judged, gate)
    if last is None or not last[0].total or not last[1].total:
        return NO_CHART
    values = [_rate(last[1]), _rate(last[0])]
    names = [plain(language, "stable"), plain(language, "canary")]
    title = plain(language, "chart.failures_alone", gate=_title(gate))
    return _chart(title, _categories(names), nice_ceiling(max(values)), (_Series("bar", values),), (_ORANGE,))


def telling_gate(judged: Judgement | None) -> str | None:
    """The name of the failure gate to draw: one that condemns, else the one with most failures of the canary."""
    gates = [
        one
        for one in (judged.gates if judged is not None else ())
        if counted(one) and unit_of(one) is Unit.RATIO and one.canary.total
    ]
    best = max(gates, key=lambda one: (one.verdict is Verdict.UNHEALTHY, one.canary.failures), default=None)
    return best.gate if best is not None else None


def _counts(judged: Judgement | None, gate: str) -> tuple[Counts, Counts] | None:
    found = next((one for one in (judged.gates if judged is not None else ()) if one.gate == gate), None)
    return (found.canary, found.stable) if found is not None else None


def _between(page: Page, gate: str) -> Iterator[_Between]:
    """Counts only grow within a rollout: what does not grow is left out."""
    judged = [(event.at, event.judgement) for event in page.events if isinstance(event, Judged)]
    if (
        page.judged is page.judgement
        and page.judgement is not None
        and page.judgement not in [one for _, one in judged]
    ):
        judged.append((page.now, page.judgement))
    before = (Counts(), Counts())
    for at, judgement in judged:
        found = _counts(judgement, gate)
        if found is None:
            continue
        canary, stable = (_minus(new, old) for new, old in zip(found, before, strict=True))
        if canary is not None and stable is not None and canary.total:
            yield _Between(until=at, canary=canary, stable=stable)
            before = found


def _minus(new: Counts, old: Counts) -> Counts | None:
    total, failures = new.total - old.total, new.failures - old.failures
    return Counts(total=total, failures=failures) if 0 <= failures <= total else None


def _merged(spans: Sequence[_Between]) -> tuple[_Between, ...]:
    """Neighbours together until each bar rests on enough requests of both versions to mean something."""
    most = 2 * MOST_BARS
    canary = max(ENOUGH, sum(span.canary.total for span in spans) // most)
    stable = max(ENOUGH, sum(span.stable.total for span in spans) // (4 * most))
    merged: list[_Between] = []
    for span in spans:
        if merged and (merged[-1].canary.total < canary or merged[-1].stable.total < stable):
            merged[-1] = _plus(merged[-1], span)
        else:
            merged.append(span)
    if len(merged) > 1 and (merged[-1].canary.total < ENOUGH or merged[-1].stable.total < stable):
        merged[-2:] = [_plus(merged[-2], merged[-1])]
    return tuple(merged)


def _plus(first: _Between, second: _Between) -> _Between:
    canary, stable = (
        Counts(total=one.total + other.total, failures=one.failures + other.failures)
        for one, other in ((first.canary, second.canary), (first.stable, second.stable))
    )
    return _Between(until=second.until, canary=canary, stable=stable)


def _rate(counts: Counts) -> float:
    return (counts.rate or 0.0) * 100


@dataclass(frozen=True, slots=True)
class _Series:
    kind: str
    values: Sequence[float]


def _chart(title: str, axis: str, high: float, series: Sequence[_Series], colours: Sequence[str]) -> Markdown:
    theme = f'"plotColorPalette": "{", ".join(colours)}", "backgroundColor": "transparent"'
    return fenced(
        (
            f'%%{{init: {{"xyChart": {{{_SIZES}}}, "themeVariables": {{"xyChart": {{{theme}}}}}}}}}%%',
            "xychart-beta",
            f'    title "{_title(title)}"',
            f"    {axis}",
            f'    y-axis "%" 0 --> {_number(high)}',
            *(f"    {one.kind} [{', '.join(map(_number, one.values))}]" for one in series),
        ),
        "mermaid",
    )


def _categories(names: Sequence[str]) -> str:
    return "x-axis [" + ", ".join(f'"{name}"' for name in names) + "]"


def _number(value: float) -> str:
    """Written out, without exponents."""
    short = f"{value:.4f}".rstrip("0").rstrip(".")
    return short or "0"


def _title(raw: str) -> str:
    """Letters of any language, digits and harmless signs; what mermaid could read as its own is dropped."""
    return " ".join(_HARMLESS.sub(" ", raw[:200]).split())[:100] or "-"
