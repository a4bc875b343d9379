"""Counters and blocks of made-up traffic, so that a test states only what matters to it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollout.analysis.blocks import Block, Counters, Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import Reading, judge
from rollout.core import selector
from rollout.core.plan import Gate, Plan, Step, Weight
from rollout.core.verdict import Counts, Judgement

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOTAL = selector.parse('requests_total{version="$version"}')
FAILURES = selector.parse('requests_total{version="$version", code=~"5.."}')


def second(number: float) -> datetime:
    """The moment that many seconds after the start."""
    return START + timedelta(seconds=number)


def gate(
    *,
    name: str = "http 5xx",
    limit: float | None = None,
    ratio: float | None = None,
    min_requests: int = 10,
    observe: bool = False,
    if_present: bool = False,
) -> Gate:
    """A gate over made-up selectors; `max` is 2 % where neither limit is named."""
    return Gate(
        name=name,
        failures=FAILURES,
        total=TOTAL,
        max=0.02 if limit is None and ratio is None else limit,
        max_ratio=ratio,
        min_requests=min_requests,
        observe=observe,
        if_present=if_present,
    )


def plan(*gates: Gate, interval: float = 1.0, warm_up: float = 0.0, false_rollback: float = 0.01) -> Plan:
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


def growing(amounts: Sequence[float], *, first: float = 0.0, every: float = 1.0, **labels: str) -> Series:
    """A counter by what it grows between scrapes, from 0 at the first scrape."""
    values = [0.0]
    for amount in amounts:
        values.append(values[-1] + amount)
    return counter(values, first=first, every=every, **labels)


def counters(requests: Sequence[float], failures: Sequence[float], *, instance: str, first: float = 0.0) -> Counters:
    """One process's counters."""
    return Counters(
        total=(growing(requests, instance=instance, first=first),),
        failures=(growing(failures, instance=instance, first=first, code="500"),),
    )


def reading(
    subject: Gate,
    *,
    canary: Sequence[tuple[int, int]] = (),
    stable: Sequence[tuple[int, int]] = (),
    problem: str = "",
) -> Reading:
    """A reading by (requests, failures) in each second; no seconds are no series."""

    def version(pairs: Sequence[tuple[int, int]], instance: str) -> Counters:
        return counters([n for n, _ in pairs], [s for _, s in pairs], instance=instance) if pairs else Counters()

    return Reading(gate=subject, canary=version(canary, "two"), stable=version(stable, "one"), problem=problem)


def judged(*readings: Reading, policy: Plan, when: Timeline, now: float, dispersion: float = 3.0) -> Judgement:
    """The verdict that many seconds after the start."""
    return judge(
        replace(policy, dispersion=dispersion),
        readings,
        timeline=when,
        canary_release="v2",
        stable_release="v1",
        now=second(now),
    )


def block(index: int, canary: tuple[int, int], stable: tuple[int, int] = (0, 0), *, weight: float = 5) -> Block:
    """A block of one second by (requests, failures) of both versions."""
    return Block(
        since=second(index),
        at=second(index + 1),
        weight=Weight(weight),
        canary=Counts(total=canary[0], failures=canary[1]),
        stable=Counts(total=stable[0], failures=stable[1]),
    )


def poisson(dice: random.Random, mean: float) -> int:
    """A Poisson number: exactly by Knuth's product up to a mean of 30, and as a rounded normal one above."""
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count, product = count + 1, product * dice.random()
    return count
