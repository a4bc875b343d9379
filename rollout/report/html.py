"""The page that is left when a rollout has ended: one file that needs nothing else, to look at and to pass on.

Nothing on it runs and nothing is fetched: a content security policy says so to the browser. All text is escaped by
`markup`. It only arranges what others found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rollout.analysis.blocks import Block
from rollout.core.events import Event, Judged
from rollout.core.gates import FailureGate, LatencyGate
from rollout.core.state import State
from rollout.core.verdict import Judgement
from rollout.report.charts import axis_of, failures_chart, latency_chart, legend, marks_of, traffic_chart
from rollout.report.curves import served_weights
from rollout.report.decided import decided
from rollout.report.durations import Quantile
from rollout.report.markup import NONE, Html, joined, tag, text
from rollout.report.style import STYLE
from rollout.report.tables import checks, decisions_table, events_list, facts, gates_table, judged_last, outcome, said
from rollout.report.words import one_line, stamp

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One rollout on the page."""

    state: State
    events: Sequence[Event]
    """All of its events, from Started on."""
    blocks: Mapping[str, Sequence[Block]] = field(default_factory=dict)
    """The counts of each gate by its name, oldest first, up to the end of what is to be shown."""
    quantiles: Mapping[str, Mapping[str, Sequence[Quantile]]] = field(default_factory=dict)
    """How long `canary` and `stable` took, by the name of each latency gate."""
    judgement: Judgement | None = None
    """The verdict as it is now; None where the rollout is over, or nobody judged."""
    title: str = ""
    """Above the section, such as `A good release`; empty for the tag that is released."""


def page(sections: Sequence[Section], now: datetime, *, title: str = "") -> str:
    """The whole page as HTML in UTF-8. `now` is printed, and is the end of charts of rollouts under way.

    Raises ValueError where a section has no events.
    """
    if any(not section.events for section in sections):
        raise ValueError("a rollout without events cannot be reported")
    heading = one_line(title) or _heading(sections)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", text(heading)),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", text(heading)), *(_contents(sections, now) if len(sections) > 1 else ())),
        tag("main", *(_section(section, now, number) for number, section in enumerate(sections, start=1))),
        tag("footer", text(f"Written on {stamp(now)}. All times are UTC.")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _heading(sections: Sequence[Section]) -> str:
    if not sections:
        return "No rollout has been started"
    plan = sections[0].state.plan
    return one_line(f"Rollout report: {plan.service} in {plan.environment}")


def _name(section: Section) -> str:
    state = section.state
    return one_line(section.title) or one_line(f"{state.plan.service} {state.release.tag}")


def _contents(sections: Sequence[Section], now: datetime) -> tuple[Html, ...]:
    entries = []
    for number, section in enumerate(sections, start=1):
        told = outcome(section.state, section.events, now)
        entries.append(
            tag(
                "tr",
                tag("td", tag("a", text(_name(section)), href=f"#rollout-{number}")),
                tag("td", text(section.state.release.tag)),
                tag("td", tag("span", said(told.words), class_=f"word {told.sort}")),
            )
        )
    return (tag("table", *entries),)


def _section(section: Section, now: datetime, number: int) -> Html:
    state, events = section.state, section.events
    told = outcome(state, events, now)
    because = joined((tag("br"), tag("span", said(told.because)))) if told.because else NONE
    return tag(
        "section",
        tag("h2", text(_name(section))),
        tag("p", tag("b", said(told.words)), because, class_=f"outcome {told.sort}"),
        facts(state, section.blocks, now),
        *_figures(section, now),
        tag("h3", text("Decisions")),
        decisions_table(state, decided(events, state.plan)),
        *_gates(section, now),
        tag("h3", text("Checks")),
        checks(state.checked),
        tag("h3", text("Events")),
        events_list(events, state.plan),
        id=f"rollout-{number}",
    )


def _gates(section: Section, now: datetime) -> tuple[Html, Html]:
    """The gates as they are now, where that is known: a journal holds only verdicts that were news."""
    state, judgement = section.state, section.judgement
    if judgement is None:
        return tag("h3", text("Gates at the last verdict")), gates_table(state.plan, judged_last(section.events))
    judged = Judged(at=now, step=state.step, judgement=judgement)
    return tag("h3", text("Gates now")), gates_table(state.plan, judged, recorded=False)


def _figures(section: Section, now: datetime) -> tuple[Html, ...]:
    state, events = section.state, section.events
    marks = marks_of(decided(events, state.plan))
    axis = axis_of(events, section.blocks, now, over=state.over)
    counted_by = next((gate.name for gate in state.plan.gates if section.blocks.get(gate.name)), "")
    shown = traffic_chart(
        axis,
        marks,
        served_weights(state, events),
        section.blocks.get(counted_by, ()),
        state.promoted_at if state.promoted_at is not None else axis.end,
    )
    counted = f" Requests as the gate “{one_line(counted_by)}” counts them." if counted_by else ""
    figures = [_figure("Traffic", f"Lines through the charts are decisions.{counted}", legend(limits=False), shown)]
    failing = tuple(gate for gate in state.plan.gates if isinstance(gate, FailureGate))
    if failing:
        failures = failures_chart(axis, marks, failing, section.blocks)
        words = (
            "Each point rests on 20 requests or more where there were so many. With so few, one failure is a spike and "
            "proves nothing: what counts is the evidence of all of them."
        )
        figures.append(_figure("Failures", words, legend(limits=True), failures))
    timed = tuple(gate for gate in state.plan.gates if isinstance(gate, LatencyGate))
    if timed:
        words = (
            "A quantile is interpolated within its bucket; each point rests on 100 requests or more where there were "
            "so many. The canary is judged by its slow requests: what is allowed is the share that would be slow if "
            "every request of stable in the same minutes took as much longer as the limit allows."
        )
        latencies = latency_chart(axis, marks, timed, section.blocks, section.quantiles, _bounds(events))
        figures.append(_figure("Durations", words, legend(limits=True), latencies))
    return tuple(figures)


def _bounds(events: Sequence[Event]) -> dict[str, float]:
    """From which duration on a request is slow, by the newest verdict that says so of each latency gate."""
    return {
        result.gate: result.measured.bound
        for event in events
        if isinstance(event, Judged)
        for result in event.judgement.gates
        if result.measured is not None and result.measured.bound is not None
    }


def _figure(title: str, words: str, key: Html, chart: Html) -> Html:
    return tag("figure", tag("figcaption", text(title)), tag("p", text(words), class_="soft"), key, chart)
