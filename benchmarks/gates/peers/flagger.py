"""Flagger's rule: each minute a check over the last minute; so many failed checks in all, and the next tick goes back.

From fluxcd/flagger at 15bd6ad555e6c935da55f0ab95977be74c149bd6:

* pkg/controller/scheduler.go:429-440: the rollback stands at the top of a tick, before its check, so it comes one
  tick after the check that reached the threshold.
* pkg/controller/scheduler.go:460-467: a failed check adds 1 to `failedChecks` and returns: the weight does not rise,
  and no passed check ever takes the 1 back.
* pkg/controller/scheduler_metrics.go:153-163: no values (providers/prometheus.go:170-172: an empty answer or NaN) is a
  failed check; 165-171: a success rate below `thresholdRange.min` is one.
* pkg/apis/flagger/v1beta1/canary.go:33,36,655: interval 60 s, metric window 1m, threshold 1 where left out.
* docs/gitbook/tutorials/gatewayapi-progressive-delivery.md:194-202: `interval: 1m`, `threshold: 5`, the setting that
  is simulated here (other pages have 10, which is slower).

The limit is 2 % failed, as for every rule, and not the pages' 1 %.
"""

from __future__ import annotations

import numpy as np

from benchmarks.gates.rules import RATE_1M, Decisions, minutes
from benchmarks.gates.scenarios import ACTUATION, MINUTE, SCRAPES, Cell
from benchmarks.gates.signals import LIMIT, Signal
from benchmarks.gates.traffic import Dice, Floats, Ints, failed, load

THRESHOLD = 5
MAX_WEIGHT = 50.0


def held(signal: Signal) -> Ints:
    """With the same weights as everyone: the checks decide about rollback alone."""
    decisions = Decisions(signal.runs)
    checks = np.zeros(signal.runs, dtype=np.int64)
    for tick in range(minutes(1), SCRAPES + 1, minutes(1)):
        decisions.roll_back(checks >= THRESHOLD, tick)
        value = signal.value(tick, RATE_1M)
        checks += ~(value <= signal.limit)
    return decisions.at


def native(cell: Cell, hazard: Floats, dice: Dice) -> tuple[Ints, Ints]:
    """With Flagger's own weights: each passed check adds the first weight, and at 50 % the next one promotes.

    `hazard` is the probability that a request of the canary fails, by (run, scrape): other weights bring other
    requests, so these are drawn anew in the same weather. Returns when it rolled back and how many requests of the
    canary failed until then or until the promotion, after which nothing is counted: a kindness.
    """
    runs = hazard.shape[0]
    decisions = Decisions(runs)
    checks = np.zeros(runs, dtype=np.int64)
    weight = np.full(runs, cell.first_weight)
    promoted = np.full(runs, SCRAPES, dtype=np.int64)
    requests = load(cell)
    total = np.zeros((runs, SCRAPES), dtype=np.int64)
    bad = np.zeros((runs, SCRAPES), dtype=np.int64)
    for scrape in range(SCRAPES):
        expected = requests[scrape] * weight / 100
        bad[:, scrape] = failed(dice, expected * hazard[:, scrape], cell.cluster)
        total[:, scrape] = bad[:, scrape] + dice.poisson(expected * (1 - hazard[:, scrape]))
        if (scrape + 1) % MINUTE:
            continue
        tick = scrape + 1
        going = promoted > tick
        decisions.roll_back((checks >= THRESHOLD) & going, tick)
        window = slice(tick - RATE_1M, tick)
        passed = bad[:, window].sum(axis=1) <= LIMIT * total[:, window].sum(axis=1)
        passed &= total[:, window].sum(axis=1) > 0
        checks += ~passed
        promoted[passed & going & (weight >= MAX_WEIGHT) & (decisions.at == 0)] = tick
        weight = np.where(passed, np.minimum(MAX_WEIGHT, weight + cell.first_weight), weight)
    until = np.where(decisions.at > 0, decisions.at + ACTUATION, promoted)
    counted = np.arange(SCRAPES)[None, :] < until[:, None]
    return decisions.at, np.asarray((bad * counted).sum(axis=1), dtype=np.int64)
