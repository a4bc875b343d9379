"""One cell from traffic to figures: every rule on the same runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.gates import ours
from benchmarks.gates.field import AT_ONCE, NATIVE, OURS, PEERS
from benchmarks.gates.peers import flagger
from benchmarks.gates.rules import NEVER
from benchmarks.gates.scenarios import ACTUATION, MINUTE, Cell, Subject
from benchmarks.gates.signals import FailureSignal, LatencySignal, Signal
from benchmarks.gates.traffic import Ints, draw, draw_durations


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule did in some runs: after how many scrapes it rolled back, and how many canary requests failed."""

    decided: Ints
    failed: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is kept of a rule in a cell. Times are minutes from the fault's beginning to the decision."""

    runs: int
    rolled_back: int
    """Runs rolled back at any time; a rollback before the fault began is among the early ones too."""
    early: int
    median_minutes: float | None
    p90_minutes: float | None
    mean_failed: float | None
    """Requests of the canary that failed until 30 s after the decision, or to the end where there was none."""


def outcomes(cell: Cell, rules: Sequence[str], *, seed: int, first: int, runs: int) -> dict[str, Outcome]:
    """What these rules do in some runs of a cell."""
    if cell.subject is Subject.LATENCY:
        durations = draw_durations(cell, seed=seed, first=first, runs=runs)
        nothing = np.zeros(runs, dtype=np.int64)
        decided = _all(rules, LatencySignal(durations), lambda: ours.decide_latency(durations))
        return {name: Outcome(at, nothing) for name, at in decided.items()}
    traffic = draw(cell, seed=seed, first=first, runs=runs)
    decided = _all(rules, FailureSignal(traffic), lambda: ours.decide(traffic))
    by_scrape = traffic.canary_failed.sum(axis=(2, 3))
    found = {name: Outcome(at, _failed(by_scrape, at)) for name, at in decided.items()}
    if AT_ONCE in rules:
        at = ours.decide(traffic, at_once=True)
        found[AT_ONCE] = Outcome(at, _failed(by_scrape, at))
    if NATIVE in rules:
        dice = np.random.default_rng([*cell.entropy(seed, first), 1])
        found[NATIVE] = Outcome(*flagger.native(cell, traffic.hazard, dice))
    return found


def figures(cell: Cell, outcome: Outcome) -> Figures:
    """The figures of all runs."""
    decided = outcome.decided
    found = (decided != NEVER) & (decided > cell.onset)
    late = (decided[found] - cell.onset) / MINUTE
    counts = cell.subject is not Subject.LATENCY
    return Figures(
        runs=len(decided),
        rolled_back=int((decided != NEVER).sum()),
        early=int(((decided != NEVER) & (decided <= cell.onset)).sum()),
        median_minutes=float(np.median(late)) if len(late) else None,
        p90_minutes=float(np.quantile(late, 0.9)) if len(late) else None,
        mean_failed=float(outcome.failed.mean()) if counts else None,
    )


def _all(rules: Sequence[str], signal: Signal, own: Callable[[], Ints]) -> dict[str, Ints]:
    found = {rule.name: rule.decide(signal) for rule in PEERS if rule.name in rules}
    if OURS in rules:
        found[OURS] = own()
    return found


def _failed(by_scrape: Ints, decided: Ints) -> Ints:
    scrapes = by_scrape.shape[1]
    until = np.where(decided == NEVER, scrapes, decided + ACTUATION)
    counted = np.arange(scrapes)[None, :] < until[:, None]
    return np.asarray((by_scrape * counted).sum(axis=1), dtype=np.int64)
