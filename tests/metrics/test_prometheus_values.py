"""A query of the user's own gives one number at each moment, or no answer; nothing is rounded, summed or guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource, read_values
from rollout.metrics.prometheus_api import RawSeries

if TYPE_CHECKING:
    from tests.metrics.conftest import RawServer

UNTIL = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
AT = 1772366400.123
STEP = timedelta(seconds=15)
QUERY = 'avg(rate(cpu{version="canary"}[1m])) / on() (x{a=~"b|c"} > 0) # "%2B&+'

Sources = Callable[..., PrometheusSource]
Servers = Callable[..., "RawServer"]
Answer = Callable[..., bytes]


def matrix(*rows: dict[str, object], kind: str = "matrix") -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": rows}})


def row(*values: tuple[float, str], **labels: str) -> dict[str, object]:
    return {"metric": labels, "values": values}


def parameters(request: bytes) -> dict[str, list[str]]:
    target = urlsplit(request.split(b" ")[1].decode())
    assert target.path == "/api/v1/query_range"
    return parse_qs(target.query)


def test_the_query_is_sent_as_it_is_and_until_is_one_of_the_moments(
    raw_server: Servers, answer: Answer, source_at: Sources
) -> None:
    """Three moments after `since`, which is left out; also where `until` lies between two milliseconds."""
    server = raw_server(answer("200 OK", matrix(row((AT - 30, "1"), (AT - 15, "NaN"), (AT, "+Inf")))))
    found = source_at(server.url, labels={"cluster": "eu"}).values(
        QUERY, since=UNTIL - 3 * STEP, until=UNTIL, step=STEP
    )
    assert [sample.at for sample in found] == [UNTIL - 2 * STEP, UNTIL - STEP, UNTIL]
    assert found[0].value == 1
    assert math.isnan(found[1].value)
    assert found[2].value == math.inf
    asked = parameters(server.requests[0])
    assert asked["query"] == [QUERY]
    assert asked["start"] == [f"{AT - 30:.3f}"]
    assert asked["end"] == [f"{AT:.3f}"]
    assert asked["step"] == ["15.000"]


def test_moments_without_a_value_are_left_out(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """A gap is a gap, and no series at all is an empty answer."""
    server = raw_server(answer("200 OK", matrix(row((AT - 30, "1"), (AT, "2")))), answer("200 OK", matrix()))
    source = source_at(server.url)
    since = UNTIL - timedelta(minutes=1)
    assert [sample.at for sample in source.values("x", since=since, until=UNTIL, step=STEP)] == [
        UNTIL - timedelta(seconds=30),
        UNTIL,
    ]
    assert source.values("x", since=since, until=UNTIL, step=STEP) == ()


def test_an_empty_range_is_not_asked(source_at: Sources) -> None:
    """There is no moment after `until`."""
    assert source_at("http://127.0.0.1:1").values("x", since=UNTIL, until=UNTIL, step=STEP) == ()


@pytest.mark.parametrize("step", [timedelta(0), -STEP, timedelta(microseconds=1500)])
def test_a_step_the_server_cannot_have_is_a_mistake_of_the_caller(source_at: Sources, step: timedelta) -> None:
    """The query API knows milliseconds."""
    with pytest.raises(ValueError, match="milliseconds"):
        source_at("http://127.0.0.1:1").values("x", since=UNTIL - STEP, until=UNTIL, step=step)


def test_a_long_range_is_asked_in_parts(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """Prometheus gives at most 11,000 values at once."""
    server = raw_server(answer("200 OK", matrix()))
    source_at(server.url).values("x", since=UNTIL - 25_000 * STEP, until=UNTIL, step=STEP)
    asked = [parameters(request) for request in server.requests]
    spans = [(float(one["start"][0]), float(one["end"][0])) for one in asked]
    assert [round((end - start) / 15) + 1 for start, end in spans] == [10_000, 10_000, 5_000]
    assert [round((later[0] - earlier[1]) / 15) for earlier, later in pairwise(spans)] == [1, 1]
    assert spans[-1][1] == AT


REFUSED = [
    (matrix(row((AT, "1"), i="a"), row((AT, "1"), i="b")), "two series where one number was meant", "sum() or avg()"),
    (matrix(row((AT, "1")), row((AT, "1"))), "two series where one number was meant", "sum() or avg()"),
    (matrix(*(row((AT, "1"), i=str(n)) for n in range(3))), "3 series where one number was meant", "sum() or avg()"),
    (matrix({"metric": {}, "histograms": [[AT, {}]]}), "histograms where one number was meant", "histogram_quantile"),
    (matrix(row((AT, "many"))), "not a number", ""),
    (matrix(row((AT - 7, "1"))), "other moments", ""),
    (matrix(row((AT + 15, "1"))), "other moments", ""),
    (matrix(row((AT - 900, "1"))), "other moments", ""),
    (matrix(row((1e300, "1"))), "other moments", ""),
    (matrix(row((AT, "1"), (AT, "1"))), "other moments", ""),
    (matrix(row((AT, "1"), (AT - 15, "1"))), "other moments", ""),
    ('{"status":"success","data":{"resultType":"string","result":[1,"x"]}}', "another kind of result", ""),
    ('{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', "another kind of result", ""),
    (matrix(kind="vector"), "another kind of result", ""),
]


@pytest.mark.parametrize(("body", "sentence", "hint"), REFUSED)
def test_what_is_not_one_number_at_the_moments_asked_for_is_refused(
    raw_server: Servers, answer: Answer, source_at: Sources, body: str, sentence: str, hint: str
) -> None:
    """Neither the first of two is taken nor their sum."""
    with pytest.raises(SourceUnavailable) as caught:
        source_at(raw_server(answer("200 OK", body)).url).values("x", since=UNTIL - 4 * STEP, until=UNTIL, step=STEP)
    assert sentence in caught.value.message
    assert caught.value.hint
    assert hint in caught.value.hint


def test_series_that_follow_one_another_are_one_number_each_time(
    raw_server: Servers, answer: Answer, source_at: Sources
) -> None:
    """An instance that was replaced has another label; at no moment are there two."""
    server = raw_server(answer("200 OK", matrix(row((AT, "3"), i="new"), row((AT - 30, "1"), (AT - 15, "2"), i="old"))))
    found = source_at(server.url).values("x", since=UNTIL - 4 * STEP, until=UNTIL, step=STEP)
    assert [sample.value for sample in found] == [1, 2, 3]


@given(
    st.lists(st.sets(st.integers(min_value=0, max_value=19)), max_size=4),
    st.integers(min_value=1, max_value=90_000),
    st.integers(min_value=0, max_value=999_999),
)
def test_each_value_comes_once_at_its_moment_or_there_is_no_answer(
    owners: list[set[int]], milliseconds: int, microseconds: int
) -> None:
    """For any step and any part of a second; two series share a moment exactly where there is no answer."""
    step = timedelta(milliseconds=max(milliseconds, 5))
    start = UNTIL.replace(microsecond=microseconds)
    moments = [start + place * step for place in range(20)]
    rows = tuple(
        RawSeries(
            metric={"i": str(number)},
            values=tuple(
                (math.floor(moments[place].timestamp() * 1000) / 1000, str(place)) for place in sorted(places)
            ),
        )
        for number, places in enumerate(owners)
    )
    if sum(map(len, owners)) > len(set().union(*owners)):
        with pytest.raises(SourceUnavailable, match="series where one number was meant"):
            list(read_values(rows, moments, step=step, where="it"))
        return
    found = list(read_values(rows, moments, step=step, where="it"))
    assert [(sample.at, sample.value) for sample in found] == [
        (moments[place], place) for place in sorted(set().union(*owners))
    ]
