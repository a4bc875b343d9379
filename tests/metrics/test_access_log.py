"""The access log source counts what the version itself answered, each line once, whatever happens to the file."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.analysis.counters import Series, growth
from rollout.core.finding import Severity
from rollout.core.selector import parse
from rollout.errors import SourceUnavailable
from rollout.metrics.access_log import AccessLogSource
from rollout.metrics.access_log_lines import own_status, read_line
from rollout.metrics.access_log_reader import find_moment
from rollout.metrics.settings import AccessLogSettings

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = START.timestamp()
EARLIER = START - timedelta(seconds=10)
END = START + timedelta(days=1)
TOTAL = parse('http_requests_total{service="chat", version="canary"}')
FAILED = parse('http_requests_total{service="chat", version="canary", code=~"5.."}')


def line(at: float, **fields: object) -> str:
    whole = {
        "ts": at,
        "id": f"{random.getrandbits(128):032x}",
        "service": "chat",
        "version": "canary",
        "why": "split",
        "release": "v2",
        "status": 200,
        "upstream_status": "200",
        "upstream_addr": "127.0.0.1:21001",
        **fields,
    }
    return json.dumps(whole) + "\n"


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def write(path: Path, lines: Iterable[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def grown(series: tuple[Series, ...], *, since: datetime = START) -> float:
    return sum(growth(one, since=since, until=END) for one in series)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = tmp_path / "access.json"
    log.touch()
    os.utime(log, (T + 3600, T + 3600))
    return log


@pytest.fixture
def source(path: Path) -> AccessLogSource:
    return AccessLogSource(AccessLogSettings(path=path), service="chat")


def counted(source: AccessLogSource, until: float = 60) -> tuple[float, float]:
    """Requests and failures of the canary since the start."""
    total = source.series(TOTAL, since=EARLIER, until=after(until))
    failed = source.series(FAILED, since=EARLIER, until=after(until))
    return grown(total), grown(failed)


def test_requests_are_counted_by_service_version_code_and_release(path: Path, source: AccessLogSource) -> None:
    """Each label set is a counter of its own, as a scraped service would have it."""
    write(path, [line(T + 1.2), line(T + 1.4), line(T + 2.0, status=503, upstream_status="503")])
    write(path, [line(T + 2.5, version="stable", release="v1")])
    by_labels = {
        tuple(sorted(one.labels.items())): grown((one,))
        for one in source.series(parse("http_requests_total"), since=EARLIER, until=after(9))
    }
    assert by_labels == {
        (("code", "200"), ("release", "v2"), ("service", "chat"), ("version", "canary")): 2,
        (("code", "503"), ("release", "v2"), ("service", "chat"), ("version", "canary")): 1,
        (("code", "200"), ("release", "v1"), ("service", "chat"), ("version", "stable")): 1,
    }


def test_a_counter_begins_at_zero_and_keeps_each_request_in_its_second(path: Path, source: AccessLogSource) -> None:
    """The base is a sample before the start; a quiet time between two requests smears neither."""
    write(path, [line(T + 3.1), line(T + 40.0), line(T + 40.7)])
    [one] = source.series(TOTAL, since=EARLIER, until=after(41.5))
    assert [((sample.at - START).total_seconds(), sample.value) for sample in one.samples] == [
        (-9.0, 0.0),
        (3.0, 0.0),
        (4.0, 1.0),
        (39.0, 1.0),
        (40.0, 2.0),
        (41.0, 3.0),
        (41.5, 3.0),
    ]


def test_a_range_shorter_than_a_second_is_one_sample(path: Path, source: AccessLogSource) -> None:
    """There is no full second in it, and still the log is known to be fresh."""
    write(path, [line(T)])
    for since, until in ((-0.5, 0), (0.1, 0.2), (0, 1)):
        [one] = source.series(TOTAL, since=after(since), until=after(until))
        assert [(sample.at, sample.value) for sample in one.samples] == [(after(until), 0.0)]


@given(
    times=st.lists(st.floats(-20, 80, allow_nan=False), max_size=40),
    since=st.floats(-15, 0),
    until=st.floats(0.5, 90),
)
def test_samples_are_in_the_range_in_order_and_never_fall(
    tmp_path_factory: pytest.TempPathFactory, times: list[float], since: float, until: float
) -> None:
    """For any log and any range: (since, until], oldest first, cumulative, the newest at `until`, all counted."""
    path = tmp_path_factory.mktemp("any") / "access.json"
    write(path, [line(T + at) for at in times])
    os.utime(path, (T + 3600, T + 3600))
    source = AccessLogSource(AccessLogSettings(path=path), service="chat")
    [one] = source.series(TOTAL, since=after(since), until=after(until))
    ats = [sample.at for sample in one.samples]
    values = [sample.value for sample in one.samples]
    assert ats == sorted(set(ats))
    assert after(since) < ats[0]
    assert ats[-1] == after(until)
    assert values == sorted(values)
    first = ats[0].timestamp()
    least = sum(first < T + at <= T + until for at in times)
    most = sum(first < T + at <= T + until + 1 for at in times)
    assert least <= values[-1] <= most


def test_a_dead_canary_answered_by_stable_is_the_canarys_failure(path: Path, source: AccessLogSource) -> None:
    """The user got 200 from stable; the canary gave 502."""
    write(path, [line(T + 1, upstream_status="502, 200", upstream_addr="127.0.0.1:21001, 127.0.0.1:21000")])
    assert counted(source) == (1, 1)


@pytest.mark.parametrize(
    ("status", "upstream_status", "upstream_addr", "own"),
    [
        ("200", "200", "a", "200"),
        ("200", "502, 200", "a, b", "502"),
        ("200", "504 : 200", "a : b", "504"),
        ("200", "502, 502, 200", "a, a, b", "502"),
        ("200", "502, 200", "a, a", "200"),
        ("502", "502, 502", "a, a", "502"),
        ("200", "502, 200", "", "502"),
        ("499", "-", "a", "499"),
        ("499", "502, -", "a, a", "502"),
        ("503", "", "", "503"),
        ("302", "200", "unix:/run/a.sock", "200"),
    ],
)
def test_the_own_status_is_that_of_the_first_address(
    status: str, upstream_status: str, upstream_addr: str, own: str
) -> None:
    """Another address is somebody else's answer; the same address again is a kept connection that had gone."""
    assert own_status(status, upstream_status, upstream_addr) == own


