"""A verdict in full, for a person who wants to check it: every number behind each gate. It judges nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import assert_never

from rollout.core.gates import Gate
from rollout.core.verdict import Counts, Estimate, GateResult, Measured, Unit
from rollout.report.measures import (
    counted,
    figure,
    quantile_name,
    rate,
    seconds,
    tolerance_words,
    unit_of,
    weighed,
)
from rollout.report.words import one_line, stamp, verdict_words

_SLOW = {
    "canary": "took longer than {}",
    "stable": "would take longer than {} if they were as slow as is allowed",
}


def gate_lines(result: GateResult, gate: Gate | None = None) -> Iterator[str]:
    """One gate: its verdict, what was found, and the numbers that it rests on. `gate` tells which quantile."""
    observed = ", only observed" if result.observe else ""
    yield f"{one_line(result.gate)}: {verdict_words(result.verdict)}{observed}"
    yield f"  {one_line(result.sentence)}"
    for name, words in numbers(result, gate):
        yield _row(name, words)
    for place, query in enumerate(result.measured.queries if result.measured is not None else ()):
        yield _row("" if place else "queries", one_line(query))


def numbers(result: GateResult, gate: Gate | None = None) -> Iterator[tuple[str, str]]:
    """Everything that a gate rests on but its queries: what it is, and the words for it, in plain text."""
    measured = result.measured
    if counted(result):
        for name, counts, estimate in (
            ("canary", result.canary, measured.canary if measured is not None else None),
            ("stable", result.stable, measured.stable if measured is not None else None),
        ):
            words = "; ".join(_version(name, counts, estimate, result, gate))
            if words:
                yield name, words
    if weighed(result):
        yield "evidence", f"e-value {magnitude(result.log_e)}, needed {magnitude(result.log_threshold)}"
    if measured is not None:
        yield from _measured(measured, weighed=weighed(result))


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


def _version(
    name: str, counts: Counts, estimate: Estimate | None, result: GateResult, gate: Gate | None
) -> Iterator[str]:
    unit = unit_of(result)
    match unit:
        case Unit.RATIO:
            yield f"{counts.failures:,} of {counts.total:,} requests failed"
        case Unit.SECONDS:
            bound = result.measured.bound if result.measured is not None else None
            if bound is None:
                yield f"{counts.total:,} requests"
            else:
                yield f"{counts.failures:,} of {counts.total:,} requests {_SLOW[name].format(seconds(bound))}"
        case Unit.NUMBER:
            pass
        case _:
            assert_never(unit)
    if estimate is not None:
        yield _estimate(estimate, unit, gate)


def _estimate(estimate: Estimate, unit: Unit, gate: Gate | None) -> str:
    match unit:
        case Unit.RATIO:
            return f"rate {rate(estimate.value)}, between {rate(estimate.low)} and {rate(estimate.high)}"
        case Unit.SECONDS:
            high = "more than any bucket" if estimate.high == math.inf else seconds(estimate.high)
            return f"{quantile_name(gate)} {seconds(estimate.value)}, between {seconds(estimate.low)} and {high}"
        case Unit.NUMBER:
            return f"value {figure(estimate.value)}"
        case _:
            assert_never(unit)


def _measured(measured: Measured, *, weighed: bool) -> Iterator[tuple[str, str]]:
    if measured.canary is not None or measured.stable is not None:
        always = "hold at every look at once, with 95 % confidence"
        match measured.unit:
            case Unit.RATIO:
                yield "bounds", f"{always}; they and the rate leave out warm-up and changes of weight"
            case Unit.SECONDS:
                yield "bounds", f"{always}; they and the quantile are over the whole window"
            case Unit.NUMBER:
                pass
            case _:
                assert_never(measured.unit)
    if weighed:
        yield "dispersion", f"{measured.dispersion:.3g} (failures that come together; evidence is divided by it)"
    if measured.tolerance is not None:
        yield "tolerance", f"in effect {tolerance_words(measured.tolerance)}, by the buckets there are"
    if measured.since is not None and measured.until is not None:
        yield "window", f"{stamp(measured.since)} to {stamp(measured.until)}"
