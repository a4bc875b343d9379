"""From the sections of a checked file to a Plan, with the built-in policy where the file says nothing.

The values of the core have the last word: what they refuse is a mistake at the place it came from.
"""

from __future__ import annotations

from typing import assert_never

from rollout.config import policy
from rollout.config.document import Loc
from rollout.config.file import File, StepSection
from rollout.config.gates import EmergencySection, FailureSection, GateSection, LatencySection, QuerySection
from rollout.core.gates import Emergency, FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.plan import Advance, InstancesRule, Plan, Step
from rollout.core.waves import in_waves


class Unfit(Exception):
    """A value of the core refused what the rules let pass."""

    def __init__(self, loc: Loc, message: str) -> None:
        super().__init__(message)
        self.loc = loc
        self.message = message


def plan_of(file: File) -> Plan:
    """The plan that a file stands for. Raises Unfit."""
    steps = tuple(_step(step, at) for at, step in enumerate(file.steps)) or policy.STEPS
    gates = tuple(_gate(gate, at) for at, gate in enumerate(file.gates)) or _built_in_gates(file)
    try:
        plan = Plan(
            service=file.service,
            environment=file.environment,
            steps=policy.with_shortest_soaks(steps) if file.advance is Advance.EVIDENCE else steps,
            gates=gates,
            false_rollback=file.false_rollback,
            dispersion=file.dispersion,
            advance=file.advance,
            beta=file.beta,
            instances=InstancesRule(max_restarts=file.instances.max_restarts, max_unready=file.instances.max_unready),
            interval=file.interval,
            warm_up=file.warm_up,
            blind_budget=file.blind.budget,
            on_blind=file.blind.action,
            on_drift=file.drift,
            patience=file.patience,
            drain=file.drain,
            keep=file.keep,
        )
    except ValueError as wrong:
        raise Unfit((), str(wrong)) from None
    try:
        return in_waves(plan, max(len(file.waves), 1))
    except ValueError as wrong:
        raise Unfit(("waves",), str(wrong)) from None


def _step(step: StepSection, at: int) -> Step:
    try:
        return Step(weight=step.weight, soak=step.soak, approve=step.approve, min_soak=step.min_soak)
    except ValueError as wrong:
        raise Unfit(("steps", at), str(wrong)) from None


def _gate(gate: GateSection, at: int) -> Gate:
    try:
        match gate:
            case FailureSection():
                return _failure_gate(gate)
            case LatencySection():
                return LatencyGate(
                    name=gate.name,
                    histogram=gate.histogram,
                    quantile=gate.quantile,
                    max_increase=gate.max_increase,
                    min_requests=gate.min_requests,
                    observe=gate.observe,
                )
            case QuerySection():
                return QueryGate(
                    name=gate.name,
                    query=gate.query,
                    max=gate.max,
                    min=gate.min,
                    max_increase=gate.max_increase,
                    scrapes=gate.scrapes,
                    action=gate.action,
                    observe=gate.observe,
                )
            case _:
                assert_never(gate)
    except ValueError as wrong:
        raise Unfit(("gates", at), str(wrong)) from None


def _failure_gate(gate: FailureSection) -> FailureGate:
    return FailureGate(
        name=gate.name,
        failures=gate.failures,
        total=gate.total,
        max=gate.max,
        max_ratio=gate.max_ratio,
        by=gate.by,
        regression=gate.regression,
        emergency=_emergency(gate.emergency) if gate.emergency is not None else None,
        min_requests=gate.min_requests,
        observe=gate.observe,
    )


def _emergency(emergency: EmergencySection) -> Emergency:
    return Emergency(
        max=emergency.max,
        over=emergency.over,
        min_requests=emergency.min_requests,
        min_failures=emergency.min_failures,
    )


def _built_in_gates(file: File) -> tuple[Gate, ...]:
    if file.metrics.access_log is not None:
        return (policy.http_gate(file.service),)
    return (policy.http_gate(file.service), policy.latency_gate(file.service), policy.llm_gate(file.service))