def test_requests_that_a_tester_forced_are_left_out(path: Path, source: AccessLogSource) -> None:
    """Testers look for faults; what they see is no sample of the users' traffic."""
    write(path, [line(T + 1, why=why, status=500, upstream_status="500") for why in ("cookie", "header", "domain")])
    write(path, [line(T + 1, why="split"), line(T + 1, why="stable")])
    assert counted(source) == (2, 0)


def test_no_request_is_a_counter_that_stays_zero(source: AccessLogSource) -> None:
    """A log that can be read and is silent tells of no traffic: fresh, and not blind."""
    [one] = source.series(TOTAL, since=EARLIER, until=after(60))
    assert [sample.value for sample in one.samples] == [0.0, 0.0]
    assert one.samples[-1].at == after(60)
    assert source.series(FAILED, since=EARLIER, until=after(60)) == ()


def test_what_the_log_cannot_know_has_no_series(path: Path, source: AccessLogSource) -> None:
    """Another metric, another service, a label it has not: absent rather than zero."""
    write(path, [line(T + 1)])
    for text in ("llm_requests_total", 'http_requests_total{service="other"}', 'http_requests_total{pod="a"}'):
        assert source.series(parse(text), since=EARLIER, until=after(60)) == ()


def test_a_line_is_read_once_and_only_when_it_is_complete(path: Path, source: AccessLogSource) -> None:
    """A line that nginx is just writing waits for its end; reading again adds nothing."""
    whole = line(T + 2)
    write(path, [line(T + 1), whole[:30]])
    assert counted(source) == (1, 0)
    assert counted(source) == (1, 0)
    write(path, [whole[30:]])
    assert counted(source) == (2, 0)


def test_a_missing_log_is_unavailable_with_a_hint(tmp_path: Path) -> None:
    """It is no silence."""
    source = AccessLogSource(AccessLogSettings(), service="chat", path=tmp_path / "none.json")
    with pytest.raises(SourceUnavailable, match="there is no access log") as caught:
        source.series(TOTAL, since=EARLIER, until=START)
    assert "include" in caught.value.hint
    [first, _] = source.diagnose((TOTAL,), now=START)
    assert first.severity is Severity.WARNING


