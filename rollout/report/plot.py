"""The paper a chart is drawn on: axes, grid, lines and marks as SVG. It knows time and numbers, and no rollout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.report.curves import nice_ceiling, time_step
from rollout.report.markup import Html, joined, tag, text

WIDTH: Final = 980.0
LEFT: Final = 56.0
RIGHT: Final = 104.0
"""Room beside the plot for the names of limits and for the labels of late marks."""
LANE: Final = 15.0
MOST_LANES: Final = 6
_LETTER: Final = 6.4
"""The width of an average letter of a label; labels are set in 11 px."""
_LONGEST_LABEL: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAxis:
    """Moments to the x coordinate."""

    begin: datetime
    end: datetime

    def x(self, moment: datetime) -> float:
        """The coordinate; moments outside are drawn at the edge."""
        share = (moment - self.begin) / max(self.end - self.begin, timedelta(milliseconds=1))
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Round moments and how they are written."""
        length = self.end - self.begin
        step = time_step(length, 8)
        midnight = self.begin.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        first = math.ceil((self.begin - midnight) / step)
        form = "%H:%M:%S" if step < timedelta(minutes=1) else "%H:%M" if length < timedelta(days=1) else "%d %b %H:%M"
        moments = (midnight + number * step for number in range(first, first + 10))
        return tuple((self.x(moment), moment.strftime(form)) for moment in moments if moment <= self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot area with its own y axis from 0 to a round number."""

    title: str
    top: float
    height: float
    highest: float
    """The largest value that must fit."""
    unit: str

    @property
    def limit(self) -> float:
        """The value at the top of the panel."""
        return nice_ceiling(self.highest)

    @property
    def bottom(self) -> float:
        """The y coordinate of 0."""
        return self.top + self.height

    def y(self, value: float) -> float:
        """The coordinate of a value."""
        return self.bottom - min(max(value / self.limit, 0.0), 1.0) * self.height

    def paper(self, axis: TimeAxis) -> Html:
        """Grid, numbers, and the title above the plot."""
        parts = [tag("text", text(self.title), x=LEFT - 2, y=self.top - 8, class_="title")]
        halves = (0.0, 0.5, 1.0) if self.height < 100 else (0.0, 0.25, 0.5, 0.75, 1.0)
        for share in halves:
            y = self.y(share * self.limit)
            parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="axis" if share == 0 else "grid"))
            number = f"{share * self.limit:,.6g}{self.unit}"
            parts.append(tag("text", text(number), x=LEFT - 6, y=y + 3.5, class_="tick", text_anchor="end"))
        parts.extend(tag("line", x1=x, x2=x, y1=self.top, y2=self.bottom, class_="grid faint") for x, _ in axis.ticks())
        return joined(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment that is named above the panels and drawn through all of them."""

    at: datetime
    label: str
    sort: str
    """A class of the style sheet; a word of this package."""
    tooltip: str


def time_labels(axis: TimeAxis, y: float) -> Html:
    """The times below the lowest panel, and what they are."""
    ticks = joined(
        tag("text", text(label), x=x, y=y + 15, class_="tick", text_anchor="middle") for x, label in axis.ticks()
    )
    return joined((ticks, tag("text", text("time (UTC)"), x=WIDTH, y=y + 15, class_="tick", text_anchor="end")))


def lanes(axis: TimeAxis, marks: Sequence[Mark]) -> tuple[int, ...]:
    """In which line above the panels each mark is named, 0 the lowest, so that no text meets a text or a line.

    A label reaches to the right of its mark. It stands above the labels of all marks that it reaches over: their
    lines begin below it.
    """
    chosen = [0] * len(marks)
    places = [axis.x(mark.at) for mark in marks]
    for index in range(len(marks) - 1, -1, -1):
        reach = places[index] + 12 + len(short(marks[index].label)) * _LETTER
        over = [chosen[later] for later in range(index + 1, len(marks)) if places[later] < reach]
        chosen[index] = max(over, default=-1) + 1
    return tuple(chosen)


def marks_drawn(axis: TimeAxis, marks: Sequence[Mark], *, top: float, bottom: float) -> Html:
    """Lines through the panels with their labels; `top` is where the lowest label stands."""
    parts: list[Html] = []
    for mark, lane in zip(marks, lanes(axis, marks), strict=True):
        x = axis.x(mark.at)
        named = lane < MOST_LANES
        y = top - min(lane, MOST_LANES - 1) * LANE
        pieces = [
            tag("title", text(mark.tooltip)),
            tag("line", x1=x, x2=x, y1=y - 8, y2=bottom, class_="hit"),
            tag("line", x1=x, x2=x, y1=y - 8 if named else top + 4, y2=bottom),
        ]
        if named:
            pieces.append(tag("text", text(short(mark.label)), x=x + 4, y=y))
        parts.append(tag("g", *pieces, class_=f"mark {mark.sort}"))
    return joined(parts)


def lanes_height(axis: TimeAxis, marks: Sequence[Mark]) -> float:
    """How much room the labels need above the panels."""
    return LANE * (min(max(lanes(axis, marks), default=-1) + 1, MOST_LANES))


def short(label: str) -> str:
    """A label that fits beside its mark."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def path(points: Sequence[tuple[float, float]]) -> str:
    """Straight lines from point to point."""
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points) if points else ""


def step_path(points: Sequence[tuple[float, float]], until: float) -> str:
    """A level from each point to the next one, the last one until an x coordinate."""
    if not points:
        return ""
    written = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for x, y in points[1:]:
        written += f" H{x:.1f} V{y:.1f}"
    return f"{written} H{max(until, points[-1][0]):.1f}"
