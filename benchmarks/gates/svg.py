"""The paper of the two plots: logarithmic axes, curves and their names at the right edge, as one SVG file.

Colours are those of Okabe and Ito's palette, one for each family of rules, and follow the reader's light or dark
scheme; within a family the dashes differ. It knows nothing of rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rollout.report.markup import Html, tag, text
from rollout.report.plot import path

WIDTH: Final = 980.0
HEIGHT: Final = 640.0
LEFT: Final = 78.0
RIGHT: Final = 206.0
TOP: Final = 92.0
BOTTOM: Final = 58.0
NAME_HEIGHT: Final = 15.0

_LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "soft": "#59636e",
    "line": "#e3e7eb",
    "rollout": "#d55e00",
    "flagger": "#0072b2",
    "argo": "#00815a",
    "kayenta": "#a8457f",
    "pipecd": "#7d6608",
    "guide": "#59636e",
}
_DARK: Final = {
    "paper": "#0f1216",
    "ink": "#e6e9ed",
    "soft": "#9aa4af",
    "line": "#262d35",
    "rollout": "#ff8f4a",
    "flagger": "#5bb8ee",
    "argo": "#2fd09c",
    "kayenta": "#ee9dcb",
    "pipecd": "#e3c64f",
    "guide": "#9aa4af",
}
_DASHES: Final = ("none", "7 4", "2 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A logarithmic axis."""

    title: str
    least: float
    most: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1; what lies outside is drawn at the edge."""
        part = math.log(max(value, self.least) / self.least) / math.log(self.most / self.least)
        return min(1.0, part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points that are joined, and their name."""

    name: str
    family: str
    """A colour, of those above."""
    order: int
    """Which one of its family it is: its dashes."""
    points: tuple[tuple[float, float], ...]
    bold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One file."""

    title: str
    subtitle: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    limit: tuple[float, str] | None = None
    """A level that is marked across the plot, and what it is."""

    def svg(self) -> str:
        """The file's text."""
        parts = (
            tag("style", Html(_style())),
            tag("title", text(f"{self.title}. {self.subtitle}")),
            tag("rect", width=WIDTH, height=HEIGHT, class_="paper"),
            tag("text", text(self.title), x=24, y=30, class_="title"),
            tag("text", text(self.subtitle), x=24, y=50, class_="soft"),
            *self._grid(),
            *(self._curve(curve) for curve in sorted(self.curves, key=lambda curve: curve.bold)),
            *self._marked(),
            *self._names(),
        )
        box = f"0 0 {WIDTH:g} {HEIGHT:g}"
        return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, role="img") + "\n"

    def _place(self, point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + self.x.share(point[0]) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - self.y.share(point[1]) * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> list[Html]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts: list[Html] = []
        for value, label in self.y.ticks:
            y = self._place((self.x.least, value))[1]
            parts.append(tag("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", text(label), x=LEFT - 8, y=y + 4, class_="tick", text_anchor="end"))
        for value, label in self.x.ticks:
            x = self._place((value, self.y.least))[0]
            parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"))
            parts.append(tag("text", text(label), x=x, y=bottom + 18, class_="tick", text_anchor="middle"))
        middle = (LEFT + right) / 2
        parts.append(tag("text", text(self.x.title), x=middle, y=bottom + 42, class_="soft", text_anchor="middle"))
        parts.append(tag("text", text(self.y.title), x=24, y=TOP - 12, class_="tick"))
        return parts

    def _marked(self) -> list[Html]:
        if self.limit is None:
            return []
        y = self._place((self.x.least, self.limit[0]))[1]
        return [
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="limit"),
            tag("text", text(self.limit[1]), x=WIDTH - RIGHT - 4, y=y - 5, class_="tick over", text_anchor="end"),
        ]

    def _curve(self, curve: Curve) -> Html:
        places = [self._place(point) for point in curve.points]
        marks = [tag("circle", cx=x, cy=y, r=3.6 if curve.bold else 2.4) for x, y in places]
        line = tag("path", d=path(places), class_="line", stroke_dasharray=_DASHES[curve.order % len(_DASHES)])
        name = tag("title", text(curve.name))
        return tag("g", name, line, *marks, class_=f"{curve.family}{' bold' if curve.bold else ''}")

    def _names(self) -> list[Html]:
        """Each name beside its curve's end, moved apart where they would overlap, and tied to it."""
        ends = [(curve, self._place(curve.points[-1])) for curve in self.curves if curve.points]
        ends.sort(key=lambda end: end[1][1])
        wanted = [place[1] for _, place in ends]
        parts: list[Html] = []
        for (curve, (x, y)), at in zip(ends, spread(wanted, NAME_HEIGHT, TOP, HEIGHT - BOTTOM), strict=True):
            begin = WIDTH - RIGHT + 22
            tie = tag("path", d=path([(x + 5, y), (begin - 8, at), (begin - 3, at)]), class_="tie")
            name = tag("text", text(curve.name), x=begin, y=at + 4)
            parts.append(tag("g", tie, name, class_=f"name {curve.family}{' bold' if curve.bold else ''}"))
        return parts


def spread(wanted: Sequence[float], gap: float, least: float, most: float) -> list[float]:
    """Places in the same order that are at least `gap` apart and near to the wanted ones, which must be sorted.

    Groups that would overlap are set around their own middle. With too many for the room they go beyond `most`.
    """
    groups: list[tuple[float, int]] = []
    for place in wanted:
        middle, count = place, 1
        while groups and middle - (count - 1) * gap / 2 < groups[-1][0] + (groups[-1][1] + 1) * gap / 2:
            before, many = groups.pop()
            middle = (before * many + middle * count) / (many + count)
            count += many
        half = (count - 1) * gap / 2
        middle = max(least + half, min(most - half, middle))
        groups.append((middle, count))
    found: list[float] = []
    for middle, count in groups:
        first = middle - (count - 1) * gap / 2
        if found:
            first = max(first, found[-1] + gap)
        found.extend(first + index * gap for index in range(count))
    return found


def _style() -> str:
    def variables(colours: dict[str, str]) -> str:
        return " ".join(f"--{name}: {value};" for name, value in colours.items())

    families = [name for name in _LIGHT if name not in ("paper", "ink", "soft", "line")]
    colours = "\n".join(
        f".{name} .line, .{name} .tie {{ stroke: var(--{name}); }} "
        f".{name} circle, .{name} text {{ fill: var(--{name}); }}"
        for name in families
    )
    return f"""
svg {{ {variables(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{ svg {{ {variables(_DARK)} }} }}
text {{ font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  fill: var(--ink); }}
.paper {{ fill: var(--paper); }}
.title {{ font-size: 17px; font-weight: 600; }}
.soft {{ fill: var(--soft); font-size: 12.5px; }}
.tick {{ fill: var(--soft); font-variant-numeric: tabular-nums; }}
.over {{ paint-order: stroke; stroke: var(--paper); stroke-width: 5px; }}
.grid {{ stroke: var(--line); stroke-width: 1; }}
.limit {{ stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 10 5; opacity: .6; }}
.line {{ fill: none; stroke-width: 1.6; stroke-linejoin: round; opacity: .85; }}
.tie {{ fill: none; stroke-width: .8; opacity: .55; }}
{colours}
.bold .line {{ stroke-width: 3.6; opacity: 1; }}
.bold text {{ font-weight: 700; font-size: 14px; }}
"""
