"""Argo Rollouts' rule: a measurement every five minutes; more failed ones than `failureLimit`, and the run fails.

From argoproj/argo-rollouts at 9f8d111d8f8e3e88b6d7f8bbdf62fd3cd863ef9d:

* docs/features/analysis.md:81-96: `interval: 5m`, `failureLimit: 3`, `irate(...[5m])`, the example that most copy.
* analysis/analysis.go:662-670: a metric fails when `result.Failed > failureLimit`, so on the fourth failed
  measurement, although docs/features/analysis.md:28-31 and 783 say three. The default is 0: the first one.
* utils/evaluate/evaluate.go:40-50: a measurement fails when its success condition is not true; NaN is not >= 0.98.
* analysis/analysis.go:200-223: the first measurement is taken at once unless there is an `initialDelay`; here it comes
  after five minutes, which is kind: at once there is nothing to measure.

The limit is 2 % failed, as for every rule, and not the example's 5 %.
"""

from __future__ import annotations

import numpy as np

from benchmarks.gates.rules import IRATE, RATE_5M, Decisions, minutes
from benchmarks.gates.scenarios import SCRAPES
from benchmarks.gates.signals import Signal
from benchmarks.gates.traffic import Ints

FAILURE_LIMIT = 3


def measured(signal: Signal, *, window: int, failure_limit: int) -> Ints:
    """When the failed measurements exceed the limit."""
    decisions = Decisions(signal.runs)
    failures = np.zeros(signal.runs, dtype=np.int64)
    for scrape in range(minutes(5), SCRAPES + 1, minutes(5)):
        failures += ~(signal.value(scrape, window) <= signal.limit)
        decisions.roll_back(failures > failure_limit, scrape)
    return decisions.at


def rate(signal: Signal) -> Ints:
    """The example with `rate` in place of `irate`, which reads the whole window."""
    return measured(signal, window=RATE_5M, failure_limit=FAILURE_LIMIT)


def irate(signal: Signal) -> Ints:
    """The example as it stands."""
    return measured(signal, window=IRATE, failure_limit=FAILURE_LIMIT)


def first_failure(signal: Signal) -> Ints:
    """With `rate`, and `failureLimit` left out."""
    return measured(signal, window=RATE_5M, failure_limit=0)
