"""The two plots that a reader looks at first: harm against failure rate, and false rollbacks against traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from benchmarks.gates.field import FAMILIES, OURS, names
from benchmarks.gates.figures import Book, busy_traffic, harm, worst_false
from benchmarks.gates.results import HERE, Results
from benchmarks.gates.scenarios import FAILING, TRAFFIC, Subject, percent
from benchmarks.gates.svg import Axis, Curve, Plot

HARM: Final = HERE / "harm.svg"
FALSE: Final = HERE / "false.svg"
_LEAST_FALSE: Final = 0.0005
"""Where "none seen" is drawn, as a share."""

Points = tuple[tuple[float, float], ...]


def write(results: Results) -> None:
    """Write both; a plot without any point is left out."""
    book = Book(results)
    for file, plot in ((HARM, harm_plot(book)), (FALSE, false_plot(book))):
        if any(curve.points for curve in plot.curves):
            file.write_text(plot.svg(), encoding="utf-8")


def harm_plot(book: Book) -> Plot:
    """Failed requests by failure rate."""
    points = {
        rule: tuple((rate, value) for rate in FAILING if (value := harm(book, rule, rate)) is not None)
        for rule in names(Subject.ERRORS)
    }
    values = [value for many in points.values() for _, value in many] or [1.0]
    least, most = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    powers = range(round(math.log10(least)), round(math.log10(most)) + 1)
    return Plot(
        title="Requests that fail before a bad canary's traffic is gone",
        subtitle=(
            "Geometric mean over the services whose canary gets 0.25 requests per second or more. "
            "In brackets: healthy canaries rolled back there, worst case"
        ),
        x=Axis(
            title="share of the canary's requests that fail",
            least=FAILING[0],
            most=FAILING[-1],
            ticks=tuple((rate, percent(rate)) for rate in FAILING),
        ),
        y=Axis(
            title="failed requests",
            least=least,
            most=most,
            ticks=tuple((10.0**power, f"{10**power:,}") for power in powers if power >= 0),
        ),
        curves=_curves(points, {rule: _named(book, rule) for rule in points}),
    )


def false_plot(book: Book) -> Plot:
    """The worst of the three nulls by the canary's traffic in the first step."""
    traffics = sorted(TRAFFIC, key=lambda traffic: traffic[0] * traffic[1])
    rates = [rps * weight / 100 for rps, weight in traffics]
    points = {
        rule: tuple(
            (rate, value)
            for rate, traffic in zip(rates, traffics, strict=True)
            if (value := worst_false(book, rule, traffic)) is not None
        )
        for rule in names(Subject.ERRORS)
    }
    ticks = ((_LEAST_FALSE, "none seen"), (0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %"))
    return Plot(
        title="Healthy canaries that are rolled back",
        subtitle="The worst of three kinds of failures: independent, in bursts, in incidents that both versions share",
        x=Axis(
            title="requests per second that the canary gets in the first step",
            least=rates[0],
            most=rates[-1],
            ticks=tuple((rate, f"{rate:g}") for rate in rates),
        ),
        y=Axis(title="share of whole rollouts", least=_LEAST_FALSE, most=1.0, ticks=ticks),
        curves=_curves(points),
        limit=(0.01, "what Rollout promises: 1 %"),
    )


def _named(book: Book, rule: str) -> str:
    """A rule's name with the share of healthy canaries that it rolls back, the worst of the services drawn."""
    known = [value for traffic in busy_traffic() if (value := worst_false(book, rule, traffic)) is not None]
    if not known:
        return rule
    worst = max(known)
    return f"{rule} ({worst * 100:.1f} %)" if 0 < worst < 0.1 else f"{rule} ({worst:.0%})".replace("%", " %")


def _curves(points: Mapping[str, Points], written: Mapping[str, str] | None = None) -> tuple[Curve, ...]:
    seen: dict[str, int] = {}
    found: list[Curve] = []
    for rule, many in points.items():
        family = FAMILIES[rule]
        order = seen.get(family, 0)
        seen[family] = order + 1
        if many:
            name = written[rule] if written else rule
            found.append(Curve(name=name, family=family, order=order, points=many, bold=rule == OURS))
    return tuple(found)
