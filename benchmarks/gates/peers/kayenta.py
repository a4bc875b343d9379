"""Kayenta's judge: a Mann-Whitney test of one-minute values, canary against baseline, at the end of each interval.

From spinnaker/kayenta at a69573be9d8fededacf80817e4151a2c8df41276:

* kayenta-judge/src/main/scala/com/netflix/kayenta/judge/NetflixACAJudge.scala:146: tolerance 0.25 and confidence 0.98,
  fixed in the code; 119-127: the allowed increase of the mean is 1.0 where left out.
* .../judge/classifiers/metric/MannWhitneyClassifier.scala:72-79 and 116-121: high if the interval's lower end is above
  0.25 times the size of the Hodges-Lehmann estimate and the ratio of means is at least the allowed increase;
  153-174: no data, identical data, one value only.
* kayenta-mannwhitney/src/main/scala/com/netflix/kayenta/mannwhitney/MannWhitney.scala:58-78: the statistic with ties
  and continuity correction; 93-107: the interval's ends are its roots at the normal quantile.
* kayenta-standalone-canary-analysis/.../domain/CanaryAnalysisExecutionRequest.java:74-83 and
  .../orca/stage/SetupAndExecuteCanariesStage.java:275-287: without `lookbackMins` each judgement goes back to the
  beginning (a growing window).
* spinnaker/spinnaker.github.io at 0cdd37a, guides/user/canary/best-practices/index.md:38-46 and 138-142: at least 50
  values for each metric, an interval of 60 minutes; 30 minutes is the fastest that a plan of 30-minute steps can use.

Kind to it: the metric is critical, so that the one metric decides, and the baseline is all of stable and not a new
deployment of the canary's size. Two shortcuts, neither of which moves a verdict by more than the solver's tolerance of
1e-4 (BrentSolver.java:24): the estimate is the median of all differences, and whether the lower end lies above a value
is read from the sign of the statistic there (it falls as the shift grows).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.gates.rules import Decisions, minutes
from benchmarks.gates.scenarios import SCRAPES
from benchmarks.gates.signals import Signal
from benchmarks.gates.traffic import Floats, Ints

TOLERANCE: Final = 0.25
QUANTILE: Final = 2.3263478740408408
"""The standard normal's at 0.99, for the two-sided confidence of 0.98."""


def judged(signal: Signal, *, every: int) -> Ints:
    """With a judgement at the end of every so many minutes."""
    decisions = Decisions(signal.runs)
    ends = range(minutes(1), SCRAPES + 1, minutes(1))
    canary = np.stack([signal.canary(end, minutes(1)) for end in ends], axis=1)
    stable = np.stack([signal.stable(end, minutes(1)) for end in ends], axis=1)
    for minute in range(every, len(ends) + 1, every):
        for run in np.flatnonzero(decisions.at == 0):
            high = fails(canary[run, :minute], stable[run, :minute], allowed_increase=signal.allowed_increase)
            if high:
                decisions.at[run] = minutes(minute)
    return decisions.at


def fails(experiment: Floats, control: Floats, *, allowed_increase: float = 1.0) -> bool:
    """Whether a critical metric with direction `increase` fails the canary."""
    x, y = experiment[~np.isnan(experiment)], control[~np.isnan(control)]
    if not len(x) or not len(y):
        return True
    if len(x) == len(y) and np.array_equal(np.sort(x), np.sort(y)):
        return False
    if x.min() == x.max() and y.min() == y.max():
        # Noise of a hundred-thousandth of each value is added; the samples are still wholly apart.
        return bool(x[0] > y[0]) and _far_enough(x, y, allowed_increase)
    estimate = float(np.median(x[:, None] - y[None, :]))
    return statistic(x, y, TOLERANCE * abs(estimate)) > QUANTILE and _far_enough(x, y, allowed_increase)


def statistic(x: Floats, y: Floats, shift: float) -> float:
    """Kayenta's `wilcoxonDiff` with a quantile of 0: how many standard errors `x - shift` ranks above `y`."""
    n, m = len(x), len(y)
    moved = x - shift
    ordered = np.sort(y)
    wins = np.searchsorted(ordered, moved, side="left").sum() + np.searchsorted(ordered, moved, side="right").sum()
    above = wins / 2 - n * m / 2
    _, ties = np.unique(np.concatenate([moved, y]), return_counts=True)
    ties = ties.astype(np.float64)
    variance = n * m / 12 * (n + m + 1 - float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 0.0
    return float((above - np.sign(above) * 0.5) / np.sqrt(variance))


def _far_enough(x: Floats, y: Floats, allowed_increase: float) -> bool:
    """The ratio of means, which is not asked where one of them is 0."""
    upper, lower = float(x.mean()), float(y.mean())
    return upper == 0 or lower == 0 or upper / lower >= allowed_increase


def half_hourly(signal: Signal) -> Ints:
    """A judgement each 30 minutes."""
    return judged(signal, every=30)


def hourly(signal: Signal) -> Ints:
    """A judgement each 60 minutes, as its guide advises."""
    return judged(signal, every=60)
