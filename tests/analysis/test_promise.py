"""E-values keep what they promise: every outcome is enumerated, in fractions where nothing may be rounded away."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.analysis.evidence import BETTER, WORSE, RateBets, RatioBets
from tests.analysis.betting import binomial, mixture, values, with_odds
from tests.analysis.traffic import block, poisson

DIRECTIONS = pytest.mark.parametrize(
    "factors", [(1.25, 1.5, 2.0), (0.75, 0.5, 0.25)], ids=["against a worse one", "against a better one"]
)
WEIGHTS = (5.0, 5.0, 25.0, 10.0)


def fractions(factors: Sequence[float]) -> list[Fraction]:
    return [Fraction(one) for one in factors]


# --- the rate -----------------------------------------------------------------------------------------------------


def rate_ratio(n: int, s: int, *, limit: Fraction, factor: Fraction) -> Fraction:
    """How much more probable s of n failures are at so many times the odds of the limit."""
    return binomial(n, s, with_odds(limit, factor)) / binomial(n, s, limit)


@DIRECTIONS
@pytest.mark.parametrize("limit", [Fraction(3, 10), Fraction(1, 50)])
def test_at_the_limit_the_expectation_of_the_rate_evidence_is_exactly_one(
    factors: tuple[float, ...], limit: Fraction
) -> None:
    """Over all outcomes of three blocks, and the code says on each path what the formula does."""
    sizes, expected = (3, 1, 2), Fraction(0)
    bets = RateBets(float(limit), factors)
    for path in itertools.product(*(range(n + 1) for n in sizes)):
        pairs = [*zip(sizes, path, strict=True)]
        ratios = [[rate_ratio(n, s, limit=limit, factor=k) for k in fractions(factors)] for n, s in pairs]
        value = mixture(ratios, WEIGHTS[:3])
        chance = math.prod((binomial(n, s, limit) for n, s in pairs), start=Fraction(1))
        expected += chance * value
        blocks = [block(i, pair, weight=WEIGHTS[i]) for i, pair in enumerate(pairs)]
        assert values(bets, blocks)[-1] == pytest.approx(float(value), rel=1e-12)
    assert expected == 1


@given(
    limit=st.fractions(Fraction(1, 100), Fraction(6, 10), max_denominator=100),
    beyond=st.fractions(0, 1, max_denominator=20),
    sizes=st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)),
    dispersion=st.floats(1.0, 9.0),
    better=st.booleans(),
)
@settings(max_examples=80)
def test_within_the_limit_the_expectation_of_the_rate_evidence_never_exceeds_one(
    limit: Fraction, beyond: Fraction, sizes: tuple[int, int, int], dispersion: float, better: bool
) -> None:
    """With the real alternatives, the cap and any dispersion. The evidence of a kept limit is the other way round."""
    rate = limit + (1 - limit) * beyond if better else limit * beyond
    bets = RateBets(float(limit), BETTER if better else WORSE)
    expected = 0.0
    for path in itertools.product(*(range(n + 1) for n in sizes)):
        pairs = [*zip(sizes, path, strict=True)]
        chance = float(math.prod((binomial(n, s, rate) for n, s in pairs), start=Fraction(1)))
        blocks = [block(i, pair, weight=WEIGHTS[i]) for i, pair in enumerate(pairs)]
        found = values(bets, blocks, dispersion=dispersion)
        expected += chance * found[-1]
    assert expected <= 1 + 1e-9


def test_beyond_the_limit_the_expectation_of_the_rate_evidence_exceeds_one() -> None:
    def expectation(bets: RateBets, rate: float) -> float:
        paths = itertools.product(range(4), repeat=3)
        return sum(
            math.prod(math.comb(3, s) * rate**s * (1 - rate) ** (3 - s) for s in path)
            * values(bets, [block(i, (3, s)) for i, s in enumerate(path)])[-1]
            for path in paths
        )

    assert expectation(RateBets(0.3), 0.6) > 1.5
    assert expectation(RateBets(0.3, BETTER), 0.1) > 1.5


# --- the ratio ----------------------------------------------------------------------------------------------------


@DIRECTIONS
@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(3, 2), Fraction(3)])
def test_at_the_allowed_ratio_the_expectation_is_exactly_one_whatever_stable_does(
    factors: tuple[float, ...], ratio: Fraction
) -> None:
    """Poisson counts: given all failures of a block, the canary's share is binomial. So any rate of stable's will do.

    Over every split of these numbers of failures, with different traffic in each block.
    """
    traffic, failed, expected = ((1, 4), (3, 2), (2, 7)), (2, 1, 3), Fraction(0)
    bets = RatioBets(float(ratio), factors)
    for path in itertools.product(*(range(every + 1) for every in failed)):
        chance, ratios, blocks = Fraction(1), [], []
        for i, ((n, m), every, s) in enumerate(zip(traffic, failed, path, strict=True)):
            share = ratio * n / (ratio * n + m)
            chance *= binomial(every, s, share)
            at_share = binomial(every, s, share)
            ratios.append([binomial(every, s, with_odds(share, k)) / at_share for k in fractions(factors)])
            blocks.append(block(i, (n, s), (m, every - s), weight=WEIGHTS[i]))
        value = mixture(ratios, WEIGHTS[:3])
        expected += chance * value
        assert values(bets, blocks)[-1] == pytest.approx(float(value), rel=1e-12)
    assert expected == 1


@given(
    ratio=st.floats(1.0, 4.0),
    stable=st.floats(0.001, 0.2),
    beyond=st.floats(0.0, 1.0),
    n=st.integers(1, 8),
    m=st.integers(1, 8),
    better=st.booleans(),
)
@settings(max_examples=80)
def test_independent_requests_within_the_allowed_ratio_never_exceed_one(
    ratio: float, stable: float, beyond: float, n: int, m: int, better: bool
) -> None:
    """Every outcome of n and m requests, which may fail once each: conservative, never wrong, in both directions."""
    at = ratio * stable
    canary = Fraction(at + (1 - at) * beyond if better else at * beyond)
    bets, other = RatioBets(ratio, BETTER if better else WORSE), Fraction(stable)
    expected = sum(
        float(binomial(n, s, canary) * binomial(m, q, other)) * values(bets, [block(0, (n, s), (m, q))])[-1]
        for s in range(n + 1)
        for q in range(m + 1)
    )
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("size", [1, 2, 3])
def test_failures_in_groups_keep_the_promise_with_a_dispersion_of_their_size(size: int) -> None:
    """Three groups on the canary and four on stable; a group fails as a whole or not at all."""
    fifth, third = Fraction(1, 5), Fraction(3, 10)
    rate = sum(
        float(binomial(3, s, fifth)) * values(RateBets(0.2), [block(0, (3 * size, s * size))], dispersion=size)[-1]
        for s in range(4)
    )
    ratio = sum(
        float(binomial(3, s, third) * binomial(4, q, fifth))
        * values(RatioBets(1.5), [block(0, (3 * size, s * size), (4 * size, q * size))], dispersion=size)[-1]
        for s in range(4)
        for q in range(5)
    )
    assert rate <= 1 + 1e-12
    assert ratio <= 1 + 1e-12


def test_failures_in_groups_break_the_promise_without() -> None:
    fifth = Fraction(1, 5)
    rate = sum(float(binomial(3, s, fifth)) * values(RateBets(0.2), [block(0, (9, 3 * s))])[-1] for s in range(4))
    assert rate > 1.5


# --- looking again and again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0.5, 0.2, 0.1, 0.05])
@pytest.mark.parametrize("factors", [WORSE, BETTER], ids=["worse", "better"])
def test_looking_after_every_block_crosses_no_more_often_than_promised(
    budget: float, factors: tuple[float, ...]
) -> None:
    """All 4,096 paths of 12 blocks of one request, at the limit: Ville's inequality, enumerated."""
    crossed, bets = 0.0, RateBets(0.3, factors)
    for path in itertools.product((0, 1), repeat=12):
        found = values(bets, [block(i, (1, s)) for i, s in enumerate(path)])
        if max(found) >= 1 / budget:
            crossed += math.prod(0.3 if s else 0.7 for s in path)
    assert crossed <= budget


