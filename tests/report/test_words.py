"""What a gate allows is said in words, for every kind of gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.core.gates import Emergency, FailureGate, Gate, LatencyGate, OnQuery, OnRegression, QueryGate
from rollout.core.selector import parse
from rollout.report.words import limits

COUNTER = parse('f{version="$version"}')
RATE = FailureGate(name="g", failures=COUNTER, total=COUNTER, max=0.02)
LATENCY = LatencyGate(name="g", histogram=COUNTER)
QUERY = QueryGate(name="g", query='x{version="$version"}', max=80.0)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (RATE, "at most 2 % and from 1 % on at most 1.5 × stable"),
        (replace(RATE, regression=OnRegression.OFF), "at most 2 %"),
        (
            replace(RATE, regression=OnRegression.HOLD),
            "at most 2 % and from 1 % on at most 1.5 × stable (else it holds)",
        ),
        (replace(RATE, max=None, max_ratio=1.5), "at most 1.5 × stable"),
        (
            replace(RATE, max=None, max_ratio=1.5, by=("route", "method")),
            "at most 1.5 × stable within each route and method",
        ),
        (
            replace(RATE, max_ratio=3.0, emergency=Emergency(max=0.03, over=timedelta(minutes=5))),
            "at most 2 %, from 1 % on at most 1.5 × stable, over 5 min at most 3 % and at most 3 × stable",
        ),
        (LATENCY, "p95 at most 30 % above stable's"),
        (replace(LATENCY, quantile=0.999, max_increase=1.5), "p99.9 at most 150 % above stable's"),
        (QUERY, "at most 80; 5 scrapes in a row that break it hold the rollout"),
        (replace(QUERY, scrapes=1), "at most 80; 1 scrape that breaks it holds the rollout"),
        (
            replace(QUERY, max=None, min=0.5, action=OnQuery.ROLL_BACK),
            "at least 0.5; 5 scrapes in a row that break it take the canary back, outside of false_rollback",
        ),
        (
            replace(QUERY, max=None, max_increase=0.3, scrapes=1, action=OnQuery.ROLL_BACK),
            "at most 30 % above stable's; 1 scrape that breaks it takes the canary back, outside of false_rollback",
        ),
    ],
)
def test_a_gate_says_what_it_allows(gate: Gate, words: str) -> None:
    """Every limit is named; that a query takes a canary back outside the promise is said where it does."""
    assert limits(gate) == words
