"""What the codec writes it reads back equal, for every kind of gate and for evidence with numbers of any size."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.core.events import Judged
from rollout.core.gates import Emergency, FailureGate, Gate, LatencyGate, OnQuery, OnRegression, QueryGate
from rollout.core.plan import EVERYTHING, Advance, InstancesRule, Step, Weight
from rollout.core.selector import parse
from rollout.core.verdict import Counts, Estimate, GateResult, Judgement, Measured, Unit, Verdict
from rollout.journals import codec
from tests.journals.contract import NOON, PLAN, started

COUNTER = parse('f_total{version="$version", code=~"5.."}')
HISTOGRAM = parse('d_seconds_bucket{version="$version"}')
FAILURES = FailureGate(name="f", failures=COUNTER, total=COUNTER, max=0.02)
LATENCY = LatencyGate(name="l", histogram=HISTOGRAM)
QUERY = QueryGate(name="q", query='x{v="$version"}', max=3.0)

spans = st.integers(1, 10**9).map(lambda ms: timedelta(milliseconds=ms))
rates = st.floats(0.001, 0.5)
emergencies = st.builds(
    Emergency,
    max=st.floats(0.5, 0.99),
    over=spans,
    min_requests=st.integers(1, 500),
    min_failures=st.integers(1, 50),
)
names = st.text(max_size=12)
failure_gates = st.builds(
    FailureGate,
    name=names,
    failures=st.just(COUNTER),
    total=st.just(COUNTER),
    max=rates,
    max_ratio=st.none() | st.floats(1, 100),
    by=st.lists(st.sampled_from(["route", "method"]), max_size=2).map(tuple),
    regression=st.sampled_from(OnRegression),
    emergency=st.none() | emergencies,
    min_requests=st.integers(1, 1000),
    observe=st.booleans(),
    if_present=st.booleans(),
)
latency_gates = st.builds(
    LatencyGate,
    name=names,
    histogram=st.just(HISTOGRAM),
    quantile=st.floats(0.5, 0.999),
    max_increase=st.floats(0.01, 10),
    observe=st.booleans(),
    if_present=st.booleans(),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
limits: st.SearchStrategy[dict[str, float]] = st.one_of(
    st.builds(dict, max=finite), st.builds(dict, min=finite), st.builds(dict, max_increase=st.floats(0.01, 10))
)
query_gates = st.builds(
    lambda limit, **rest: QueryGate(**limit, **rest),
    limits,
    name=names,
    query=st.text(max_size=20).map(lambda text: f'{text}{{version="$version"}}'),
    scrapes=st.integers(1, 100),
    action=st.sampled_from(OnQuery),
    observe=st.booleans(),
)
gates = st.one_of(failure_gates, latency_gates, query_gates)
numbers = st.floats(allow_nan=False)
estimates = st.builds(Estimate, value=numbers, low=numbers, high=numbers)
counts = st.builds(Counts, total=st.integers(0, 10**12), failures=st.integers(0, 10**6))
results = st.builds(
    GateResult,
    gate=names,
    verdict=st.sampled_from(Verdict),
    sentence=names,
    canary=counts,
    stable=counts,
    log_e=numbers,
    log_threshold=numbers,
    observe=st.booleans(),
    advance=st.booleans(),
    measured=st.none()
    | st.builds(
        Measured,
        unit=st.sampled_from(Unit),
        canary=st.none() | estimates,
        stable=st.none() | estimates,
        dispersion=numbers,
        bound=st.none() | numbers,
        tolerance=st.none() | st.tuples(numbers, numbers),
        queries=st.lists(names, max_size=2).map(tuple),
        since=st.none() | st.just(NOON),
        until=st.none() | st.just(NOON),
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(gates, max_size=4, unique_by=lambda gate: gate.name).map(tuple),
    st.sampled_from(Advance),
    st.builds(InstancesRule, max_restarts=st.integers(0, 9), max_unready=spans),
    rates,
)
def test_a_plan_with_gates_of_every_kind_comes_back_equal(
    some: tuple[Gate, ...], advance: Advance, instances: InstancesRule, beta: float
) -> None:
    """Each gate comes back as the kind it was, with every value."""
    steps = (
        Step(weight=Weight(5), soak=timedelta(minutes=9), min_soak=timedelta(minutes=3)),
        Step(weight=EVERYTHING, soak=timedelta(0)),
    )
    plan = replace(PLAN, steps=steps, gates=some, advance=advance, instances=instances, beta=min(beta, 0.49))
    event = replace(started(), plan=plan)
    assert codec.load(codec.dump(event)) == event


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(results, max_size=3).map(tuple), st.sampled_from(Verdict))
def test_evidence_comes_back_equal_even_where_it_is_infinite(some: tuple[GateResult, ...], verdict: Verdict) -> None:
    """JSON has no infinity, and a histogram without a bound above has; the line stays JSON that anybody reads."""
    event = Judged(at=NOON, step=0, judgement=Judgement(verdict=verdict, gates=some, until=NOON))
    written = codec.dump(event)
    assert codec.load(written) == event

    def strict(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    json.loads(written, parse_constant=strict)


@pytest.mark.parametrize("gate", [FAILURES, LATENCY, QUERY], ids=lambda gate: type(gate).__name__)
def test_a_gate_that_does_not_fit_is_told_in_the_words_of_its_own_kind(gate: Gate) -> None:
    """A field that is not known is of a newer version; a value that cannot be is not."""
    assert _refused(gate, {"colour": "blue"}).endswith(
        f"started.plan.gates.0.{type(gate).__name__}.colour: Unexpected keyword argument; a newer version may have "
        "written it"
    )
    said = _refused(gate, {"observe": "perhaps"})
    assert f"gates.0.{type(gate).__name__}.observe" in said
    assert "newer version" not in said


def _refused(gate: Gate, change: dict[str, Any]) -> str:
    written = json.loads(codec.dump(replace(started(), plan=replace(PLAN, gates=(gate,)))))
    written["plan"]["gates"][0].update(change)
    with pytest.raises(codec.UnreadableEvent) as caught:
        codec.load(json.dumps(written))
    return str(caught.value)


def test_the_kinds_of_gates_are_told_apart_by_the_fields_they_need() -> None:
    """What one kind needs, no other has: so a gate in a journal can be read in one way only."""
    for kind in get_args(Gate):
        needed = {field.name for field in fields(kind)} & {"failures", "total", "histogram", "query"}
        others = [{field.name for field in fields(other)} for other in get_args(Gate) if other is not kind]
        assert needed
        assert not any(needed & other for other in others)
