"""E-values keep what they promise: checked by exact enumeration, by properties and by simulation."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.analysis.blocks import Block
from rollout.analysis.evidence import BLOCK_CAP, FACTORS, _spread, _stakes, both, rate_over, ratio_over
from tests.analysis.traffic import block, poisson


def binomial(n: int, s: int, p: float) -> float:
    return math.comb(n, s) * p**s * (1 - p) ** (n - s)


def expected_rate_value(*, p: float, limit: float, sizes: tuple[int, ...], dispersion: float = 1.0) -> float:
    """The expectation over every path of failures, with a change of weight in the middle."""
    total = 0.0
    for path in itertools.product(*(range(n + 1) for n in sizes)):
        chance = math.prod(binomial(n, s, p) for n, s in zip(sizes, path, strict=True))
        blocks = [block(i, (n, s), weight=5 + i) for i, (n, s) in enumerate(zip(sizes, path, strict=True))]
        total += chance * rate_over(blocks, limit=limit, dispersion=dispersion)[-1]
    return total


def test_at_the_limit_the_expected_rate_evidence_is_exactly_one() -> None:
    """At a limit of 30 % three requests stay below the cap, so nothing is lost to it."""
    assert expected_rate_value(p=0.3, limit=0.3, sizes=(3, 1, 2)) == pytest.approx(1.0, abs=1e-12)


@given(
    limit=st.floats(0.01, 0.6),
    below=st.floats(0.0, 1.0),
    sizes=st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)),
    dispersion=st.floats(1.0, 9.0),
)
@settings(max_examples=60, deadline=None)
def test_under_the_limit_the_expected_rate_evidence_never_exceeds_one(
    limit: float, below: float, sizes: tuple[int, int, int], dispersion: float
) -> None:
    """With the cap and with any dispersion as well: both only lower it."""
    assert expected_rate_value(p=limit * below, limit=limit, sizes=sizes, dispersion=dispersion) <= 1 + 1e-9


def test_above_the_limit_the_expected_rate_evidence_exceeds_one() -> None:
    assert expected_rate_value(p=0.6, limit=0.3, sizes=(3, 3, 3)) > 1.5


def expected_ratio_value(*, canary: float, stable: float, n: int, m: int, ratio: float, cells: int = 30) -> float:
    """The expectation after a block of Poisson counts with these means per request."""

    def chances(mean: float) -> list[float]:
        return [math.exp(-mean) * mean**k / math.factorial(k) for k in range(cells)]

    ones = [
        (s, q, a * b)
        for (s, a), (q, b) in itertools.product(enumerate(chances(n * canary)), enumerate(chances(m * stable)))
        if a * b > 1e-14
    ]
    return sum(chance * ratio_over([block(0, (n, s), (m, q))], ratio=ratio)[-1] for s, q, chance in ones)


@pytest.mark.parametrize(("ratio", "stable"), [(1.0, 0.2), (1.5, 0.05), (3.0, 0.4)])
def test_at_the_allowed_ratio_the_expected_evidence_is_one_whatever_stable_does(ratio: float, stable: float) -> None:
    """Poisson counts, for which the conditional test is exact; a cap that is hardly ever reached takes nothing."""
    value = expected_ratio_value(canary=ratio * stable, stable=stable, n=1, m=1, ratio=ratio)
    assert value == pytest.approx(1.0, abs=1e-4)


@given(
    ratio=st.floats(1.0, 4.0),
    stable=st.floats(0.001, 0.25),
    below=st.floats(0.0, 1.0),
    n=st.integers(1, 8),
    m=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_independent_requests_within_the_allowed_ratio_never_exceed_one(
    ratio: float, stable: float, below: float, n: int, m: int
) -> None:
    """Every outcome of n and m requests, which may fail once each: conservative, never wrong."""
    canary = ratio * stable * below
    expected = sum(
        binomial(n, s, canary) * binomial(m, q, stable) * ratio_over([block(0, (n, s), (m, q))], ratio=ratio)[-1]
        for s in range(n + 1)
        for q in range(m + 1)
    )
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("size", [1, 2, 3])
def test_failures_in_groups_keep_the_promise_with_a_dispersion_of_their_size(size: int) -> None:
    """Three groups on the canary and four on stable; a group fails as a whole or not at all."""
    rate = sum(
        binomial(3, s, 0.2) * rate_over([block(0, (3 * size, s * size))], limit=0.2, dispersion=size)[-1]
        for s in range(4)
    )
    ratio = sum(
        binomial(3, s, 0.3)
        * binomial(4, q, 0.2)
        * ratio_over([block(0, (3 * size, s * size), (4 * size, q * size))], ratio=1.5, dispersion=size)[-1]
        for s in range(4)
        for q in range(5)
    )
    assert rate <= 1 + 1e-12
    assert ratio <= 1 + 1e-12


def test_failures_in_groups_break_the_promise_without() -> None:
    rate = sum(binomial(3, s, 0.2) * rate_over([block(0, (9, 3 * s))], limit=0.2)[-1] for s in range(4))
    assert rate > 1.5


@pytest.mark.parametrize("budget", [0.5, 0.2, 0.1, 0.05])
def test_looking_after_every_block_crosses_no_more_often_than_promised(budget: float) -> None:
    """All 4,096 paths of 12 blocks of one request, at the limit: Ville's inequality, enumerated."""
    crossed = 0.0
    for path in itertools.product((0, 1), repeat=12):
        values = rate_over([block(i, (1, s)) for i, s in enumerate(path)], limit=0.3)
        if max(values) >= 1 / budget:
            crossed += math.prod(0.3 if s else 0.7 for s in path)
    assert crossed <= budget


