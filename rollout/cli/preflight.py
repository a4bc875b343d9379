"""Everything that would go wrong, found before anything is changed: for `doctor`, and for `run` before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.cli.opening import now
from rollout.config import Configuration
from rollout.core.finding import Finding, Severity
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
    selectors = tuple(one for gate in configuration.plan.gates for one in (gate.total, gate.failures))
    yield from source.diagnose(selectors, now=now())
