"""What both versions count at each scrape: one generator for all rules, so that all of them see the same runs.

Requests that succeed are Poisson; requests that fail are Poisson as well, or come in clusters of a Poisson number.
Each run is drawn from a seed of its own, so any run can be drawn again alone, and more runs leave the first as they
were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.scenarios import (
    COLD,
    HISTORY,
    SCRAPE,
    SCRAPES,
    SECOND_INSTANCE,
    STABLE_INSTANCES,
    Buckets,
    Cell,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Dice = np.random.Generator

INCIDENT_RATE: Final = 0.15
_INCIDENT_LENGTH: Final = 4.0
_INCIDENT_SHARE: Final = 0.01

_ROUTES: Final = np.array([0.001, 0.05])
"""How often each route fails, whichever version serves it."""
_STABLE_MIX: Final = np.array([0.98, 0.02])
_CANARY_MIX: Final = np.array([0.5, 0.5])

_DEFAULT_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FINE_BOUNDS: Final = tuple(0.005 * 2 ** (i / 4) for i in range(45))
P95: Final = 0.402
"""Stable's 95th percentile in seconds."""
_SPREAD: Final = 0.8
"""The standard deviation of the logarithm of durations."""
_Z95: Final = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Increments of some runs of a cell, by (run, scrape, instance, route)."""

    cell: Cell
    seed: int
    first: int
    """The number of the first run."""
    canary: Ints
    """Requests of the canary."""
    canary_failed: Ints
    stable: Ints
    stable_failed: Ints
    history: Ints
    """Stable's requests in the hour before, by (run, scrape, instance)."""
    history_failed: Ints
    hazard: Floats
    """How probable it is that a request of the canary fails, by (run, scrape)."""

    @property
    def runs(self) -> int:
        """How many runs these are."""
        return int(self.canary.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Increments of histograms, by (run, scrape, instance, bucket); the last bucket has no bound above."""

    cell: Cell
    bounds: tuple[float, ...]
    canary: Ints
    stable: Ints
    history: Ints
    """What stable counted in the hour before, in the same form."""

    @property
    def runs(self) -> int:
        """How many runs these are."""
        return int(self.canary.shape[0])


def bounds_of(buckets: Buckets) -> tuple[float, ...]:
    """The upper bounds of a histogram in seconds, without the infinite one."""
    return _FINE_BOUNDS if buckets is Buckets.FINE else _DEFAULT_BOUNDS


def draw(cell: Cell, *, seed: int, first: int, runs: int) -> Traffic:
    """Some runs of a cell that counts failures."""
    drawn = [_run(cell, np.random.default_rng(cell.entropy(seed, run))) for run in range(first, first + runs)]
    canary, canary_failed, stable, stable_failed, history, history_failed, hazard = (
        np.stack(part) for part in zip(*drawn, strict=True)
    )
    return Traffic(
        cell=cell,
        seed=seed,
        first=first,
        canary=canary,
        canary_failed=canary_failed,
        stable=stable,
        stable_failed=stable_failed,
        history=np.asarray(history, dtype=np.int64),
        history_failed=np.asarray(history_failed, dtype=np.int64),
        hazard=np.asarray(hazard, dtype=np.float64),
    )


def load(cell: Cell) -> Floats:
    """Requests of both versions by scrape, as expected."""
    swing = 2.0 ** _swing() if cell.diurnal else np.ones(SCRAPES)
    return np.asarray(cell.rps * SCRAPE * swing, dtype=np.float64)


def failed(dice: Dice, mean: Floats, cluster: float) -> Ints:
    """How many failures are counted where so many are expected, in clusters of a geometric size."""
    if cluster <= 1:
        return np.asarray(dice.poisson(mean), dtype=np.int64)
    clusters = dice.poisson(mean / cluster)
    more = dice.negative_binomial(np.maximum(clusters, 1), 1 / cluster)
    return np.asarray(np.where(clusters > 0, clusters + more, 0), dtype=np.int64)


def _run(cell: Cell, dice: Dice) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Floats]:
    weight = np.array(cell.weights())[:, None, None] / 100
    requests = load(cell)[:, None, None]
    base = 3.0 ** _swing() if cell.diurnal else np.ones(SCRAPES)
    late = np.arange(SCRAPES) >= cell.onset
    canary_rate = np.where(late, cell.canary, cell.stable) * base
    stable_rate = cell.stable * base
    if cell.incidents:
        canary_rate = stable_rate = np.where(_incidents(dice), INCIDENT_RATE, _between_incidents(cell.stable))
    placed, cold = _instances()
    canary_rates = np.where(cold & (cell.cold > 0), cell.cold, canary_rate[:, None])[:, :, None]
    canary_mix = stable_mix = np.ones(1)
    stable_rates = stable_rate[:, None, None]
    if cell.routes:
        canary_rates = stable_rates = _ROUTES[None, None, :]
        canary_mix, stable_mix = _CANARY_MIX, _STABLE_MIX
    to_canary = requests * weight * placed[:, :, None] * canary_mix
    to_stable = np.repeat(requests * (1 - weight) / STABLE_INSTANCES, STABLE_INSTANCES, axis=1) * stable_mix
    canary_failed = failed(dice, to_canary * canary_rates, cell.cluster)
    canary = canary_failed + dice.poisson(to_canary * (1 - canary_rates))
    stable_failed = failed(dice, to_stable * stable_rates, cell.cluster)
    stable = stable_failed + dice.poisson(to_stable * (1 - stable_rates))
    hazard = (canary_rates * placed[:, :, None] * canary_mix).sum(axis=(1, 2))
    history, history_failed = _history(cell, dice)
    return canary, canary_failed, stable, stable_failed, history, history_failed, hazard


def _history(cell: Cell, dice: Dice) -> tuple[Ints, Ints]:
    """The hour before, by (scrape, instance): stable had all traffic, and failed as in the rollout."""
    rate = np.full((HISTORY, STABLE_INSTANCES), float((_ROUTES * _STABLE_MIX).sum()) if cell.routes else cell.stable)
    if cell.incidents:
        rate = np.where(_incidents(dice)[:HISTORY, None], INCIDENT_RATE, _between_incidents(rate))
    each = cell.rps * SCRAPE / STABLE_INSTANCES
    bad = failed(dice, each * rate, cell.cluster)
    return bad + dice.poisson(each * (1 - rate)), bad


def _swing() -> Floats:
    """A whole day in the two hours: -1 to 1."""
    return np.asarray(np.sin(2 * np.pi * np.arange(SCRAPES) / SCRAPES), dtype=np.float64)


def _incidents(dice: Dice) -> NDArray[np.bool_]:
    """Two states; an incident ends at each scrape with probability 1/4 and begins so that 1 % of the time is one."""
    begin = _INCIDENT_SHARE / (1 - _INCIDENT_SHARE) / _INCIDENT_LENGTH
    rolls = dice.random(SCRAPES + 1)
    inside = bool(rolls[-1] < _INCIDENT_SHARE)
    found = np.zeros(SCRAPES, dtype=np.bool_)
    for index in range(SCRAPES):
        inside = bool(rolls[index] >= 1 / _INCIDENT_LENGTH) if inside else bool(rolls[index] < begin)
        found[index] = inside
    return found


def _between_incidents(whole: Floats | float) -> Floats:
    """The rate outside incidents with which the whole is as it should be."""
    return np.asarray((whole - _INCIDENT_SHARE * INCIDENT_RATE) / (1 - _INCIDENT_SHARE), dtype=np.float64)


def _instances() -> tuple[Floats, NDArray[np.bool_]]:
    """By scrape and instance: the part of the canary's requests that it gets, and whether it is cold."""
    scrape = np.arange(SCRAPES)
    two = scrape >= SECOND_INSTANCE
    placed = np.stack([np.where(two, 0.5, 1.0), np.where(two, 0.5, 0.0)], axis=1)
    cold = np.stack([scrape < COLD, two & (scrape < SECOND_INSTANCE + COLD)], axis=1)
    return placed, cold


def draw_durations(cell: Cell, *, seed: int, first: int, runs: int) -> Durations:
    """Some runs of a cell that measures durations: lognormal, the canary's all longer by the same factor."""
    bounds = bounds_of(cell.buckets)
    placed, _ = _instances()
    weight = np.array(cell.weights())[:, None, None] / 100
    requests = load(cell)[:, None, None]
    to_canary = requests * weight * placed[:, :, None] * _shares(bounds, 1 + cell.slower)
    each = np.repeat(requests * (1 - weight) / STABLE_INSTANCES, STABLE_INSTANCES, axis=1)
    to_stable = each * _shares(bounds, 1.0)
    before = np.broadcast_to(
        cell.rps * SCRAPE / STABLE_INSTANCES * _shares(bounds, 1.0), (HISTORY, STABLE_INSTANCES, len(bounds) + 1)
    )
    canary: list[Ints] = []
    stable: list[Ints] = []
    history: list[Ints] = []
    for run in range(first, first + runs):
        dice = np.random.default_rng(cell.entropy(seed, run))
        canary.append(dice.poisson(to_canary))
        stable.append(dice.poisson(to_stable))
        history.append(dice.poisson(before))
    return Durations(
        cell=cell, bounds=bounds, canary=np.stack(canary), stable=np.stack(stable), history=np.stack(history)
    )


def _shares(bounds: tuple[float, ...], factor: float) -> Floats:
    """Which part of the requests falls into each bucket."""
    logarithms = NormalDist(mu=math.log(P95 * factor) - _SPREAD * _Z95, sigma=_SPREAD)
    below = [logarithms.cdf(math.log(bound)) for bound in bounds]
    return np.diff(np.array([0.0, *below, 1.0]))
