"""Rollout's own judgement of the simulated runs, by the product's code: nothing about it is repeated here.

Each scrape is one block of the gate, and the run ends at the first one at which the gate's evidence is over its
threshold. The budget is a quarter of the 1 % of a rollout, as for one gate of four.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.rules import NEVER
from benchmarks.gates.scenarios import MINUTE, SCRAPE, SECOND_INSTANCE, STEP, Subject
from benchmarks.gates.traffic import Durations, Floats, Ints, Traffic
from rollout.analysis.blocks import Block, Part
from rollout.analysis.clauses import Weighing
from rollout.analysis.dispersion import NO_SCATTER, Scatter, scatter
from rollout.analysis.histograms import Cut, choose
from rollout.config.policy import http_gate, latency_gate, llm_gate
from rollout.core.gates import FailureGate, LatencyGate
from rollout.core.plan import Weight

NAME: Final = "rollout"
AT_ONCE: Final = "rollout, warming up"
"""The same for a canary that gets its first traffic as soon as it is deployed."""
GATES: Final = 4
FALSE_ROLLBACK: Final = 0.01
BETA: Final = 0.05
THRESHOLD: Final = math.log(GATES / FALSE_ROLLBACK)
DISPERSION: Final = 3.0
"""The plan's value, for what stable's instances do not show."""
WARM_UP: Final = 2 * MINUTE
DEPLOYED: Final = -5 * MINUTE
"""The scrape at which the canary is deployed: before its first traffic, at weight 0."""

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SERVICE: Final = "benchmark"


def gate_for(subject: Subject) -> FailureGate | LatencyGate:
    """The built-in policy's gate on a subject."""
    match subject:
        case Subject.ERRORS:
            return http_gate(_SERVICE)
        case Subject.CALLS:
            return llm_gate(_SERVICE)
        case Subject.LATENCY:
            return latency_gate(_SERVICE)


def weighing(gate: FailureGate | LatencyGate, *, history: Scatter, advance: bool = False) -> Weighing:
    """The evidence of one gate before its first block."""
    return Weighing(
        gate,
        budget=FALSE_ROLLBACK / GATES,
        beta=BETA,
        dispersion=DISPERSION,
        history=history,
        advance=advance,
    )


def decide(traffic: Traffic, *, at_once: bool = False) -> Ints:
    """By run, the number of scrapes after which it rolls back, NEVER where it does not.

    The canary is deployed five minutes before its first traffic, as in the built-in policy, or `at_once` with it.
    """
    since = 0 if at_once or traffic.cell.cold else DEPLOYED
    gate = gate_for(traffic.cell.subject)
    decisions: list[int] = []
    for run in range(traffic.runs):
        fresh = weighing(gate, history=history(traffic, run))
        decisions.append(_first_rollback(fresh, blocks(traffic, run, first_since=since)))
    return np.array(decisions, dtype=np.int64)


def decide_latency(durations: Durations) -> Ints:
    """The same for histograms. A histogram in which no bound can serve is never rolled back: NoCut is raised."""
    gate = gate_for(Subject.LATENCY)
    assert isinstance(gate, LatencyGate)
    bounds = (*durations.bounds, math.inf)
    decisions: list[int] = []
    for run in range(durations.runs):
        before = np.cumsum(durations.history[run].sum(axis=(0, 1))).astype(float).tolist()
        cut = choose(
            dict(zip(bounds, before, strict=True)),
            known=set(bounds),
            quantile=gate.quantile,
            max_increase=gate.max_increase,
        )
        past = scattered(durations.history[run].sum(axis=2), _slow_of_stable(durations, durations.history[run], cut))
        decisions.append(_first_rollback(weighing(gate, history=past), slow_blocks(durations, run, cut)))
    return np.array(decisions, dtype=np.int64)


def history(traffic: Traffic, run: int) -> Scatter:
    """What the hour before the rollout says of how failures come together."""
    return scattered(traffic.history[run], traffic.history_failed[run])


def scattered(total: NDArray[Any], failed: NDArray[Any]) -> Scatter:
    """What some scrapes of stable's instances say of it, by (scrape, instance)."""
    found = NO_SCATTER
    for served, failures in zip(total.tolist(), failed.tolist(), strict=True):
        if any(failures):
            found += scatter(list(zip(served, failures, strict=True)))
    return found


