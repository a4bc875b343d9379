"""Verdicts as documents for programs, whose keys stay what they are. Infinity and NaN, which JSON lacks, are null."""

from __future__ import annotations

import json
import math

from rollout.core.verdict import Counts, Estimate, GateResult, Measured
from rollout.evidence.values import Evidence
from rollout.replay.replaying import Replayed


def gate(result: GateResult) -> dict[str, object]:
    """One gate's verdict. Rates are ratios, durations are in seconds, times in ISO 8601."""
    return {
        "gate": result.gate,
        "verdict": result.verdict,
        "sentence": result.sentence,
        "canary": _counts(result.canary),
        "stable": _counts(result.stable),
        "log_e": _finite(result.log_e),
        "log_threshold": _finite(result.log_threshold),
        "observe": result.observe,
        "measured": _measured(result.measured) if result.measured is not None else None,
    }


def replayed(result: Replayed) -> str:
    """What a policy makes of one recording, in one line."""
    return json.dumps(
        {
            "file": result.file,
            "outcome": result.outcome,
            "decided_at": result.decided_at,
            "gate": result.gate,
            "canary_requests": result.counts.total,
            "canary_failures": result.counts.failures,
            "gates": [gate(one) for one in result.judgement.gates],
        }
    )


def evidence(file: str, found: Evidence, differences: tuple[str, ...]) -> str:
    """What a file of evidence holds, and whether judging anew gives the same."""
    return json.dumps(
        {
            "file": file,
            "rollout": found.rollout,
            "canary_release": found.canary_release,
            "stable_release": found.stable_release,
            "at": found.at.isoformat(),
            "now": found.now.isoformat(),
            "written_by": found.written_by,
            "verdict": found.judgement.verdict,
            "reason": found.judgement.reason,
            "gates": [gate(one) for one in found.judgement.gates],
            "same": not differences,
            "differences": differences,
        },
        indent=2,
    )


def _counts(counts: Counts) -> dict[str, object]:
    return {"total": counts.total, "failures": counts.failures, "rate": counts.rate}


def _measured(measured: Measured) -> dict[str, object]:
    return {
        "unit": measured.unit,
        "canary": _estimate(measured.canary),
        "stable": _estimate(measured.stable),
        "dispersion": _finite(measured.dispersion),
        "bound": measured.bound,
        "tolerance": measured.tolerance,
        "queries": measured.queries,
        "since": measured.since.isoformat() if measured.since is not None else None,
        "until": measured.until.isoformat() if measured.until is not None else None,
    }


def _estimate(estimate: Estimate | None) -> dict[str, object] | None:
    if estimate is None:
        return None
    return {"value": _finite(estimate.value), "low": _finite(estimate.low), "high": _finite(estimate.high)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
