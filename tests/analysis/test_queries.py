"""Gates over any query: plain limits over several values in a row. What is no value proves nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.counters import Sample
from rollout.analysis.queries import judge_query
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import OnQuery, QueryGate
from rollout.core.verdict import GateResult, Verdict
from tests.analysis.traffic import gate, judged, plan, reading, second
from tests.analysis.verdicts import AT_5, GOOD, GOOD_STABLE


def query(
    *,
    most: float | None = None,
    least: float | None = None,
    increase: float | None = None,
    scrapes: int = 3,
    action: OnQuery = OnQuery.ROLL_BACK,
    observe: bool = False,
) -> QueryGate:
    """A gate over the length of a queue."""
    return QueryGate(
        name="queue",
        query='max(queue_length{version="$version"})',
        max=most,
        min=least,
        max_increase=increase,
        scrapes=scrapes,
        action=action,
        observe=observe,
    )


def samples(values: Sequence[float | None], *, now: float) -> tuple[Sample, ...]:
    """One value a second, the last one now; None is no value."""
    first = now - len(values) + 1
    return tuple(Sample(at=second(first + i), value=value) for i, value in enumerate(values) if value is not None)


def read_of(
    subject: QueryGate, canary: Sequence[float | None], stable: Sequence[float | None] = (), *, now: float = 100
) -> Reading:
    return Reading(
        gate=subject,
        canary=Counters(values=samples(canary, now=now)),
        stable=Counters(values=samples(stable, now=now)),
        queries=("a", "b"),
    )


def verdict(
    subject: QueryGate,
    canary: Sequence[float | None],
    stable: Sequence[float | None] = (),
    *,
    traffic: bool = True,
    problem: str = "",
    start: float = 0,
    now: float = 100,
) -> GateResult:
    read = read_of(subject, canary, stable)
    if problem:
        read = Reading(gate=subject, problem=problem)
    return judge_query(
        subject, read, start=second(start), now=second(now), interval=timedelta(seconds=1), traffic=traffic
    )


@pytest.mark.parametrize(
    ("subject", "kept", "broken"),
    [
        (query(most=10), 10.0, 10.1),
        (query(least=10), 10.0, 9.9),
        (query(increase=0.5), 15.0, 15.1),
    ],
    ids=["max", "min", "max_increase"],
)
def test_a_limit_is_broken_by_every_one_of_the_last_values_or_not_at_all(
    subject: QueryGate, kept: float, broken: float
) -> None:
    """Stable shows 10. One value that keeps it begins the count anew."""
    stable = [10.0] * 6
    assert verdict(subject, [kept] * 6, stable).verdict is Verdict.HEALTHY
    assert verdict(subject, [broken] * 3, stable).verdict is Verdict.UNHEALTHY
    assert verdict(subject, [broken, kept, broken, broken], stable).verdict is Verdict.INCONCLUSIVE
    assert verdict(subject, [broken] * 3 + [kept], stable).verdict is Verdict.INCONCLUSIVE
    assert verdict(subject, [broken] * 3 + [kept] * 3, stable).verdict is Verdict.HEALTHY
    assert verdict(subject, [broken] * 2, stable).verdict is Verdict.INCONCLUSIVE, "two are not three in a row"


def test_an_increase_over_a_negative_value_is_upwards_too() -> None:
    assert verdict(query(increase=0.5), [-5.0] * 3, [-10.0] * 3).verdict is Verdict.HEALTHY
    assert verdict(query(increase=0.5), [-4.9] * 3, [-10.0] * 3).verdict is Verdict.UNHEALTHY


def test_a_gate_can_hold_instead() -> None:
    result = verdict(query(most=10, action=OnQuery.HOLD), [12.0] * 3)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence == (
        "the canary has 12; allowed is at most 10; 3 values in a row break it "
        "(a plain limit, outside the promise of false_rollback); the gate only holds the rollout"
    )


def test_a_single_value_is_enough_for_a_gate_that_says_so() -> None:
    assert verdict(query(most=10, scrapes=1), [1.0, 12.0]).verdict is Verdict.UNHEALTHY
    assert verdict(query(most=10, scrapes=1), [12.0, 1.0]).verdict is Verdict.HEALTHY


def test_the_sentence_compares_with_stable_where_the_gate_does() -> None:
    result = verdict(query(increase=0.5), [12.0] * 3, [10.0] * 3)
    assert result.sentence == "the canary has 12, stable 10; allowed is at most 50 % above stable's"
    assert result.measured is not None
    assert result.measured.queries == ("a", "b")
    assert (result.measured.canary.value if result.measured.canary else 0) == 12.0
    assert (result.measured.stable.value if result.measured.stable else 0) == 10.0


# --- no value -----------------------------------------------------------------------------------------------------


@given(
    subject=st.sampled_from([query(most=10), query(least=10), query(increase=0.5)]),
    canary=st.lists(st.one_of(st.just(math.nan), st.floats(-100, 100)), min_size=1, max_size=6),
    where=st.integers(0, 2),
)
def test_not_a_number_among_the_last_values_is_neither_healthy_nor_unhealthy(
    subject: QueryGate, canary: list[float], where: int
) -> None:
    canary[max(-len(canary), -1 - where)] = math.nan
    result = verdict(subject, canary, [10.0] * 6)
    assert (result.verdict, result.sentence) == (Verdict.INCONCLUSIVE, "the query gives NaN")


@pytest.mark.parametrize("stable", [[], [10.0, 10.0, None], [10.0, 10.0, math.nan]])
def test_without_a_value_of_stable_an_increase_cannot_be_judged(stable: list[float | None]) -> None:
    result = verdict(query(increase=0.5), [99.0] * 3, stable)
    assert (result.verdict, result.sentence) == (Verdict.INCONCLUSIVE, "stable has no value to compare with")
    assert verdict(query(most=100), [99.0] * 3, stable).verdict is Verdict.HEALTHY


def test_no_value_at_all_waits_for_the_traffic_and_then_holds() -> None:
    assert verdict(query(most=10), [], traffic=False).verdict is Verdict.HEALTHY
    result = verdict(query(most=10), [])
    assert (result.verdict, result.sentence) == (Verdict.INCONCLUSIVE, "the query gives no value for the canary")


def test_values_from_before_the_rollout_were_another_canary() -> None:
    """One that has just been taken back, for these very values."""
    assert verdict(query(most=10), [12.0] * 3, start=97).verdict is Verdict.UNHEALTHY
    assert verdict(query(most=10), [12.0] * 3, start=98).verdict is Verdict.INCONCLUSIVE
    assert verdict(query(most=10), [12.0, 12.0, 9.0], start=99).verdict is Verdict.HEALTHY
    assert verdict(query(most=10), [12.0] * 3, start=100, traffic=False).verdict is Verdict.HEALTHY


def test_values_that_stopped_are_no_values() -> None:
    """Four intervals after the last one."""
    subject = query(most=10, scrapes=5)
    assert verdict(subject, [12.0] * 5, now=100).verdict is Verdict.UNHEALTHY
    assert verdict(subject, [12.0] * 5, now=104).verdict is Verdict.INCONCLUSIVE
    assert verdict(subject, [1.0] * 5, now=104).verdict is Verdict.INCONCLUSIVE


def test_a_source_that_is_away_is_blind() -> None:
    result = verdict(query(most=10), [12.0] * 3, problem="no answer")
    assert (result.verdict, result.sentence) == (Verdict.BLIND, "the metrics cannot be had: no answer")


# --- beside other gates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "verdict_then"),
    [
        (query(most=10), Verdict.UNHEALTHY),
        (query(most=10, action=OnQuery.HOLD), Verdict.INCONCLUSIVE),
        (query(most=10, observe=True), Verdict.HEALTHY),
        (query(most=100), Verdict.HEALTHY),
    ],
)
def test_a_query_gate_acts_beside_others_and_takes_nothing_of_their_budget(
    subject: QueryGate, verdict_then: Verdict
) -> None:
    policy = plan(gate(), subject)
    got = judged(
        reading(gate(), canary=GOOD, stable=GOOD_STABLE),
        read_of(subject, [12.0] * 3, now=20),
        policy=policy,
        when=AT_5,
        now=20,
    )
    assert got.verdict is verdict_then
    assert got.gates[0].log_threshold == pytest.approx(math.log(100))
    assert (got.gates[1].log_e, got.gates[1].log_threshold) == (0.0, 0.0)
    assert got.until == second(20)
