"""The results as a reader asks for them: shares, ratios and targets. Tables and plots draw what is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.gates.field import ARGO, HELD, KAYENTA, OURS, names
from benchmarks.gates.results import PacingRow, Results, Row
from benchmarks.gates.scenarios import (
    FAILING,
    MINUTE,
    NULLS,
    TRAFFIC,
    Buckets,
    Cell,
    Sort,
    Subject,
    cells,
    percent,
)

ENOUGH: Final = 0.25
"""Requests per second of the canary from which on the target for harm holds."""
ACTUATION_MINUTES: Final = 0.5
MOST_FALSE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target, what was measured, and whether it is met; None where nothing was measured yet."""

    what: str
    wanted: str
    measured: str
    met: bool | None


class Book:
    """Results that can be asked for a cell and a rule."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.cells = {cell.key: cell for cell in cells()}

    def row(self, cell: Cell, rule: str) -> Row | None:
        """What a rule did in a cell."""
        return self._results["cells"].get(cell.key, {}).get(rule)

    def pacing(self, cell: Cell, name: str) -> PacingRow | None:
        """What became of paced rollouts."""
        return self._results["pacing"].get(cell.key, {}).get(name)

    def errors(self, story: str, traffic: tuple[float, float]) -> Cell:
        """The cell of a story at some traffic."""
        return self.find(Subject.ERRORS, story, *traffic)

    def find(self, subject: Subject, story: str, rps: float, weight: float) -> Cell:
        """A cell by its parts."""
        return self.cells[f"{subject}, {story}, {rps:g} rps, {weight:g} %"]

    def runs(self) -> tuple[int, int]:
        """The least and the greatest number of runs in any row."""
        counts = [row["runs"] for rows in self._results["cells"].values() for row in rows.values()]
        return (min(counts), max(counts)) if counts else (0, 0)


def share(row: Row | None) -> float | None:
    """How many of the runs were rolled back."""
    return row["rolled_back"] / row["runs"] if row else None


def missed(row: Row) -> int:
    """How many were not, or before the fault began."""
    return row["runs"] - row["rolled_back"] + row["early"]


def worst_false(book: Book, rule: str, traffic: tuple[float, float]) -> float | None:
    """The highest share of false rollbacks over the three nulls of the target."""
    found = [share(book.row(book.errors(story, traffic), rule)) for story in NULLS]
    known = [value for value in found if value is not None]
    return max(known) if len(known) == len(NULLS) else None


def geometric(values: Iterable[float]) -> float | None:
    """The geometric mean; None of nothing."""
    logs = [math.log(value) for value in values if value > 0]
    return math.exp(sum(logs) / len(logs)) if logs else None


def busy_traffic() -> tuple[tuple[float, float], ...]:
    """The services whose canary has enough traffic for the target."""
    return tuple(traffic for traffic in TRAFFIC if traffic[0] * traffic[1] / 100 >= ENOUGH - 1e-9)


def harm(book: Book, rule: str, rate: float) -> float | None:
    """Failed requests of the canary, as the geometric mean over the services with enough traffic."""
    rows = [book.row(book.errors(percent(rate), traffic), rule) for traffic in busy_traffic()]
    return geometric(row["mean_failed"] or 0.0 for row in rows if row is not None)


def ratio(book: Book, rule: str, rates: Iterable[float], traffics: Iterable[tuple[float, float]]) -> float | None:
    """How many times ours a rule's failed requests are, as a geometric mean."""
    return geometric(_ratios(book, rule, rates, traffics))


def _ratios(book: Book, rule: str, rates: Iterable[float], traffics: Iterable[tuple[float, float]]) -> Iterator[float]:
    traffics = tuple(traffics)
    for rate in rates:
        for traffic in traffics:
            cell = book.errors(percent(rate), traffic)
            theirs, own = book.row(cell, rule), book.row(cell, OURS)
            if theirs and own and theirs["mean_failed"] and own["mean_failed"]:
                yield theirs["mean_failed"] / own["mean_failed"]


