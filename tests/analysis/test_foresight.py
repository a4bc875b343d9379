"""Warnings where a policy sees too little: each comes where it should, and its advice helps."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.analysis.expected import Unseen
from rollout.analysis.foresight import Caveat, Foresight, foresee
from rollout.analysis.pace import laps
from rollout.analysis.power import catch
from rollout.core.duration import parse_duration
from rollout.core.gates import FailureGate, LatencyGate
from rollout.core.plan import Advance, Plan, Weight
from tests.analysis.foreseen import LATENCY, LIMIT, RATIO, dice, minutes, policy, traffic


def seen(plan: Plan, rate: float, *, failing: float | None = None, runs: int = 40) -> Foresight:
    found = [traffic(plan, rate, gate=index, failing=failing) for index in range(len(plan.gates))]
    return foresee(plan, found, dice=dice, runs=runs)


def the_caveat(foresight: Foresight, words: str) -> Caveat:
    (found,) = [one for one in foresight.warnings if words in one.what]
    return found


def test_enough_traffic_needs_no_warning_and_no_more_time() -> None:
    foresight = seen(policy(LIMIT, RATIO, LATENCY), 200)
    assert foresight.warnings == ()
    assert [lap.latest for lap in foresight.laps] == [minutes(5), minutes(20), minutes(35), minutes(50)]
    assert not any(lap.held for lap in foresight.laps)


def test_a_step_that_is_too_short_for_its_least_requests_is_named_with_a_soak_and_a_weight_that_do() -> None:
    """5 % of 1 request/s is 45 requests in 15 minutes."""
    plan = policy()
    caveat = the_caveat(seen(plan, 1), "canary requests")
    assert "step 2 (5 %) it gets 45 of the 100" in caveat.what
    assert "so it lasts 34m" in caveat.what
    for longer in re.findall(r"soak of at least (\w+)", caveat.change):
        step = replace(plan.steps[1], soak=parse_duration(longer))
        better = replace(plan, steps=(plan.steps[0], step, *plan.steps[2:]))
        assert not any("healthy verdict" in one.what for one in seen(better, 1).warnings)
    for heavier in re.findall(r"weight of at least ([0-9.]+)", caveat.change):
        step = replace(plan.steps[1], weight=Weight(float(heavier)))
        better = replace(plan, steps=(plan.steps[0], step, *plan.steps[2:]))
        assert not any("healthy verdict" in one.what for one in seen(better, 1).warnings)
    assert "`min_requests: 45`" in caveat.change


def test_patience_ends_before_the_least_requests_are_there() -> None:
    foresight = seen(policy(), 0.1)
    assert "a person is asked after 1h15m" in the_caveat(foresight, "canary requests").what
    assert foresight.laps[1].held
    assert foresight.laps[1].latest == minutes(5 + 15 + 60)


def test_gates_of_which_the_same_is_to_be_said_share_a_warning() -> None:
    caveat = the_caveat(seen(policy(LIMIT, RATIO), 1), "canary requests")
    assert caveat.gates == ("limit", "ratio")


@pytest.mark.parametrize("gate", [LIMIT, LATENCY])
def test_a_fault_that_is_caught_too_late_is_named_with_a_soak_that_catches_it(gate: FailureGate | LatencyGate) -> None:
    plan = policy(gate, dispersion=3)
    rate = 1.0
    caveat = the_caveat(seen(plan, rate), "before 100 %")
    advised = re.search(r"a soak of (\w+) at step 3", caveat.change)
    assert advised is not None
    better = replace(
        plan, steps=(*plan.steps[:2], replace(plan.steps[2], soak=parse_duration(advised[1])), plan.steps[3])
    )
    fault = 0.05 if gate is LIMIT else 1.0
    assert catch(traffic(better, rate), better, fault, dice=dice("better"), runs=100).early >= 0.85


def test_fewer_failures_that_come_together_are_advised_where_that_would_do() -> None:
    assert "`dispersion: 1`" in the_caveat(seen(policy(dispersion=8), 3), "before 100 %").change


def test_an_observed_gate_warns_of_nothing() -> None:
    assert seen(policy(replace(LIMIT, observe=True)), 0.1).warnings == ()


def test_a_stable_release_over_the_limit_is_said() -> None:
    assert "stable itself fails 3 %" in the_caveat(seen(policy(), 50, failing=0.03), "itself").what


def test_what_a_gate_allows_is_not_followed() -> None:
    """With stable at 4 %, half as much again is 6 %: a canary at 5 % is as allowed."""
    (vision,) = seen(policy(RATIO), 50, failing=0.04).visions
    assert [one.fault for one in vision.catches] == [0.2, 1.0]


def test_a_plan_that_never_compares_is_warned_of() -> None:
    caveat = the_caveat(seen(policy(steps=((0, 5), (100, 30))), 50), "between 0 % and 100 %")
    assert caveat.gates == ()


def test_a_gate_that_cannot_be_foreseen_is_told_with_its_reason() -> None:
    plan = policy(LIMIT, LATENCY)
    lost = Unseen(gate=LATENCY, why="no bucket's bound lies where it should")
    foresight = foresee(plan, [traffic(plan, 200), lost], dice=dice, runs=20)
    assert foresight.unseen == (lost,)
    assert "buckets" in the_caveat(foresight, "no bucket").change
    absent = foresee(plan, [traffic(plan, 200), replace(lost, applies=False)], dice=dice, runs=20)
    assert absent.warnings == ()


def evident(dispersion: float = 1.0) -> Plan:
    return policy(
        steps=((0, 5), (5, 30), (25, 30), (50, 30), (100, 30)),
        advance=Advance.EVIDENCE,
        shortest=5,
        dispersion=dispersion,
    )


def test_evidence_shortens_steps_where_there_is_traffic_for_it() -> None:
    """The first step with users and the last are never shortened."""
    plan = evident()
    ends = [lap.likely for lap in laps([traffic(plan, 50)], plan)]
    assert ends == [minutes(5), minutes(35), minutes(40), minutes(45), minutes(75)]
    slower = laps([traffic(plan, 0.5)], plan)
    assert ends[-1] < slower[-1].likely <= slower[-1].latest


def test_evidence_that_cannot_be_had_is_said() -> None:
    caveat = the_caveat(seen(evident(3.0), 0.3), "advance: evidence")
    assert "shortens no step" in caveat.what
    assert not any("advance" in one.what for one in seen(evident(), 50).warnings)


def test_a_gate_that_lacks_evidence_keeps_all_steps_long() -> None:
    """`advance: evidence` needs every gate; a ratio takes far more requests than a limit."""
    plan = replace(evident(3.0), gates=(LIMIT, RATIO))
    paces = laps([traffic(plan, 5), traffic(plan, 5, gate=1)], plan)
    assert paces[2].lacking == ("ratio",)
    assert paces[2].likely - paces[1].likely == minutes(30)


def test_the_warm_up_counts_for_nothing() -> None:
    """Without a step at 0 %, the first two minutes are lost: 2 requests/s at 50 % give 100 in 100 s."""
    plan = policy(steps=((50, 3), (100, 15)))
    (first, _) = laps([traffic(plan, 2)], plan)
    assert first.latest == timedelta(seconds=220)
