"""What each gate will count in a rollout that has not begun: measured on stable, or assumed where nobody can know yet.

It foresees nothing: what the gate can show with these counts is for `power`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series, growth
from rollout.analysis.histograms import Cut, Tail, choose
from rollout.analysis.readings import Counters, Reading
from rollout.analysis.trial import LONG_AGO, Trial, bound_of, by_bound
from rollout.core.gates import FailureGate, LatencyGate, QueryGate
from rollout.core.plan import Plan, Weight

BELOW_THE_LIMIT: Final = 0.1
"""How often stable is assumed to fail, as a part of the gate's `max`."""
WITHOUT_A_LIMIT: Final = 0.01
"""How often stable is assumed to fail at a gate that has no `max`, as a ratio."""
SPREAD: Final = 0.6
"""The standard deviation of the logarithm of durations, where they are assumed."""

_ASSUMED_P95: Final = 0.4
_ASSUMED_REQUESTS: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one gate will count, as far as that can be known before a rollout."""

    gate: FailureGate | LatencyGate
    rate: float
    """Requests per second of all users, whichever version serves them."""
    stable: float
    """The share of stable's requests that count as failed; of a latency gate, those that may be slow by its limit."""
    dispersion: float
    """What the evidence is divided by."""
    given: bool = False
    """The rate was not measured."""
    assumed: tuple[str, ...] = ()
    """What was not measured, each in a few words."""
    durations: Mapping[float, float] | None = None
    """Of a latency gate: stable's cumulative counts by upper bound in seconds."""
    cut: Cut | None = None
    """Of a latency gate: where slow begins."""

    def share(self, fault: float) -> float:
        """The share of the canary's requests that count as failed with a fault, as a ratio.

        A fault is a failure rate; of a latency gate, how much longer than stable's all durations are, as a ratio.
        """
        if self.cut is None or self.durations is None:
            return fault
        return min(1.0, Tail(self.durations).above(self.cut.bound / (1 + fault)))

    @property
    def healthy(self) -> float:
        """The fault of a canary that is exactly as good as stable."""
        return 0.0 if isinstance(self.gate, LatencyGate) else self.stable


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A gate of which nothing can be foreseen."""

    gate: FailureGate | LatencyGate
    why: str
    applies: bool = True
    """Whether it takes part at all: a gate of the built-in policy does only where its metric is there."""


def assumed(
    gate: FailureGate | LatencyGate, *, rate: float, plan: Plan, failing: float | None = None
) -> Traffic | Unseen:
    """What the gate counts at a rate of all users in requests per second, without any measurement.

    `failing` is stable's failure rate as a ratio, where that is known.
    """
    dispersion = f"dispersion {plan.dispersion:g}, as configured"
    if isinstance(gate, LatencyGate):
        durations = _durations()
        cut = choose(durations, quantile=gate.quantile, max_increase=gate.max_increase)
        return Traffic(
            gate=gate,
            rate=rate,
            given=True,
            stable=Tail(durations).above(cut.bound / (1 + gate.max_increase)),
            dispersion=plan.dispersion,
            assumed=("buckets that suit it", "log-normal durations", dispersion),
            durations=durations,
            cut=cut,
        )
    stable = failing if failing is not None else WITHOUT_A_LIMIT if gate.max is None else gate.max * BELOW_THE_LIMIT
    fails = () if failing is not None else (f"stable fails {stable * 100:.2g} %",)
    return Traffic(
        gate=gate, rate=rate, given=True, stable=stable, dispersion=plan.dispersion, assumed=(*fails, dispersion)
    )


def measured(reading: Reading, *, plan: Plan, now: datetime, rate: float | None = None) -> Traffic | Unseen:
    """What the gate counts by what both versions counted up to `now`; `rate` takes the place of the measured one.

    How often stable fails, how unevenly its instances do, and which bucket can serve come from the same code that
    judges the rollout.
    """
    gate = reading.gate
    assert not isinstance(gate, QueryGate)
    if reading.problem:
        return Unseen(gate=gate, why=f"the metrics cannot be had: {reading.problem}")
    stable = reading.stable
    totals = _everything(stable)
    served = sum(growth(one, since=LONG_AGO, until=now) for one in totals)
    users = (_per_second(totals, now) or 0.0) + (_per_second(_everything(reading.canary), now) or 0.0)
    users = users if rate is None else rate
    if not totals or not served or not users:
        found = "stable has served no requests that it counts" if totals else "stable has no series that it names"
        return Unseen(gate=gate, why=f"{found} in the last hour", applies=not (gate.if_present and reading.empty))
    trial, dispersion = _tried(reading, plan, now)
    many = len({one.instance for one in totals}) > 1
    guessed = () if many else (f"dispersion {plan.dispersion:g}, as configured: stable has one instance",)
    if isinstance(gate, LatencyGate):
        if trial.cut is None:
            return Unseen(gate=gate, why=trial.refusal, applies=not gate.if_present)
        durations = by_bound(stable.buckets, until=now)
        return Traffic(
            gate=gate,
            rate=users,
            given=rate is not None,
            stable=Tail(durations).above(trial.cut.bound / (1 + gate.max_increase)),
            dispersion=dispersion,
            assumed=guessed,
            durations=durations,
            cut=trial.cut,
        )
    failed = sum(_grown(one, totals, plan.interval, now) for one in stable.failures)
    share = min(1.0, (failed + 0.5) / (served + 1))
    return Traffic(gate=gate, rate=users, given=rate is not None, stable=share, dispersion=dispersion, assumed=guessed)


def _everything(counters: Counters) -> tuple[Series, ...]:
    """The counters of all requests."""
    return counters.total or tuple(one for one in counters.buckets if bound_of(one) == math.inf)


def _per_second(totals: Sequence[Series], now: datetime) -> float | None:
    """Requests per second over the time in which they were counted; None where none were.

    A counter that stands at 0 has not begun: its process is new, or the source knows no more of the past.
    """
    seen = [[sample for sample in one.samples if sample.at <= now] for one in totals]
    begun = [_begin(samples) for samples in seen if any(sample.value for sample in samples)]
    span = (max(samples[-1].at for samples in seen if samples) - min(begun)).total_seconds() if begun else 0.0
    return sum(growth(one, since=LONG_AGO, until=now) for one in totals) / span if span else None


def _begin(samples: Sequence[Sample]) -> datetime:
    """The last moment at which a counter still stood at 0, or else its first sample's."""
    idle = list(itertools.takewhile(lambda sample: not sample.value, samples))
    return (idle[-1] if idle else samples[0]).at


