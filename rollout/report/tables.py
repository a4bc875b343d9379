"""The tables of the HTML page: facts, decisions, gates, checks, events. They arrange; they conclude nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, assert_never

from rollout.analysis.blocks import Block
from rollout.analysis.wording import percent
from rollout.core.decisions import RollBack
from rollout.core.events import Checked, CheckResult, Event, Intended, Judged, RolledBack
from rollout.core.gates import FailureGate, Gate
from rollout.core.plan import Plan
from rollout.core.state import Phase, State
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from rollout.report.decided import Decided, Sort
from rollout.report.lines import line
from rollout.report.markup import NONE, Html, tag, text
from rollout.report.measures import canary_figures, counted, stable_figures, told, weighed
from rollout.report.summary import standing
from rollout.report.verdicts import magnitude, numbers
from rollout.report.words import (
    because_words,
    clock,
    evidence,
    evidence_words,
    limits,
    one_line,
    span,
    stamp,
    verdict_words,
)

_Colour = Literal["good", "bad", "warn", "soft"]
_COLOURS: Final[Mapping[Verdict, _Colour]] = {
    Verdict.HEALTHY: "good",
    Verdict.INCONCLUSIVE: "warn",
    Verdict.BLIND: "warn",
    Verdict.UNHEALTHY: "bad",
}
_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h)(?!\w))")
_SORTS: Final[Mapping[Sort, _Colour]] = {
    Sort.MOVE: "soft",
    Sort.PROMOTE: "good",
    Sort.ROLL_BACK: "bad",
    Sort.PERSON: "warn",
    Sort.TROUBLE: "warn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended or stands, in words."""

    words: str
    sort: _Colour
    because: str = ""


def outcome(state: State, events: Sequence[Event], now: datetime) -> Outcome:
    """The first thing a reader looks for."""
    tag_ = state.release.tag
    because = one_line(because_words(state.cause, state.because))
    match state.phase:
        case Phase.PROMOTED:
            old = f" It replaces {state.stable.tag}." if state.stable is not None else " It is the first release."
            return Outcome(words=f"✓ {tag_} was promoted.{old}", sort="good")
        case Phase.ROLLED_BACK:
            took = _rollback_took(events)
            within = f", {took} after the decision" if took else ""
            back = f" to {state.stable.tag}" if state.stable is not None else ""
            return Outcome(words=f"✗ {tag_} was rolled back{back}{within}.", sort="bad", because=because)
        case Phase.ROLLING_BACK:
            return Outcome(words=f"✗ {tag_} is being rolled back.", sort="bad", because=because)
        case Phase.DEPLOYING | Phase.CHECKING | Phase.STEPPING | Phase.PROMOTING:
            words = one_line(standing(state, now))
            paused = one_line(f"paused {state.paused}") if state.paused else ""
            return Outcome(words=f"{tag_} is under way: {words}.", sort="warn", because=paused)
        case _:
            assert_never(state.phase)


def _rollback_took(events: Sequence[Event]) -> str:
    """From the last decision to roll back to the moment it was done."""
    done = next((event.at for event in reversed(events) if isinstance(event, RolledBack)), None)
    started: datetime | None = None
    before: Event | None = None
    for event in events:
        if isinstance(event, Intended) and isinstance(event.action, RollBack):
            again = isinstance(before, Intended) and isinstance(before.action, RollBack)
            started = started if again and started is not None else event.at
        before = event
    return span(done - started) if done is not None and started is not None else ""


def said(raw: str) -> Html:
    """Text of anyone as one line of markup, in which a number stays with its unit."""
    return Html(_UNIT.sub("&nbsp;", text(one_line(raw))))


def judged_last(events: Sequence[Event]) -> Judged | None:
    """The last verdict that was recorded."""
    return next((event for event in reversed(events) if isinstance(event, Judged)), None)


