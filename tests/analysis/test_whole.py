"""Gates together: those that do not apply, the same data, and whole simulated rollouts."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import blocks_of, judge
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate
from rollout.core.verdict import Verdict
from tests.analysis.traffic import (
    gate,
    growing,
    judged,
    plan,
    reading,
    second,
    simulated,
)
from tests.analysis.verdicts import AT_5, GOOD, GOOD_STABLE, one, seen


def test_a_built_in_gate_without_its_metric_is_left_out_of_the_verdict() -> None:
    llm = gate(name="llm", ratio=1.5, if_present=True)
    got = judged(
        reading(gate(), canary=GOOD, stable=GOOD_STABLE),
        reading(llm),
        policy=plan(gate(), llm),
        when=AT_5,
        now=20,
    )
    assert got.verdict is Verdict.HEALTHY
    assert got.gates[1].sentence == "not measured: neither version has such a series"
    assert got.gates[0].log_threshold == pytest.approx(math.log(200)), "its budget stays reserved"
    assert got.until == second(20)


def test_a_built_in_gate_that_could_not_be_asked_is_blind_all_the_same() -> None:
    llm = gate(name="llm", ratio=1.5, if_present=True)
    assert seen(reading(llm, problem="the server does not answer"), now=20).verdict is Verdict.BLIND


def test_every_gate_of_the_plan_needs_a_reading() -> None:
    with pytest.raises(ValueError, match="no reading for http 5xx"):
        judged(policy=plan(gate()), when=AT_5, now=1)


def test_the_same_data_always_lead_to_the_same_verdict() -> None:
    subject = reading(gate(), canary=[(20, 1)] * 20, stable=GOOD_STABLE)
    assert seen(subject, now=20) == seen(subject, now=20)


def test_the_blocks_that_a_chart_shows_are_those_that_are_judged() -> None:
    subject = reading(gate(), canary=[(20, 1)] * 20, stable=GOOD_STABLE)
    blocks = blocks_of(
        subject, plan=plan(gate()), timeline=AT_5, canary_release="v2", stable_release="v1", now=second(20)
    )
    assert sum(block.canary.failures for block in blocks) == seen(subject, now=20).gates[0].canary.failures == 20


def test_the_scrape_intervals_of_real_life_lose_no_evidence() -> None:
    """Looked at each second, scraped every five seconds at different offsets: two scrapes decide."""
    subject = gate()
    canary = Counters(
        total=(growing([25, 25], first=0.5, every=5, instance="two"),),
        failures=(growing([25, 25], first=0.5, every=5, instance="two", code="500"),),
    )
    stable = Counters(total=(growing([475, 475, 475], first=-2.5, every=5, instance="one"),))
    got = judged(Reading(gate=subject, canary=canary, stable=stable), policy=plan(subject), when=AT_5, now=13)
    assert got.verdict is Verdict.UNHEALTHY


@pytest.mark.parametrize(
    "subject", [gate(), gate(ratio=1.5), gate(limit=0.02, ratio=1.5)], ids=["max", "ratio", "both"]
)
def test_a_canary_like_stable_is_hardly_ever_taken_back(subject: FailureGate) -> None:
    """60 rollouts of two minutes with independent failures, against a budget of 1 %."""
    dice = random.Random(7)
    taken = 0
    for _ in range(60):
        canary, stable = simulated(dice, seconds=120, canary=0.01, stable=0.01)
        taken += one(canary, stable, subject=subject).verdict is Verdict.UNHEALTHY
    assert taken <= 1


@pytest.mark.parametrize(
    ("rate", "most"),
    [(0.2, 12), (0.5, 4), (1.0, 2)],
)
def test_bad_canaries_are_found_in_seconds(rate: float, most: int) -> None:
    """The median of 21 rollouts with 10 canary requests a second."""
    dice = random.Random(11)
    found = []
    for _ in range(21):
        canary, stable = simulated(dice, seconds=40, canary=rate, stable=0.002)
        found.append(
            next(
                length for length in range(1, 41) if one(canary[:length], stable[:length]).verdict is Verdict.UNHEALTHY
            )
        )
    assert sorted(found)[10] <= most


def test_a_sample_without_values_changes_nothing() -> None:
    subject = reading(gate(), canary=GOOD, stable=GOOD_STABLE)
    empty = Series(labels={"job": "chat", "instance": "two"}, samples=())
    odd = Series(labels={"job": "chat", "instance": "three"}, samples=(Sample(at=second(3), value=-1.0),))
    more = replace(
        subject, canary=Counters(total=(*subject.canary.total, empty, odd), failures=subject.canary.failures)
    )
    assert seen(more, now=20) == seen(subject, now=20)


def test_nothing_is_judged_without_gates() -> None:
    policy = replace(plan(gate()), gates=())
    got = judge(policy, (), timeline=AT_5, canary_release="v2", stable_release="v1", now=second(1))
    assert got.verdict is Verdict.HEALTHY
