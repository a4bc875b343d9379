"""Gates over any expression: plain limits over several values in a row, outside the promise of `false_rollback`."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from rollout.analysis.counters import Sample
from rollout.analysis.readings import Reading
from rollout.analysis.wording import number, percent
from rollout.core.gates import OnQuery, QueryGate
from rollout.core.verdict import Estimate, GateResult, Measured, Unit, Verdict

OUTSIDE = "a plain limit, outside the promise of false_rollback"


def judge_query(
    gate: QueryGate, reading: Reading, *, start: datetime, now: datetime, interval: timedelta, traffic: bool
) -> GateResult:
    """The verdict on the newest values; `traffic` is whether the canary has any. NaN and absence prove nothing.

    What was `canary` before the `start` of the rollout was another one, maybe taken back for such values just now.
    """
    if reading.problem:
        return _result(gate, reading, Verdict.BLIND, f"the metrics cannot be had: {reading.problem}")
    since = max(start, now - interval * (gate.scrapes + 1.5))
    canary = [sample for sample in reading.canary.values if since < sample.at <= now][-gate.scrapes :]
    if not canary or canary[-1].at <= now - 4 * interval:
        if not traffic:
            return _result(gate, reading, Verdict.HEALTHY, "the canary has no traffic yet, and the query no value")
        return _result(gate, reading, Verdict.INCONCLUSIVE, "the query gives no value for the canary")
    stable = {sample.at: sample.value for sample in reading.stable.values}
    broken = [_breaks(gate, sample, stable) for sample in canary]
    newest = canary[-1]
    measured = Measured(
        unit=Unit.NUMBER,
        canary=Estimate(value=newest.value, low=newest.value, high=newest.value),
        stable=_plain(stable.get(newest.at)),
        queries=reading.queries,
        since=canary[0].at,
        until=newest.at,
    )
    found = f"the canary has {number(newest.value)}{_against(gate, stable.get(newest.at))}"
    if any(broke is None for broke in broken):
        nan = any(math.isnan(sample.value) for sample in canary)
        why = "the query gives NaN" if nan else "stable has no value to compare with"
        return _result(gate, reading, Verdict.INCONCLUSIVE, why, measured)
    if len(broken) >= gate.scrapes and all(broken):
        verdict = Verdict.UNHEALTHY if gate.action is OnQuery.ROLL_BACK else Verdict.INCONCLUSIVE
        then = "" if gate.action is OnQuery.ROLL_BACK else "; the gate only holds the rollout"
        sentence = f"{found}; {_allowed(gate)}; {len(broken)} values in a row break it ({OUTSIDE}){then}"
        return _result(gate, reading, verdict, sentence, measured)
    if any(broken):
        sentence = f"{found}; {_allowed(gate)}; {sum(map(bool, broken))} of the last {gate.scrapes} values break it"
        return _result(gate, reading, Verdict.INCONCLUSIVE, sentence, measured)
    return _result(gate, reading, Verdict.HEALTHY, f"{found}; {_allowed(gate)}", measured)


def _breaks(gate: QueryGate, sample: Sample, stable: dict[datetime, float]) -> bool | None:
    """Whether a value breaks the limit; None where that cannot be said."""
    if math.isnan(sample.value):
        return None
    if gate.max is not None:
        return sample.value > gate.max
    if gate.min is not None:
        return sample.value < gate.min
    other = stable.get(sample.at)
    if other is None or math.isnan(other):
        return None
    assert gate.max_increase is not None
    return sample.value > other + abs(other) * gate.max_increase


def _allowed(gate: QueryGate) -> str:
    if gate.max is not None:
        return f"allowed is at most {number(gate.max)}"
    if gate.min is not None:
        return f"allowed is at least {number(gate.min)}"
    return f"allowed is at most {percent(gate.max_increase or 0.0)} above stable's"


def _against(gate: QueryGate, stable: float | None) -> str:
    return f", stable {number(stable)}" if stable is not None and gate.max_increase is not None else ""


def _plain(value: float | None) -> Estimate | None:
    return Estimate(value=value, low=value, high=value) if value is not None else None


def _result(
    gate: QueryGate, reading: Reading, verdict: Verdict, sentence: str, measured: Measured | None = None
) -> GateResult:
    return GateResult(
        gate=gate.name,
        verdict=verdict,
        sentence=sentence,
        observe=gate.observe,
        measured=measured or Measured(unit=Unit.NUMBER, queries=reading.queries),
    )
