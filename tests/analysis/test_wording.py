"""Numbers in sentences are readable and never better than what was found."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.histograms import Cut
from rollout.analysis.wording import allowance, duration, percent, rarity
from rollout.core.gates import LatencyGate
from rollout.core.selector import parse


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.05123, "5.1 %"),
        (0.002, "0.2 %"),
        (0.000034, "0.0034 %"),
        (0.12345, "12.3 %"),
        (0.3, "30 %"),
        (0.0996, "10 %"),
        (0.9998, "99.9 %"),
        (1.5, "150 %"),
    ],
)
def test_a_rate_is_told_in_percent(rate: float, text: str) -> None:
    assert percent(rate) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.2503, "250 ms"),
        (0.0996, "99.6 ms"),
        (0.99949, "999 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (12345.0, "12,345 s"),
    ],
)
def test_a_duration_is_written_out(value: float, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("tolerance", "effect"),
    [((0.3, 0.3), ""), ((0.2513, 0.381), " (with these buckets, in effect 25 % to 38 %)")],
)
def test_what_a_latency_gate_allows_is_told_with_what_its_buckets_show(
    tolerance: tuple[float, float], effect: str
) -> None:
    gate = LatencyGate(name="latency", histogram=parse('seconds_bucket{version="$version"}'))
    cut = Cut(bound=0.4, lower=0.25, upper=0.5, share=0.5, tolerance=tolerance)
    assert allowance(gate, cut) == f"allowed is a p95 at most 30 % above stable's{effect}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "at most once in 1 rollouts"),
        (128.4, "at most once in 120 rollouts"),
        (10_490, "at most once in 10,000 rollouts"),
        (2e6, "less than once in 1,000,000 rollouts"),
    ],
)
def test_an_e_value_is_told_as_how_often_chance_reaches_it(value: float, text: str) -> None:
    assert rarity(math.log(value) + 1e-12) == text


@given(log_e=st.floats(0, 700))
def test_the_rarity_is_never_exaggerated(log_e: float) -> None:
    told = int(rarity(log_e).split(" in ")[1].split()[0].replace(",", ""))
    assert told <= math.exp(log_e) * (1 + 1e-9)