def blocks(traffic: Traffic, run: int, *, first_since: int) -> Iterator[Block]:
    """One block for each scrape, a part for each route; `first_since` is when the first instance was deployed."""
    return _each_scrape(
        traffic.cell.weights(),
        canary=traffic.canary[run],
        canary_failed=traffic.canary_failed[run],
        stable=traffic.stable[run],
        stable_failed=traffic.stable_failed[run],
        first_since=first_since,
    )


Grid = Sequence[Sequence[float]]
"""Counts by instance and route."""


def block(  # noqa: PLR0913  (one scrape of both versions)
    scrape: int,
    *,
    weight: float,
    shifted: bool,
    canary: Grid,
    canary_failed: Grid,
    stable: Grid,
    stable_failed: Grid,
    first_since: int,
    second_since: int,
) -> Block:
    """What the product makes of one scrape of both versions' counters.

    `first_since` and `second_since` are the scrapes at which the canary's instances were deployed.
    """
    warm = (scrape >= first_since + WARM_UP, scrape >= second_since + WARM_UP)
    routes = range(len(canary[0]))
    parts = tuple(
        Part(
            float(sum(one[route] for one, judged in zip(canary, warm, strict=True) if judged)),
            float(sum(one[route] for one, judged in zip(canary_failed, warm, strict=True) if judged)),
            float(sum(one[route] for one in stable)),
            float(sum(one[route] for one in stable_failed)),
        )
        for route in routes
    )
    instances = [(sum(total), sum(failures)) for total, failures in zip(stable, stable_failed, strict=True)]
    whole = Part(
        float(sum(map(sum, canary))),
        float(sum(map(sum, canary_failed))),
        float(sum(total for total, _ in instances)),
        float(sum(failures for _, failures in instances)),
    )
    return Block(
        since=_moment(scrape),
        at=_moment(scrape + 1),
        weight=Weight(weight),
        whole=whole,
        parts=parts,
        scatter=scatter(instances) if whole.stable_failures else NO_SCATTER,
        shifted=shifted,
    )


def slow_blocks(durations: Durations, run: int, cut: Cut, *, first_since: int = DEPLOYED) -> Iterator[Block]:
    """One block for each scrape, with the slow requests as its failures."""
    canary, stable = durations.canary[run], durations.stable[run]
    return _each_scrape(
        durations.cell.weights(),
        canary=canary.sum(axis=2)[:, :, None],
        canary_failed=canary[:, :, durations.bounds.index(cut.bound) + 1 :].sum(axis=2)[:, :, None],
        stable=stable.sum(axis=2)[:, :, None],
        stable_failed=_slow_of_stable(durations, stable, cut)[:, :, None],
        first_since=first_since,
    )


def _each_scrape(
    weights: Sequence[float],
    *,
    canary: NDArray[Any],
    canary_failed: NDArray[Any],
    stable: NDArray[Any],
    stable_failed: NDArray[Any],
    first_since: int,
) -> Iterator[Block]:
    """The blocks of one run; the counts are by (scrape, instance, route)."""
    counted = zip(canary.tolist(), canary_failed.tolist(), stable.tolist(), stable_failed.tolist(), strict=True)
    for scrape, (served, failed, stable_served, stable_bad) in enumerate(counted):
        yield block(
            scrape,
            weight=weights[scrape],
            shifted=scrape > 0 and scrape % STEP == 0,
            canary=served,
            canary_failed=failed,
            stable=stable_served,
            stable_failed=stable_bad,
            first_since=first_since,
            second_since=SECOND_INSTANCE,
        )


def _slow_of_stable(durations: Durations, counts: Ints, cut: Cut) -> Floats:
    """By scrape and instance, as the product interpolates them between two bounds."""
    upper = durations.bounds.index(cut.upper) + 1
    lower = durations.bounds.index(cut.lower) + 1 if cut.lower else 0
    return np.asarray(counts[:, :, upper:].sum(axis=2) + cut.share * counts[:, :, lower:upper].sum(axis=2))


def _first_rollback(fresh: Weighing, found: Iterable[Block]) -> int:
    for number, one in enumerate(found, start=1):
        fresh.add(one)
        if fresh.log_e >= THRESHOLD:
            return number
    return NEVER


def _moment(scrape: int) -> datetime:
    return _START + timedelta(seconds=scrape * SCRAPE)
