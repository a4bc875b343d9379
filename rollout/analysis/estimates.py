"""What a person needs to check a gate: rates and quantiles of both versions with bounds, and what they rest on."""

from __future__ import annotations

import math
from datetime import datetime

from rollout.analysis.clauses import Case
from rollout.analysis.confidence import bounds
from rollout.analysis.histograms import quantile_of
from rollout.analysis.trial import Totals, Trial, by_bound
from rollout.core.gates import LatencyGate
from rollout.core.verdict import Estimate, Measured, Unit


def measured(trial: Trial, case: Case, *, totals: Totals, since: datetime, until: datetime) -> Measured:
    """The estimates at the trial's last look, over what is judged in full."""
    newest = [moment for moment in (trial.newest("canary"), trial.newest("stable")) if moment is not None]
    window = (since, min(newest, default=until))
    judged = totals.judged
    if isinstance(trial.gate, LatencyGate):
        counters = trial.reading
        return Measured(
            unit=Unit.SECONDS,
            canary=_quantile(by_bound(counters.canary.buckets, since=since, until=until), trial.gate, case.dispersion),
            stable=_quantile(by_bound(counters.stable.buckets, since=since, until=until), trial.gate, case.dispersion),
            dispersion=case.dispersion,
            bound=trial.cut.bound if trial.cut is not None else None,
            tolerance=trial.cut.tolerance if trial.cut is not None else None,
            queries=trial.reading.queries,
            since=window[0],
            until=window[1],
        )
    return Measured(
        unit=Unit.RATIO,
        canary=_rate(judged.canary_failures, judged.canary_total, case.dispersion),
        stable=_rate(judged.stable_failures, judged.stable_total, case.dispersion),
        dispersion=case.dispersion,
        queries=trial.reading.queries,
        since=window[0],
        until=window[1],
    )


def _rate(failures: float, total: float, dispersion: float) -> Estimate | None:
    if not total:
        return None
    low, high = bounds(failures, total, dispersion=dispersion)
    return Estimate(value=failures / total, low=low, high=high)


def _quantile(counts: dict[float, float], gate: LatencyGate, dispersion: float) -> Estimate | None:
    """A quantile lies above a bound where the share of slower requests is surely more than 1 - q, and so on."""
    total = counts.get(math.inf, 0.0)
    value = quantile_of(counts, gate.quantile) if total else None
    if value is None:
        return None
    low, high = 0.0, math.inf
    for bound in sorted(bound for bound in counts if 0 < bound < math.inf):
        least, most = bounds(total - counts[bound], total, dispersion=dispersion)
        if least > 1 - gate.quantile:
            low = bound
        if most < 1 - gate.quantile:
            high = bound
            break
    return Estimate(value=value, low=low, high=high)
