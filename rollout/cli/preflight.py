"""Everything that would go wrong, found before anything is changed: for `doctor`, and for `run` before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import assert_never

from rollout.cli.opening import now
from rollout.config import Configuration
from rollout.core.finding import Finding, Severity
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.selector import Selector
from rollout.errors import SourceUnavailable
from rollout.metrics.base import Source
from rollout.targets.base import Target


def findings_of(configuration: Configuration, target: Target, source: Source) -> Iterator[Finding]:
    """What the target and the source of metrics find when they look at themselves."""
    yield Finding(
        subject="configuration",
        severity=Severity.OK,
        message=f"{configuration.path}: {len(configuration.plan.steps)} steps, {len(configuration.plan.gates)} gates",
    )
    yield from target.diagnose()
    selectors = tuple(one for gate in configuration.plan.gates for one in _selectors(gate))
    yield from source.diagnose(selectors, now=now())
    for gate in configuration.plan.gates:
        if isinstance(gate, QueryGate):
            yield _query(gate, source, configuration.plan.interval)


def _query(gate: QueryGate, source: Source, interval: timedelta) -> Finding:
    """Whether a query gives one number for stable; for the canary it can only be known once there is one."""
    subject = f"query of {gate.name}"
    until = now()
    try:
        found = source.values(gate.of("stable"), since=until - gate.scrapes * interval, until=until, step=interval)
    except SourceUnavailable as wrong:
        return Finding(subject=subject, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)
    if not found:
        return Finding(
            subject=subject,
            severity=Severity.WARNING,
            message="it gives no value for stable",
            hint="Try it in the server's own query page, with stable for $version.",
        )
    newest = found[-1].value
    return Finding(subject=subject, severity=Severity.OK, message=f"it gives {newest:,.4g} for stable")


def _selectors(gate: Gate) -> tuple[Selector, ...]:
    """What a gate reads; a query is the user's own, and the source looks at nothing in it."""
    match gate:
        case FailureGate():
            return (gate.total, gate.failures)
        case LatencyGate():
            return (gate.histogram,)
        case QueryGate():
            return ()
        case _:
            assert_never(gate)
