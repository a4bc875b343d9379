"""What a gate measured of each version, in its own unit: a rate, a duration, a number, or nothing but a sentence.

Every report takes its numbers from here, so that slow requests are never called failed, and no gate that weighs no
evidence shows any. It judges nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, assert_never

from rollout.analysis.wording import duration, number, percent
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.verdict import Counts, Estimate, GateResult, Unit
from rollout.report.words import evidence_words, one_line, share

RANGES: Final = "ranges hold at every look at once, with 95 % confidence"
"""What is to be said once wherever ranges are shown."""

_TINY: Final = 1e-6
"""A rate below which a lower bound is written as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One version's value, such as `0.42 % of 1,204`, and its confidence range, which may be empty."""

    value: str
    span: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.span})" if self.span else self.value


def counted(result: GateResult) -> bool:
    """Whether a gate has numbers of both versions; that of the canary's instances has only its sentence."""
    return result.measured is not None or weighed(result)


def weighed(result: GateResult) -> bool:
    """Whether a gate weighs evidence: only then is there a bar to draw."""
    return result.log_threshold > 0


def unit_of(result: GateResult) -> Unit:
    """What the values of a gate are; journals of older versions know only failure rates."""
    return result.measured.unit if result.measured is not None else Unit.RATIO


def canary_figures(result: GateResult, gate: Gate | None = None) -> Figures:
    """What was measured of the canary."""
    return _figures(result, result.canary, result.measured.canary if result.measured is not None else None, gate)


def stable_figures(result: GateResult, gate: Gate | None = None) -> Figures:
    """What was measured of stable."""
    return _figures(result, result.stable, result.measured.stable if result.measured is not None else None, gate)


def _figures(result: GateResult, counts: Counts, estimate: Estimate | None, gate: Gate | None) -> Figures:
    if not counted(result):
        return Figures(value="–")
    unit = unit_of(result)
    match unit:
        case Unit.RATIO:
            return Figures(value=share(counts), span=range_words(estimate, unit))
        case Unit.SECONDS:
            if estimate is None:
                return Figures(value="no requests" if not counts.total else "not measured")
            return Figures(value=f"{quantile_name(gate)} {seconds(estimate.value)}", span=range_words(estimate, unit))
        case Unit.NUMBER:
            return Figures(value=figure(estimate.value) if estimate is not None else "no value")
        case _:
            assert_never(unit)


def range_words(estimate: Estimate | None, unit: Unit) -> str:
    """The bounds of an estimate, such as `0.2–0.8 %` or `over 250 ms`; empty where there are none."""
    if estimate is None or math.isnan(estimate.low) or math.isnan(estimate.high):
        return ""
    match unit:
        case Unit.RATIO:
            return f"{rate(estimate.low).removesuffix(' %')}–{rate(estimate.high)}"
        case Unit.SECONDS:
            return _seconds_range(max(estimate.low, 0.0), estimate.high)
        case Unit.NUMBER:
            return ""
        case _:
            assert_never(unit)


def _seconds_range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"over {seconds(low)}" if 0 < low < math.inf else "no bounds yet"
    lower, upper = seconds(low).split(" "), seconds(high).split(" ")
    if not low:
        return f"up to {' '.join(upper)}"
    return f"{lower[0]}–{' '.join(upper)}" if lower[1] == upper[1] else f"{' '.join(lower)} – {' '.join(upper)}"


def rate(value: float) -> str:
    """A rate in percent, whatever number it is."""
    if math.isnan(value):
        return "NaN"
    inside = min(max(value, 0.0), 1.0)
    return percent(inside if inside >= _TINY else 0.0)


def seconds(value: float) -> str:
    """A duration in a unit that suits it, whatever number it is."""
    return duration(value) if math.isfinite(value) else figure(value)


def figure(value: float) -> str:
    """A value of a query; what is no number is named as Prometheus names it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return number(value)


def quantile_name(gate: Gate | None) -> str:
    """`p95`, or `quantile` where the gate is not at hand."""
    return f"p{gate.quantile * 100:g}" if isinstance(gate, LatencyGate) else "quantile"


def slow_words(result: GateResult) -> str:
    """Of a latency gate, where slow begins and what is tolerated in effect; empty while that is not known."""
    measured = result.measured
    if measured is None or measured.bound is None:
        return ""
    slow = f"slow is longer than {seconds(measured.bound)}"
    if measured.tolerance is None:
        return slow
    return f"{slow}; tolerated in effect is {tolerance_words(measured.tolerance)}"


def tolerance_words(tolerance: tuple[float, float]) -> str:
    """The increase that the buckets let a gate tolerate: `an increase of 25 % to 38 %`."""
    low, high = (f"{part * 100:,.0f} %" if math.isfinite(part) else figure(part) for part in tolerance)
    return f"an increase of {low}" if low == high else f"an increase of {low} to {high}"


def brief_limit(gate: Gate | None) -> str:
    """What a gate allows, in as few letters as a narrow terminal has room for."""
    match gate:
        case FailureGate():
            parts = [f"max {percent(gate.max)}"] if gate.max is not None else []
            parts += [f"{gate.max_ratio:g} × stable"] if gate.max_ratio is not None else []
            return ", ".join(parts)
        case LatencyGate():
            return f"{quantile_name(gate)} + {percent(gate.max_increase)}"
        case QueryGate(max=limit) if limit is not None:
            return f"max {figure(limit)}"
        case QueryGate(min=limit) if limit is not None:
            return f"min {figure(limit)}"
        case QueryGate():
            return f"stable + {percent(gate.max_increase or 0.0)}"
        case None:
            return ""
        case _:
            assert_never(gate)


def told(result: GateResult, gate: Gate | None = None) -> str:
    """A gate's numbers in one line; where it has none, its sentence."""
    if not counted(result):
        return one_line(result.sentence)
    weighs = f"; evidence {evidence_words(result)} of the threshold" if weighed(result) else ""
    return f"canary {canary_figures(result, gate)}, stable {stable_figures(result, gate)}{weighs}"