BUDGET, RUNS, BLOCKS = 0.05, 300, 150


@pytest.mark.parametrize("factors", [WORSE, BETTER], ids=["worse", "better"])
@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_a_canary_at_the_allowed_ratio_crosses_no_more_often_than_promised(
    ratio: float, factors: tuple[float, ...]
) -> None:
    """300 rollouts of 150 blocks against a budget of 5 %; stable's own rate swings ninefold meanwhile."""
    dice, bets, crossed = random.Random(20260301), RatioBets(ratio, factors), 0
    for _ in range(RUNS):
        blocks = []
        for i in range(BLOCKS):
            rate = 0.01 * (1 + 0.8 * math.sin(i / 30))
            seen = (30, min(30, poisson(dice, 30 * ratio * rate)))
            blocks.append(block(i, seen, (300, poisson(dice, 300 * rate)), weight=5 if i < 75 else 10))
        crossed += max(values(bets, blocks)) >= 1 / BUDGET
    assert crossed <= BUDGET * RUNS


@pytest.mark.parametrize("factors", [WORSE, BETTER], ids=["worse", "better"])
def test_a_canary_at_the_limit_crosses_no_more_often_than_promised(factors: tuple[float, ...]) -> None:
    """300 rollouts of 150 blocks of 40 requests, each of which fails with 2 %, against a budget of 5 %."""
    dice, bets, crossed = random.Random(7), RateBets(0.02, factors), 0
    for _ in range(RUNS):
        blocks = [block(i, (40, sum(dice.random() < 0.02 for _ in range(40)))) for i in range(BLOCKS)]
        crossed += max(values(bets, blocks)) >= 1 / BUDGET
    assert crossed <= BUDGET * RUNS


def test_one_look_at_a_classical_test_would_not_do() -> None:
    """The same rollouts, rejected whenever p < 5 % by the normal approximation: there is something to be found."""
    dice, crossed = random.Random(7), 0
    for _ in range(RUNS):
        n = s = 0
        for _ in range(BLOCKS):
            n, s = n + 40, s + sum(dice.random() < 0.02 for _ in range(40))
            if s - 0.02 * n > 1.645 * math.sqrt(n * 0.02 * 0.98):
                crossed += 1
                break
    assert crossed > 3 * BUDGET * RUNS
