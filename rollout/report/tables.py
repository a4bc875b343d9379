"""The tables of the HTML page: facts, decisions, gates, checks, events. They arrange; they conclude nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, assert_never

from rollout.analysis.blocks import Block
from rollout.analysis.wording import percent
from rollout.core.decisions import RollBack
from rollout.core.events import Checked, CheckResult, Event, Intended, Judged, RolledBack
from rollout.core.gates import FailureGate
from rollout.core.plan import Plan
from rollout.core.state import Phase, State
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from rollout.report.decided import Decided, Sort
from rollout.report.lines import line
from rollout.report.markup import NONE, Html, tag, text
from rollout.report.summary import standing
from rollout.report.words import (
    because_words,
    clock,
    evidence,
    evidence_words,
    limits,
    one_line,
    share,
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
    """Text of anyone as one line of markup, in which a number stays with its percent sign."""
    return Html(text(one_line(raw)).replace(" %", "&nbsp;%"))


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
    rows = [_decision(one, state.started_at) for one in decisions]
    if not rows:
        return tag("p", text("No decision has been made yet."), class_="soft")
    return _table(("time", "since start", "decision", "why", "evidence"), rows)


def _decision(one: Decided, started: datetime) -> Html:
    numbers = [_numbers(result) for result in one.evidence.gates] if one.evidence is not None else []
    return tag(
        "tr",
        tag("td", text(clock(one.at)), class_="exact"),
        tag("td", text(f"+ {span(one.at - started)}"), class_="exact soft"),
        tag("td", tag("span", said(one.what), class_="" if one.sort is Sort.MOVE else _SORTS[one.sort])),
        tag("td", said(one.why), class_="long"),
        tag("td", tag("ul", *(tag("li", said(number)) for number in numbers)) if numbers else text("–")),
    )


def _numbers(result: GateResult) -> str:
    return (
        f"{one_line(result.gate)}: canary {share(result.canary)}, stable {share(result.stable)}, "
        f"evidence {evidence_words(result)}"
    )


def gates_table(plan: Plan, judged: Judged | None) -> Html:
    """Every gate with its verdict and numbers, as they were when the last verdict was recorded."""
    if judged is None or not judged.judgement.gates:
        return tag("p", text(_no_gates(plan, judged.judgement if judged is not None else None)), class_="soft")
    allowed = {gate.name: limits(gate) for gate in plan.gates}
    rows = [_gate(result, allowed.get(result.gate, "–")) for result in judged.judgement.gates]
    when = tag("p", text(f"Recorded at {stamp(judged.at)}, in step {judged.step + 1}."), class_="soft")
    headings = ("gate", "verdict", "canary fails", "stable fails", "allowed", "evidence for a rollback", "finding")
    return tag("div", when, _table(headings, rows))


def _no_gates(plan: Plan, judgement: Judgement | None) -> str:
    if not plan.gates:
        return "The plan has no gates."
    if judgement is None:
        return "The canary was never judged."
    return f"{verdict_words(judgement.verdict)}: {one_line(judgement.reason)}"


def _gate(result: GateResult, allowed: str) -> Html:
    name = f"{one_line(result.gate)}{' (observed only)' if result.observe else ''}"
    full = tag("path", d=f"M0,0 h{64 * evidence(result):.1f} v8 H0 Z")
    bar = tag("svg", full, class_="bar", viewBox="0 0 64 8", preserveAspectRatio="none", aria_hidden="true")
    return tag(
        "tr",
        tag("td", said(name)),
        tag("td", tag("span", text(verdict_words(result.verdict)), class_=f"word {_COLOURS[result.verdict]}")),
        tag("td", text(share(result.canary)), class_="exact"),
        tag("td", text(share(result.stable)), class_="exact"),
        tag("td", said(allowed)),
        tag("td", bar, text(evidence_words(result)), class_="exact"),
        tag("td", said(result.sentence), class_="long"),
    )


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
