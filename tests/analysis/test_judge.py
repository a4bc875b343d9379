"""Verdicts: what takes a canary back, what holds it, and what may pass."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rollout.analysis.blocks import Counters
from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import Reading, blocks_of, judge
from rollout.core.plan import Gate
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from tests.analysis.traffic import (
    counter,
    counters,
    gate,
    growing,
    judged,
    plan,
    poisson,
    reading,
    second,
    timeline,
)

AT_5 = timeline((0, 5))
Pairs = Sequence[tuple[int, int]]


def one(canary: Pairs, stable: Pairs, *, subject: Gate | None = None, gates: int = 1) -> GateResult:
    """The first gate's result at 5 %, right after the last scrape; the other gates never had a failure."""
    subject = subject or gate()
    others = tuple(gate(name=f"other {index}") for index in range(1, gates))
    quiet = tuple(reading(each, canary=[(20, 0)] * len(canary), stable=[(380, 0)] * len(stable)) for each in others)
    judgement = judged(
        reading(subject, canary=canary, stable=stable),
        *quiet,
        policy=plan(subject, *others),
        when=AT_5,
        now=max(len(canary), len(stable)) + 0.1,
    )
    return judgement.gates[0]


def decided_after(subject: Gate, *, canary: tuple[int, int], stable: tuple[int, int], gates: int) -> int:
    """How many seconds of this traffic it takes."""
    for length in range(1, 60):
        if one([canary] * length, [stable] * length, subject=subject, gates=gates).verdict is Verdict.UNHEALTHY:
            return length
    raise AssertionError("never decided")


