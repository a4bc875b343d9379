"""Native and classic histograms in one form: every count handed over is one that can be checked by counting."""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.counters import Sample, Series
from rollout.metrics.buckets import NativeSample, NativeSeries, NotAHistogram, classic, cumulative, read_native

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = START.timestamp()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def bound_of(place: int, schema: int) -> float:
    return math.ldexp(2.0 ** ((place % 2**schema) / 2**schema), place // 2**schema)


def native(seconds: float, *observed: float, schema: int = 3, zero: float = 1e-9) -> NativeSample:
    """What a native histogram of that resolution shows after these observations, without empty buckets."""
    found: dict[tuple[float, float], int] = {}
    for value in observed:
        key = (-zero, zero)
        if abs(value) > zero:
            place = math.ceil(math.log2(abs(value)) * 2**schema)
            while bound_of(place, schema) < abs(value):
                place += 1
            while bound_of(place - 1, schema) >= abs(value):
                place -= 1
            low, high = bound_of(place - 1, schema), bound_of(place, schema)
            key = (low, high) if value > 0 else (-high, -low)
        found[key] = found.get(key, 0) + 1
    buckets = tuple((0, left, right, n) for (left, right), n in sorted(found.items()))
    return NativeSample(at=at(seconds), count=len(observed), buckets=buckets)


def one(*samples: NativeSample, **labels: str) -> NativeSeries:
    return NativeSeries(labels=labels, samples=samples)


def table(found: tuple[Series, ...]) -> dict[str, list[float]]:
    return {series.labels["le"]: [sample.value for sample in series.samples] for series in found}


durations = st.one_of(
    st.just(0.0),
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 2**0.5, -0.5]),
    st.floats(min_value=1e-4, max_value=100.0),
    st.floats(min_value=-2.0, max_value=-1e-4),
)
scrapes = st.lists(
    st.tuples(st.lists(durations, max_size=12), st.integers(min_value=0, max_value=4)), min_size=1, max_size=5
)


@given(st.lists(scrapes, min_size=1, max_size=3))
def test_each_count_is_the_number_of_observations_at_or_below_the_bound(
    instances: list[list[tuple[list[float], int]]],
) -> None:
    """Also where the resolution changes from scrape to scrape and differs between instances."""
    observed: list[list[list[float]]] = []
    series = []
    for number, story in enumerate(instances):
        so_far: list[float] = []
        samples, seen = [], []
        for second, (more, schema) in enumerate(story):
            so_far = so_far + more
            samples.append(native(second, *so_far, schema=schema))
            seen.append(so_far)
        observed.append(seen)
        series.append(one(*samples, instance=str(number)))
    found = cumulative(series)
    bounds = {tuple(s.labels["le"] for s in found if s.labels["instance"] == str(n)) for n in range(len(series))}
    assert len(bounds) == 1
    assert {one_series[-1] for one_series in bounds} == {"+Inf"}
    for handed in found:
        bound = float(handed.labels["le"])
        wanted = [
            bisect_left(sorted(v), math.nextafter(bound, math.inf)) for v in observed[int(handed.labels["instance"])]
        ]
        assert [sample.value for sample in handed.samples] == wanted
        assert bound >= 0
    for number in range(len(series)):
        rows = [s.samples for s in found if s.labels["instance"] == str(number)]
        for lower, upper in pairwise(rows):
            assert all(a.value <= b.value and a.at == b.at for a, b in zip(lower, upper, strict=True))


@given(st.lists(st.lists(durations, max_size=12), min_size=1, max_size=5))
def test_counts_do_not_fall_in_time_where_the_source_does_not(story: list[list[float]]) -> None:
    """A bucket that appears late was at the count of the one below it."""
    so_far: list[float] = []
    samples = []
    for second, more in enumerate(story):
        so_far = so_far + more
        samples.append(native(second, *so_far))
    for series in cumulative([one(*samples)]):
        values = [sample.value for sample in series.samples]
        assert values == sorted(values)