def test_a_directory_in_place_of_the_log_is_unavailable(tmp_path: Path) -> None:
    """The sentence of the system is handed on."""
    source = AccessLogSource(AccessLogSettings(path=tmp_path), service="chat")
    with pytest.raises(SourceUnavailable, match="Is a directory"):
        source.series(TOTAL, since=EARLIER, until=START)


def test_a_source_without_a_path_is_a_mistake_of_the_caller() -> None:
    """Neither the settings nor the target named the log."""
    with pytest.raises(ValueError, match="needs the path"):
        AccessLogSource(AccessLogSettings(), service="chat")


def test_one_broken_line_is_passed_over_and_many_are_another_format(path: Path, source: AccessLogSource) -> None:
    """A full disk breaks a line; a combined log breaks them all. More than 1 % is no answer."""
    write(path, ['{"ts": 1, "vers', "\n", *(line(T + 1) for _ in range(150))])
    assert counted(source) == (150, 0)
    write(path, ['127.0.0.1 - - "GET / HTTP/1.1" 200 5\n'])
    with pytest.raises(SourceUnavailable, match="2 of 152 lines"):
        counted(source)
    write(path, [line(T + 1) for _ in range(100)])
    assert counted(source) == (250, 0)


@pytest.mark.parametrize(
    "broken",
    [
        b"[]",
        b"7",
        b"null",
        b'"x"',
        b"{}",
        b'{"ts": "soon", "version": "canary", "status": 200}',
        b"[" * 5000,
        b"\x00" * 64,
        b'{"ts": 1e999, "version": "canary", "status": 200}',
        b'{"ts": 1, "version": "", "status": 200}',
    ],
)
def test_a_line_of_another_kind_is_none(broken: bytes) -> None:
    """Whatever stands there, reading it does not fail and does not count."""
    assert read_line(broken) is None


def test_bytes_that_are_no_text_do_not_hide_a_request(path: Path, source: AccessLogSource) -> None:
    """A client chooses the bytes of the uri; if they broke a line, it could make the rollout blind at will."""
    raw = line(T + 1, uri="/@").encode().replace(b"/@", b"/\xff\xfe\xc3")
    path.write_bytes(raw * 50)
    assert counted(source) == (50, 0)


def test_a_rotated_log_goes_on_without_a_gap(path: Path, source: AccessLogSource) -> None:
    """Renamed, still written to for a moment, then reopened: each line counts once, for this process and the next."""
    write(path, [line(T + 1), line(T + 2)])
    assert counted(source) == (2, 0)
    rotated = path.with_name("access.json.1")
    path.rename(rotated)
    write(rotated, [line(T + 3)])
    assert counted(source) == (3, 0)
    write(path, [line(T + 4, upstream_status="500")])
    assert counted(source) == (4, 1)
    assert counted(AccessLogSource(AccessLogSettings(path=path), service="chat")) == (4, 1)


def test_a_log_that_is_copied_and_truncated_counts_each_line_once(path: Path, source: AccessLogSource) -> None:
    """logrotate's `copytruncate`: before, between and after its two moves."""
    write(path, [line(T + n) for n in range(1, 9)])
    assert counted(source) == (8, 0)
    shutil.copy(path, path.with_name("access.json.1"))
    assert counted(source) == (8, 0)
    os.truncate(path, 0)
    assert counted(source) == (8, 0)
    write(path, [line(T + n) for n in range(10, 30)])
    assert counted(source) == (28, 0)


def test_a_new_file_under_an_old_inode_is_seen_as_new(path: Path, source: AccessLogSource) -> None:
    """File systems give the number of a removed file to the next one; the first line tells them apart."""
    write(path, [line(T + 1)])
    assert counted(source) == (1, 0)
    path.write_text("".join(line(T + n, upstream_status="500") for n in range(2, 7)))
    assert counted(source) == (5, 5)


