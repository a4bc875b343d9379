"""PipeCD's rules: at each interval every value of the last one must be in range, or a Mann-Whitney test must pass.

From pipe-cd/pipecd at 7e228592b581aee4df56f5dc96a8dd95a7c4cc55, pkg/app/piped/executor/analysis/:

* metrics_analyzer.go:70-121: each `interval` one analysis; more unexpected ones than `failureLimit` (0 where left out,
  pkg/config/analysis.go:53), and the stage fails, which rolls back. Every run of the stage counts from 0.
* metrics_analyzer.go:130-165: THRESHOLD queries the last interval as a range; one value out of `expected` fails it;
  no values at all pass.
* ../../analysisprovider/metrics/prometheus/prometheus.go:110-121: a range has one value per minute; 154-172: a NaN
  among them is an error, and metrics_analyzer.go:102-113 counts an error as unexpected unless `skipOnNoData`.
* metrics_analyzer.go:381-421: CANARY_BASELINE compares the values of both versions, unexpected if p <= 0.05,
  one-sided with `deviation: HIGH`; mannwhitney/mannwhitney.go:189-220: exact for up to 25 values with ties,
  `p = 1 - CDF(U - 1)`.
* docs/content/en/docs-dev/user-guide/managing-application/customizing-deployment/automated-deployment-analysis.md:43-62
  and 106-124: `duration: 30m`, `interval: 5m`, `rate(...[5m])`, the settings that are simulated here.

The six values of a five-minute rate overlap, so they are far from independent, as the test takes them to be; that is
how the page sets it up. Each step of the plan has its own stage of 30 minutes. The limit is 2 % failed, as for every
rule, and not the page's 1 %. Kind to it: the baseline is all of stable.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Final

import numpy as np

from benchmarks.gates.rules import RATE_5M, Decisions, minutes
from benchmarks.gates.scenarios import SCRAPES, STEP
from benchmarks.gates.signals import Signal
from benchmarks.gates.traffic import Floats, Ints

ALPHA: Final = 0.05


def threshold(signal: Signal) -> Ints:
    """THRESHOLD with `failureLimit` left out."""
    return _thresholds(signal, failure_limit=0)


def threshold_3(signal: Signal) -> Ints:
    """THRESHOLD with `failureLimit: 3`."""
    return _thresholds(signal, failure_limit=3)


def _thresholds(signal: Signal, *, failure_limit: int) -> Ints:
    decisions = Decisions(signal.runs)
    failures = np.zeros(signal.runs, dtype=np.int64)
    for scrape in range(minutes(5), SCRAPES + 1, minutes(5)):
        if (scrape - minutes(5)) % STEP == 0:
            failures[:] = 0
        values = np.stack([signal.value(end, RATE_5M) for end in _points(scrape)], axis=1)
        failures += ~(values <= signal.limit).all(axis=1)
        decisions.roll_back(failures > failure_limit, scrape)
    return decisions.at


def comparison(signal: Signal) -> Ints:
    """CANARY_BASELINE with `deviation: HIGH`."""
    decisions = Decisions(signal.runs)
    for scrape in range(minutes(5), SCRAPES + 1, minutes(5)):
        canary = np.stack([signal.canary(end, RATE_5M) for end in _points(scrape)], axis=1)
        stable = np.stack([signal.stable(end, RATE_5M) for end in _points(scrape)], axis=1)
        gone = np.isnan(canary).any(axis=1) | np.isnan(stable).any(axis=1)
        decisions.roll_back(gone | (p_values(canary, stable) <= ALPHA), scrape)
    return decisions.at


def p_values(canary: Floats, stable: Floats) -> Floats:
    """By run, the exact probability of a U so high, given the ties; 1 where all values are equal."""
    count = canary.shape[1]
    ranks = _ranks(np.concatenate([canary, stable], axis=1))
    lowest = count * (count + 1) / 2
    seen = ranks[:, :count].sum(axis=1) - lowest
    possible = ranks @ _choices(count).T - lowest
    above = (possible > seen[:, None] - 1 + 1e-9).mean(axis=1)
    equal = (ranks == ranks[:, :1]).all(axis=1)
    return np.where(equal, 1.0, above)


def _ranks(values: Floats) -> Floats:
    """Mean ranks within each row."""
    below = (values[:, :, None] > values[:, None, :]).sum(axis=2)
    alike = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    return np.asarray(below + (alike + 1) / 2, dtype=np.float64)


@cache
def _choices(count: int) -> Floats:
    """Every way to give half of the ranks to the canary, as rows of ones and zeros."""
    rows = list(itertools.combinations(range(2 * count), count))
    chosen = np.zeros((len(rows), 2 * count))
    for index, row in enumerate(rows):
        chosen[index, list(row)] = 1.0
    return chosen


def _points(scrape: int) -> tuple[int, ...]:
    """The scrapes at which a range of five minutes has values: one per minute, both ends counted, none before data."""
    return tuple(end for end in range(scrape - minutes(5), scrape + 1, minutes(1)) if end > 0)
