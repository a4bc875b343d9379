"""The built-in policy: what a rollout does where rollout.yml names no steps and no gates.

Both are those of the LobeChat release guide. Names go into the selectors as values, never through text.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from rollout.core.gates import Emergency, FailureGate, LatencyGate
from rollout.core.plan import EVERYTHING, NOTHING, Step, Weight
from rollout.core.selector import VERSION, Matcher, Selector

STEPS: Final = (
    Step(weight=Weight(0), soak=timedelta(minutes=5)),
    Step(weight=Weight(1), soak=timedelta(minutes=30)),
    Step(weight=Weight(5), soak=timedelta(minutes=15)),
    Step(weight=Weight(10), soak=timedelta(minutes=15)),
    Step(weight=Weight(25), soak=timedelta(minutes=15)),
    Step(weight=Weight(50), soak=timedelta(minutes=15), approve=True),
    Step(weight=Weight(100), soak=timedelta(minutes=30)),
)
"""From testers only to everybody, in two hours and five minutes at least."""

SHORTENED: Final = timedelta(minutes=5)
"""What evidence may shorten a step to, where rollout.yml does not say."""


def with_shortest_soaks(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with a `min_soak` where they lack one and evidence may shorten them.

    Three steps always last all of their soak: that of the testers, the first with users, whose evidence is thin, and
    the last, at which there is no stable release to compare with.
    """
    first = next((step.weight for step in steps if step.weight > NOTHING), EVERYTHING)
    whole = (NOTHING, first, EVERYTHING)
    return tuple(
        step if step.min_soak is not None or step.weight in whole else replace(step, min_soak=min(step.soak, SHORTENED))
        for step in steps
    )


def http_gate(service: str) -> FailureGate:
    """At most 2 % of the canary's answers are server errors; 3 % over five minutes is an emergency."""
    requests = _counter("http_requests_total", service)
    return FailureGate(
        name="http 5xx",
        failures=_with(requests, Matcher(label="code", operator="=~", value="5..")),
        total=requests,
        max=0.02,
        emergency=Emergency(max=0.03, over=timedelta(minutes=5)),
        if_present=True,
    )


def latency_gate(service: str) -> LatencyGate:
    """The canary's p95 latency is at most 30 % above stable's."""
    return LatencyGate(
        name="p95 latency",
        histogram=_counter("http_request_duration_seconds_bucket", service),
        quantile=0.95,
        max_increase=0.3,
        if_present=True,
    )


def llm_gate(service: str) -> FailureGate:
    """The canary's calls to a language model fail at most half as often again as stable's do."""
    calls = _counter("llm_requests_total", service)
    return FailureGate(
        name="llm failures",
        failures=_with(calls, Matcher(label="outcome", operator="=", value="error")),
        total=calls,
        max_ratio=1.5,
        if_present=True,
    )


def _counter(metric: str, service: str) -> Selector:
    return Selector(
        metric=metric,
        matchers=(
            Matcher(label="service", operator="=", value=service),
            Matcher(label="version", operator="=", value=VERSION),
        ),
    )


def _with(selector: Selector, matcher: Matcher) -> Selector:
    return Selector(metric=selector.metric, matchers=(*selector.matchers, matcher))