def facts(state: State, blocks: Mapping[str, Sequence[Block]], now: datetime) -> Html:
    """What was released where and when, and what users met."""
    plan = state.plan
    ended = state.rolled_back_at if state.phase is Phase.ROLLED_BACK else state.promoted_at
    soaks = ", ".join(f"{step.weight} for {span(step.soak)}" for step in plan.steps)
    commit = f", commit {state.release.commit[:12]}" if state.release.commit else ""
    rows = [
        _fact("Service", f"{plan.service} in {plan.environment}", f"rollout {state.rollout}"),
        _fact("Canary", state.release.tag, f"{state.release.image} {state.release.digest[:19]}…{commit}"),
        _fact("Stable", *_stable(state)),
        _fact("Started", stamp(state.started_at)),
        _fact("Ended", stamp(ended), f"after {span(ended - state.started_at)}")
        if ended is not None
        else _fact("Running for", span(now - state.started_at)),
        *_users(plan, blocks),
        _fact("Steps", soaks, _approvals(plan), broad=True),
        _fact(
            "Policy",
            f"a healthy canary is rolled back by mistake in at most {percent(plan.false_rollback)} of rollouts",
            f"the metrics are looked at every {span(plan.interval)}",
            broad=True,
        ),
    ]
    return tag("dl", *rows)


def _approvals(plan: Plan) -> str:
    asked = ", ".join(str(step.weight) for step in plan.steps if step.approve)
    return f"a person approves after {asked}" if asked else ""


def _stable(state: State) -> tuple[str, str]:
    if state.stable is None:
        return "none before", ""
    return state.stable.tag, f"{state.stable.image} {state.stable.digest[:19]}…"


def _fact(name: str, value: str, more: str = "", *, broad: bool = False) -> Html:
    small = tag("small", said(more)) if more else NONE
    return tag("div", tag("dt", said(name)), tag("dd", said(value), small), class_="broad" if broad else "")


def _users(plan: Plan, blocks: Mapping[str, Sequence[Block]]) -> tuple[Html, ...]:
    """What the canary served and failed, failure gate by failure gate."""
    found = []
    for gate in (one for one in plan.gates if isinstance(one, FailureGate)):
        counted = blocks.get(gate.name, ())
        total = sum(block.canary.total for block in counted)
        failures = sum(block.canary.failures for block in counted)
        if total:
            found.append(
                _fact(
                    f"Canary: {gate.name}",
                    f"{failures:,} of {total:,} requests failed",
                    f"{percent(Counts(total=total, failures=failures).rate or 0.0)}; allowed is {limits(gate)}",
                )
            )
    return tuple(found)


def _table(headings: Sequence[str], rows: Sequence[Html]) -> Html:
    head = tag("thead", tag("tr", *(tag("th", text(heading), scope="col") for heading in headings)))
    return tag("div", tag("table", head, tag("tbody", *rows)), class_="wide")


def decisions_table(state: State, decisions: Sequence[Decided]) -> Html:
    """When what was decided, why, and the numbers of the verdict it rests on."""
    gates = _gates_of(state.plan)
    rows = [_decision(one, state.started_at, gates) for one in decisions]
    if not rows:
        return tag("p", text("No decision has been made yet."), class_="soft")
    return _table(("time", "since start", "decision", "why", "evidence"), rows)


def _decision(one: Decided, started: datetime, gates: Mapping[str, Gate]) -> Html:
    results = one.evidence.gates if one.evidence is not None else ()
    numbers = [f"{one_line(result.gate)}: {told(result, gates.get(result.gate))}" for result in results]
    return tag(
        "tr",
        tag("td", text(clock(one.at)), class_="exact"),
        tag("td", text(f"+ {span(one.at - started)}"), class_="exact soft"),
        tag("td", tag("span", said(one.what), class_="" if one.sort is Sort.MOVE else _SORTS[one.sort])),
        tag("td", said(one.why), class_="long"),
        tag("td", tag("ul", *(tag("li", said(number)) for number in numbers)) if numbers else text("–")),
    )


