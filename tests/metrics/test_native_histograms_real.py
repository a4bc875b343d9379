"""Native histograms through a real Prometheus: each count is one that the exporter told, at bounds it told."""

from __future__ import annotations

import math
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import growth
from rollout.analysis.judge import judge
from rollout.core.finding import Severity
from rollout.core.gates import LatencyGate
from rollout.core.plan import Plan, Step, Weight
from rollout.core.selector import parse
from rollout.core.verdict import GateResult, Verdict
from rollout.demo.processes import free_port, running
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource
from rollout.reading import read_gates
from tests.metrics.protobuf import CONTENT_TYPE, NativeHistogram, families
from tests.metrics.scraped import answers, scrape_configuration
from tests.serving import exporting

PROGRAM = shutil.which("prometheus")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed"),
]
Sources = Callable[..., PrometheusSource]
Eventually = Callable[[Callable[[], bool]], None]


@dataclass
class NativeExporter:
    """A process with native histograms by name and version."""

    histograms: dict[tuple[str, str], NativeHistogram] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    def set(self, name: str, histogram: NativeHistogram, *, version: str = "stable") -> None:
        with self.lock:
            self.histograms[name, version] = histogram

    def expose(self) -> bytes:
        with self.lock:
            return families((name, {"version": version}, one) for (name, version), one in self.histograms.items())


@pytest.fixture(scope="module")
def exporter() -> Iterator[NativeExporter]:
    """It speaks the delimited protobuf exposition and nothing else."""
    double = NativeExporter()
    with exporting(double.expose, content_type=CONTENT_TYPE) as double.port:
        yield double


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, exporter: NativeExporter) -> Iterator[str]:
    """A Prometheus with native histograms switched on, scraping five times a second."""
    folder = tmp_path_factory.mktemp("native")
    config = scrape_configuration(folder / "prometheus.yml", port=exporter.port)
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


class Service:
    """Both versions of a service that times its requests by a native histogram: a p95 of 0.4 s, 9 % to a bucket."""

    def __init__(self, name: str, *, slower: float, exporter: NativeExporter, source: PrometheusSource) -> None:
        self.gate = LatencyGate(name="p95 latency", histogram=parse(name + '{version="$version"}'), min_requests=20)
        self.plan = Plan(
            service="chat",
            environment="test",
            steps=tuple(Step(weight=Weight(weight), soak=timedelta(minutes=1)) for weight in (20, 100)),
            gates=(self.gate,),
            interval=timedelta(seconds=1),
            warm_up=timedelta(0),
            dispersion=1,
        )
        self._name, self._exporter, self._source = name, exporter, source
        self._slower = {"stable": 1.0, "canary": slower}
        self._counts: dict[str, Counter[int]] = {"stable": Counter(), "canary": Counter()}
        self._dice = random.Random(name)

    def serve(self, version: str, requests: int) -> None:
        for _ in range(requests):
            duration = 0.4 * self._slower[version] * math.exp(0.5 * (self._dice.gauss() - 1.645))
            self._counts[version][math.ceil(math.log2(duration) * 8)] += 1
        self._exporter.set(self._name, NativeHistogram(schema=3, positive=self._counts[version]), version=version)

    def judged(self, start: datetime, first: datetime) -> GateResult:
        """The verdict now, with the canary at 20 % since `first`."""
        at = now()
        readings = read_gates(self._source, self.plan, start=start, until=at, clock=now)
        timeline = Timeline(start=start, deployed_at=start, seen_at=first, weights=((first, Weight(20)),))
        found = judge(self.plan, readings, timeline=timeline, canary_release="", stable_release="", now=at)
        return found.gates[0]


def test_a_latency_gate_finds_a_slow_canary_and_no_other(
    exporter: NativeExporter, server: str, source_at: Sources
) -> None:
    """Twice as slow is taken back, and as slow as stable or a tenth slower is not; each version has its own buckets."""
    source = source_at(server)
    same, tenth, twice = services = [
        Service(name, slower=slower, exporter=exporter, source=source)
        for name, slower in (("same_seconds", 1.0), ("tenth_seconds", 1.1), ("twice_seconds", 2.0))
    ]

    def serve(seconds: float, *, canary: int) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for one in services:
                one.serve("stable", 40)
                one.serve("canary", canary)
            time.sleep(0.1)

    serve(2.5, canary=0)
    start = now()
    serve(0.5, canary=0)
    first, deadline = now(), time.monotonic() + 40
    while (found := twice.judged(start, first)).verdict is not Verdict.UNHEALTHY:
        assert time.monotonic() < deadline, found.sentence
        serve(0.5, canary=10)
    serve(3, canary=10)
    assert found.measured is not None
    assert found.measured.bound is not None
    for one in (same, tenth):
        found = one.judged(start, first)
        assert found.verdict is Verdict.HEALTHY, found.sentence
        assert found.canary.total > 100
        assert found.measured is not None
        assert found.measured.tolerance is not None
        assert 0.25 < found.measured.tolerance[0] <= found.measured.tolerance[1] < 0.35
