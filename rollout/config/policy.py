"""The built-in policy: what a rollout does where rollout.yml names no steps and no gates.

Both are those of the LobeChat release guide. Names go into the selectors as values, never through text.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rollout.core.plan import Gate, Step, Weight
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


def http_gate(service: str) -> Gate:
    """At most 2 % of the canary's answers are server errors."""
    requests = _counter("http_requests_total", service)
    return Gate(
        name="http 5xx",
        failures=_with(requests, Matcher(label="code", operator="=~", value="5..")),
        total=requests,
        max=0.02,
        if_present=True,
    )


def llm_gate(service: str) -> Gate:
    """The canary's calls to a language model fail at most half as often again as stable's do."""
    calls = _counter("llm_requests_total", service)
    return Gate(
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
