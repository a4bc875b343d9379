"""What a policy can and cannot see at a given traffic, with what to change where it sees too little.

It puts together what `power` and `pace` find, and words the warnings. It changes nothing of the policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rollout.analysis.expected import Traffic, Unseen
from rollout.analysis.pace import Lap, laps, needed, until_kept
from rollout.analysis.power import RUNS, SURE, Catch, Dice, catch, caught, likely, smallest, soak_slots, weighing
from rollout.analysis.wording import percent
from rollout.core.duration import compact_duration
from rollout.core.gates import LatencyGate
from rollout.core.plan import EVERYTHING, NOTHING, Advance, Plan, Step

FAILING: Final = (0.05, 0.2, 1.0)
"""The failure rates that are followed through a whole rollout."""
SLOWER: Final = (0.5, 1.0, 3.0)
"""Of a latency gate, how much longer than stable's all durations are."""

LONGEST: Final = timedelta(days=1)
"""A longer soak is no advice."""
_LONGER: Final = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a gate can see within one step."""

    number: int
    """Counted from 1, as people do."""
    requests: float
    """Canary requests in the soak."""
    smallest: float | None
    """The smallest fault that begins with the step and is taken back within its soak, nine times of ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """One gate."""

    traffic: Traffic
    sights: tuple[Sight, ...]
    catches: tuple[Catch, ...]
    """Of the faults that the gate forbids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """Where the policy sees too little, and what to change."""

    gates: tuple[str, ...]
    """None where it is about the plan as a whole."""
    what: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """All that can be said before a rollout."""

    visions: tuple[Vision, ...]
    unseen: tuple[Unseen, ...]
    laps: tuple[Lap, ...]
    warnings: tuple[Caveat, ...]


def foresee(
    plan: Plan, found: Sequence[Traffic | Unseen], *, dice: Callable[[str], Dice], runs: int = RUNS
) -> Foresight:
    """What the plan's gates can see with that traffic.

    `dice` makes the dice for a name, so that what one gate shows does not depend on the others.
    """
    traffics = [one for one in found if isinstance(one, Traffic)]
    unseen = tuple(one for one in found if isinstance(one, Unseen))
    visions = tuple(_vision(traffic, plan, dice, runs) for traffic in traffics)
    paces = laps(traffics, plan)
    warnings = (
        *_blind_spots(unseen),
        *_no_comparison(plan),
        *(warning for vision in visions if not vision.traffic.gate.observe for warning in _of_gate(vision, plan)),
        *_no_evidence(traffics, paces, plan),
    )
    return Foresight(visions=visions, unseen=unseen, laps=paces, warnings=_together(warnings))


def allowed(traffic: Traffic) -> float:
    """The largest fault that the gate lets pass by its limits, or that stable has as well."""
    gate = traffic.gate
    if isinstance(gate, LatencyGate):
        return gate.max_increase
    limits = [gate.max] if gate.max is not None else []
    limits += [gate.max_ratio * traffic.stable] if gate.max_ratio is not None else []
    return max(min(limits), traffic.stable)


def _vision(traffic: Traffic, plan: Plan, dice: Callable[[str], Dice], runs: int) -> Vision:
    faults = SLOWER if isinstance(traffic.gate, LatencyGate) else FAILING
    least = smallest(traffic, plan)
    return Vision(
        traffic=traffic,
        sights=tuple(
            Sight(
                number=number,
                requests=traffic.rate * step.weight.percent / 100 * step.soak.total_seconds(),
                smallest=seen,
            )
            for number, (step, seen) in enumerate(zip(plan.steps, least, strict=True), start=1)
        ),
        catches=tuple(
            catch(traffic, plan, fault, dice=dice(f"{traffic.gate.name} {fault:g}"), runs=runs)
            for fault in faults
            if fault > allowed(traffic)
        ),
    )


def _of_gate(vision: Vision, plan: Plan) -> Iterator[Caveat]:
    yield from _over_its_limit(vision.traffic)
    yield from _too_few(vision.traffic, plan)
    yield from _too_late(vision, plan)


def _together(caveats: Sequence[Caveat]) -> tuple[Caveat, ...]:
    """One for all gates of which the same is to be said."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for caveat in caveats:
        told = (caveat.what, caveat.change)
        found[told] = found.get(told, ()) + caveat.gates
    return tuple(Caveat(gates=gates, what=what, change=change) for (what, change), gates in found.items())