def time_ratio(book: Book, rule: str, rate: float, traffics: Iterable[tuple[float, float]]) -> float | None:
    """The same for the median time until the canary's traffic has gone."""
    found: list[float] = []
    for traffic in traffics:
        cell = book.errors(percent(rate), traffic)
        theirs, own = book.row(cell, rule), book.row(cell, OURS)
        if theirs and own and theirs["median_minutes"] is not None and own["median_minutes"] is not None:
            found.append((theirs["median_minutes"] + ACTUATION_MINUTES) / (own["median_minutes"] + ACTUATION_MINUTES))
    return geometric(found)


def beaten(book: Book) -> list[str]:
    """The cells in which a rule that is as quiet lets fewer requests fail than ours, in words."""
    found: list[str] = []
    for traffic in busy_traffic():
        for rule in names(Subject.ERRORS)[1:]:
            false = worst_false(book, rule, traffic)
            if false is None or false > MOST_FALSE:
                continue
            for rate in FAILING[1:]:
                cell = book.errors(percent(rate), traffic)
                theirs, own = book.row(cell, rule), book.row(cell, OURS)
                if theirs and own and (theirs["mean_failed"] or 0.0) < (own["mean_failed"] or 0.0):
                    found.append(
                        f"{percent(rate)} failing, {service(traffic)}: {rule} {theirs['mean_failed']:.1f}, "
                        f"ours {own['mean_failed']:.1f}"
                    )
    return found


def service(traffic: tuple[float, float]) -> str:
    """How a service is named in tables."""
    return f"{traffic[0]:g} rps, {traffic[1]:g} %"


def targets(book: Book) -> tuple[Target, ...]:
    """Every target that this comparison can check."""
    return (
        _false_target(book),
        *_harm_targets(book),
        _quiet_target(book),
        _total_target(book),
        _missed_target(book),
        *_latency_targets(book),
        *_pacing_targets(book),
    )


def _false_target(book: Book) -> Target:
    worst = [worst_false(book, OURS, traffic) for traffic in TRAFFIC]
    known = [value for value in worst if value is not None]
    return Target(
        what=f"false rollback of a healthy canary over a whole rollout, every one of {len(TRAFFIC) * len(NULLS)} cells",
        wanted="at most 1 %",
        measured=f"worst {max(known):.2%}" if known else "-",
        met=max(known) <= MOST_FALSE if len(known) == len(worst) else None,
    )


def _harm_targets(book: Book) -> Iterator[Target]:
    for rule, least in ((HELD, 2), (ARGO, 5), (KAYENTA, 10)):
        found = ratio(book, rule, FAILING[1:], busy_traffic())
        yield Target(
            what=f"failed requests against {rule}, 5 to 100 % failing, canary at {ENOUGH:g} rps or more",
            wanted=f"at most 1/{least}",
            measured=f"1/{found:.1f}" if found else "-",
            met=found >= least if found else None,
        )


def _quiet_target(book: Book) -> Target:
    found = beaten(book)
    known = all(worst_false(book, rule, traffic) is not None for rule in names(Subject.ERRORS) for traffic in TRAFFIC)
    return Target(
        what="the same, cell by cell, against each rule with at most 1 % false rollbacks in each null at that traffic",
        wanted="never more",
        measured=("never more" if not found else f"more in {len(found)}: {'; '.join(found)}") if known else "-",
        met=not found if known else None,
    )


def _total_target(book: Book) -> Target:
    parts: list[str] = []
    worst: list[float] = []
    for traffic in TRAFFIC:
        row = book.row(book.errors("100 %", traffic), OURS)
        if row and row["median_minutes"] is not None and row["p90_minutes"] is not None:
            median, p90 = row["median_minutes"] * MINUTE, row["p90_minutes"] * MINUTE
            worst.append(median)
            parts.append(f"{service(traffic)}: {median:g} (90 %: {p90:.0f})")
    return Target(
        what="100 % failing: scrapes to the decision, median",
        wanted="at most 2",
        measured="; ".join(parts) or "-",
        met=max(worst) <= 2 if len(worst) == len(TRAFFIC) else None,
    )


