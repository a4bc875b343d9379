"""The verb `plan`: the timetable of a policy, and what its gates can see at the traffic there is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from rich.console import Console

from rollout import compose
from rollout.analysis.expected import Traffic, Unseen, assumed, measured
from rollout.analysis.foresight import Foresight, foresee
from rollout.analysis.power import Dice
from rollout.cli import documents
from rollout.cli.opening import now, open_service
from rollout.config import Configuration
from rollout.core.gates import FailureGate, LatencyGate, QueryGate
from rollout.core.plan import Plan
from rollout.errors import ConfigurationError
from rollout.reading import read_gates
from rollout.report.foresight import foresight_view
from rollout.report.timetable import timetable_view
from rollout.settings import parse_percent

if TYPE_CHECKING:
    from rollout.cli.parser import Call

PATIENCE: Final = timedelta(seconds=1)
"""How long a source may fail to answer before the other gates are not asked about."""
SEED: Final = "rollout plan"
"""What every simulation begins with, so that two runs print the same."""

Judged = FailureGate | LatencyGate
_Value = TypeVar("_Value")


def plan(call: Call) -> int:
    """The timetable of a rollout by this configuration, and what the policy can see."""
    configuration = open_service(call).configuration
    policy = configuration.plan
    gates = tuple(gate for gate in policy.gates if not isinstance(gate, QueryGate))
    rates = _by_gate(call.arguments.rps, "--rps", gates, _rate)
    failing = _by_gate(call.arguments.failing, "--failing", gates, parse_percent)
    found = _traffics(configuration, gates, rates, failing)
    foresight, hint = None, ""
    if any(isinstance(one, Traffic) for one in found):
        foresight = foresee(policy, found, dice=_dice)
    elif found:
        hint = _hint(found)
    if call.json:
        print(documents.plan(policy, foresight, hint))
    else:
        _show(policy, foresight, hint)
    return 0


def _show(policy: Plan, foresight: Foresight | None, hint: str) -> None:
    console = Console()
    console.print(timetable_view(policy))
    if foresight is not None:
        console.print(foresight_view(policy, foresight))
    if hint:
        console.print(hint, markup=False, highlight=False)


def _hint(found: Sequence[Traffic | Unseen]) -> str:
    why = next((one.why for one in found if isinstance(one, Unseen)), "")
    return f"What the policy can see is not told, as {why}. Say how many requests/s there are: rollout plan --rps 50"


def _traffics(
    configuration: Configuration,
    gates: Sequence[Judged],
    rates: Mapping[str, float],
    failing: Mapping[str, float],
) -> tuple[Traffic | Unseen, ...]:
    """What each gate will count. The source is asked unless every rate is given."""
    policy = configuration.plan
    if all(gate.name in rates for gate in gates):
        return tuple(
            assumed(gate, rate=rates[gate.name], plan=policy, failing=failing.get(gate.name)) for gate in gates
        )
    source, began = compose.source_of(configuration), now()
    answered, problem = False, ""
    found: list[Traffic | Unseen] = []
    for gate in gates:
        one: Traffic | Unseen = Unseen(gate=gate, why=f"the metrics cannot be had: {problem}")
        if answered or not problem or now() - began < PATIENCE:
            moment = now()
            (reading,) = read_gates(source, replace(policy, gates=(gate,)), start=moment, until=moment, clock=now)
            answered, problem = answered or not reading.problem, reading.problem or problem
            one = measured(reading, plan=policy, now=moment, rate=rates.get(gate.name))
        if isinstance(one, Unseen) and gate.name in rates:
            one = assumed(gate, rate=rates[gate.name], plan=policy)
        if isinstance(one, Traffic) and gate.name in failing:
            one = replace(
                one,
                stable=failing[gate.name],
                assumed=tuple(text for text in one.assumed if not text.startswith("stable fails")),
            )
        found.append(one)
    return tuple(found)


def _by_gate(
    given: Sequence[str] | None, flag: str, gates: Sequence[Judged], parse: Callable[[str], _Value]
) -> dict[str, _Value]:
    """What was given for every gate (`5`) and by name (`http 5xx=5`). Raises ConfigurationError."""
    able = [gate.name for gate in gates if flag == "--rps" or isinstance(gate, FailureGate)]
    everywhere: dict[str, _Value] = {}
    named: dict[str, _Value] = {}
    for text in given or ():
        name, equals, value = text.rpartition("=")
        if equals and name.strip() not in able:
            known = ", ".join(able) or "none"
            raise ConfigurationError(
                f"{flag} names {name.strip()!r}, which is no such gate", hint=f"there are: {known}"
            )
        try:
            parsed = parse(value.strip())
        except ValueError as wrong:
            raise ConfigurationError(f"{flag} {text}: {wrong}", hint=f"write {_EXAMPLES[flag]}") from None
        if equals:
            named[name.strip()] = parsed
        else:
            everywhere = dict.fromkeys(able, parsed)
    return {**everywhere, **named}


_EXAMPLES: Final = {
    "--rps": '--rps 50, or for one gate --rps "http 5xx=50"',
    "--failing": '--failing 0.2%, or for one gate --failing "http 5xx=0.2%"',
}


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise ValueError("this is no number of requests per second") from None
    if not 1e-6 <= rate <= 1e7:
        raise ValueError("a rate is above 0, from a request in twelve days to 10,000,000 per second")
    return rate


def _dice(name: str) -> Dice:
    """Poisson numbers: exact up to a mean of 30 (Knuth's product), a rounded normal number above."""
    source = random.Random(f"{SEED} {name}")  # noqa: S311 - a simulation, which must come out the same again

    def throw(mean: float) -> float:
        if mean > 30:
            return float(max(0, round(source.gauss(mean, math.sqrt(mean)))))
        limit, count, product = math.exp(-mean), 0, source.random()
        while product > limit:
            count, product = count + 1, product * source.random()
        return float(count)

    return throw