def test_a_finer_resolution_keeps_every_bound_and_a_coarser_one_only_the_common_ones() -> None:
    """From eighths of an octave to quarters, the bounds in the inside of the wider buckets go."""
    fine = native(0, 0.52, 0.7, 0.95, 3.0)
    coarse = native(15, 0.52, 0.7, 0.95, 3.0, 3.0, schema=1)
    assert len(cumulative([one(fine)])) == 9
    assert (
        table(cumulative([one(fine, coarse)]))
        == {
            "0.5": [0, 0],
            repr(0.5 * 2**0.5): [2, 2],
            "1.0": [3, 3],
            repr(2 * 2**0.5): [3, 3],
            "4.0": [4, 5],
            "+Inf": [4, 5],
        }
        | {}
    )


def test_resolutions_with_no_bound_in_common_are_refused() -> None:
    """Buckets of the user's own that changed for others: nothing can be compared across the change."""
    before = NativeSample(at=at(0), count=2, buckets=((0, 0.1, 0.3, 2),))
    after = NativeSample(at=at(15), count=2, buckets=((0, 0.05, 0.35, 2),))
    wide = NativeSample(at=at(30), count=2, buckets=((0, -math.inf, math.inf, 2),))
    assert table(cumulative([one(before, after)])) == {"0.05": [0, 0], "0.35": [2, 2], "+Inf": [2, 2]}
    with pytest.raises(NotAHistogram, match="no bound in common"):
        cumulative([one(before, after, wide)])


def test_a_wider_zero_bucket_takes_the_bounds_inside_it() -> None:
    """What lies in the zero bucket cannot be told apart any more."""
    found = table(cumulative([one(native(0, 0.26, 1.0), native(15, 0.26, 1.0, zero=0.5))]))
    assert float(next(iter(found))) == 0.5
    assert found["0.5"] == [1, 1]


def test_observations_below_zero_count_below_every_bound() -> None:
    """Clocks that jump make negative durations; they are short ones."""
    found = table(cumulative([one(native(0, -3.0, -0.1, 0.0, 1.0))]))
    assert found["1e-09"] == [3]
    assert found["1.0"] == [4]
    assert all(float(bound) > 0 for bound in found)


def test_no_observation_is_a_count_of_zero_and_no_series_is_nothing() -> None:
    """An empty native histogram has no bound but +Inf."""
    assert table(cumulative([one(native(0), native(15))])) == {"+Inf": [0, 0]}
    assert cumulative([]) == ()