def _grown(failures: Series, totals: Sequence[Series], interval: timedelta, now: datetime) -> float:
    """The growth of a counter of failures; one that appears while its process is scraped already counts in full."""
    grown = growth(failures, since=LONG_AGO, until=now)
    known = [one.samples[0].at for one in totals if one.instance == failures.instance and one.samples]
    if known and failures.samples and failures.samples[0].at > min(known) + 2 * interval:
        grown += failures.samples[0].value
    return grown


def _tried(reading: Reading, plan: Plan, now: datetime) -> tuple[Trial, float]:
    """The gate's trial, as if a canary had just got its first traffic and no request yet; and its dispersion."""
    first = now + plan.interval / 2

    def idle(many: Sequence[Series]) -> tuple[Series, ...]:
        labels = {tuple(sorted((k, v) for k, v in one.labels.items() if k == "le")) for one in many}
        return tuple(Series(labels=dict(one), samples=(Sample(at=first, value=0.0),)) for one in sorted(labels))

    stable = reading.stable
    canary = Counters(total=idle(stable.total), buckets=idle(stable.buckets))
    timeline = Timeline(start=now, deployed_at=now, seen_at=now, weights=((now, Weight(1)),))
    trial = Trial(replace(reading, canary=canary), plan=plan, timeline=timeline)
    return trial, trial.look(timeline, first).dispersion


def _durations() -> dict[float, float]:
    """Log-normal durations in buckets that are a quarter of an octave apart."""
    median = _ASSUMED_P95 / math.exp(SPREAD * 1.6449)
    bounds = [_ASSUMED_P95 * 1.3 * 2 ** (quarter / 4) for quarter in range(-28, 29)]
    counts = {
        bound: _ASSUMED_REQUESTS * (1 - math.erfc(math.log(bound / median) / SPREAD / math.sqrt(2)) / 2)
        for bound in bounds
    }
    return {**counts, math.inf: _ASSUMED_REQUESTS}
