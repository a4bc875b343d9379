"""Bets grow as they should: never by one freak block, never against a canary for doing well, and late faults too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.blocks import Part
from rollout.analysis.evidence import BETTER, BLOCK_CAP, WORSE, EProcess, RateBets, RatioBets, _spread
from tests.analysis.betting import stakes, values
from tests.analysis.traffic import block


def counts(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(0, most).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


Paths = list[tuple[tuple[int, int], tuple[int, int]]]
paths: st.SearchStrategy[Paths] = st.lists(st.tuples(counts(40), counts(200)), min_size=1, max_size=20)


@given(path=paths, where=st.integers(0, 19), limit=st.floats(0.01, 0.5), ratio=st.floats(1.0, 5.0))
def test_one_more_failure_of_the_canary_never_lowers_the_evidence_against_it_nor_raises_that_for_it(
    path: Paths, where: int, limit: float, ratio: float
) -> None:
    where %= len(path)
    (n, s), stable = path[where]
    worse = [*path[:where], ((n, min(n, s + 1)), stable), *path[where + 1 :]]
    before = [block(i, *pair) for i, pair in enumerate(path)]
    after = [block(i, *pair) for i, pair in enumerate(worse)]
    for bets in (RateBets(limit), RatioBets(ratio)):
        pairs = zip(values(bets, before), values(bets, after), strict=True)
        assert all(now >= then * (1 - 1e-12) for then, now in pairs)
    for bets in (RateBets(limit, BETTER), RatioBets(ratio, BETTER)):
        pairs = zip(values(bets, before), values(bets, after), strict=True)
        assert all(now <= then * (1 + 1e-12) for then, now in pairs)


@given(path=paths)
def test_no_block_multiplies_the_evidence_by_more_than_the_cap(path: Paths) -> None:
    blocks = [block(i, *pair) for i, pair in enumerate(path)]
    for bets in (RateBets(0.02), RatioBets(1.5), RateBets(0.02, BETTER), RatioBets(1.5, BETTER)):
        found = values(bets, blocks)
        for before, after in zip((1.0, *found), found, strict=False):
            assert after <= before * math.exp(BLOCK_CAP) * (1 + 1e-12)


def test_the_cap_is_reached_and_leaves_the_first_block_at_seventy_five() -> None:
    freak = values(RateBets(0.02), [block(0, (10_000, 10_000))])[-1]
    assert freak == pytest.approx(0.5 + 0.5 * math.exp(BLOCK_CAP))


@pytest.mark.parametrize(("canary", "stable"), [((7, 7), (0, 0)), ((0, 0), (70, 3)), ((7, 0), (70, 0))])
def test_a_block_in_which_one_version_served_or_neither_failed_says_nothing_of_the_ratio(
    canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    part = Part(*canary, *stable)
    assert RatioBets(1.0).growth((part,), 1.0) is None
    assert values(RatioBets(1.0), [block(0, canary, stable)])[-1] == pytest.approx(1.0)


def test_a_block_without_canary_requests_says_nothing_of_the_rate() -> None:
    assert RateBets(0.02).growth(0, 0, 1.0) is None


@given(parts=st.lists(st.tuples(counts(30), counts(90)), min_size=1, max_size=5), dispersion=st.floats(1, 20))
def test_the_evidence_of_a_block_is_the_sum_over_its_parts(parts: Paths, dispersion: float) -> None:
    """Route by route, so that another mix of routes is no fault; a bursty service slows each of them alike."""
    many = tuple(Part(*canary, *stable) for canary, stable in parts)
    bets = RatioBets(1.5)
    together = bets.growth(many, dispersion) or [0.0] * len(WORSE)
    alone = [bets.growth((part,), 1.0) or [0.0] * len(WORSE) for part in many]
    assert together == pytest.approx([math.fsum(each) / dispersion for each in zip(*alone, strict=True)])


# --- when bets begin ----------------------------------------------------------------------------------------------


def test_the_stakes_add_up_to_no_more_than_one_however_long_it_goes_on() -> None:
    process = EProcess.of(RateBets(0.02))
    for index in range(30_000):
        process = process.after(None, index % 100)
    assert 0 <= process.purse < 0.05
    assert process.value == pytest.approx(1.0)


def test_the_stakes_are_those_that_the_documentation_tells() -> None:
    weights = [5.0] * 600 + [10.0] * 20 + [25.0, 50.0, 25.0] * 10
    process, before = EProcess.of(RateBets(0.02)), 1.0
    for weight, stake in zip(weights, stakes(weights), strict=True):
        process = process.after(None, weight)
        assert before - process.purse == pytest.approx(float(stake), rel=1e-9)
        before = process.purse


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
    over, worse = values(RateBets(0.02), [*good, *bad]), values(RatioBets(1.0), [*good, *bad])
    assert max(over[:240]) < 10
    assert min(over[-1], worse[-1]) > 1e4
    from_the_start = sum(math.exp(125 * math.log(k) - 245 * 50 * math.log1p((k - 1) * 0.02)) for k in WORSE)
    assert from_the_start < 1e-2, "the bets of the beginning alone would have seen nothing"


def test_a_change_of_weight_brings_a_fault_of_its_own_to_light_sooner() -> None:
    """The same fault after the same past: with a new weight, more is bet anew on it."""
    good = [block(i, (50, 0), (950, 2)) for i in range(240)]
    bad = [(50, 25), (950, 2)]
    same = values(RateBets(0.02), [*good, block(240, *bad, weight=5)])[-1]
    moved = values(RateBets(0.02), [*good, block(240, *bad, weight=25)])[-1]
    assert moved > 5 * same


def test_evidence_stays_finite_under_endless_failure() -> None:
    found = values(RateBets(0.02), [block(i, (1000, 1000)) for i in range(400)])
    assert math.isfinite(math.log(found[-1]))


def test_the_alternatives_are_worse_than_allowed_or_better() -> None:
    assert min(WORSE) > 1
    assert max(BETTER) < 1
