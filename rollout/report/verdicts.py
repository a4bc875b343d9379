"""A verdict in full, for a person who wants to check it: every number behind each gate. It judges nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import assert_never

from rollout.analysis.queries import number
from rollout.analysis.wording import duration, percent
from rollout.core.verdict import Counts, Estimate, GateResult, Measured, Unit
from rollout.report.words import one_line, stamp, verdict_words


def gate_lines(result: GateResult) -> Iterator[str]:
    """One gate: its verdict, what was found, and the numbers that it rests on."""
    observed = ", only observed" if result.observe else ""
    yield f"{one_line(result.gate)}: {verdict_words(result.verdict)}{observed}"
    yield f"  {one_line(result.sentence)}"
    measured = result.measured
    for name, counts, estimate, slow in (
        ("canary", result.canary, measured.canary if measured is not None else None, "took longer than {}"),
        (
            "stable",
            result.stable,
            measured.stable if measured is not None else None,
            "would take longer than {} if they were as slow as is allowed",
        ),
    ):
        words = "; ".join(_version(counts, estimate, measured, slow))
        if words:
            yield _row(name, words)
    if result.log_threshold:
        yield _row("evidence", f"e-value {magnitude(result.log_e)}, needed {magnitude(result.log_threshold)}")
    if measured is not None:
        yield from _measured(measured, weighed=bool(result.log_threshold))


def magnitude(log: float) -> str:
    """A number by its natural logarithm, as a person reads it: `0.3`, `42`, `12,300`, `10^21`."""
    if math.isnan(log):
        return "unknown"
    if log > math.log(1e12):
        return f"10^{log / math.log(10):.0f}" if math.isfinite(log) else "unbounded"
    value = math.exp(log)
    if round(value) < 100:
        return f"{value:.2g}"
    unit = 10 ** (len(str(round(value))) - 3)
    return f"{round(value / unit) * unit:,}"


def _row(name: str, words: str) -> str:
    return f"  {name:<10} {words}"


def _version(counts: Counts, estimate: Estimate | None, measured: Measured | None, slow: str) -> Iterator[str]:
    match measured.unit if measured is not None else Unit.RATIO:
        case Unit.RATIO:
            yield f"{counts.failures:,} of {counts.total:,} requests failed"
        case Unit.SECONDS:
            bound = measured.bound if measured is not None else None
            share = f"{counts.failures:,} of {counts.total:,} requests {slow}" if bound is not None else ""
            yield share.format(duration(bound)) if bound is not None else f"{counts.total:,} requests"
        case Unit.NUMBER:
            pass
    if estimate is not None and measured is not None:
        yield _estimate(estimate, measured.unit)


def _estimate(estimate: Estimate, unit: Unit) -> str:
    match unit:
        case Unit.RATIO:
            return f"rate {percent(estimate.value)}, between {percent(estimate.low)} and {percent(estimate.high)}"
        case Unit.SECONDS:
            high = f"and {duration(estimate.high)}" if math.isfinite(estimate.high) else "and more than any bucket"
            return f"quantile {duration(estimate.value)}, between {duration(estimate.low)} {high}"
        case Unit.NUMBER:
            return f"value {number(estimate.value)}"
        case _:
            assert_never(unit)


def _measured(measured: Measured, *, weighed: bool) -> Iterator[str]:
    if measured.unit is not Unit.NUMBER and (measured.canary is not None or measured.stable is not None):
        yield _row("bounds", "hold at every look at once, with 95 % confidence, over what is judged in full")
    if weighed:
        yield _row("dispersion", f"{measured.dispersion:.3g} (failures that come together; evidence is divided by it)")
    if measured.tolerance is not None:
        low, high = measured.tolerance
        yield _row("tolerance", f"in effect an increase of {low:.0%} to {high:.0%}, by the buckets there are")
    if measured.since is not None and measured.until is not None:
        yield _row("window", f"{stamp(measured.since)} to {stamp(measured.until)}")
    for place, query in enumerate(measured.queries):
        yield _row("" if place else "queries", one_line(query))