def _blind_spots(unseen: Sequence[Unseen]) -> Iterator[Caveat]:
    for one in unseen:
        if one.applies and not one.gate.observe:
            change = (
                "change the buckets of the histogram as it says, or name another quantile"
                if "bucket" in one.why
                else "check its selectors with `rollout doctor`, or give its rate with --rps"
            )
            yield Caveat(gates=(one.gate.name,), what=one.why, change=change)


def _no_comparison(plan: Plan) -> Iterator[Caveat]:
    if not any(NOTHING < step.weight < EVERYTHING and step.soak for step in plan.steps):
        yield Caveat(
            gates=(),
            what="no step lies between 0 % and 100 %, so no canary is compared with stable, nor caught before "
            "everybody is on it",
            change="add a step, such as { weight: 5, soak: 30m }",
        )


def _over_its_limit(traffic: Traffic) -> Iterator[Caveat]:
    gate = traffic.gate
    if not isinstance(gate, LatencyGate) and gate.max is not None and traffic.stable >= gate.max:
        yield Caveat(
            gates=(gate.name,),
            what=f"stable itself fails {percent(traffic.stable)}, over the limit of {percent(gate.max)}: a canary "
            "that is no better holds every rollout",
            change="a higher `max`, or `max_ratio` in its place",
        )


def _too_few(traffic: Traffic, plan: Plan) -> Iterator[Caveat]:
    """Steps whose soak is over before the gate has its least requests."""
    short: list[tuple[int, Step, timedelta]] = []
    at, users = timedelta(0), False
    for number, step in enumerate(plan.steps, start=1):
        wait = needed(traffic, plan, step, shifted=users, begins=at)
        if wait > step.soak:
            short.append((number, step, wait))
        at, users = at + step.soak, users or step.weight > NOTHING
    if not short:
        return
    number, step, wait = short[0]
    least, per_second = traffic.gate.min_requests, _per_second(traffic, step.weight.percent)
    counted = max(0.0, step.soak.total_seconds() - (wait.total_seconds() - least / per_second))
    got = per_second * counted
    then = f"so it lasts {_span(wait)}"
    if wait > step.soak + plan.patience:
        then = f"and a person is asked after {_span(step.soak + plan.patience)}"
    more = ""
    if len(short) > 1:
        more = f"; step{'s' if len(short) > 2 else ''} {listed([str(one) for one, *_ in short[1:]])} as well"
    longer = f"a soak of at least {_span(wait)}, " if wait <= LONGEST else "a gate with more traffic, "
    weight = least / (traffic.rate * counted) * 100 if counted else math.inf
    heavier = f"a weight of at least {math.ceil(weight * 10) / 10:g}, " if weight <= 100 else ""
    fewer = f"`min_requests: {math.floor(got)}`, " if got >= 20 else ""
    yield Caveat(
        gates=(traffic.gate.name,),
        what=f"in the soak of step {number} ({step.weight}) it gets {_shortly(got)} of the {least:,} canary requests "
        f"that it needs for a healthy verdict, {then}{more}",
        change=f"there, {longer}{heavier}{fewer}or `observe: true`",
    )


def _too_late(vision: Vision, plan: Plan) -> Iterator[Caveat]:
    """A fault that ought to be caught before everybody is on the canary, and is not."""
    traffic = vision.traffic
    slow = isinstance(traffic.gate, LatencyGate)
    fault = SLOWER[1] if slow else FAILING[0]
    done = next((one for one in vision.catches if one.fault == fault), None)
    compared = [row for row, step in enumerate(plan.steps) if NOTHING < step.weight < EVERYTHING and step.soak]
    if done is None or done.early >= SURE or not compared:
        return
    name = "a canary with a doubled latency" if slow else f"a canary that fails {percent(fault)}"
    share = f"{math.floor(done.early * 100)} %"
    remedies = tuple(_remedies(traffic, plan, fault, compared[-1]))
    change = ", or ".join(remedies) if remedies else "no soak of up to a day helps: judge a metric with more traffic"
    yield Caveat(
        gates=(traffic.gate.name,),
        what=f"{name} from the first user on is rolled back before 100 % in only {share} of rollouts",
        change=change,
    )


