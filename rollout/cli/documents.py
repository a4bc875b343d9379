"""What `--json` prints: documents for programs, whose keys stay what they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from rollout.core.decisions import Finish, Wait
from rollout.core.finding import Finding
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.schedule import earliest_end, timetable
from rollout.core.state import State
from rollout.core.verdict import GateResult


def status(state: State, settled: Wait | Finish | None, now: datetime) -> str:
    """Where a rollout stands. Weights in percent, times in ISO 8601, rates as ratios."""
    judgement = state.judgement
    end = earliest_end(state, now)
    document: dict[str, object] = {
        "service": state.plan.service,
        "environment": state.plan.environment,
        "rollout": state.rollout,
        "release": _release(state.release),
        "stable": _release(state.stable) if state.stable is not None else None,
        "phase": state.phase,
        "over": state.over,
        "step": state.step + 1,
        "steps": len(state.plan.steps),
        "weight": state.ordered.percent,
        "soaked_at": state.soaked_at.isoformat() if state.soaked_at is not None else None,
        "earliest_end": end.isoformat() if end is not None else None,
        "paused": state.paused,
        "verdict": judgement.verdict if judgement is not None else None,
        "reason": judgement.reason if judgement is not None else "",
        "gates": [_gate(result) for result in judgement.gates] if judgement is not None else [],
        "cause": state.cause,
        "because": state.because,
    }
    match settled:
        case Wait(until=until, reason=reason, person=person):
            document |= {"waiting": {"until": until.isoformat(), "reason": reason, "for_a_person": person}}
        case Finish(outcome=outcome, leftover=leftover):
            document |= {"outcome": outcome, "leftover": leftover}
        case None:
            pass
    return json.dumps(document, indent=2)


def plan(plan: Plan) -> str:
    """The timetable of a plan; times in seconds since the canary is deployed and checked."""
    rows = [
        {
            "step": row.number,
            "weight": row.step.weight.percent,
            "soak": row.step.soak.total_seconds(),
            "begins": row.begins.total_seconds(),
            "ends": row.ends.total_seconds(),
            "approve": row.step.approve,
        }
        for row in timetable(plan)
    ]
    return json.dumps({"service": plan.service, "environment": plan.environment, "steps": rows}, indent=2)


def findings(found: Iterable[Finding]) -> str:
    """What was looked at, and what is wrong."""
    return json.dumps(
        [{"subject": one.subject, "severity": one.severity, "message": one.message, "hint": one.hint} for one in found],
        indent=2,
    )


def _release(release: Release) -> dict[str, str]:
    return {"tag": release.tag, "image": release.image, "digest": release.digest}


def _gate(result: GateResult) -> dict[str, object]:
    return {
        "gate": result.gate,
        "verdict": result.verdict,
        "sentence": result.sentence,
        "canary": {"total": result.canary.total, "failures": result.canary.failures, "rate": result.canary.rate},
        "stable": {"total": result.stable.total, "failures": result.stable.failures, "rate": result.stable.rate},
        "log_e": result.log_e,
        "log_threshold": result.log_threshold,
        "observe": result.observe,
    }
