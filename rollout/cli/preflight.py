"""Everything that would go wrong, found before anything is changed: for `doctor`, and for `run` before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

from rollout.analysis.histograms import NoCut, TooFew, choose
from rollout.analysis.trial import by_bound
from rollout.cli.opening import now
from rollout.config import Configuration
from rollout.core.finding import Finding, Severity
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.selector import Selector
from rollout.errors import SourceUnavailable, Unfit
from rollout.metrics.base import Source
from rollout.reading import LOOK_BACK
from rollout.report.findings import findings_text
from rollout.targets.base import Target


def findings_of(configuration: Configuration, target: Target, source: Source) -> Iterator[Finding]:
    """What the target and the source of metrics find when they look at themselves."""
    yield Finding(
        subject="configuration",
        severity=Severity.OK,
        message=f"{configuration.path}: {_counted(len(configuration.plan.steps), 'step')}, "
        f"{_counted(len(configuration.plan.gates), 'gate')}",
    )
    yield from target.diagnose()
    selectors = tuple(one for gate in configuration.plan.gates for one in _selectors(gate))
    yield from source.diagnose(selectors, now=now())
    for gate in configuration.plan.gates:
        if isinstance(gate, QueryGate):
            yield _query(gate, source, configuration.plan.interval)
        elif isinstance(gate, LatencyGate):
            yield from bucket_findings(gate, source, until=now())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def refuse_unfit(configuration: Configuration, target: Target, source: Source) -> None:
    """Look before a start. Raises Unfit with everything that would go wrong."""
    errors = tuple(one for one in findings_of(configuration, target, source) if one.severity is Severity.ERROR)
    if errors:
        raise Unfit(f"nothing was changed, as this would go wrong:\n{findings_text(errors)}")


def bucket_findings(gate: LatencyGate, source: Source, *, until: datetime) -> Iterator[Finding]:
    """Which bucket would serve by what stable served in the hour before, and which bound to add where none would.

    Nothing where the source has no answer or no histogram, as it tells that by itself.
    """
    subject = f"bucket of {gate.name}"
    try:
        stable = source.histogram(gate.histogram.of("stable"), since=until - LOOK_BACK, until=until)
    except SourceUnavailable:
        return
    if not stable:
        return
    try:
        cut = choose(by_bound(stable, until=until), quantile=gate.quantile, max_increase=gate.max_increase)
    except TooFew as few:
        yield Finding(
            subject=subject,
            severity=Severity.WARNING,
            message=f"{few} in the last hour",
            hint="It is chosen as soon as there are that many; until then nothing is judged by it.",
        )
    except NoCut as none:
        then = "the gate will not apply" if gate.if_present else "the gate will hold the rollout"
        yield Finding(
            subject=subject,
            severity=Severity.WARNING,
            message=f"{none.why}: {then}",
            hint=f"{none.advice[:1].upper()}{none.advice[1:]}.",
        )
    else:
        low, high = (f"{part * 100:.0f}" for part in cut.tolerance)
        yield Finding(
            subject=subject,
            severity=Severity.OK,
            message=f"a request is slow above {cut.bound:g} s, which shows {low} to {high} % more than stable's; "
            f"allowed are {gate.max_increase * 100:.0f} %",
        )


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