def test_older_generations_are_read_as_far_as_the_start_needs_them(path: Path, source: AccessLogSource) -> None:
    """Two rotations within a rollout are followed; what ended before it is not opened."""
    for number, at in ((3, T - 900), (2, T + 1), (1, T + 2)):
        older = path.with_name(f"access.json.{number}")
        write(older, [line(at)] if number < 3 else ["not even JSON\n"] * 9)
        os.utime(older, (at, at))
    write(path, [line(T + 3)])
    assert counted(source) == (3, 0)


def test_a_part_that_is_compressed_is_no_answer(path: Path, source: AccessLogSource) -> None:
    """What was counted since the start would be a part only; the hint names the setting of logrotate."""
    packed = path.with_name("access.json.1.gz")
    packed.write_bytes(gzip.compress(line(T + 1).encode()))
    os.utime(packed, (T + 2, T + 2))
    write(path, [line(T + 3)])
    with pytest.raises(SourceUnavailable, match="in part compressed") as caught:
        counted(source)
    assert "delaycompress" in caught.value.hint


def test_asking_for_an_earlier_start_counts_again_from_there(path: Path, source: AccessLogSource) -> None:
    """The order in which ranges are asked for changes no answer."""
    write(path, [line(T + n) for n in range(60)])
    late = source.series(TOTAL, since=after(30), until=after(90))
    early = source.series(TOTAL, since=EARLIER, until=after(90))
    assert grown(late, since=after(31)) == 28
    assert grown(early) == 59
    assert source.series(TOTAL, since=after(30), until=after(90)) == late


def test_only_the_young_end_of_a_long_log_is_read(path: Path) -> None:
    """The start is found by bisection, also among lines that are out of order by a second or not JSON."""
    random.seed(1)
    lines = [line(T - 40000 + n / 2 + random.uniform(-1, 1)) for n in range(100_000)]
    lines[50_000:50_020] = ["broken\n"] * 20
    path.write_text("".join(lines))
    with path.open("rb") as file:
        at = find_moment(file, T)
        assert at > path.stat().st_size * 0.7
        file.seek(at)
        first = json.loads(file.readline())["ts"]
    assert T - 400 < first < T
    source = AccessLogSource(AccessLogSettings(path=path), service="chat")
    wanted = sum(T < json.loads(one)["ts"] <= T + 60 for one in lines if one != "broken\n")
    assert abs(counted(source)[0] - wanted) <= 2


def test_a_file_without_line_ends_is_refused_and_not_kept_in_memory(path: Path, source: AccessLogSource) -> None:
    """Something that is no log at all ends as a sentence."""
    path.write_bytes(b"x" * (5 << 20))
    with pytest.raises(SourceUnavailable, match="are not JSON lines"):
        counted(source)


def test_doctor_says_what_a_selector_cannot_ask_of_a_log(path: Path, source: AccessLogSource) -> None:
    """Wrong metric, unknown label, no version, another service: errors; a silent log: a warning."""
    texts = [
        'llm_requests_total{version="$version"}',
        'http_requests_total{version="$version", pod="x"}',
        'http_requests_total{service="$version"}',
        'http_requests_total{version="$version", service="other"}',
        'http_requests_total{version="$version", service="chat", code=~"5.."}',
    ]
    log, *rest = source.diagnose(tuple(parse(text) for text in texts), now=after(600))
    assert (log.severity, "no line of the last 5 minutes" in log.message) == (Severity.WARNING, True)
    assert [finding.severity for finding in rest] == [Severity.ERROR] * 4 + [Severity.OK]
    assert all(finding.hint for finding in rest[:4])
    write(path, [line(T + 599)])
    log, *_ = source.diagnose((), now=after(600))
    assert (log.severity, log.message) == (Severity.OK, f"{path}: the newest line is 1 s old")


def test_it_answers_neither_histograms_nor_queries(source: AccessLogSource) -> None:
    """They are refused with the source that has them, and never answered by nothing, which would be no traffic."""
    with pytest.raises(SourceUnavailable, match="no histograms") as histogram:
        source.histogram(parse('took_bucket{version="canary"}'), since=EARLIER, until=START)
    with pytest.raises(SourceUnavailable, match="cannot evaluate a query") as values:
        source.values("up", since=EARLIER, until=START, step=timedelta(seconds=1))
    assert "prometheus source" in histogram.value.hint
    assert "prometheus source" in values.value.hint
