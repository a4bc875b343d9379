"""Numbers in sentences are readable and never better than what was found."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.wording import percent, rarity


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0 %"), (1, "100 %"), (0.05123, "5.1 %"), (0.002, "0.2 %"), (0.000034, "0.0034 %"), (0.12345, "12.3 %")],
)
def test_a_rate_is_told_in_percent(rate: float, text: str) -> None:
    assert percent(rate) == text


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
