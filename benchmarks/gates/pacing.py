"""What `advance: evidence` is worth: whole rollouts whose steps end early where the evidence allows it.

The first step always lasts its 30 minutes; the later ones last 5 at least. Weights depend on what was seen, so these
runs are drawn scrape by scrape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.gates import ours
from benchmarks.gates.scenarios import (
    ACTUATION,
    HISTORY,
    LATER_STEPS,
    MINUTE,
    SCRAPE,
    SCRAPES,
    STABLE_INSTANCES,
    STEP,
    TRAFFIC,
    Cell,
    Sort,
    Subject,
    percent,
)
from benchmarks.gates.traffic import Dice
from rollout.analysis.dispersion import Scatter

SHORTEST: Final = 5 * MINUTE
LONGEST: Final = 2 * SCRAPES
"""Scrapes after which a rollout that cannot get on is given up."""
RATES: Final = (0.002, 0.03, 0.05, 0.2, 1.0)
SECOND_FROM: Final = 25.0
"""The weight in percent from which on the canary has a second instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """What became of one rollout."""

    scrapes: int
    """How long it took, to its promotion or to the decision to roll back."""
    promoted: bool
    rolled_back: bool
    failed: int
    """Requests of the canary that failed, until 30 s after a rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingFigures:
    """What is kept of many."""

    runs: int
    promoted: int
    rolled_back: int
    in_two_hours: int
    """How many were promoted within them."""
    median_minutes: float | None
    """To the promotion, of those promoted."""
    p90_minutes: float | None
    mean_failed: float


def pacing_cells() -> tuple[Cell, ...]:
    """The services, each with a healthy canary and with bad ones."""
    return tuple(
        Cell(
            story=percent(rate),
            sort=Sort.NULL if rate == 0.002 else Sort.BAD,
            rps=rps,
            first_weight=weight,
            canary=rate,
        )
        for rps, weight in TRAFFIC
        for rate in RATES
    )


def rollouts(cell: Cell, *, evidence: bool, seed: int, first: int, runs: int) -> list[Paced]:
    """Some runs of a cell, with steps that evidence may shorten or with fixed ones."""
    return [
        _rollout(cell, np.random.default_rng([*cell.entropy(seed, run), 2]), evidence=evidence)
        for run in range(first, first + runs)
    ]


def pacing_figures(paced: list[Paced]) -> PacingFigures:
    """The figures of all runs."""
    minutes = [one.scrapes / MINUTE for one in paced if one.promoted]
    return PacingFigures(
        runs=len(paced),
        promoted=len(minutes),
        rolled_back=sum(one.rolled_back for one in paced),
        in_two_hours=sum(length <= SCRAPES / MINUTE for length in minutes),
        median_minutes=float(np.median(minutes)) if minutes else None,
        p90_minutes=float(np.quantile(minutes, 0.9)) if minutes else None,
        mean_failed=float(np.mean([one.failed for one in paced])),
    )


def _rollout(cell: Cell, dice: Dice, *, evidence: bool) -> Paced:
    gate = ours.gate_for(Subject.ERRORS)
    weighing = ours.weighing(gate, history=_past(cell, dice), advance=evidence)
    steps = (cell.first_weight, *LATER_STEPS)
    failed = step = begun = 0
    served = 0.0
    second_since = LONGEST
    for scrape in range(LONGEST):
        if steps[step] >= SECOND_FROM:
            second_since = min(second_since, scrape)
        canary, canary_failed, stable, stable_failed = _scrape(cell, dice, steps[step], two=scrape >= second_since)
        failed += sum(one[0] for one in canary_failed)
        block = ours.block(
            scrape,
            weight=steps[step],
            shifted=scrape == begun > 0,
            canary=canary,
            canary_failed=canary_failed,
            stable=stable,
            stable_failed=stable_failed,
            first_since=ours.DEPLOYED,
            second_since=second_since,
        )
        weighing.add(block)
        if weighing.log_e >= ours.THRESHOLD:
            for _ in range(ACTUATION):
                failed += sum(one[0] for one in _scrape(cell, dice, steps[step], two=scrape >= second_since)[1])
            return Paced(scrapes=scrape + 1, promoted=False, rolled_back=True, failed=failed)
        served += 0.0 if block.shifted else block.judged.canary_total
        length = scrape + 1 - begun
        shown = evidence and step > 0 and weighing.case.log_kept >= -math.log(ours.BETA)
        if length >= (SHORTEST if shown else STEP) and served >= gate.min_requests:
            step, begun, served = step + 1, scrape + 1, 0.0
            if step == len(steps):
                return Paced(scrapes=scrape + 1, promoted=True, rolled_back=False, failed=failed)
    return Paced(scrapes=LONGEST, promoted=False, rolled_back=False, failed=failed)


def _past(cell: Cell, dice: Dice) -> Scatter:
    """What the hour before says of how failures come together."""
    mean = cell.rps * SCRAPE / STABLE_INSTANCES
    failed = dice.poisson(mean * cell.stable, (HISTORY, STABLE_INSTANCES))
    return ours.scattered(failed + dice.poisson(mean * (1 - cell.stable), failed.shape), failed)


_Counts = list[tuple[int]]


def _scrape(cell: Cell, dice: Dice, weight: float, *, two: bool) -> tuple[_Counts, _Counts, _Counts, _Counts]:
    """What both versions count in one scrape, by instance and route."""
    canary_mean = cell.rps * SCRAPE * weight / 100
    stable_mean = (cell.rps * SCRAPE - canary_mean) / STABLE_INSTANCES
    parts = (0.5, 0.5) if two else (1.0, 0.0)
    canary_failed = [(int(dice.poisson(canary_mean * part * cell.canary)),) for part in parts]
    canary = [
        (int(dice.poisson(canary_mean * part * (1 - cell.canary))) + bad[0],)
        for part, bad in zip(parts, canary_failed, strict=True)
    ]
    stable_failed = [(int(bad),) for bad in dice.poisson(stable_mean * cell.stable, STABLE_INSTANCES)]
    good = dice.poisson(stable_mean * (1 - cell.stable), STABLE_INSTANCES)
    stable = [(int(served) + bad[0],) for served, bad in zip(good, stable_failed, strict=True)]
    return canary, canary_failed, stable, stable_failed