def gates_table(plan: Plan, judged: Judged | None, *, recorded: bool = True) -> Html:
    """Every gate with its verdict and numbers, when the last verdict was recorded, or as they are judged now."""
    if judged is None or not judged.judgement.gates:
        return tag("p", text(_no_gates(plan, judged.judgement if judged is not None else None)), class_="soft")
    gates = _gates_of(plan)
    results = judged.judgement.gates
    rows = [_gate(result, gates.get(result.gate)) for result in results]
    ranges = any(canary_figures(one).span or stable_figures(one).span for one in results)
    meaning = " The range below a value holds at every look at once, with 95 % confidence." if ranges else ""
    when = f"{'Recorded' if recorded else 'Judged'} at {stamp(judged.at)}, in step {judged.step + 1}."
    headings = ("gate", "verdict", "canary", "stable", "evidence for a rollback", "finding")
    folded = [_folded(result, gates.get(result.gate)) for result in results if counted(result)]
    return tag("div", tag("p", said(when + meaning), class_="soft"), _table(headings, rows), *folded)


def _gates_of(plan: Plan) -> Mapping[str, Gate]:
    return {gate.name: gate for gate in plan.gates}


def _no_gates(plan: Plan, judgement: Judgement | None) -> str:
    if not plan.gates:
        return "The plan has no gates."
    if judgement is None:
        return "The canary was never judged."
    return f"{verdict_words(judgement.verdict)}: {one_line(judgement.reason)}"


def _gate(result: GateResult, gate: Gate | None) -> Html:
    name = f"{one_line(result.gate)}{' (observed only)' if result.observe else ''}"
    allowed = tag("small", said(limits(gate))) if gate is not None else NONE
    word = tag("span", text(verdict_words(result.verdict)), class_=f"word {_COLOURS[result.verdict]}")
    cells = [tag("td", said(name), allowed), tag("td", word)]
    if counted(result):
        figures = (canary_figures(result, gate), stable_figures(result, gate))
        cells.extend(tag("td", said(one.value), tag("small", said(one.span)), class_="exact") for one in figures)
        cells.append(tag("td", *_evidence(result), class_="exact"))
        cells.append(tag("td", said(result.sentence), class_="long"))
    else:
        cells.append(tag("td", said(result.sentence), colspan="4"))
    return tag("tr", *cells)


def _evidence(result: GateResult) -> tuple[Html, ...]:
    """How far the evidence has come, as a bar, in percent and as it is; nothing where none is weighed."""
    if not weighed(result):
        return (tag("span", text("none is weighed"), class_="soft"),)
    full = tag("path", d=f"M0,0 h{64 * evidence(result):.1f} v8 H0 Z")
    bar = tag("svg", full, class_="bar", viewBox="0 0 64 8", preserveAspectRatio="none", aria_hidden="true")
    exact = f"e-value {magnitude(result.log_e)} of {magnitude(result.log_threshold)}"
    return bar, said(evidence_words(result)), tag("small", said(exact))


def _folded(result: GateResult, gate: Gate | None) -> Html:
    """Everything that a person needs to check a gate, folded, with the queries as they were sent."""
    rows = [
        tag("tr", tag("th", said(what), scope="row"), tag("td", said(words))) for what, words in numbers(result, gate)
    ]
    queries = result.measured.queries if result.measured is not None else ()
    asked = tag("pre", text("\n".join(queries))) if queries else NONE
    title = tag("summary", text("What "), tag("b", said(result.gate)), text(" rests on"))
    return tag("details", title, tag("table", tag("tbody", *rows)), asked)


def checks(checked: Checked | None) -> Html:
    """Every check with what it printed, folded."""
    if checked is None:
        return tag("p", text("The checks have not run."), class_="soft")
    if not checked.results:
        return tag("p", text("No checks are configured."), class_="soft")
    return tag("div", *(_check(result) for result in checked.results))


def _check(result: CheckResult) -> Html:
    verdict = tag("span", text("✓ passed" if result.passed else "✗ failed"), class_=_passed(result))
    words = said(f"{result.name} against {result.version}: {result.detail}")
    return tag("details", tag("summary", verdict, text(" "), words), tag("pre", text(result.output or "(no output)")))


def _passed(result: CheckResult) -> str:
    return "word good" if result.passed else "word bad"


def events_list(events: Sequence[Event], plan: Plan) -> Html:
    """Every event of the journal as its log line, folded."""
    lines = "\n".join(line(event, plan) for event in events)
    return tag("details", tag("summary", text(f"All {len(events)} events of the journal")), tag("pre", text(lines)))