def _remedies(traffic: Traffic, plan: Plan, fault: float, row: int) -> Iterator[str]:
    step, past = plan.steps[row], weighing(traffic, plan)
    for index in range(row):
        if plan.steps[index].weight > NOTHING:
            for slot in soak_slots(plan, index, plan.steps[index].soak):
                past.add(likely(traffic, plan, slot, traffic.share(traffic.healthy)))
    for times in _LONGER:
        soak = timedelta(minutes=math.ceil(step.soak.total_seconds() * times / 60))
        if soak > LONGEST:
            break
        if caught(traffic, plan, past, tuple(soak_slots(plan, row, soak)), fault):
            yield f"a soak of {_span(soak)} at step {row + 1} ({step.weight})"
            break
    if traffic.dispersion > 1:
        single = replace(traffic, dispersion=1.0)
        least = smallest(single, plan)[row]
        if least is not None and least <= fault:
            yield (
                f"`dispersion: 1` in place of {traffic.dispersion:.2g}, if failures come one by one"
                if any("dispersion" in text for text in traffic.assumed)
                else f"fewer failures that come together (stable's instances show {traffic.dispersion:.2g}, not 1)"
            )


def _no_evidence(traffics: Sequence[Traffic], paces: Sequence[Lap], plan: Plan) -> Iterator[Caveat]:
    """Where evidence may shorten steps, and a gate never has any in time."""
    if plan.advance is not Advance.EVIDENCE:
        return
    open_steps = [row for row, step in enumerate(plan.steps) if _may_be_shortened(plan, row) and step.weight > NOTHING]
    for traffic in traffics:
        lacking = [row for row in open_steps if traffic.gate.name in paces[row].lacking]
        if not open_steps or len(lacking) < len(open_steps):
            continue
        last = plan.steps[open_steps[-1]]
        needs = until_kept(traffic, plan, last.weight)
        got = sum(
            _per_second(traffic, step.weight.percent) * step.soak.total_seconds()
            for step in plan.steps[: open_steps[-1] + 1]
        )
        wants = "more than a million" if needs is None else f"about {_two_digits(needs):,.0f}"
        lower = " a lower `dispersion`, where failures come one by one;" if traffic.dispersion > 1.5 else ""
        yield Caveat(
            gates=(traffic.gate.name,),
            what=f"`advance: evidence` shortens no step: that a healthy canary keeps the limit takes {wants} canary "
            f"requests at {last.weight}, and there are {got:,.0f} by the end of step {open_steps[-1] + 1}",
            change=f"more weight or longer soaks in early steps;{lower} `observe: true`; or `advance: soak`",
        )


def _may_be_shortened(plan: Plan, row: int) -> bool:
    step = plan.steps[row]
    return step.weight < EVERYTHING and step.min_soak is not None and step.min_soak < step.soak


def _per_second(traffic: Traffic, weight: float) -> float:
    return traffic.rate * weight / 100


def _two_digits(value: float) -> float:
    unit = 10.0 ** max(0, math.floor(math.log10(max(value, 1))) - 1)
    return math.ceil(value / unit) * unit


def _shortly(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else "less than 1"


def _span(duration: timedelta) -> str:
    """As rollout.yml takes it: whole minutes, rounded up; seconds below ten minutes."""
    unit = timedelta(seconds=1) if duration < timedelta(minutes=10) else timedelta(minutes=1)
    return compact_duration(-(-duration // unit) * unit)


def listed(parts: Sequence[str]) -> str:
    """Several names as a sentence has them; at least one."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
