"""Whether the canary's own processes condemn it, whatever the metrics say: the machine and the reports say the same.

It knows what was seen of the instances and what the plan bears. It must not look at metrics.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from rollout.core.duration import format_duration
from rollout.core.plan import NOTHING
from rollout.core.state import State
from rollout.core.verdict import GateResult, Verdict

GATE: Final = "instances"
"""The name of the gate, beside those of the plan."""


def instances_result(state: State, *, restarts: int, ready: int, wanted: int, now: datetime) -> GateResult:
    """What is to be said of the canary's instances as they are seen now.

    `unhealthy` where more restarts were seen than `max_restarts`, or users are on a canary that has not been ready for
    `max_unready`; `inconclusive` where not all instances are ready. It weighs no evidence: both logarithms are 0.
    """
    restarts = max(restarts, state.restarts)
    since = state.unready_since or now if ready < wanted else None
    found = [_restarted(state, restarts)] if restarts else []
    if since is not None:
        found.append(_unready(state, ready, wanted, now - since))
    return GateResult(
        gate=GATE,
        verdict=_verdict(state, restarts, since, now),
        sentence="; ".join(found) or f"{ready} of {wanted} ready, and none has restarted",
    )


def too_many(state: State, restarts: int) -> bool:
    """Whether the canary has restarted more often than the plan bears."""
    return max(restarts, state.restarts) > state.plan.instances.max_restarts


def unready_until(state: State, since: datetime) -> datetime | None:
    """Until when the plan bears a canary that has not been ready since then; None while no users are on it."""
    return since + state.plan.instances.max_unready if state.ordered > NOTHING else None


def _verdict(state: State, restarts: int, unready_since: datetime | None, now: datetime) -> Verdict:
    if too_many(state, restarts):
        return Verdict.UNHEALTHY
    if unready_since is None:
        return Verdict.HEALTHY
    until = unready_until(state, unready_since)
    return Verdict.UNHEALTHY if until is not None and now >= until else Verdict.INCONCLUSIVE


def _restarted(state: State, restarts: int) -> str:
    borne = state.plan.instances.max_restarts
    return f"restarted {_times(restarts)}, and {borne or 'none'} {'is' if borne <= 1 else 'are'} borne"


def _unready(state: State, ready: int, wanted: int, unready_for: timedelta) -> str:
    lasted = f" for {_seconds(unready_for)}" if unready_for else ""
    borne = f", and {format_duration(state.plan.instances.max_unready)} is borne" if state.ordered > NOTHING else ""
    return f"{ready} of {wanted} ready{lasted}{borne}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _seconds(duration: timedelta) -> str:
    return format_duration(timedelta(seconds=round(duration.total_seconds())))
