"""What `--json` prints: documents for programs, whose keys stay what they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from rollout.analysis.foresight import Foresight, Vision
from rollout.cli.judged import gate
from rollout.core.decisions import Finish, Wait
from rollout.core.finding import Finding
from rollout.core.pacing import Pacing, runner_minutes
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.schedule import earliest_end, timetable
from rollout.core.state import State


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
        "gates": [gate(result) for result in judgement.gates] if judgement is not None else [],
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


def plan(plan: Plan, foresight: Foresight | None = None, hint: str = "") -> str:
    """The timetable of a plan, and what its gates can see where that is known.

    Times are in seconds since the canary is deployed and checked (of a catch: since the first user), rates and faults
    are ratios. A fault is a failure rate, or of a latency gate how much longer all durations are. `hint` says how to
    get what is null.
    """
    rows: list[dict[str, object]] = []
    for index, row in enumerate(timetable(plan)):
        document: dict[str, object] = {
            "step": row.number,
            "weight": row.step.weight.percent,
            "soak": row.step.soak.total_seconds(),
            "begins": row.begins.total_seconds(),
            "ends": row.ends.total_seconds(),
            "earliest": row.earliest.total_seconds(),
            "approve": row.step.approve,
        }
        if foresight is not None:
            lap = foresight.laps[index]
            document |= {
                "likely": lap.likely.total_seconds(),
                "latest": lap.latest.total_seconds(),
                "held": lap.held,
            }
        rows.append(document)
    lasts = sum((step.soak for step in plan.steps), timedelta(0))
    whole = {
        "service": plan.service,
        "environment": plan.environment,
        "steps": rows,
        "runner_minutes": {str(pacing): runner_minutes(lasts, pacing) for pacing in Pacing},
    }
    return json.dumps({**whole, "sees": _sees(foresight), "hint": hint}, indent=2)


def _sees(foresight: Foresight | None) -> dict[str, object] | None:
    if foresight is None:
        return None
    return {
        "gates": [_vision(vision) for vision in foresight.visions],
        "without": [
            {"gate": unseen.gate.name, "why": unseen.why, "applies": unseen.applies} for unseen in foresight.unseen
        ],
        "warnings": [
            {"gates": caveat.gates, "what": caveat.what, "change": caveat.change} for caveat in foresight.warnings
        ],
    }


def _vision(vision: Vision) -> dict[str, object]:
    traffic = vision.traffic
    cut = traffic.cut
    return {
        "gate": traffic.gate.name,
        "observe": traffic.gate.observe,
        "fault": "failure_rate" if cut is None else "increase",
        "requests_per_second": traffic.rate,
        "rate_given": traffic.given,
        "stable_fails": traffic.stable,
        "dispersion": traffic.dispersion,
        "bound": cut.bound if cut is not None else None,
        "tolerance": cut.tolerance if cut is not None else None,
        "assumed": traffic.assumed,
        "steps": [
            {"step": sight.number, "canary_requests": sight.requests, "smallest": sight.smallest}
            for sight in vision.sights
        ],
        "catches": [
            {
                "fault": catch.fault,
                "median": catch.median.total_seconds() if catch.median is not None else None,
                "median_failed": catch.failed,
                "before_100": catch.early,
                "ever": catch.ever,
            }
            for catch in vision.catches
        ],
    }


def findings(found: Iterable[Finding]) -> str:
    """What was looked at, and what is wrong."""
    return json.dumps(
        [{"subject": one.subject, "severity": one.severity, "message": one.message, "hint": one.hint} for one in found],
        indent=2,
    )


def _release(release: Release) -> dict[str, str]:
    return {"tag": release.tag, "image": release.image, "digest": release.digest}
