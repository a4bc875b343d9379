"""What a gate can see: approximations are held against simulations, block by block as the live loop would look."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.analysis.expected import Traffic
from rollout.analysis.power import Slot, catch, likely, slots, smallest, soak_slots, thrown, weighing
from rollout.core.plan import Plan, Weight
from rollout.core.schedule import timetable
from tests.analysis.foreseen import GATES, LIMIT, RATIO, dice, policy, traffic


def caught_in_step(subject: Traffic, plan: Plan, index: int, fault: float, *, runs: int) -> float:
    """The share of simulated rollouts in which a fault that begins with a step is taken back within its soak."""
    threshold, interval = -math.log(plan.budget), plan.interval.total_seconds()
    past = weighing(subject, plan)
    for before in range(index):
        if plan.steps[before].weight.percent:
            for slot in soak_slots(plan, before, plan.steps[before].soak):
                past.add(likely(subject, plan, slot, subject.share(subject.healthy)))
    begins, step = timetable(plan)[index].begins.total_seconds(), plan.steps[index]
    throw, caught = dice(f"{subject.gate.name} {index} {fault}"), 0
    for _ in range(runs):
        weighed = past.fork()
        for number in range(int(step.soak.total_seconds() / interval)):
            at = begins + number * interval
            shifted = number == 0 and bool(past.blocks)
            slot = Slot(begins=at, ends=at + interval, weight=step.weight, shifted=shifted, warm=True)
            weighed.add(thrown(subject, slot, subject.share(fault), throw))
            if weighed.log_e >= threshold:
                caught += 1
                break
    return caught / runs


@pytest.mark.parametrize(("rate", "dispersion"), [(2.0, 1.0), (5.0, 3.0), (50.0, 1.0)])
@pytest.mark.parametrize("name", GATES)
def test_the_smallest_fault_of_a_step_is_caught_nine_times_of_ten(name: str, rate: float, dispersion: float) -> None:
    """The approximation errs on the safe side: 0.85 at least; a fault a third smaller is not."""
    plan = policy(GATES[name], dispersion=dispersion)
    subject = traffic(plan, rate)
    seen = smallest(subject, plan)
    for index in (1, 2):
        fault = seen[index]
        assert fault is not None
        assert caught_in_step(subject, plan, index, fault, runs=120) >= 0.84
        assert caught_in_step(subject, plan, index, fault * 0.66, runs=60) < 0.9


@pytest.mark.parametrize("name", ["limit", "ratio"])
def test_that_holds_where_blocks_have_hardly_any_request(name: str) -> None:
    """At half a request a second, and at 50 %, a block has four of the canary, and in one that fails it has five."""
    plan = policy(GATES[name], dispersion=3)
    subject = traffic(plan, 0.5)
    fault = smallest(subject, plan)[2]
    assert fault is not None
    assert caught_in_step(subject, plan, 2, fault, runs=200) >= 0.86


def test_nothing_is_seen_without_users_nor_by_comparison_without_stable() -> None:
    plan = policy(LIMIT, RATIO)
    assert smallest(traffic(plan, 50), plan)[0] is None
    assert smallest(traffic(plan, 50), plan)[3] is not None
    ratio = smallest(traffic(plan, 50, gate=1), plan)
    assert (ratio[0], ratio[3]) == (None, None)


@settings(max_examples=15)
@given(rate=st.floats(0.2, 500), more=st.floats(1.2, 10), name=st.sampled_from(sorted(GATES)))
def test_more_traffic_shows_no_less(rate: float, more: float, name: str) -> None:
    """Up to the rounding of whole failures, which a tenth covers."""
    plan = policy(GATES[name])
    for few, many in zip(smallest(traffic(plan, rate), plan), smallest(traffic(plan, rate * more), plan), strict=True):
        assert few is None or (many is not None and many <= few * 1.1)


@pytest.mark.parametrize(("rate", "fault"), [(5.0, 0.05), (5.0, 0.2), (50.0, 0.05), (50.0, 1.0)])
def test_long_blocks_hardly_move_the_median(rate: float, fault: float) -> None:
    """The simulation lets blocks grow with time; here every block is as long as a look."""
    plan = policy()
    subject, runs = traffic(plan, rate), 120
    found = catch(subject, plan, fault, dice=dice("grown"), runs=runs)
    throw, times = dice("plain"), []
    first = timetable(plan)[1].begins.total_seconds()
    for _ in range(runs):
        weighed, at, before = weighing(subject, plan), first, Weight(0)
        for row in timetable(plan)[1:]:
            while at < row.ends.total_seconds():
                shifted, before = before not in (Weight(0), row.step.weight), row.step.weight
                slot = Slot(begins=at, ends=at + 15, weight=row.step.weight, shifted=shifted, warm=True)
                at += 15
                weighed.add(thrown(subject, slot, fault, throw))
                if weighed.log_e >= -math.log(plan.budget):
                    break
            else:
                continue
            times.append(at - first)
            break
    assert found.median is not None
    exact = sorted(times)[runs // 2]
    assert abs(found.median.total_seconds() - exact) <= max(15.0, 0.2 * exact)


def test_a_block_without_a_canary_request_is_no_evidence() -> None:
    """So the simulation need not weigh it."""
    plan = policy(LIMIT)
    subject, with_it, without = traffic(plan, 5), weighing(traffic(plan, 5), plan), weighing(traffic(plan, 5), plan)
    for number, share in enumerate((0.3, 0.0, 0.3, 0.3)):
        weight = Weight(5 if share else 0)
        slot = Slot(begins=15.0 * number, ends=15.0 * number + 15, weight=weight, shifted=False, warm=True)
        block = likely(subject, plan, slot, share)
        with_it.add(block)
        if share:
            without.add(block)
    assert with_it.case.log_e == without.case.log_e > 1


def test_the_same_dice_give_the_same() -> None:
    plan = policy()
    first, second = (catch(traffic(plan, 5), plan, 0.2, dice=dice(1), runs=30) for _ in range(2))
    assert first == second
    assert first != catch(traffic(plan, 5), plan, 0.2, dice=dice(2), runs=30)


def test_a_rollback_that_does_not_come_has_no_time() -> None:
    plan = policy(RATIO)
    found = catch(traffic(plan, 0.05), plan, 0.05, dice=dice(1), runs=20)
    assert (found.median, found.failed, found.early) == (None, None, 0)


@given(
    soaks=st.lists(st.integers(0, 200), min_size=1, max_size=6),
    interval=st.integers(1, 60),
    first=st.sampled_from((0.0, 1.0)),
)
def test_the_blocks_are_the_soaks_with_users(soaks: list[int], interval: int, first: float) -> None:
    """Without a gap, none across a change of weight, and only the first after such a change is shifted."""
    weights = [first + 3 * number for number in range(len(soaks))] + [100.0]
    built = policy(steps=tuple(zip(weights, [*soaks, 10], strict=True)))
    plan = Plan(
        service="chat",
        environment="test",
        steps=built.steps,
        gates=built.gates,
        interval=timedelta(seconds=interval),
    )
    found = list(slots(plan))
    users = [row for row in timetable(plan) if row.step.weight.percent and row.step.soak]
    assert found[0].begins == users[0].begins.total_seconds()
    assert found[-1].ends == users[-1].ends.total_seconds()
    assert not found[0].shifted
    for before, after in itertools.pairwise(found):
        assert before.ends == after.begins < after.ends
        assert after.shifted is (before.weight != after.weight)
