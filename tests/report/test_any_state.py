"""Whatever has happened, in whatever order: every report can be drawn, and none breaks a line or a page."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from rollout.analysis.blocks import Block
from rollout.core.decisions import Cause, Deploy, Discard, MoveTraffic, Promote, Retire, RollBack, RunChecks
from rollout.core.events import (
    Checked,
    CheckResult,
    Commanded,
    Deployed,
    Discarded,
    Drifted,
    Event,
    Failed,
    InstancesSeen,
    Intended,
    Interrupted,
    Judged,
    Moved,
    Order,
    OrderRefused,
    Paused,
    Promoted,
    Retired,
    RolledBack,
    Started,
    WeightSeen,
)
from rollout.core.instances import GATE
from rollout.core.language import Language
from rollout.core.plan import Plan, Weight
from rollout.core.state import State, fold
from rollout.core.verdict import Counts, Estimate, GateResult, Judgement, Measured, Unit, Verdict
from rollout.report.curves import of_canary, traffic
from rollout.report.durations import Quantile
from rollout.report.html import Section, page
from rollout.report.lines import line
from rollout.report.live import view
from rollout.report.pull_request import LONGEST, Page, annotation, short_status
from rollout.report.summary import summary
from rollout.report.verdicts import gate_lines
from tests.core.test_machine_properties import Luck, World, lucks, plans
from tests.report.scenes import COMMENTS, LINKS
from tests.report.stories import CANARY, LATENCY, MEMORY, NOON, STABLE, plan
from tests.report.test_curves import blocks
from tests.report.test_html import read

POLICY = plan(0, 5, 100, approve=5, more=(LATENCY, MEMORY))
words = st.text(max_size=12)
weights = st.integers(0, 1000).map(lambda tenths: Weight(tenths / 10))
steps = st.integers(0, 2)
counts = st.integers(0, 10_000).flatmap(
    lambda total: st.integers(0, total).map(lambda failures: Counts(total=total, failures=failures))
)
estimates = st.builds(Estimate, value=st.floats(), low=st.floats(), high=st.floats())
measures = st.builds(
    Measured,
    unit=st.sampled_from(Unit),
    canary=st.none() | estimates,
    stable=st.none() | estimates,
    dispersion=st.floats(),
    bound=st.none() | st.floats(),
    tolerance=st.none() | st.tuples(st.floats(), st.floats()),
    queries=st.lists(words, max_size=2).map(tuple),
    since=st.none() | st.just(NOON),
    until=st.none() | st.just(NOON),
)
results = st.builds(
    GateResult,
    gate=st.sampled_from((GATE, *(gate.name for gate in POLICY.gates))) | words,
    verdict=st.sampled_from(Verdict),
    sentence=words,
    canary=counts,
    stable=counts,
    log_e=st.floats(),
    log_threshold=st.just(0.0) | st.floats(),
    observe=st.booleans(),
    advance=st.booleans(),
    measured=st.none() | measures,
)
judgements = st.builds(
    Judgement, verdict=st.sampled_from(Verdict), gates=st.lists(results, max_size=3).map(tuple), reason=words
)
actions = st.one_of(
    st.sampled_from((Deploy(), RunChecks(), Promote(), Retire(), Discard())),
    st.builds(MoveTraffic, weight=weights, step=steps),
    st.builds(RollBack, cause=st.sampled_from(Cause), because=words),
)
checks = st.builds(
    CheckResult,
    name=words,
    version=st.sampled_from(("canary", "stable")),
    passed=st.booleans(),
    detail=words,
    output=words,
)


def events(at: datetime) -> st.SearchStrategy[Event]:
    """Any event at a moment."""
    return st.one_of(
        *(st.just(kind(at=at)) for kind in (Deployed, Promoted, RolledBack, Retired, Discarded)),
        st.builds(Intended, at=st.just(at), action=actions),
        st.builds(Failed, at=st.just(at), action=actions, because=words, permanent=st.booleans()),
        st.builds(Checked, at=st.just(at), results=st.lists(checks, max_size=2).map(tuple)),
        st.builds(Moved, at=st.just(at), weight=weights, step=steps),
        st.builds(WeightSeen, at=st.just(at), weight=weights, step=steps),
        st.builds(Drifted, at=st.just(at), expected=weights, seen=weights),
        st.builds(Judged, at=st.just(at), step=steps, judgement=judgements),
        st.builds(
            InstancesSeen,
            at=st.just(at),
            ready=st.integers(0, 3),
            wanted=st.integers(1, 3),
            restarts=st.integers(0, 4),
        ),
        st.builds(Commanded, at=st.just(at), order=st.sampled_from(Order), by=words, step=steps),
        st.builds(OrderRefused, at=st.just(at), order=words, by=words, because=words),
        st.builds(Paused, at=st.just(at), because=words),
        st.builds(Interrupted, at=st.just(at), signal=words),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Event, ...]:
    """A start and any events after it, most of which no machine would ever write in this order."""
    stable = draw(st.sampled_from((STABLE, STABLE, None)))
    told: list[Event] = [Started(at=NOON, rollout="1-v2", release=CANARY, stable=stable, plan=POLICY)]
    for _ in range(draw(st.integers(0, 25))):
        later = told[-1].at + timedelta(seconds=draw(st.sampled_from((0, 0.3, 7, 900, 90_000))))
        told.append(draw(events(later)))
    return tuple(told)


def comment_everything(state: State, told: tuple[Event, ...], now: datetime) -> None:
    """Every comment once, in one of the languages."""
    language = Language.ZH if len(told) % 2 else Language.EN
    shown = Page(state=state, events=told, now=now, judgement=None, weight=None, links=LINKS, language=language)
    for comment in COMMENTS.values():
        body = comment[1](shown)
        assert len(body) <= LONGEST
        assert "nan" not in body.lower().split()
    for text in (short_status(shown), annotation(shown)):
        assert text.isprintable()


def report_everything(state: State, told: tuple[Event, ...], now: datetime) -> None:
    """Every report once, with what must hold for each."""
    for event in told:
        assert len(line(event, state.plan).splitlines()) == 1
        assert line(event).isprintable()
    for text in summary(state, now):
        assert text.isprintable()
    for width in (30, 80):
        console = Console(width=width, file=io.StringIO(), no_color=True)
        console.print(view(state, seen_weight=None, wait_reason="", now=now, events=told))
    gates = state.judgement.gates if state.judgement is not None else ()
    assert all(text.isprintable() for result in gates for text in gate_lines(result))
    comment_everything(state, told, now)
    whole = page([Section(state=state, events=told), Section(state=state, events=told, judgement=state.judgement)], now)
    read(whole)
    whole.encode("utf-8")


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(told=histories())
def test_any_history_can_be_reported(told: tuple[Event, ...]) -> None:
    """Texts of every character, numbers of every size, events in every order."""
    state = fold(told)
    assert state is not None
    report_everything(state, told, told[-1].at)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(policy=plans(), life=st.lists(lucks, max_size=15))
def test_every_state_that_the_machine_reaches_can_be_reported(policy: Plan, life: list[Luck]) -> None:
    """The machine itself, with bad luck of every kind."""
    world = World(plan=policy)
    world.begin()
    for luck in life:
        world.tick(luck)
    report_everything(world.state, tuple(world.events), world.now + timedelta(minutes=1))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(many=blocks(), value=st.floats(0, 1e9), bound=st.none() | st.floats())
def test_any_counts_can_be_drawn(many: tuple[Block, ...], value: float, bound: float | None) -> None:
    """Of a failure gate and of a latency gate, whether it has quantiles and a bucket or not."""
    result = GateResult(
        gate=LATENCY.name,
        verdict=Verdict.HEALTHY,
        sentence="",
        measured=Measured(unit=Unit.SECONDS, bound=bound),
    )
    told: tuple[Event, ...] = (
        Started(at=NOON, rollout="1-v2", release=CANARY, stable=STABLE, plan=POLICY),
        Judged(at=NOON, step=0, judgement=Judgement(verdict=Verdict.HEALTHY, gates=(result,))),
    )
    state = fold(told)
    assert state is not None
    counted = {gate.name: many for gate in POLICY.gates}
    points = [
        Quantile(since=one.since, until=one.until, counts=one.counts, value=value) for one in traffic(many, of_canary)
    ]
    for quantiles in ({}, {LATENCY.name: {"canary": points, "stable": points}}):
        reader = read(page([Section(state=state, events=told, blocks=counted, quantiles=quantiles)], NOON))
        for _, attributes in reader.seen:
            assert not {"nan", "inf"} & set((attributes.get("d") or "").replace(",", " ").split())