def _missed_target(book: Book) -> Target:
    bad = [
        cell
        for cell in book.cells.values()
        if cell.subject is Subject.ERRORS and cell.sort is Sort.BAD and cell.canary >= 0.05
    ]
    rows = [(cell, row) for cell in bad if (row := book.row(cell, OURS)) is not None]
    found = [
        f"{missed(row)} in {cell.story}, {service((cell.rps, cell.first_weight))}" for cell, row in rows if missed(row)
    ]
    return Target(
        what=f"canaries failing 5 % or more that were missed, {len(bad)} cells",
        wanted="0 in every cell",
        measured=("; ".join(found) or "0") if rows else "-",
        met=not found if len(rows) == len(bad) else None,
    )


def _latency_targets(book: Book) -> Iterator[Target]:
    for slower, what, wanted in (
        (1.0, "p95 doubled: median minutes", "at most 2"),
        (0.2, "p95 +20 %: rolled back", "under 1 %"),
    ):
        rows = [
            (buckets, book.row(book.find(Subject.LATENCY, f"+{percent(slower)}, {buckets} buckets", 50.0, 5.0), OURS))
            for buckets in Buckets
        ]
        known = [(buckets, row) for buckets, row in rows if row is not None]
        if slower == 1.0:
            values = [row["median_minutes"] if row["median_minutes"] is not None else math.inf for _, row in known]
            words, met = [f"{value:g}" for value in values], all(value <= 2 for value in values)
        else:
            values = [row["rolled_back"] / row["runs"] for _, row in known]
            words, met = [f"{value:.2%}" for value in values], all(value < 0.01 for value in values)
        measured = "; ".join(f"{word} ({buckets} buckets)" for word, (buckets, _) in zip(words, known, strict=True))
        yield Target(
            what=f"{what}, 50 rps, 5 %", wanted=wanted, measured=measured or "-", met=met if len(known) == 2 else None
        )


def _pacing_targets(book: Book) -> Iterator[Target]:
    parts: list[str] = []
    worst: list[float] = []
    for traffic in TRAFFIC:
        row = book.pacing(_paced(traffic, 0.002), "evidence")
        if row is not None:
            median = row["median_minutes"] if row["median_minutes"] is not None else math.inf
            worst.append(median)
            parts.append(f"{service(traffic)}: {median:.0f}")
    yield Target(
        what="healthy rollout with `advance: evidence`, median minutes (120 with fixed steps)",
        wanted="at most 50",
        measured="; ".join(parts) or "-",
        met=max(worst) <= 50 if len(worst) == len(TRAFFIC) else None,
    )
    ratios = [value for traffic in TRAFFIC for value in _paced_harm(book, traffic)]
    mean = geometric(ratios)
    yield Target(
        what="failed requests of bad canaries with `advance: evidence`, by those with fixed steps",
        wanted="unchanged",
        measured=f"{mean:.3f} (from {min(ratios):.2f} to {max(ratios):.2f} over {len(ratios)} cells)" if mean else "-",
        met=abs(mean - 1) < 0.05 if mean else None,
    )


def _paced(traffic: tuple[float, float], rate: float) -> Cell:
    return Cell(
        story=percent(rate),
        sort=Sort.NULL if rate == 0.002 else Sort.BAD,
        rps=traffic[0],
        first_weight=traffic[1],
        canary=rate,
    )


def _paced_harm(book: Book, traffic: tuple[float, float]) -> Iterator[float]:
    for rate in (0.05, 0.2, 1.0):
        cell = _paced(traffic, rate)
        fixed, evidence = book.pacing(cell, "soak"), book.pacing(cell, "evidence")
        if fixed and evidence and fixed["mean_failed"]:
            yield evidence["mean_failed"] / fixed["mean_failed"]
