"""Every gate shows what it measures: slow requests are not failures, and what is no evidence has no bar."""

from __future__ import annotations

import math

import pytest

from rollout.core.gates import Gate
from rollout.core.instances import GATE
from rollout.core.verdict import Counts, Estimate, GateResult, Measured, Unit, Verdict
from rollout.report.measures import Figures, brief_limit, canary_figures, slow_words, stable_figures, told
from rollout.report.verdicts import gate_lines
from tests.report.stories import LATENCY, MEMORY, plan

FAILURES, RATIO = plan().gates


def found(gate: str, measured: Measured | None, *, canary: int = 0, threshold: float = math.log(300)) -> GateResult:
    """What a gate found, of 1,204 canary requests."""
    return GateResult(
        gate=gate,
        verdict=Verdict.HEALTHY,
        sentence="all is well",
        canary=Counts(total=1204, failures=canary),
        log_e=math.log(12.3),
        log_threshold=threshold,
        measured=measured,
    )


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def durations(canary: Estimate | None, *, bound: float | None = 0.3) -> GateResult:
    """What a latency gate found."""
    measured = Measured(
        unit=Unit.SECONDS,
        canary=canary,
        stable=estimate(1.2, 1.0, 2.5),
        bound=bound,
        tolerance=(0.278, 0.322) if bound is not None else None,
    )
    return found("latency", measured, canary=60)


def values(canary: float, stable: float | None) -> GateResult:
    """What a query gate found."""
    other = estimate(stable, stable, stable) if stable is not None else None
    measured = Measured(unit=Unit.NUMBER, canary=estimate(canary, canary, canary), stable=other, queries=("a\nb",))
    return found("memory", measured, threshold=0.0)


@pytest.mark.parametrize(
    ("result", "gate", "figures"),
    [
        (
            found("f", Measured(canary=estimate(0.0512, 0.0312, 0.08)), canary=62),
            FAILURES,
            Figures(value="5.1 % of 1,204", span="3.1–8 %"),
        ),
        (
            found("f", Measured(canary=estimate(1e-3, 1e-12, 1.0)), canary=1),
            FAILURES,
            Figures(value="0.083 % of 1,204", span="0–100 %"),
        ),
        (found("f", None, canary=62), FAILURES, Figures(value="5.1 % of 1,204")),
        (durations(estimate(0.212, 0.1, 0.25)), LATENCY, Figures(value="p95 212 ms", span="100–250 ms")),
        (durations(estimate(0.9, 0.5, 2.5)), LATENCY, Figures(value="p95 900 ms", span="500 ms – 2.5 s")),
        (durations(estimate(0.212, 0.0, 0.25)), LATENCY, Figures(value="p95 212 ms", span="up to 250 ms")),
        (durations(estimate(3.0, 2.5, math.inf)), None, Figures(value="quantile 3 s", span="over 2.5 s")),
        (durations(estimate(3.0, 0.0, math.inf)), LATENCY, Figures(value="p95 3 s", span="no bounds yet")),
        (durations(None), LATENCY, Figures(value="not measured")),
        (values(612.4, None), MEMORY, Figures(value="612.4")),
        (values(math.nan, None), MEMORY, Figures(value="NaN")),
        (values(math.inf, None), MEMORY, Figures(value="+Inf")),
        (found(GATE, None, threshold=0.0), None, Figures(value="–")),
    ],
)
def test_a_version_has_its_value_and_range(result: GateResult, gate: Gate | None, figures: Figures) -> None:
    """In the gate's own unit, with the bounds that hold at every look where there are any."""
    assert canary_figures(result, gate) == figures


def test_a_gate_is_told_in_one_line() -> None:
    """Both versions, and the evidence only where evidence is weighed; without numbers, the sentence."""
    assert told(durations(estimate(0.212, 0.1, 0.25)), LATENCY) == (
        "canary p95 212 ms (100–250 ms), stable p95 1.2 s (1–2.5 s); evidence 43 % of the threshold"
    )
    assert told(values(612.4, 400.0), MEMORY) == "canary 612.4, stable 400"
    assert told(found(GATE, None, threshold=0.0)) == "all is well"


def test_a_latency_gate_says_where_slow_begins_and_what_it_tolerates() -> None:
    """In effect, as its buckets let it; nothing before the bucket is chosen, and nothing of other gates."""
    assert slow_words(durations(None)) == (
        "slow is longer than 300 ms; tolerated in effect is an increase of 28 % to 32 %"
    )
    assert slow_words(durations(None, bound=None)) == ""
    assert slow_words(values(1, 1)) == ""
    assert stable_figures(values(1, None), MEMORY).value == "no value"


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (FAILURES, "max 2 %"),
        (RATIO, "1.5 × stable"),
        (LATENCY, "p95 + 30 %"),
        (MEMORY, "max 512"),
        (None, ""),
    ],
)
def test_a_limit_fits_a_narrow_column(gate: Gate | None, words: str) -> None:
    assert brief_limit(gate) == words


def test_all_numbers_are_there_to_check() -> None:
    """Of a latency gate the slow requests, the quantile by its name, and what its bounds are over."""
    lines = list(gate_lines(durations(estimate(0.212, 0.1, math.inf)), LATENCY))
    assert lines[2] == (
        "  canary     60 of 1,204 requests took longer than 300 ms; p95 212 ms, between 100 ms and more than any bucket"
    )
    assert "  evidence   e-value 12, needed 300" in lines
    assert "  tolerance  in effect an increase of 28 % to 32 %, by the buckets there are" in lines
    assert not any("failed" in line for line in lines)


def test_a_query_has_neither_requests_nor_evidence() -> None:
    """Its values and what was asked, on one line each."""
    assert list(gate_lines(values(612.4, 400.0))) == [
        "memory: ✓ healthy",
        "  all is well",
        "  canary     value 612.4",
        "  stable     value 400",
        "  queries    a b",
    ]


def test_instances_have_only_their_sentence() -> None:
    """No requests, no evidence."""
    assert list(gate_lines(found(GATE, None, threshold=0.0))) == ["instances: ✓ healthy", "  all is well"]
