"""Counters and blocks of made-up traffic, so that a test states only what matters to it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollout.analysis.blocks import Block, Part, Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import judge
from rollout.analysis.readings import Counters, Reading
from rollout.analysis.trial import Trial
from rollout.core import selector
from rollout.core.gates import Emergency, FailureGate, Gate, OnRegression
from rollout.core.plan import Advance, Plan, Step, Weight
from rollout.core.verdict import Judgement

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOTAL = selector.parse('requests_total{version="$version"}')
FAILURES = selector.parse('requests_total{version="$version", code=~"5.."}')
LATE = 100_000.0
"""A moment, in seconds after the start, by which every sample of a test has come."""

Pairs = Sequence[tuple[int, int]]
"""Requests and failures, second by second."""


def second(number: float) -> datetime:
    """The moment that many seconds after the start."""
    return START + timedelta(seconds=number)


def gate(
    *,
    name: str = "http 5xx",
    limit: float | None = None,
    ratio: float | None = None,
    by: tuple[str, ...] = (),
    regression: OnRegression = OnRegression.ROLL_BACK,
    emergency: Emergency | None = None,
    min_requests: int = 10,
    observe: bool = False,
    if_present: bool = False,
) -> FailureGate:
    """A gate over made-up selectors; `max` is 2 % where neither limit is named."""
    return FailureGate(
        name=name,
        failures=FAILURES,
        total=TOTAL,
        max=0.02 if limit is None and ratio is None else limit,
        max_ratio=ratio,
        by=by,
        regression=regression,
        emergency=emergency,
        min_requests=min_requests,
        observe=observe,
        if_present=if_present,
    )


def plan(
    *gates: Gate,
    interval: float = 1.0,
    warm_up: float = 0.0,
    false_rollback: float = 0.01,
    advance: Advance = Advance.SOAK,
    dispersion: float = 3.0,
) -> Plan:
    """A plan of two steps with these gates, looked at each second."""
    return Plan(
        service="chat",
        environment="test",
        steps=(
            Step(weight=Weight(5), soak=timedelta(seconds=60)),
            Step(weight=Weight(100), soak=timedelta(seconds=60)),
        ),
        gates=gates or (gate(),),
        interval=timedelta(seconds=interval),
        warm_up=timedelta(seconds=warm_up),
        false_rollback=false_rollback,
        advance=advance,
        dispersion=dispersion,
    )


def timeline(*weights: tuple[float, float], deployed: float = 0.0, seen: float | None = None) -> Timeline:
    """Weights by second; the last one is the current step's, seen at its second unless said otherwise."""
    last = weights[-1][0] if weights else None
    since = seen if seen is not None else last
    return Timeline(
        start=START,
        deployed_at=second(deployed),
        seen_at=None if since is None else second(since),
        weights=tuple((second(at), Weight(weight)) for at, weight in weights),
    )


def counter(values: Iterable[float], *, first: float = 0.0, every: float = 1.0, **labels: str) -> Series:
    """A counter that was scraped at even spaces, the first time `first` seconds after the start."""
    samples = tuple(Sample(at=second(first + every * index), value=value) for index, value in enumerate(values))
    return Series(labels={"job": "chat", "instance": "one", **labels}, samples=samples)


def growing(amounts: Iterable[float], *, first: float = 0.0, every: float = 1.0, **labels: str) -> Series:
    """A counter by what it grows between scrapes, from 0 at the first scrape."""
    return counter(itertools.accumulate(amounts, initial=0.0), first=first, every=every, **labels)


def counters(pairs: Pairs, *, instance: str, first: float = 0.0, every: float = 1.0, **labels: str) -> Counters:
    """One process's counters, by requests and failures between its scrapes; no pairs are no series."""
    if not pairs:
        return Counters()
    total = growing([n for n, _ in pairs], instance=instance, first=first, every=every, **labels)
    failed = growing([s for _, s in pairs], instance=instance, first=first, every=every, code="500", **labels)
    return Counters(total=(total,), failures=(failed,))