def test_nan_observations_are_above_every_bound_and_a_nan_count_is_handed_on() -> None:
    """The count holds them and no bucket does; the analysis passes over a NaN sample."""
    bucket = (0, 0.5, 1.0, 2)
    found = cumulative([one(NativeSample(at=at(0), count=3, buckets=(bucket,)))])
    assert table(found) == {"0.5": [0], "1.0": [2], "+Inf": [3]}
    [*_, whole] = cumulative([one(NativeSample(at=at(0), count=math.nan, buckets=(bucket,)))])
    assert math.isnan(whole.samples[0].value)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ((1, (0.5, 1.0, 2.0)), "do not fit its count"),
        ((9, (0.5, 1.0, -2.0)), "do not fit its count"),
        ((9, (1.0, 0.5, 2.0)), "bounds are none"),
        ((9, (math.nan, 0.5, 2.0)), "bounds are none"),
        ((9, (0.5, math.nan, 2.0)), "bounds are none"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(
    sample: tuple[float, tuple[float, float, float]], sentence: str
) -> None:
    """A part of a histogram, or a gauge: no count is made of it."""
    count, (left, right, held) = sample
    buckets = ((0, left, right, held),)
    with pytest.raises(NotAHistogram, match=sentence):
        cumulative([one(NativeSample(at=at(0), count=count, buckets=buckets))])


def test_empty_buckets_say_nothing() -> None:
    """A server may list them; their bounds are none that anybody counted at, whatever they are."""
    full, empty, odd = (0, 0.5, 1.0, 2.0), (0, 0.6, 0.7, 0.0), (0, math.nan, math.nan, 0.0)
    found = cumulative([one(NativeSample(at=at(0), count=2, buckets=(odd, empty, full)))])
    assert table(found) == {"0.5": [0], "1.0": [2], "+Inf": [2]}


def test_a_label_that_would_be_taken_for_the_bound_is_refused() -> None:
    """Two histograms that differ in it would become one."""
    with pytest.raises(NotAHistogram, match="label le of its own"):
        cumulative([one(native(0, 1.0), le="low")])


def test_samples_of_the_query_api_are_read_whole_or_refused() -> None:
    """The form that Prometheus documents, with numbers as text."""
    body: tuple[object, ...] = (
        [MOMENT, {"count": "3", "sum": "1", "buckets": [[3, "-0", "0", "1"], [0, "1", "+Inf", "2"]]}],
        [MOMENT + 15, {"count": "3", "sum": "NaN"}],
    )
    [first, second] = read_native(body)
    assert first.at == START
    assert first.buckets[1] == (0, 1.0, math.inf, 2.0)
    assert second.buckets == ()
    for broken in (
        [[MOMENT, {}]],
        [[MOMENT, None]],
        [[MOMENT]],
        [["soon", {"count": "1"}]],
        [[1e300, {"count": "1"}]],
        [[MOMENT, {"count": "1", "buckets": [[0, "1", "2"]]}]],
        [[MOMENT, {"count": "1", "buckets": [[7, "1", "2", "1"]]}]],
        [[MOMENT, {"count": "1", "buckets": [[0, "1", "many", "1"]]}]],
        [[MOMENT, {"count": "1"}], [MOMENT, {"count": "1"}]],
    ):
        with pytest.raises(NotAHistogram):
            read_native(tuple(broken))


def counter(*values: float, first: float = 0, **labels: str) -> Series:
    samples = tuple(Sample(at=at(first + 15 * place), value=value) for place, value in enumerate(values))
    return Series(labels=labels, samples=samples)


@given(
    st.sampled_from(["0.5", "0.50", "5e-1", "+0.5", ".5", "00.5", "5E-01"]),
    st.sampled_from(["+Inf", "inf", "Infinity", "+inf"]),
)
def test_one_bound_has_one_text(half: str, whole: str) -> None:
    """However a library writes it."""
    found = classic([counter(1, le=whole), counter(1, le=half)])
    assert [series.labels["le"] for series in found] == ["0.5", "+Inf"]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({}, "without the label le"),
        ({"le": ""}, "without the label le"),
        ({"vmrange": "1.0e0...1.1e0"}, "VictoriaMetrics' own form"),
        ({"le": "NaN"}, "not a number"),
        ({"le": "-Inf"}, "not a number"),
        ({"le": "fast"}, "not a number"),
        ({"le": "1_0"}, "not a number"),
        ({"le": "\u0661"}, "not a number"),
    ],
)
def test_what_has_no_bound_is_no_bucket(labels: dict[str, str], sentence: str) -> None:
    """A counter, a summary or nonsense is refused by name."""
    with pytest.raises(NotAHistogram, match=sentence):
        classic([counter(1, le="+Inf"), Series(labels=labels, samples=counter(1).samples)])


def test_a_histogram_without_its_last_bucket_is_refused() -> None:
    """Each histogram needs its own; without it the slowest requests are not counted."""
    with pytest.raises(NotAHistogram, match="without the bucket"):
        classic([counter(1, le="+Inf", instance="a"), counter(1, le="0.5", instance="b")])


def test_a_bound_that_is_written_anew_goes_on_as_one_series() -> None:
    """Prometheus 3 writes 1.0 where Prometheus 2 wrote 1; two at a time are no such change."""
    before, after = counter(1, 2, le="1"), counter(3, 4, first=30, le="1.0")
    whole = counter(1, 2, 3, 4, le="+Inf")
    assert table(classic([after, whole, before])) == {"1.0": [1, 2, 3, 4], "+Inf": [1, 2, 3, 4]}
    with pytest.raises(NotAHistogram, match="twice at a time"):
        classic([before, whole, counter(3, 4, first=15, le="1.0")])


def test_classic_samples_are_handed_on_as_they_are() -> None:
    """Resets, NaN and scrapes that one bucket missed are for the analysis."""
    samples = counter(5, math.nan, 1, le="0.1")
    [first, _] = classic([samples, counter(5, le="+Inf")])
    assert first.samples == samples.samples
