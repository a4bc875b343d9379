"""Evidence that the limits are kept, which may end a step early: weighed like that against them, and never instead."""

from __future__ import annotations

import math
import random

import pytest

from rollout.analysis.clauses import Weighing
from rollout.analysis.readings import Reading
from rollout.core.gates import FailureGate
from rollout.core.plan import Advance
from rollout.core.verdict import Judgement, Verdict
from tests.analysis.histogram import histogram, latency, lognormal, served
from tests.analysis.test_clauses import BETA, BUDGET, weighed
from tests.analysis.traffic import Pairs, block, gate, judged, plan, reading, timeline
from tests.analysis.verdicts import AT_5

ENOUGH = math.log(20)
"""What a beta of 5 % asks for."""


def verdict(
    canary: Pairs, stable: Pairs, *, subject: FailureGate | None = None, advance: Advance = Advance.EVIDENCE
) -> Judgement:
    subject = subject or gate()
    policy = plan(subject, advance=advance, dispersion=1.0)
    now = len(canary) + 0.5
    return judged(reading(subject, canary=canary, stable=stable), policy=policy, when=AT_5, now=now)


def test_a_limit_is_shown_to_be_kept_by_some_two_hundred_requests_without_a_failure() -> None:
    """The documentation says 190 for 2 %: as many as one alternative needs, and a little for the mixture."""
    needed = next(
        n for n in range(1, 2000) if weighed(gate(), [block(0, (n, 0), (19 * n, 1))], advance=True).log_kept >= ENOUGH
    )
    assert 150 <= needed <= 400


def test_a_healthy_canary_may_advance_and_one_at_its_limit_may_not() -> None:
    assert verdict([(50, 0)] * 20, [(950, 1)] * 20).advance
    at_limit = verdict([(50, 1)] * 20, [(950, 19)] * 20)
    assert (at_limit.verdict, at_limit.advance) == (Verdict.HEALTHY, False)
    assert not verdict([(50, 0)] * 2, [(950, 1)] * 2).advance, "too little has been seen"


def test_without_the_policy_nothing_advances() -> None:
    assert not verdict([(50, 0)] * 20, [(950, 1)] * 20, advance=Advance.SOAK).advance


def test_every_limit_of_a_gate_must_be_shown_to_be_kept() -> None:
    """0.5 % of stable's 0.5 %: clearly below 2 %, and not shown to be below 1.5 times stable's."""
    both = gate(limit=0.02, ratio=1.5)
    canary, stable = [(200, 1)] * 20, [(3800, 19)] * 20
    assert verdict(canary, stable, subject=gate()).advance
    assert not verdict(canary, stable, subject=both).advance
    assert verdict([(200, 0)] * 60, [(3800, 19)] * 60, subject=both).advance


def test_every_gate_must_have_shown_it_too_but_for_those_that_only_watch() -> None:
    good, poor = ([(50, 0)] * 20, [(950, 1)] * 20), ([(1, 0)] * 20, [(19, 0)] * 20)
    for observe in (True, False):
        second_gate = gate(name="second", observe=observe)
        got = judged(
            reading(gate(), canary=good[0], stable=good[1]),
            reading(second_gate, canary=poor[0], stable=poor[1]),
            policy=plan(gate(), second_gate, advance=Advance.EVIDENCE, dispersion=1.0),
            when=AT_5,
            now=20.5,
        )
        assert got.advance is observe


def test_a_gate_that_does_not_apply_stands_in_nobodys_way() -> None:
    absent = gate(name="absent", if_present=True)
    got = judged(
        reading(gate(), canary=[(50, 0)] * 20, stable=[(950, 1)] * 20),
        reading(absent),
        policy=plan(gate(), absent, advance=Advance.EVIDENCE, dispersion=1.0),
        when=AT_5,
        now=20.5,
    )
    assert got.advance


def test_at_all_traffic_the_last_step_is_never_shortened() -> None:
    """Nothing is compared any more."""
    canary = [(50, 0)] * 40
    got = judged(
        reading(gate(), canary=canary, stable=[(50, 0)] * 20 + [(0, 0)] * 20),
        policy=plan(gate(), advance=Advance.EVIDENCE, dispersion=1.0),
        when=timeline((0, 50), (20, 100)),
        now=40.5,
    )
    assert (got.verdict, got.advance) == (Verdict.HEALTHY, False)


def test_what_is_shown_is_lost_when_the_canary_begins_to_fail() -> None:
    good, bad = [(50, 0)] * 20, [(50, 3)] * 40
    assert not verdict(good + bad, [(950, 1)] * 60, subject=gate(limit=0.02)).advance


def test_a_canary_at_its_limit_is_let_through_no_more_often_than_beta_says() -> None:
    """200 rollouts of 60 blocks at exactly 2 %: at any look of any of them the evidence may have reached 20."""
    dice, passed = random.Random(23), 0
    for _ in range(200):
        weighing = Weighing(gate(), budget=BUDGET, beta=BETA, dispersion=1.0, advance=True)
        failures = [sum(dice.random() < 0.02 for _ in range(40)) for _ in range(60)]
        kept = []
        for i, failed in enumerate(failures):
            weighing.add(block(i, (40, failed), (760, 3)))
            kept.append(weighing.case.log_kept)
        passed += max(kept) >= ENOUGH
    assert passed <= 10


@pytest.mark.parametrize(("slower", "advances"), [(1.0, True), (1.3, False)])
def test_a_latency_limit_is_shown_to_be_kept_as_well(slower: float, advances: bool) -> None:
    dice, subject = random.Random(29), latency()
    canary = histogram(served(60, 100, lambda: slower * lognormal(dice)), instance="two")
    stable = histogram(served(90, 400, lambda: lognormal(dice)), instance="one", first=-30)
    got = judged(
        Reading(gate=subject, canary=canary, stable=stable),
        policy=plan(subject, advance=Advance.EVIDENCE, dispersion=1.0),
        when=AT_5,
        now=60.5,
    )
    assert got.advance is advances
