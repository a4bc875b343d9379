"""Histograms from a Prometheus server: classic and native ones in one form, and what doctor says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from rollout.core.finding import Finding, Severity
from rollout.core.selector import parse
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource

if TYPE_CHECKING:
    from tests.metrics.conftest import RawServer

UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=1)
AT = UNTIL.timestamp()

Sources = Callable[..., PrometheusSource]
Servers = Callable[..., "RawServer"]
Answer = Callable[..., bytes]
Row = dict[str, object]


def matrix(*rows: Row) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}})


def labels(*found: dict[str, str]) -> str:
    return json.dumps({"status": "success", "data": found})


def bucket(le: str, *values: tuple[float, str], **more: str) -> Row:
    return {"metric": {"__name__": "took_bucket", "le": le, **more}, "values": values or [(AT - 15, "1"), (AT, "2")]}


def native(*samples: tuple[float, str, list[tuple[int, str, str, str]]], **more: str) -> Row:
    shown = [(at, {"count": count, "sum": "1", "buckets": buckets}) for at, count, buckets in samples]
    return {"metric": {"__name__": "took", **more}, "histograms": shown}


NATIVE = native((AT - 61, "1", []), (AT - 15, "2", [(0, "0.5", "1", "2")]), (AT, "5", [(0, "0.5", "1", "4")]))


def test_classic_buckets_come_as_they_are_in_the_range(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """One question, as for counters; each bound has one text."""
    early = bucket("+Inf", (AT - 60, "1"), (AT - 59, "2"), (AT, "7"))
    server = raw_server(answer("200 OK", matrix(early, bucket("5e-1", (AT, "3")))))
    found = source_at(server.url, labels={"cluster": "eu"}).histogram(parse("took_bucket"), since=SINCE, until=UNTIL)
    assert [dict(one.labels) for one in found] == [{"le": "0.5"}, {"le": "+Inf"}]
    assert [[sample.value for sample in one.samples] for one in found] == [[3], [2, 7]]
    target = server.requests[0].split(b" ")[1]
    assert target.startswith(b"/api/v1/query?query=took_bucket%7Bcluster%3D%22eu%22%7D%5B61s%5D&")


def test_a_native_histogram_comes_as_a_classic_one(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """Its labels stay, and samples outside the range neither count nor give bounds."""
    server = raw_server(answer("200 OK", matrix({**NATIVE, "metric": {"__name__": "took", "v": "stable"}})))
    found = source_at(server.url).histogram(parse("took"), since=SINCE, until=UNTIL)
    assert [dict(one.labels) for one in found] == [{"v": "stable", "le": le} for le in ("0.5", "1.0", "+Inf")]
    assert [[sample.value for sample in one.samples] for one in found] == [[0, 0], [2, 4], [2, 5]]
    assert found[0].samples[-1].at == UNTIL


def test_no_histogram_is_an_answer(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """No series, and none with a sample in the range."""
    server = raw_server(answer("200 OK", matrix()), answer("200 OK", matrix(native((AT - 61, "1", [])))))
    source = source_at(server.url)
    assert source.histogram(parse("took"), since=SINCE, until=UNTIL) == ()
    assert source.histogram(parse("took"), since=SINCE, until=UNTIL) == ()


REFUSED = [
    (matrix({"metric": {"__name__": "took"}, "values": [(AT, "1")]}), "without the label le"),
    (matrix(bucket("0.5")), "without the bucket"),
    (matrix(bucket("NaN"), bucket("+Inf")), "not a number"),
    (matrix(bucket("+Inf"), bucket("+Inf")), "the same series comes twice"),
    (matrix(bucket("1"), bucket("1.0"), bucket("+Inf")), "twice at a time"),
    (matrix(bucket("+Inf", (AT, "many"))), "not a number at a time"),
    (matrix(bucket("+Inf", (AT, "1"), (AT, "1"))), "not in the order of time"),
    (matrix(NATIVE, NATIVE), "the same series comes twice"),
    (matrix({**NATIVE, "values": [(AT, "1")]}), "mixes numbers and native histograms"),
    (matrix({"metric": {}, "histograms": [[AT, {}]]}), "not of the form"),
    (matrix(native((AT, "1", []), (AT - 1, "1", []))), "not in the order of time"),
    (matrix(native((AT, "1", [(0, "0.5", "1", "2")]))), "do not fit its count"),
]


@pytest.mark.parametrize(("body", "sentence"), REFUSED)
def test_what_is_no_whole_histogram_is_refused(
    raw_server: Servers, answer: Answer, source_at: Sources, body: str, sentence: str
) -> None:
    """A part, a copy or nonsense is no answer."""
    server = raw_server(answer("200 OK", body))
    with pytest.raises(SourceUnavailable) as caught:
        source_at(server.url).histogram(parse("took_bucket"), since=SINCE, until=UNTIL)
    assert sentence in caught.value.message
    assert "took_bucket" in caught.value.message or "twice" not in sentence
    assert caught.value.message.startswith(server.url)
    assert caught.value.hint


def test_a_native_histogram_among_counters_is_refused_with_the_gate_it_serves(
    raw_server: Servers, answer: Answer, source_at: Sources
) -> None:
    """A failure gate cannot count requests in it."""
    server = raw_server(answer("200 OK", matrix(NATIVE)))
    with pytest.raises(SourceUnavailable, match="it is a native histogram") as caught:
        source_at(server.url).series(parse("took"), since=SINCE, until=UNTIL)
    assert "latency gate" in caught.value.hint


BUILD = json.dumps({"status": "success", "data": {"version": "3.1.0"}})


@pytest.fixture
def diagnose(raw_server: Servers, answer: Answer, source_at: Sources) -> Callable[..., Finding]:
    """What doctor says of one selector where the server gives these answers, one after the other."""

    def ask(selector: str, *bodies: str) -> Finding:
        server = raw_server(*(answer("200 OK", body) for body in (BUILD, *bodies)))
        _, finding = source_at(server.url).diagnose((parse(selector),), now=UNTIL)
        return finding

    return ask


BUCKETS = 'took_bucket{v="$version"}'


def test_doctor_tells_the_bounds_of_a_classic_histogram(diagnose: Callable[..., Finding]) -> None:
    """Whether one of them serves is for the gate to say."""
    stable = [bucket(le, i=i) for i in "ab" for le in ("0.1", "2.5", "+Inf")]
    finding = diagnose(BUCKETS, matrix(*stable), matrix())
    assert finding.severity is Severity.OK
    assert finding.message == (
        "2 classic histograms of the stable release, for a latency gate, with 2 bounds from 0.1 to 2.5, "
        "a sample every 15 s"
    )


def test_doctor_tells_the_bounds_of_a_native_histogram(diagnose: Callable[..., Finding]) -> None:
    """Bounds that only one version has are no fault of a native one."""
    other = native((AT, "5", [(0, "4", "8", "4")]), v="canary")
    finding = diagnose('took{v="$version"}', matrix(NATIVE), matrix(other))
    assert finding.severity is Severity.OK
    assert (
        "1 native histogram of the stable release, for a latency gate, with 2 bounds from 0.5 to 1" in finding.message
    )


def test_doctor_warns_of_bounds_that_differ(diagnose: Callable[..., Finding]) -> None:
    """A release that changes its buckets can be compared at the common ones only."""
    stable = [bucket("0.1", v="stable"), bucket("+Inf", v="stable")]
    canary = [bucket("0.2", v="canary"), bucket("+Inf", v="canary")]
    finding = diagnose(BUCKETS, matrix(*stable), matrix(*canary))
    assert finding.severity is Severity.WARNING
    assert finding.message == "its 2 histograms have different bounds, and 0 in common"


@pytest.mark.parametrize("row", [bucket("+Inf"), native((AT, "0", []))])
def test_doctor_warns_of_a_histogram_without_bounds(diagnose: Callable[..., Finding], row: Row) -> None:
    """Nothing can be compared at +Inf."""
    finding = diagnose(BUCKETS, matrix(row), matrix())
    assert finding.severity is Severity.WARNING
    assert "no bound but +Inf" in finding.message


def test_doctor_finds_two_versions_that_are_one_histogram(diagnose: Callable[..., Finding]) -> None:
    """As for counters."""
    finding = diagnose(BUCKETS, matrix(bucket("+Inf")), matrix(bucket("+Inf")))
    assert finding.severity is Severity.ERROR
    assert "canary and stable are the same 1 series" in finding.message


def test_doctor_finds_the_histogram_in_its_other_form(diagnose: Callable[..., Finding]) -> None:
    """Each form has its own name, and the right one is in the hint."""
    as_native = diagnose(BUCKETS, matrix(), matrix(), labels(), matrix(NATIVE))
    assert as_native.message == "no series: took is a native histogram"
    assert as_native.hint == "Name it took, without _bucket."
    as_classic = diagnose('took{v="$version"}', matrix(), matrix(), labels(), labels({"__name__": "took_bucket"}))
    assert as_classic.message == "no series: took is a classic histogram"
    assert as_classic.hint == "Name its buckets, took_bucket."
    neither = diagnose(BUCKETS, matrix(), matrix(), labels(), matrix())
    assert neither.message == "no series: the server has no metric took_bucket"


def test_doctor_does_not_speak_of_failures_where_a_histogram_is_missing(diagnose: Callable[..., Finding]) -> None:
    """A histogram of stable that is not there is no counter that never failed."""
    finding = diagnose(BUCKETS, matrix(), matrix(), labels({"__name__": "took_bucket", "v": "blue"}))
    assert finding.severity is Severity.WARNING
    assert 'none has v="stable", the label v is blue' in finding.message
    assert "failure" not in finding.hint


def test_doctor_takes_one_bucket_for_the_counter_it_is(diagnose: Callable[..., Finding]) -> None:
    """Fast requests may be counted by the bucket of a bound, which then needs no +Inf."""
    finding = diagnose('took_bucket{v="$version", le="0.5"}', matrix(bucket("0.5")), matrix())
    assert finding.severity is Severity.OK
    assert finding.message == "1 series of the stable release, a sample every 15 s"


def test_doctor_tells_a_histogram_that_the_gate_could_not_read(diagnose: Callable[..., Finding]) -> None:
    """What is refused in a rollout is an error before it."""
    finding = diagnose(BUCKETS, matrix(bucket("0.5")), matrix())
    assert finding.severity is Severity.ERROR
    assert "without the bucket" in finding.message