def counts(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(0, most).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


Paths = list[tuple[tuple[int, int], tuple[int, int]]]
paths: st.SearchStrategy[Paths] = st.lists(st.tuples(counts(40), counts(200)), min_size=1, max_size=20)


@given(path=paths, where=st.integers(0, 19), limit=st.floats(0.01, 0.5), ratio=st.floats(1.0, 5.0))
@settings(deadline=None)
def test_one_more_failure_of_the_canary_never_lowers_the_evidence(
    path: Paths, where: int, limit: float, ratio: float
) -> None:
    where %= len(path)
    (n, s), stable = path[where]
    worse = [*path[:where], ((n, min(n, s + 1)), stable), *path[where + 1 :]]
    before = [block(i, *pair) for i, pair in enumerate(path)]
    after = [block(i, *pair) for i, pair in enumerate(worse)]
    pairs = [
        *zip(rate_over(before, limit=limit), rate_over(after, limit=limit), strict=True),
        *zip(ratio_over(before, ratio=ratio), ratio_over(after, ratio=ratio), strict=True),
    ]
    assert all(now >= then * (1 - 1e-12) for then, now in pairs)


@given(path=paths)
@settings(deadline=None)
def test_no_block_multiplies_the_evidence_by_more_than_the_cap(path: Paths) -> None:
    blocks = [block(i, *pair) for i, pair in enumerate(path)]
    for values in (rate_over(blocks, limit=0.02), ratio_over(blocks, ratio=1.5)):
        for before, after in zip((1.0, *values), values, strict=False):
            assert after <= before * math.exp(BLOCK_CAP) * (1 + 1e-12)


@given(path=paths)
def test_blocks_that_do_not_count_carry_the_value_over(path: Paths) -> None:
    blocks: list[Block | None] = [block(i, *pair) for i, pair in enumerate(path)]
    padded = [padding for one in blocks for padding in (one, None)]
    assert rate_over(padded, limit=0.02)[::2] == rate_over(blocks, limit=0.02)
    assert rate_over(padded, limit=0.02)[1::2] == rate_over(blocks, limit=0.02)


@pytest.mark.parametrize(("canary", "stable"), [((7, 7), (0, 0)), ((0, 0), (70, 3))])
def test_a_block_in_which_one_version_served_nothing_says_nothing_of_the_ratio(
    canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    assert ratio_over([block(0, canary, stable)], ratio=1.0)[-1] == pytest.approx(1.0)


def test_the_stakes_add_up_to_no_more_than_one_however_long_it_goes_on() -> None:
    blocks = [block(i, (1, 0), weight=i % 100) for i in range(30_000)]
    assert 0.95 < math.fsum(_stakes(blocks)) <= 1


@pytest.mark.parametrize("even", [8, 512])
def test_the_shares_of_later_starts_add_up_to_at_most_one(even: int) -> None:
    """Even shares, then a telescoping tail whose rest beyond N is even/(2 N)."""
    last = 100 * even
    shares = math.fsum(_spread(i, even) for i in range(1, last))
    assert shares + even / (2 * last) == pytest.approx(1 - 1 / (2 * even), rel=1e-9)


def test_a_late_fault_is_not_hidden_by_a_good_past() -> None:
    """An hour of good traffic would cost the bets of the beginning hundreds of nats; those begun later decide."""
    good = [block(i, (50, 0), (950, 2)) for i in range(240)]
    bad = [block(240 + i, (50, 25), (950, 2)) for i in range(5)]
    values = both(rate_over([*good, *bad], limit=0.02), ratio_over([*good, *bad], ratio=1.0))
    assert max(values[:240]) < 10
    assert values[-1] > 1e4


def test_evidence_stays_finite_under_endless_failure() -> None:
    values = rate_over([block(i, (1000, 1000)) for i in range(400)], limit=0.02)
    assert math.isfinite(math.log(values[-1]))


def test_the_alternatives_are_all_worse_than_allowed() -> None:
    assert min(FACTORS) > 1


def test_identical_versions_cross_the_threshold_no_more_often_than_promised() -> None:
    """400 rollouts of 200 blocks at the boundary of a ratio of 1.5, against a budget of 5 %; stable swings ninefold."""
    dice = random.Random(20260301)
    crossed = 0
    for _ in range(400):
        blocks = []
        for i in range(200):
            stable = 0.01 * (1 + 0.8 * math.sin(i / 30))
            blocks.append(block(i, (30, min(30, poisson(dice, 30 * 1.5 * stable))), (300, poisson(dice, 300 * stable))))
        crossed += max(ratio_over(blocks, ratio=1.5)) >= 20
    assert crossed <= 20
