"""A look goes on from the one before, and gives what a look from nothing gives: a replay is what the live loop sees."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.analysis.blocks import Block, Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters, Reading
from rollout.analysis.trial import Trial
from rollout.core.plan import Plan
from tests.analysis.histogram import LAYOUT, latency
from tests.analysis.traffic import LATE, gate, known_by, moments, plan, second, timeline, tried

WHENS = st.sampled_from(
    [
        timeline((0, 5)),
        timeline((2, 5), (7.4, 25)),
        timeline((0, 0), (3, 50), (9, 100)),
        timeline((1, 5), (4, 25), (6, 5), deployed=-1),
        timeline((0, 100)),
    ]
)


@st.composite
def values(draw: st.DrawFn, length: int) -> list[float]:
    """What a counter shows: it grows, begins anew now and then, and is not a number now and then."""
    value = float(draw(st.integers(0, 30)))
    shown = []
    for _ in range(length):
        event = draw(st.integers(0, 11))
        value = float(draw(st.integers(0, 3))) if event == 0 else value + draw(st.integers(0, 40))
        shown.append(math.nan if event == 1 else value)
    return shown


@st.composite
def process(draw: st.DrawFn, name: str) -> Counters:
    """One instance: scraped at even spaces from some moment on, with scrapes lost, and label sets that come later."""
    first, every = draw(st.sampled_from([-3.3, -1.0, -0.4, 0.6, 3.0, 5.2])), draw(st.sampled_from([0.7, 1.0, 2.5]))
    at = [first + every * index for index in range(draw(st.integers(1, 9)))]
    at = [moment for moment in at if draw(st.integers(0, 5))] or at[:1]

    def series(route: str, **labels: str) -> Series:
        mine = at[draw(st.integers(0, len(at) - 1)) if draw(st.booleans()) else 0 :]
        shown = zip(mine, draw(values(len(mine))), strict=True)
        samples = tuple(Sample(at=second(moment), value=value) for moment, value in shown)
        return Series(labels={"job": "chat", "instance": name, "route": route, **labels}, samples=samples)

    routes = draw(st.sampled_from([("/",), ("/", "/chat")]))
    failing = draw(st.sampled_from([(), routes]))
    return Counters(
        total=tuple(series(route) for route in routes),
        failures=tuple(series(route, code="500") for route in failing),
    )


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """One or two instances of each version."""

    def version(name: str) -> Counters:
        many = [draw(process(f"{name}{index}")) for index in range(draw(st.integers(1, 2)))]
        return Counters(
            total=tuple(one for each in many for one in each.total),
            failures=tuple(one for each in many for one in each.failures),
        )

    subject = gate(by=draw(st.sampled_from([(), ("route",)])), ratio=1.5, limit=0.02)
    return Reading(gate=subject, canary=version("two"), stable=version("one"))


def plans(subject: Reading) -> st.SearchStrategy[Plan]:
    return st.builds(
        lambda interval, warm_up: plan(subject.gate, interval=interval, warm_up=warm_up),
        st.sampled_from([0.5, 1.0, 3.0]),
        st.sampled_from([0.0, 2.0]),
    )


def ordered(blocks: tuple[Block, ...]) -> list[Block]:
    """Parts are in no order."""
    return [
        replace(
            block, parts=tuple(sorted(block.parts, key=lambda part: (part.canary_total, part.stable_total, str(part))))
        )
        for block in blocks
    ]


def assert_alike(one: Trial, other: Trial, when: Timeline) -> None:
    """Blocks, sums and evidence; only the last may differ by what the order of sums rounds."""
    assert ordered(one.blocks) == ordered(other.blocks)
    assert one.totals(when) == other.totals(when)
    assert [one.newest("canary"), one.newest("stable")] == [other.newest("canary"), other.newest("stable")]
    ours, theirs = one.look(when, second(LATE)), other.look(when, second(LATE))
    assert (ours.kind, ours.blocks) == (theirs.kind, theirs.blocks)
    for name in ("log_e", "log_over_limit", "log_regression", "log_kept", "dispersion"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-9, abs=1e-9)


@given(whole=readings(), when=WHENS, data=st.data())
@settings(max_examples=300)
def test_scrape_by_scrape_gives_the_same_blocks_and_evidence_as_all_at_once(
    whole: Reading, when: Timeline, data: st.DataObject
) -> None:
    policy = data.draw(plans(whole))
    stepwise = tried(whole, policy=policy, when=when, looks=[*moments(whole), second(LATE)])
    assert_alike(stepwise, tried(whole, policy=policy, when=when), when)


@given(whole=readings(), when=WHENS, data=st.data())
@settings(max_examples=200)
def test_what_comes_later_does_not_change_a_look(whole: Reading, when: Timeline, data: st.DataObject) -> None:
    """A replay holds samples of later moments too; at each moment it says what was said then."""
    policy = data.draw(plans(whole))
    moment = data.draw(st.sampled_from(moments(whole)))
    then = known_by(whole, moment)
    replayed, live = Trial(whole, plan=policy, timeline=when), Trial(then, plan=policy, timeline=when)
    assert replayed.look(when, moment) == live.look(when, moment)
    assert replayed.blocks == live.blocks
    assert replayed.totals(when) == live.totals(when)


def spread(durations: list[tuple[int, ...]], *, instance: str, first: float, every: float = 1.0) -> Counters:
    """A histogram by how many durations fell in each bucket between scrapes; the first scrape shows nothing."""
    columns = []
    for place, bound in enumerate((*LAYOUT, math.inf)):
        grown = itertools.accumulate((float(sum(row[: place + 1])) for row in durations), initial=0.0)
        samples = tuple(Sample(at=second(first + every * i), value=value) for i, value in enumerate(grown))
        labels = {"job": "chat", "instance": instance, "le": "+Inf" if bound == math.inf else repr(bound)}
        columns.append(Series(labels=labels, samples=samples))
    return Counters(buckets=tuple(columns))


rows = st.tuples(*[st.integers(0, 40)] * (len(LAYOUT) + 1))


@given(
    canary=st.lists(rows, min_size=1, max_size=8),
    one=st.lists(rows, min_size=4, max_size=14),
    two=st.lists(rows, min_size=4, max_size=14),
    first=st.sampled_from([-6.0, -2.5, 0.4]),
    traffic=st.sampled_from([0.0, 2.2, 4.0]),
)
@settings(max_examples=150)
def test_a_histogram_gives_the_same_too_whenever_its_bucket_was_chosen(
    canary: list[tuple[int, ...]],
    one: list[tuple[int, ...]],
    two: list[tuple[int, ...]],
    first: float,
    traffic: float,
) -> None:
    stable = (spread(one, instance="one", first=first), spread(two, instance="other", first=first))
    whole = Reading(
        gate=latency(),
        canary=spread(canary, instance="two", first=0.3),
        stable=Counters(buckets=(*stable[0].buckets, *stable[1].buckets)),
    )
    when = timeline((traffic, 5), (traffic + 5, 25))
    stepwise = tried(whole, when=when, looks=[*moments(whole), second(LATE)])
    at_once = tried(whole, when=when)
    assert stepwise.cut == at_once.cut
    assert_alike(stepwise, at_once, when)
