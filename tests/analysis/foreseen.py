"""Policies, traffic and dice for the tests of what a policy can see."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from rollout.analysis.expected import Traffic, Unseen, assumed
from rollout.analysis.power import Dice
from rollout.core import selector
from rollout.core.gates import FailureGate, LatencyGate
from rollout.core.plan import Advance, Plan, Step, Weight
from tests.analysis.traffic import poisson

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOTAL = selector.parse('requests_total{version="$version"}')
FAILURES = selector.parse('requests_total{version="$version", code=~"5.."}')
BUCKETS = selector.parse('seconds_bucket{version="$version"}')

LIMIT = FailureGate(name="limit", failures=FAILURES, total=TOTAL, max=0.02)
RATIO = FailureGate(name="ratio", failures=FAILURES, total=TOTAL, max_ratio=1.5)
LATENCY = LatencyGate(name="latency", histogram=BUCKETS)
GATES: dict[str, FailureGate | LatencyGate] = {"limit": LIMIT, "ratio": RATIO, "latency": LATENCY}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def policy(
    *gates: FailureGate | LatencyGate,
    steps: tuple[tuple[float, float], ...] = ((0, 5), (5, 15), (50, 15), (100, 15)),
    dispersion: float = 1.0,
    advance: Advance = Advance.SOAK,
    shortest: float | None = None,
) -> Plan:
    """A plan by (weight, soak in minutes). Evidence may shorten all but the first step with users and the last."""
    first = next(index for index, (weight, _) in enumerate(steps) if weight)
    return Plan(
        service="chat",
        environment="test",
        steps=tuple(
            Step(
                weight=Weight(weight),
                soak=minutes(soak),
                min_soak=minutes(shortest) if shortest is not None and index > first and weight < 100 else None,
            )
            for index, (weight, soak) in enumerate(steps)
        ),
        gates=gates or (LIMIT,),
        dispersion=dispersion,
        advance=advance,
    )


def traffic(plan: Plan, rate: float, *, gate: int = 0, failing: float | None = None) -> Traffic:
    """What a gate of the plan counts at a rate, without any measurement."""
    one = plan.gates[gate]
    assert isinstance(one, FailureGate | LatencyGate)
    found = assumed(one, rate=rate, plan=plan, failing=failing)
    assert not isinstance(found, Unseen)
    return found


def dice(seed: object) -> Dice:
    """Poisson numbers that come out the same again."""
    source = random.Random(str(seed))
    return lambda mean: float(poisson(source, mean))
