"""What is not healthy and not unhealthy: whatever else the data say, none of these may decide about a canary."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate
from rollout.core.verdict import GateResult, Judgement, Verdict
from tests.analysis.traffic import Pairs, counters, gate, judged, known_by, plan, reading, second, timeline
from tests.analysis.verdicts import AT_5

SUBJECTS = st.sampled_from([gate(), gate(ratio=1.5), gate(limit=0.02, ratio=1.5)])
UNDECIDED = {Verdict.INCONCLUSIVE, Verdict.BLIND}

good = st.lists(st.tuples(st.integers(15, 60), st.just(0)), min_size=12, max_size=30)
"""A canary without a failure, second by second."""


def stable_for(canary: Pairs) -> Pairs:
    return [(400, 0)] * len(canary)


def judge_at(read: Reading, now: float, *, when: Timeline = AT_5, interval: float = 1.0) -> Judgement:
    """The verdict on what was known at that second."""
    assert not read.empty
    policy = plan(read.gate, interval=interval)
    return judged(known_by(read, second(now)), policy=policy, when=when, now=now)


def result_at(read: Reading, now: float, *, when: Timeline = AT_5) -> GateResult:
    return judge_at(read, now, when=when).gates[0]


def kept(version: Counters, keep: list[bool]) -> Counters:
    """Without the scrapes that were lost; the first is always there."""

    def cut(many: tuple[Series, ...]) -> tuple[Series, ...]:
        return tuple(
            Series(
                labels=one.labels,
                samples=tuple(sample for i, sample in enumerate(one.samples) if i == 0 or keep[(i - 1) % len(keep)]),
            )
            for one in many
        )

    return Counters(total=cut(version.total), failures=cut(version.failures))


@given(subject=SUBJECTS, waited=st.floats(0, 200), stable=st.booleans())
def test_no_series_of_the_canary_yet(subject: FailureGate, waited: float, stable: bool) -> None:
    """With traffic on it: first waited for, then missed; never healthy."""
    served: Pairs = [(400, 0)] * 201 if stable else []
    read = Reading(gate=subject, stable=counters(served, instance="one"))
    got = judged(known_by(read, second(waited)), policy=plan(subject), when=AT_5, now=waited)
    assert got.verdict is (Verdict.BLIND if waited > 10 else Verdict.INCONCLUSIVE)


@given(canary=good, ratio=st.sampled_from([None, 1.5]))
def test_no_failures_series_yet_is_no_failure(canary: Pairs, ratio: float | None) -> None:
    """The first 5xx brings the series into being: until then both versions are as if it showed 0."""
    subject = gate(ratio=ratio)
    whole = reading(subject, canary=canary, stable=stable_for(canary))
    absent = Reading(gate=subject, canary=Counters(total=whole.canary.total), stable=Counters(total=whole.stable.total))
    now = len(canary) + 0.5
    assert judge_at(absent, now) == judge_at(whole, now)
    assert judge_at(absent, now).verdict is Verdict.HEALTHY


@given(subject=SUBJECTS, seconds=st.integers(1, 40), stable=st.booleans())
def test_nothing_divided_by_nothing(subject: FailureGate, seconds: int, stable: bool) -> None:
    """Scraped, and never asked: no rate, and so no verdict."""
    idle: Pairs = [(0, 0)] * seconds
    read = reading(subject, canary=idle, stable=[(400, 1)] * seconds if stable else idle)
    result = result_at(read, seconds + 0.5)
    assert (result.verdict, result.sentence) == (
        Verdict.INCONCLUSIVE,
        "only 0 of 10 requests at this step so far",
    )
    assert result.log_e == 0


@given(canary=good, failing=st.booleans(), places=st.lists(st.integers(0, 28), max_size=8))
def test_not_a_number_changes_nothing_of_what_was_counted(
    canary: list[tuple[int, int]], failing: bool, places: list[int]
) -> None:
    """A NaN in between is as good as a lost scrape; all of them are as good as no series."""
    subject = gate()
    pairs = [(n, n if failing else 0) for n, _ in canary]
    whole = reading(subject, canary=pairs, stable=stable_for(canary))

    def broken(many: tuple[Series, ...], where: set[int]) -> tuple[Series, ...]:
        return tuple(
            Series(
                labels=one.labels,
                samples=tuple(
                    Sample(at=sample.at, value=math.nan) if i in where else sample
                    for i, sample in enumerate(one.samples)
                ),
            )
            for one in many
        )

    inner = {1 + place % (len(pairs) - 1) for place in places} - {len(pairs)}
    holed = Counters(total=broken(whole.canary.total, inner), failures=broken(whole.canary.failures, inner))
    now = len(pairs) + 0.5
    assert judge_at(replace(whole, canary=holed), now).gates[0].canary == judge_at(whole, now).gates[0].canary
    every = set(range(len(pairs) + 1))
    silent = Counters(total=broken(whole.canary.total, every), failures=broken(whole.canary.failures, every))
    assert judge_at(replace(whole, canary=silent), now).verdict in UNDECIDED


@given(canary=good, age=st.floats(10.01, 1000), version=st.sampled_from(["canary", "stable"]))
def test_stale_samples_are_blind_for_either_version(canary: Pairs, age: float, version: str) -> None:
    """However good they were: older than ten seconds, with a look each second."""
    length = len(canary)
    now = length + age
    longer = [(400, 0)] * math.ceil(now)
    if version == "canary":
        read = reading(gate(), canary=canary, stable=longer)
    else:
        read = reading(gate(), canary=[(20, 0)] * math.ceil(now), stable=stable_for(canary))
    got = judge_at(read, now)
    assert got.verdict is Verdict.BLIND
    assert got.gates[0].sentence.startswith(f"the newest sample of {version} is")


@given(
    canary=good,
    resets=st.lists(st.integers(1, 28), max_size=4),
    version=st.sampled_from(["canary", "stable"]),
)
def test_counters_that_begin_anew_are_no_failures(canary: Pairs, resets: list[int], version: str) -> None:
    """A restart in between loses what was not scraped, and nothing of it looks like a negative or a giant step."""
    whole = reading(gate(), canary=canary, stable=stable_for(canary))

    def restarted(series: Series) -> Series:
        value, shown = 0.0, [series.samples[0]]
        for i, (before, after) in enumerate(itertools.pairwise(series.samples), start=1):
            value = 0.0 if i in resets else value + after.value - before.value
            shown.append(Sample(at=after.at, value=value))
        return Series(labels=series.labels, samples=tuple(shown))

    def anew(one: Counters) -> Counters:
        return Counters(
            total=tuple(restarted(each) for each in one.total), failures=tuple(restarted(each) for each in one.failures)
        )

    read = (
        replace(whole, canary=anew(whole.canary)) if version == "canary" else replace(whole, stable=anew(whole.stable))
    )
    got = judge_at(read, len(canary) + 0.5).gates[0]
    assert got.verdict in {Verdict.HEALTHY, Verdict.INCONCLUSIVE}
    assert (got.canary.failures, got.stable.failures) == (0, 0)
    assert got.canary.total <= sum(n for n, _ in canary)
    assert got.stable.total <= 400 * len(canary)


@given(
    canary=good,
    of_canary=st.lists(st.booleans(), min_size=1, max_size=20),
    of_stable=st.lists(st.booleans(), min_size=1, max_size=20),
    rate=st.sampled_from([0, 3]),
)
def test_scrapes_that_were_missed_never_make_a_canary_look_worse(
    canary: list[tuple[int, int]], of_canary: list[bool], of_stable: list[bool], rate: int
) -> None:
    """Both versions fail alike; whichever scrapes are lost, no version's requests are paired with nothing."""
    pairs = [(n, n * rate // 10) for n, _ in canary]
    whole = reading(gate(), canary=pairs, stable=[(400, 40 * rate)] * len(canary))
    read = replace(whole, canary=kept(whole.canary, of_canary), stable=kept(whole.stable, of_stable))
    for now in range(2, len(canary) + 1, 4):
        assert judge_at(read, now + 0.5).verdict is not Verdict.UNHEALTHY


@given(ahead=st.floats(1.6, 500), canary=good, failing=st.booleans())
def test_clocks_that_differ_are_blind(ahead: float, canary: list[tuple[int, int]], failing: bool) -> None:
    """Samples of the future prove nothing, even where they show nothing but failures."""
    pairs = [(n, n if failing else 0) for n, _ in canary]
    read = reading(gate(), canary=pairs, stable=stable_for(canary))
    got = judged(read, policy=plan(gate()), when=AT_5, now=len(canary) - ahead)
    assert got.verdict is Verdict.BLIND
    assert got.reason.endswith("in the future: the clocks of the machines differ")


@given(
    at=st.integers(50, 250).map(lambda tenths: tenths / 10 + 0.037),
    offset=st.sampled_from([-0.9, -0.5, -0.2, 0.0]),
    every=st.sampled_from([1.0, 2.0, 5.0]),
    heavy=st.integers(1, 60),
)
def test_a_scrape_that_straddles_a_change_of_weight_is_no_evidence(
    at: float, offset: float, every: float, heavy: int
) -> None:
    """All failures of the canary lie in the one increment that the change falls into: shown, and never judged."""
    length = 30
    pairs = []
    for i in range(length):
        began, ended = offset + every * i, offset + every * (i + 1)
        pairs.append((100, heavy) if began < at <= ended else (100, 0))
    read = Reading(
        gate=gate(limit=0.01),
        canary=counters(pairs, instance="two", first=offset, every=every),
        stable=counters([(400, 0)] * length, instance="one", first=offset, every=every),
    )
    got = judge_at(read, every * length, when=timeline((-5, 5), (at, 25))).gates[0]
    assert got.verdict is Verdict.HEALTHY
    assert got.canary.failures == heavy
    assert got.log_e < 1


@pytest.mark.parametrize(
    ("away", "after"),
    [(timedelta(seconds=30), Verdict.HEALTHY), (timedelta(minutes=5), Verdict.HEALTHY), (None, Verdict.BLIND)],
    ids=["30 s", "5 min", "for good"],
)
@pytest.mark.parametrize("scrapes_went_on", [True, False])
def test_a_source_that_is_down_is_blind_as_long_and_loses_nothing(
    away: timedelta | None, after: Verdict, scrapes_went_on: bool
) -> None:
    """It cannot be asked, or it did not scrape; once it is back, what was counted meanwhile counts."""
    lasts = away.total_seconds() if away is not None else 600.0
    down_from, back_at = 60.0, 60.0 + lasts
    length = round(back_at) + 60
    whole = reading(gate(), canary=[(20, 0)] * length, stable=[(380, 0)] * length)
    unscraped = [scrapes_went_on or not down_from < i <= back_at for i in range(1, length + 1)]
    read = replace(whole, canary=kept(whole.canary, unscraped), stable=kept(whole.stable, unscraped))
    for now in (down_from + 15, (down_from + back_at) / 2, back_at - 0.5):
        if scrapes_went_on:
            down = judged(replace(Reading(gate=gate()), problem="refused"), policy=plan(), when=AT_5, now=now)
        else:
            down = judge_at(read, now)
        assert down.verdict is Verdict.BLIND
    if away is None:
        return
    got = judge_at(read, length)
    assert got.verdict is after
    assert got.gates[0].canary.total == 20 * length


def test_a_fault_that_began_while_the_source_was_down_is_found_when_it_is_back() -> None:
    """Nothing was looked at for five minutes; the counters tell all of it at the first looks after it."""
    length = 60 + 300 + 10
    pairs = [(20, 0)] * 100 + [(20, 10)] * (length - 100)
    whole = reading(gate(), canary=pairs, stable=[(380, 0)] * length)
    scraped = [not 60 < i <= 360 for i in range(1, length + 1)]
    read = replace(whole, canary=kept(whole.canary, scraped), stable=kept(whole.stable, scraped))
    assert judge_at(read, 200).verdict is Verdict.BLIND
    assert judge_at(read, 363).verdict is Verdict.UNHEALTHY
