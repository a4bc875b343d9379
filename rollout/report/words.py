"""The words and numbers every report shares, so that a log, a terminal and a page never say the same thing twice
in different ways.

It formats what others found. It must not draw conclusions of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from rollout.analysis.wording import number, percent
from rollout.core.decisions import Action, Cause, Deploy, Discard, MoveTraffic, Promote, Retire, RollBack, RunChecks
from rollout.core.duration import format_duration
from rollout.core.events import Order
from rollout.core.gates import REGRESSION_RATIO, FailureGate, Gate, LatencyGate, OnQuery, OnRegression, QueryGate
from rollout.core.plan import Plan
from rollout.core.verdict import Counts, GateResult, Verdict

ICONS: Final = {Verdict.HEALTHY: "✓", Verdict.INCONCLUSIVE: "~", Verdict.BLIND: "?", Verdict.UNHEALTHY: "✗"}
"""Every one is a single column wide, and none stands without its word."""


def clock(moment: datetime) -> str:
    """The time of day in UTC as log lines carry it: `12:03:41Z`."""
    return f"{moment.astimezone(UTC):%H:%M:%S}Z"


def stamp(moment: datetime) -> str:
    """Date and time in UTC: `2026-03-01 12:03:41 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(duration: timedelta) -> str:
    """A duration as precise as a reader needs it: tenths below ten seconds, seconds below an hour, then minutes."""
    length = abs(duration)
    if length < timedelta(seconds=10):
        tenths = round(length.total_seconds() * 10) / 10
        return f"{tenths:g} s"
    unit = timedelta(seconds=1) if length < timedelta(hours=1) else timedelta(minutes=1)
    return format_duration(round(length / unit) * unit)


def one_line(text: str) -> str:
    """Text of others as one line without control or direction characters: it can neither forge lines nor colours."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def share(counts: Counts) -> str:
    """A failure rate with the number it is a rate of: `0.4 % of 1,204`; `no requests` where nothing was counted."""
    if counts.rate is None:
        return "no requests"
    return f"{percent(counts.rate)} of {counts.total:,}"


def evidence(result: GateResult) -> float:
    """How far the evidence has come towards taking the canary back: log e over its threshold, 0 to 1."""
    if not (math.isfinite(result.log_threshold) and result.log_threshold > 0) or math.isnan(result.log_e):
        return 0.0
    return min(max(result.log_e / result.log_threshold, 0.0), 1.0)


def evidence_words(result: GateResult) -> str:
    """The same share in words: `38 %`. Rounded down, so that 100 % always means that the threshold is reached."""
    return f"{math.floor(evidence(result) * 100)} %"


def verdict_words(verdict: Verdict) -> str:
    """The icon and the word: `✓ healthy`."""
    return f"{ICONS[verdict]} {verdict}"


def limits(gate: Gate) -> str:
    """What a gate allows, such as `at most 2 % and at most 1.5 × stable`, and of a query what happens otherwise."""
    match gate:
        case FailureGate():
            return _listed(tuple(_failure_limits(gate)))
        case LatencyGate():
            return f"p{gate.quantile * 100:g} at most {percent(gate.max_increase)} above stable's"
        case QueryGate():
            return f"{_query_limit(gate)}; {_query_effect(gate)}"
        case _:
            assert_never(gate)


def _failure_limits(gate: FailureGate) -> Iterator[str]:
    if gate.max is not None:
        yield f"at most {percent(gate.max)}"
        if gate.regression is not OnRegression.OFF:
            hold = " (else it holds)" if gate.regression is OnRegression.HOLD else ""
            yield f"from {percent(gate.max / 2)} on at most {REGRESSION_RATIO:g} × stable{hold}"
    if gate.emergency is not None:
        yield f"over {span(gate.emergency.over)} at most {percent(gate.emergency.max)}"
    if gate.max_ratio is not None:
        within = f" within each {' and '.join(gate.by)}" if gate.by else ""
        yield f"at most {gate.max_ratio:g} × stable{within}"


def _query_limit(gate: QueryGate) -> str:
    if gate.max is not None:
        return f"at most {number(gate.max)}"
    if gate.min is not None:
        return f"at least {number(gate.min)}"
    return f"at most {percent(gate.max_increase or 0.0)} above stable's"


def _query_effect(gate: QueryGate) -> str:
    scrapes = "1 scrape that breaks it" if gate.scrapes == 1 else f"{gate.scrapes} scrapes in a row that break it"
    one = gate.scrapes == 1
    match gate.action:
        case OnQuery.HOLD:
            return f"{scrapes} {'holds' if one else 'hold'} the rollout"
        case OnQuery.ROLL_BACK:
            return f"{scrapes} {'takes' if one else 'take'} the canary back, outside of false_rollback"
        case _:
            assert_never(gate.action)


def _listed(parts: tuple[str, ...]) -> str:
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def step_words(plan: Plan | None, step: int) -> str:
    """`step 3 of 7`, or `step 3` where the plan is not at hand. `step` is the index."""
    return f"step {step + 1}" if plan is None else f"step {step + 1} of {len(plan.steps)}"


def action_words(action: Action) -> str:
    """What an action does, as it follows "is going to" or "could not"."""
    match action:
        case Deploy():
            return "deploy the canary"
        case RunChecks():
            return "run the checks"
        case MoveTraffic(weight=weight):
            return f"move the canary to {weight}"
        case Promote():
            return "promote the canary"
        case RollBack():
            return "roll back"
        case Retire():
            return "stop the version that gets no requests"
        case Discard():
            return "remove the former release"
        case _:
            assert_never(action)


def cause_words(cause: Cause) -> str:
    """Why a rollout went back, in a few words."""
    match cause:
        case Cause.UNHEALTHY:
            return "the canary is unhealthy"
        case Cause.BLIND:
            return "monitoring stayed away"
        case Cause.ORDERED:
            return "a person ordered it"
        case Cause.DEPLOY_FAILED:
            return "the canary could not be deployed"
        case Cause.CHECKS_FAILED:
            return "the checks failed"
        case Cause.CANARY_DIED:
            return "the canary died"
        case Cause.WRONG_IMAGE:
            return "the canary runs another image"
        case Cause.RESTARTED:
            return "the canary restarts again and again"
        case Cause.UNREADY:
            return "the canary is not ready"
        case _:
            assert_never(cause)


def because_words(cause: Cause | None, because: str) -> str:
    """The cause and what lies behind it; only one of them where there is no other, or both say the same."""
    if cause is None:
        return because or "no cause was written down"
    if not because:
        return cause_words(cause)
    if cause in (Cause.ORDERED, Cause.CHECKS_FAILED):
        return because
    return f"{cause_words(cause)}: {because}"


def order_words(order: Order) -> str:
    """What a person did by an order, as it follows the name."""
    match order:
        case Order.PROMOTE:
            return "orders the promotion without the remaining steps"
        case Order.APPROVE:
            return "approves"
        case Order.PAUSE:
            return "pauses the rollout"
        case Order.RESUME:
            return "resumes the rollout"
        case Order.ABORT:
            return "aborts the rollout"
        case _:
            assert_never(order)
