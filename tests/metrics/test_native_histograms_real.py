"""Native histograms through a real Prometheus: each count is one that the exporter told, at bounds it told."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from rollout.analysis.counters import growth
from rollout.core.finding import Severity
from rollout.core.selector import parse
from rollout.demo.processes import free_port, running
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource
from tests.metrics.protobuf import CONTENT_TYPE, NativeHistogram, families

PROGRAM = shutil.which("prometheus")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed"),
]
Sources = Callable[..., PrometheusSource]
Eventually = Callable[[Callable[[], bool]], None]


@dataclass
class NativeExporter:
    """A process with native histograms by name; `told` holds every state that was scraped, by count."""

    histograms: dict[str, NativeHistogram] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    def set(self, name: str, histogram: NativeHistogram) -> None:
        with self.lock:
            self.histograms[name] = histogram

    def expose(self) -> bytes:
        with self.lock:
            return families((name, {"version": "stable"}, one) for name, one in self.histograms.items())


@pytest.fixture(scope="module")
def exporter() -> Iterator[NativeExporter]:
    """It speaks the delimited protobuf exposition and nothing else."""
    double = NativeExporter()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = double.expose()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in http.server)
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    double.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield double
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, exporter: NativeExporter) -> Iterator[str]:
    """A Prometheus with native histograms switched on, scraping five times a second."""
    folder = tmp_path_factory.mktemp("native")
    config = folder / "prometheus.yml"
    job = {"job_name": "chat", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
    config.write_text(json.dumps({"global": {"scrape_interval": "200ms"}, "scrape_configs": [job]}))
    address = f"127.0.0.1:{free_port()}"
    argv: list[str | Path] = [
        str(PROGRAM),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=native-histograms",
        "--log.level=warn",
    ]
    with running(argv, log=folder / "log", ready=lambda: answers(f"http://{address}/-/ready")):
        yield f"http://{address}"


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def now() -> datetime:
    return datetime.now(UTC)


class Story:
    """One native histogram under a name of its own."""

    def __init__(self, name: str, exporter: NativeExporter, source: PrometheusSource, eventually: Eventually) -> None:
        self.metric = name
        self.exporter = exporter
        self.source = source
        self.eventually = eventually
        self.began = now() - timedelta(seconds=1)

    def read(self) -> dict[str, list[float]]:
        """The values by bound, with runs of the same scrape taken as one."""
        found = self.source.histogram(parse(self.metric), since=self.began, until=now())
        assert len({one.samples[-1].at for one in found}) <= 1
        columns = [[sample.value for sample in one.samples] for one in found]
        scrapes = [
            scrape for i, scrape in enumerate(zip(*columns, strict=True)) if i == 0 or scrape != last(columns, i)
        ]
        return {one.labels["le"]: [scrape[n] for scrape in scrapes] for n, one in enumerate(found)}

    def show(self, histogram: NativeHistogram) -> None:
        """Expose this, and wait until it was scraped."""
        self.exporter.set(self.metric, histogram)
        self.eventually(lambda: self.read().get("+Inf", [-1])[-1] == histogram.count)


def last(columns: list[list[float]], place: int) -> tuple[float, ...]:
    return tuple(column[place - 1] for column in columns)


@pytest.fixture
def story(
    request: pytest.FixtureRequest,
    exporter: NativeExporter,
    server: str,
    source_at: Sources,
    eventually: Eventually,
) -> Story:
    return Story(request.node.name + "_seconds", exporter, source_at(server), eventually)


def test_each_state_comes_as_cumulative_counts(story: Story) -> None:
    """Positive, negative and zero buckets, growth, a bucket that comes late, and a reset."""
    story.show(NativeHistogram(schema=0, positive={0: 3, 2: 1}, negative={0: 2}, zero=4))
    story.show(NativeHistogram(schema=0, positive={0: 5, 2: 1, 3: 2}, negative={0: 2}, zero=4))
    story.show(NativeHistogram(schema=0, positive={0: 1}))
    assert story.read() == {
        "1e-09": [6, 6, 0],
        "0.5": [6, 6, 0],
        "1.0": [9, 11, 1],
        "2.0": [9, 11, 1],
        "4.0": [10, 12, 1],
        "8.0": [10, 14, 1],
        "+Inf": [10, 14, 1],
    }


def test_the_growth_between_scrapes_is_what_was_observed(story: Story) -> None:
    """The analysis counts in it as in any counter."""
    story.show(NativeHistogram(schema=3, positive={0: 10}))
    story.show(NativeHistogram(schema=3, positive={0: 15, 8: 7}))

    until = now()
    found = story.source.histogram(parse(story.metric), since=story.began, until=until)
    by_bound = {one.labels["le"]: growth(one, since=story.began, until=until) for one in found}
    assert by_bound["1.0"] == 5
    assert by_bound["2.0"] == 12
    assert by_bound["+Inf"] == 12


def test_a_resolution_that_changes_on_the_way_keeps_the_common_bounds(story: Story) -> None:
    """A client library that has too many buckets halves their number while it runs."""
    story.show(NativeHistogram(schema=1, positive={1: 1, 2: 2, 3: 4, 4: 8}))
    assert list(story.read()) == ["1.0", "1.414213562373095", "2.0", "2.82842712474619", "4.0", "+Inf"]
    story.show(NativeHistogram(schema=0, positive={1: 3, 2: 13}))
    assert story.read() == {"1.0": [0, 0], "2.0": [3, 3], "4.0": [15, 16], "+Inf": [15, 16]}


def test_many_fine_buckets_come_in_little_time(story: Story) -> None:
    """Four hundred buckets, a factor of 1.0027 apart, have exact bounds and counts."""
    story.show(NativeHistogram(schema=8, positive=dict.fromkeys(range(-200, 200), 1)))
    found = story.read()
    assert len(found) == 402
    assert [values[-1] for values in found.values()] == [*range(401), 400]


def test_counters_and_queries_of_the_same_server(story: Story) -> None:
    """A native histogram is no counter; a quantile of it is a value."""
    story.show(NativeHistogram(schema=0, positive={1: 100}))
    with pytest.raises(SourceUnavailable, match="native histogram"):
        story.source.series(parse(story.metric), since=story.began, until=now())
    with pytest.raises(SourceUnavailable, match="histograms where one number was meant"):
        story.source.values(story.metric, since=story.began, until=now(), step=timedelta(seconds=1))
    until = now()
    [*_, newest] = story.source.values(
        f"histogram_quantile(0.5, {story.metric})", since=story.began, until=until, step=timedelta(milliseconds=200)
    )
    assert newest.at == until
    assert 1 <= newest.value <= 2


def test_doctor_names_a_native_histogram(story: Story) -> None:
    """By its plain name it is found; as `_bucket` it is not there, and doctor says under which name it is."""
    story.show(NativeHistogram(schema=0, positive={1: 100}))
    right = parse(story.metric + '{version="$version"}')
    wrong = parse(story.metric + '_bucket{version="$version"}')
    *_, found, missing = story.source.diagnose((right, wrong), now=now())
    assert found.severity is Severity.OK
    assert "1 native histogram of the stable release" in found.message
    assert missing.message == f"no series: {story.metric} is a native histogram"