# --- a canary that fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", [1, 2, 4])
@pytest.mark.parametrize("weight", [1, 5, 10, 25])
@pytest.mark.parametrize(
    "subject", [gate(), gate(ratio=1.5), gate(limit=0.02, ratio=1.5)], ids=["max", "ratio", "both"]
)
def test_a_canary_that_fails_every_request_is_taken_back_after_two_blocks(
    subject: Gate, weight: int, gates: int
) -> None:
    """Five requests a block are enough as long as stable has at least three quarters of the traffic."""
    stable = (5 * (100 - weight) // weight, 0)
    assert decided_after(subject, canary=(5, 5), stable=stable, gates=gates) == 2


def test_one_block_never_decides() -> None:
    assert one([(10_000, 10_000)], [(100_000, 0)]).verdict is not Verdict.UNHEALTHY


def test_at_half_the_traffic_a_total_failure_takes_ten_requests_a_block() -> None:
    """With as many failures as successes between the versions, each failure shows no more than a coin does."""
    assert decided_after(gate(), canary=(10, 10), stable=(10, 0), gates=4) == 2
    assert decided_after(gate(), canary=(5, 5), stable=(5, 0), gates=4) > 2


def test_the_sentence_of_a_rollback_holds_the_numbers_and_how_rare_they_are() -> None:
    result = one([(20, 4)] * 30, [(380, 1)] * 30)
    assert result.verdict is Verdict.UNHEALTHY
    assert result.sentence == (
        "the canary fails 20 % of 600 requests, stable 0.26 % of 11,400; allowed is at most 2 %; "
        "a canary no worse than allowed would look this bad less than once in 1,000,000 rollouts"
    )
    assert result.log_e >= result.log_threshold == pytest.approx(math.log(100))
    assert (result.canary, result.stable) == (Counts(total=600, failures=120), Counts(total=11_400, failures=30))


def test_the_sentence_of_a_late_fault_counts_from_its_beginning() -> None:
    result = one([(20, 0)] * 200 + [(20, 10)] * 10, [(380, 0)] * 210)
    assert result.verdict is Verdict.UNHEALTHY
    assert "since 12:03:20 UTC the canary fails 50 % of 200 requests, stable 0 % of 3,800" in result.sentence


def test_a_verdict_once_reached_stays() -> None:
    """The evidence counts as it was at its highest: a later lull takes nothing back."""
    bad, lull = [(20, 10)] * 10, [(20, 0)] * 300
    assert one(bad + lull, [(380, 0)] * 310).verdict is Verdict.UNHEALTHY


def test_a_canary_slightly_over_the_ratio_is_only_taken_back_by_a_gate_that_limits_the_ratio() -> None:
    canary, stable = [(200, 3)] * 200, [(3800, 8)] * 200
    assert one(canary, stable, subject=gate()).verdict is Verdict.HEALTHY
    assert one(canary, stable, subject=gate(limit=0.02, ratio=1.5)).verdict is Verdict.UNHEALTHY
    assert one(canary, stable, subject=gate(ratio=1.5)).verdict is Verdict.UNHEALTHY


def test_more_gates_make_each_gate_slower_and_observed_gates_cost_nothing() -> None:
    policy = plan(gate(), gate(name="watched", observe=True), gate(name="second"))
    good = [(20, 0)] * 5
    readings = tuple(reading(each, canary=good, stable=good) for each in policy.gates)
    got = judged(*readings, policy=policy, when=AT_5, now=5)
    assert [result.log_threshold for result in got.gates] == [pytest.approx(math.log(200))] * 3


def test_an_observed_gate_tells_and_does_not_act() -> None:
    watched = gate(name="watched", observe=True)
    policy = plan(gate(), watched)
    got = judged(
        reading(gate(), canary=[(20, 0)] * 10, stable=[(380, 0)] * 10),
        reading(watched, canary=[(20, 20)] * 10, stable=[(380, 0)] * 10),
        policy=policy,
        when=AT_5,
        now=10,
    )
    assert got.verdict is Verdict.HEALTHY
    assert [(result.verdict, result.observe) for result in got.gates] == [
        (Verdict.HEALTHY, False),
        (Verdict.UNHEALTHY, True),
    ]


# --- a cause that both versions share -----------------------------------------------------------------------------


def test_an_incident_that_hits_both_versions_holds_and_says_so() -> None:
    result = one([(20, 6)] * 60, [(380, 114)] * 60)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence == (
        "the canary fails 30 % of 1,200 requests, and allowed is at most 2 %; "
        "stable is failing too, 30 % of 22,800: the cause may be shared"
    )


def test_a_hold_ends_when_the_incident_does() -> None:
    incident, calm = ([(20, 6)] * 10, [(380, 114)] * 10), ([(20, 0)] * 300, [(380, 0)] * 300)
    result = one(incident[0] + calm[0], incident[1] + calm[1])
    assert result.verdict is Verdict.HEALTHY


def test_two_thirds_of_failures_on_both_sides_are_no_catastrophe_of_the_canary() -> None:
    assert one([(30, 20)] * 60, [(570, 380)] * 60).verdict is Verdict.INCONCLUSIVE


def test_a_canary_within_the_allowed_ratio_is_no_catastrophe_however_much_fails() -> None:
    """Forty percent against thirty: more than a quarter fails, and 1.5 times stable's rate is allowed."""
    result = one([(100, 40)] * 120, [(1900, 570)] * 120, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.HEALTHY
    assert one([(100, 60)] * 120, [(1900, 570)] * 120, subject=gate(ratio=1.5)).verdict is Verdict.UNHEALTHY


# --- all traffic on the canary ------------------------------------------------------------------------------------


def at_100(canary: Pairs, *, subject: Gate, warm_up: float = 0, deployed: float = 0) -> GateResult:
    """Ten good seconds at 50 %, then these with all traffic and a stable release that is scraped and idle."""
    before = [(100, 1)] * 10
    policy = plan(subject, warm_up=warm_up)
    got = judged(
        reading(subject, canary=[*before, *canary], stable=before + [(0, 0)] * len(canary)),
        policy=policy,
        when=timeline((0, 50), (10, 100), deployed=deployed),
        now=10 + len(canary),
    )
    return got.gates[0]


def test_at_all_traffic_the_absolute_limit_decides_alone() -> None:
    result = at_100([(100, 40)] * 5, subject=gate())
    assert result.verdict is Verdict.UNHEALTHY
    assert "which has all traffic, fails 40 % of" in result.sentence
    assert at_100([(100, 1)] * 5, subject=gate()).verdict is Verdict.HEALTHY


def test_at_all_traffic_a_total_failure_is_taken_back_after_two_blocks_even_in_warm_up() -> None:
    assert at_100([(5, 5)] * 2, subject=gate(), warm_up=3600).verdict is Verdict.UNHEALTHY


def test_a_first_release_is_judged_by_its_limit_alone() -> None:
    subject = gate()

    def verdict(failures: int) -> Judgement:
        alone = reading(subject, canary=[(100, failures)] * 5)
        return judged(alone, policy=plan(subject), when=timeline((0, 100)), now=5)

    assert verdict(40).verdict is Verdict.UNHEALTHY
    good = verdict(1)
    assert (good.verdict, good.until) == (Verdict.HEALTHY, second(5))
    assert good.gates[0].sentence.startswith("the canary fails 1 % of 500 requests, and stable served nothing")


def test_at_all_traffic_a_ratio_learns_nothing_new_and_says_so() -> None:
    result = at_100([(100, 40)] * 5, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.HEALTHY
    assert result.sentence.startswith("the canary has all traffic, so there is nothing new to compare it with; before")


# --- warm-up ------------------------------------------------------------------------------------------------------


def warming(canary: Pairs, stable: Pairs, *, now: float) -> GateResult:
    policy = plan(gate(), warm_up=60)
    return judged(reading(gate(), canary=canary, stable=stable), policy=policy, when=AT_5, now=now).gates[0]


def test_errors_while_warming_up_are_forgiven() -> None:
    """Ten percent for a minute, and good from then on."""
    cold, warm = [(50, 5)] * 60, [(50, 0)] * 60
    result = warming(cold, [(950, 0)] * 60, now=59.5)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("the canary warms up until 12:01:00 UTC")
    assert warming(cold + warm, [(950, 0)] * 120, now=120).verdict is Verdict.HEALTHY


def test_a_catastrophe_while_warming_up_is_not() -> None:
    assert warming([(5, 5)] * 2, [(95, 0)] * 2, now=2).verdict is Verdict.UNHEALTHY


# --- too little data ----------------------------------------------------------------------------------------------


def test_too_few_requests_are_inconclusive_with_their_number() -> None:
    result = one([(1, 0)] * 9, [(19, 0)] * 9)
    assert (result.verdict, result.sentence) == (
        Verdict.INCONCLUSIVE,
        "only 9 of 10 requests at this step so far",
    )
    assert one([(1, 0)] * 10, [(19, 0)] * 10).verdict is Verdict.HEALTHY


def test_requests_of_an_earlier_step_do_not_count_for_this_one() -> None:
    subject = gate()
    when = timeline((0, 5), (20, 25))
    many = reading(subject, canary=[(20, 0)] * 20 + [(1, 0)] * 4, stable=[(380, 0)] * 24)
    got = judged(many, policy=plan(subject), when=when, now=24)
    assert got.gates[0].sentence == "only 4 of 10 requests at this step so far"


def test_a_weight_that_was_not_seen_yet_has_no_requests() -> None:
    subject = gate()
    when = replace(AT_5, seen_at=None)
    got = judged(reading(subject, canary=[(20, 0)] * 9, stable=[(380, 0)] * 9), policy=plan(subject), when=when, now=9)
    assert got.gates[0].sentence == "only 0 of 10 requests at this step so far"


def test_at_weight_0_no_requests_are_needed() -> None:
    subject = gate()
    got = judged(reading(subject, stable=[(400, 0)] * 9), policy=plan(subject), when=timeline((0, 0)), now=9)
    assert (got.verdict, got.gates[0].sentence) == (Verdict.HEALTHY, "the canary has no traffic yet")
    assert got.until == second(9)


def test_at_weight_0_the_requests_of_a_few_testers_are_enough() -> None:
    subject = gate()
    few = reading(subject, canary=[(1, 0)] * 3, stable=[(400, 0)] * 3)
    assert judged(few, policy=plan(subject), when=timeline((0, 0)), now=3).verdict is Verdict.HEALTHY


def test_a_ratio_without_stable_requests_is_not_healthy() -> None:
    result = one([(20, 0)] * 9, [(0, 0)] * 9, subject=gate(ratio=1.5))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("stable served no requests at this step")


def test_stable_without_series_cannot_be_compared_with() -> None:
    result = one([(20, 0)] * 9, [])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence.startswith("stable has no series")
    failing = one([(20, 20)] * 9, [])
    assert failing.verdict is Verdict.INCONCLUSIVE
    assert failing.sentence.endswith("stable has no requests to compare with")


def test_failures_that_exceed_the_total_again_and_again_accuse_the_selectors() -> None:
    result = one([(1, 5)] * 9, [(380, 0)] * 9)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.sentence == "failures exceed total in 9 of 9 blocks: check the selectors"
    once = one([(20, 0)] * 5 + [(0, 1)], [(380, 0)] * 6)
    assert once.verdict is Verdict.HEALTHY


# --- blind --------------------------------------------------------------------------------------------------------


def seen(subject: Reading, *, now: float, weight: float = 5, interval: float = 1.0) -> Judgement:
    return judged(subject, policy=plan(subject.gate, interval=interval), when=timeline((0, weight)), now=now)


GOOD = [(20, 0)] * 20
GOOD_STABLE = [(380, 0)] * 20


def test_a_source_that_is_away_is_blind_with_its_reason() -> None:
    got = seen(reading(gate(), problem="the server does not answer"), now=20)
    assert got.verdict is Verdict.BLIND
    assert got.reason == "http 5xx: the metrics cannot be had: the server does not answer"
    assert got.until is None


@pytest.mark.parametrize("version", ["canary", "stable"])
def test_a_version_whose_samples_stop_makes_blind_after_ten_seconds(version: str) -> None:
    full = reading(gate(), canary=GOOD, stable=GOOD_STABLE)
    short = reading(gate(), canary=GOOD[:10], stable=GOOD_STABLE[:10])
    stopped = (
        replace(full, canary=short.canary, stable=full.stable)
        if version == "canary"
        else replace(full, stable=short.stable)
    )
    assert seen(stopped, now=20).verdict is Verdict.HEALTHY
    got = seen(stopped, now=20.6)
    assert (got.verdict, got.gates[0].sentence) == (Verdict.BLIND, f"the newest sample of {version} is 11 s old")
    assert got.until == second(10)


def test_with_rare_looks_blindness_takes_four_of_them() -> None:
    full = reading(gate(), canary=GOOD, stable=GOOD_STABLE)
    assert seen(full, now=79, interval=15).verdict is Verdict.HEALTHY
    assert seen(full, now=81, interval=15).verdict is Verdict.BLIND


def test_once_the_canary_has_all_traffic_stable_may_fall_silent() -> None:
    subject = reading(gate(), canary=[(20, 0)] * 40, stable=GOOD_STABLE)
    assert judged(subject, policy=plan(gate()), when=timeline((0, 50), (15, 100)), now=40).verdict is Verdict.HEALTHY


def test_evidence_that_is_there_decides_even_if_the_samples_stopped() -> None:
    got = seen(reading(gate(), canary=[(20, 20)] * 5, stable=[(380, 0)] * 5), now=60)
    assert got.verdict is Verdict.UNHEALTHY


def test_a_canary_without_series_is_waited_for_and_then_missed() -> None:
    early = seen(reading(gate(), stable=GOOD_STABLE[:10]), now=10)
    assert (early.verdict, early.gates[0].sentence) == (
        Verdict.INCONCLUSIVE,
        "the canary has no series that the selectors name yet",
    )
    late = seen(reading(gate(), stable=GOOD_STABLE), now=20)
    assert late.verdict is Verdict.BLIND
    assert late.gates[0].sentence.startswith("the canary has had traffic for 20 s")


def test_a_counter_that_only_shows_nan_is_no_series() -> None:
    silent = Counters(total=(counter([math.nan] * 20, instance="two"),))
    got = seen(replace(reading(gate(), stable=GOOD_STABLE), canary=silent), now=20)
    assert got.verdict is Verdict.BLIND


def test_samples_from_the_future_tell_of_clocks_that_differ() -> None:
    got = seen(reading(gate(), canary=[(20, 20)] * 20, stable=GOOD_STABLE), now=15)
    assert got.verdict is Verdict.BLIND
    assert got.gates[0].sentence.startswith("the newest sample of canary is 5 s in the future")


def test_what_an_earlier_canary_left_behind_is_not_this_one() -> None:
    """Its samples ended before the start, and it carried no release label."""
    old = Counters(total=(growing([20] * 5, first=-60, instance="old"),))
    got = seen(replace(reading(gate(), stable=GOOD_STABLE), canary=old), now=20, weight=0)
    assert got.verdict is Verdict.HEALTHY
    assert got.gates[0].canary.total == 0


def test_failures_of_another_release_under_the_same_version_do_not_reach_this_one() -> None:
    former = growing([20] * 20, instance="two", code="500", release="v1.9")
    mine = counters([n for n, _ in GOOD], [0] * 20, instance="two")
    got = seen(
        replace(
            reading(gate(), stable=GOOD_STABLE),
            canary=Counters(total=(*mine.total, former), failures=(*mine.failures, former)),
        ),
        now=20,
    )
    assert (got.verdict, got.gates[0].canary) == (Verdict.HEALTHY, Counts(total=400))


# --- gates that do not apply --------------------------------------------------------------------------------------


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


# --- the whole ----------------------------------------------------------------------------------------------------


def test_the_same_data_always_lead_to_the_same_verdict() -> None:
    subject = reading(gate(), canary=[(20, 1)] * 20, stable=GOOD_STABLE)
    assert seen(subject, now=20) == seen(subject, now=20)


def test_the_blocks_that_a_chart_shows_are_those_that_are_judged() -> None:
    subject = reading(gate(), canary=[(20, 1)] * 20, stable=GOOD_STABLE)
    blocks = blocks_of(subject, plan=plan(gate()), timeline=AT_5, canary_release="v2", stable_release="v1")
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


def simulated(
    dice: random.Random, *, seconds: int, canary: float, stable: float, requests: float = 200.0, weight: float = 5
) -> tuple[Pairs, Pairs]:
    n, m = requests * weight / 100, requests * (100 - weight) / 100

    def version(mean: float, rate: float) -> Pairs:
        made = [poisson(dice, mean) for _ in range(seconds)]
        return [(count, min(count, poisson(dice, count * rate))) for count in made]

    return version(n, canary), version(m, stable)


@pytest.mark.parametrize(
    "subject", [gate(), gate(ratio=1.5), gate(limit=0.02, ratio=1.5)], ids=["max", "ratio", "both"]
)
def test_a_canary_like_stable_is_hardly_ever_taken_back(subject: Gate) -> None:
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