def merged(*many: Counters) -> Counters:
    """All series of several processes."""
    return Counters(
        total=tuple(series for one in many for series in one.total),
        failures=tuple(series for one in many for series in one.failures),
        buckets=tuple(series for one in many for series in one.buckets),
    )


def idle(seconds: int, *, first: float = 0.0) -> Counters:
    """A canary that is scraped and serves nothing: blocks begin with its first scrape."""
    return counters([(0, 0)] * seconds, instance="two", first=first)


def reading(subject: Gate, *, canary: Pairs = (), stable: Pairs = (), problem: str = "") -> Reading:
    """A reading by (requests, failures) in each second, each version of one instance; no seconds are no series."""
    return Reading(
        gate=subject,
        canary=counters(canary, instance="two"),
        stable=counters(stable, instance="one"),
        problem=problem,
    )


def until(version: Counters, moment: datetime) -> Counters:
    """What was known of a version by a moment."""

    def cut(many: tuple[Series, ...]) -> tuple[Series, ...]:
        kept = (
            Series(labels=one.labels, samples=tuple(sample for sample in one.samples if sample.at <= moment))
            for one in many
        )
        return tuple(one for one in kept if one.samples)

    return Counters(
        total=cut(version.total),
        failures=cut(version.failures),
        buckets=cut(version.buckets),
        values=tuple(sample for sample in version.values if sample.at <= moment),
    )


def known_by(whole: Reading, moment: datetime) -> Reading:
    """What a source would have answered at a moment."""
    return replace(whole, canary=until(whole.canary, moment), stable=until(whole.stable, moment))


def moments(whole: Reading) -> list[datetime]:
    """When anything was scraped, in order."""
    every = (*whole.canary.total, *whole.canary.failures, *whole.canary.buckets)
    every += (*whole.stable.total, *whole.stable.failures, *whole.stable.buckets)
    return sorted({sample.at for series in every for sample in series.samples})


def tried(
    whole: Reading, *, policy: Plan | None = None, when: Timeline, looks: Iterable[datetime] = (second(LATE),)
) -> Trial:
    """One gate after these looks: everything at once where none are named."""
    trial = Trial(whole, plan=policy or plan(whole.gate), timeline=when)
    for moment in looks:
        trial.look(when, moment)
    return trial


def judged(*readings: Reading, policy: Plan, when: Timeline, now: float) -> Judgement:
    """The verdict that many seconds after the start."""
    return judge(
        policy,
        readings,
        timeline=when,
        canary_release="v2",
        stable_release="v1",
        now=second(now),
    )


def block(
    index: int,
    canary: tuple[float, float],
    stable: tuple[float, float] = (0, 0),
    *,
    weight: float = 5,
    shifted: bool = False,
    length: float = 1.0,
) -> Block:
    """A block of one second by (requests, failures) of both versions, all of which is judged."""
    part = Part(*canary, *stable)
    return Block(
        since=second(index * length),
        at=second((index + 1) * length),
        weight=Weight(weight),
        whole=part,
        parts=(part,),
        shifted=shifted,
    )


def poisson(dice: random.Random, mean: float) -> int:
    """A Poisson number: exactly by Knuth's product up to a mean of 30, and as a rounded normal one above."""
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count, product = count + 1, product * dice.random()
    return count


def simulated(
    dice: random.Random, *, seconds: int, canary: float, stable: float, requests: float = 200.0, weight: float = 5
) -> tuple[Pairs, Pairs]:
    """Independent requests of both versions, second by second, by their failure rates."""
    n, m = requests * weight / 100, requests * (100 - weight) / 100

    def version(mean: float, rate: float) -> Pairs:
        made = [poisson(dice, mean) for _ in range(seconds)]
        return [(count, min(count, poisson(dice, count * rate))) for count in made]

    return version(n, canary), version(m, stable)
