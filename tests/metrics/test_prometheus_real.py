"""The Prometheus source against servers as users run them: every number it hands over is one that was exposed."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rollout.analysis.counters import Series
from rollout.core.finding import Severity
from rollout.core.selector import Matcher, Selector, parse
from rollout.demo.parts import prometheus
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource, scrape_interval

if TYPE_CHECKING:
    from tests.metrics.conftest import Exporter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

INTERVAL = timedelta(milliseconds=200)
Sources = Callable[..., PrometheusSource]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, exporter: Exporter) -> Iterator[str]:
    """A Prometheus that scrapes the exporter five times a second."""
    folder = tmp_path_factory.mktemp("prometheus")
    targets = folder / "targets.json"
    targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"service": "chat"}}]))
    with prometheus(folder, file_sd=targets, interval=INTERVAL) as url:
        yield url


def now() -> datetime:
    return datetime.now(UTC)


class Story:
    """One counter of the exporter under a name of its own, and the source that reads it."""

    def __init__(self, name: str, exporter: Exporter, source: PrometheusSource, eventually: Eventually) -> None:
        self.metric = name
        self.exporter = exporter
        self.source = source
        self.eventually = eventually
        self.began = now() - timedelta(seconds=1)

    def set(self, value: float, labels: str = '{version="stable"}') -> None:
        self.exporter.set(self.metric + labels, value)

    def read(self, text: str = '{version="stable"}') -> tuple[Series, ...]:
        return self.source.series(parse(self.metric + text), since=self.began, until=now())

    def values(self, text: str = '{version="stable"}') -> list[float]:
        found = self.read(text)
        assert len(found) <= 1
        return [sample.value for one in found for sample in one.samples]

    def await_values(self, wanted: list[float], text: str = '{version="stable"}') -> None:
        """Wait until the samples, with runs of the same value taken as one, are these."""

        def same() -> bool:
            seen = self.values(text)
            return [v for i, v in enumerate(seen) if i == 0 or v != seen[i - 1]] == wanted

        self.eventually(same)

    def await_last(self, value: float, text: str = '{version="stable"}') -> None:
        self.eventually(lambda: self.values(text)[-1:] == [value])


@pytest.fixture
def story(
    request: pytest.FixtureRequest, exporter: Exporter, server: str, source_at: Sources, eventually: Eventually
) -> Story:
    name = re.sub(r"\W", "_", request.node.name)
    return Story(name, exporter, source_at(server), eventually)


def test_every_sample_is_what_the_exporter_said_in_that_scrape(story: Story, exporter: Exporter) -> None:
    """The samples are the exposed values, one by one and in order, with nothing interpolated or left out."""
    for count in (0.0, 1.0, 5.0, 1007.0, 1007.5, 2.0**53):
        story.set(count)
        story.await_last(count)
    [one] = story.read()
    told = exporter.history(story.metric + '{version="stable"}')
    seen = [sample.value for sample in one.samples]
    assert seen == told[: len(seen)]
    assert len(told) - len(seen) <= 3
    times = [sample.at for sample in one.samples]
    assert times == sorted(set(times))
    assert one.labels["version"] == "stable"
    assert one.labels["service"] == "chat"
    assert "__name__" not in one.labels
    assert one.instance == f"rollout/127.0.0.1:{exporter.port}"


def test_a_counter_that_falls_is_handed_on_as_it_fell(story: Story) -> None:
    """A restart of the process is seen as the raw lower value, not smoothed away."""
    for count in (40.0, 90.0, 3.0, 4.0):
        story.set(count)
        story.await_last(count)
    story.await_values([40.0, 90.0, 3.0, 4.0])


def test_a_label_set_that_appears_later_brings_its_first_value(story: Story) -> None:
    """The first failure of a new status code is there, which `increase()` would lose."""
    story.set(10.0, '{code="200"}')
    story.await_last(10.0, '{code="200"}')
    assert story.read('{code=~"5.."}') == ()
    story.set(7.0, '{code="503"}')
    story.await_values([7.0], '{code=~"5.."}')


def test_a_series_that_ends_leaves_no_staleness_marker(story: Story, exporter: Exporter) -> None:
    """After a series is gone its samples stand as they were, and none is NaN."""
    story.set(4.0)
    story.set(1.0, '{version="canary"}')
    story.await_last(4.0)
    exporter.remove(story.metric + '{version="stable"}')
    before = len(exporter.scrapes)
    story.eventually(lambda: len(exporter.scrapes) > before + 3)
    assert set(story.values()) == {4.0}


def test_nan_and_infinity_are_handed_on(story: Story) -> None:
    """Odd values are the analysis' business: the source neither hides nor repairs them."""
    story.set(math.inf)
    story.await_last(math.inf)
    story.set(1.0)
    story.await_last(1.0)
    assert math.inf in story.values()


def test_the_range_leaves_out_its_start_and_takes_in_its_end(story: Story) -> None:
    """(since, until] is exact on both sides, whatever the server thinks of its own ranges."""
    story.set(1.0)
    story.eventually(lambda: len(story.values()) >= 4)
    [one] = story.read()
    first, second, third = one.samples[0].at, one.samples[1].at, one.samples[2].at
    [cut] = story.source.series(parse(story.metric), since=first, until=third)
    assert [sample.at for sample in cut.samples] == [second, third]


@pytest.mark.parametrize(
    "hostile", ['a"} or up{job=~".*', "back\\slash", "line\nbreak", "${x} %s {{x}}", "ü\u2028", "'"]
)
def test_a_hostile_label_value_selects_its_own_series_and_no_other(story: Story, hostile: str) -> None:
    """A value is matched as it is: what looks like PromQL in it is text."""
    name = f"hostile_{story.exporter.port}_total"
    escaped = hostile.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    story.metric = name
    story.set(1.0, f'{{who="{escaped}"}}')
    story.set(2.0, '{who="somebody else"}')
    selector = Selector(metric=name, matchers=(Matcher(label="who", operator="=", value=hostile),))
    story.eventually(lambda: len(story.source.series(selector, since=story.began, until=now())) == 1)
    [one] = story.source.series(selector, since=story.began, until=now())
    assert one.labels["who"] == hostile


def test_a_hostile_value_that_nobody_has_selects_nothing(story: Story) -> None:
    """An injection finds no series rather than all."""
    hostile = Matcher(label="job", operator="=", value='x"} or up{job=~".+')
    assert story.source.series(Selector(metric="up", matchers=(hostile,)), since=story.began, until=now()) == ()


def test_extra_labels_narrow_every_selector(server: str, source_at: Sources, story: Story) -> None:
    """`labels` in the settings is added to what a gate names."""
    story.set(1.0)
    story.await_last(1.0)
    elsewhere = source_at(server, labels={"service": "another"})
    here = source_at(server, labels={"service": "chat"})
    assert elsewhere.series(parse(story.metric), since=story.began, until=now()) == ()
    assert len(here.series(parse(story.metric), since=story.began, until=now())) == 1


def test_doctor_is_content_with_a_selector_that_tells_the_versions_apart(story: Story) -> None:
    """Reachable, in time, with series: nothing to do."""
    story.set(1.0)
    story.eventually(lambda: len(story.values()) >= 4)
    findings = list(story.source.diagnose((parse(story.metric + '{version="$version"}'),), now=now()))
    assert {finding.severity for finding in findings} == {Severity.OK}
    assert " answers (version " in findings[0].message
    interval = scrape_interval(story.read())
    assert interval is not None
    assert abs(interval - INTERVAL) < timedelta(milliseconds=150)


def test_doctor_finds_two_versions_that_are_one_series(story: Story) -> None:
    """A `$version` that excludes nothing would judge stable against itself."""
    story.set(1.0, '{version="both"}')
    story.await_last(1.0, "")
    findings = list(story.source.diagnose((parse(story.metric + '{version!="$version"}'),), now=now()))
    assert findings[-1].severity is Severity.ERROR
    assert "same 1 series" in findings[-1].message


def test_doctor_names_the_label_that_excludes_everything(story: Story) -> None:
    """A wrong service name is told with the names there are."""
    story.set(1.0)
    story.await_last(1.0)
    wrong = parse(story.metric + '{version="$version", service="chaat"}')
    findings = list(story.source.diagnose((wrong, parse('no_such_metric_total{version="$version"}')), now=now()))
    assert findings[-2].severity is Severity.WARNING
    assert 'none has service="chaat", the label service is chat' in findings[-2].message
    assert "no metric no_such_metric_total" in findings[-1].message


def test_doctor_sees_a_clock_that_is_apart(story: Story) -> None:
    """More than five seconds between the two clocks is a warning."""
    findings = list(story.source.diagnose((), now=now() + timedelta(minutes=1)))
    assert [(finding.subject, finding.severity) for finding in findings[1:]] == [("clock", Severity.WARNING)]
    assert "behind this machine" in findings[1].message


def test_a_classic_histogram_comes_bucket_by_bucket(story: Story) -> None:
    """Every bucket of every scrape, and nothing of the sum and the count beside them."""
    name = story.metric
    selector = parse(name + '_bucket{version="stable"}')

    def read() -> dict[str, list[float]]:
        found = story.source.histogram(selector, since=story.began, until=now())
        return {one.labels["le"]: [sample.value for sample in one.samples] for one in found}

    def show(fast: float, total: float) -> None:
        with story.exporter.lock:
            story.exporter.counters |= {
                f'{name}_bucket{{le="5e-1",version="stable"}}': fast,
                f'{name}_bucket{{le="+Inf",version="stable"}}': total,
                f"{name}_sum": 1.0,
                f"{name}_count": total,
            }
        story.eventually(lambda: read().get("+Inf", [-1.0])[-1] == total)

    show(1.0, 2.0)
    show(5.0, 9.0)
    show(0.0, 1.0)
    seen = read()
    assert {le: sorted(set(values)) for le, values in seen.items()} == {"0.5": [0, 1, 5], "+Inf": [1, 2, 9]}
    assert len(seen["0.5"]) == len(seen["+Inf"])
    [*_, told] = story.source.diagnose((parse(name + '_bucket{version="$version"}'),), now=now())
    assert told.severity is Severity.OK
    assert "1 classic histogram of the stable release" in told.message


STEP = timedelta(milliseconds=200)


def test_a_query_gives_its_value_at_until_and_each_step_before(story: Story) -> None:
    """The server's own clock at each moment is the moment, to the millisecond; a scalar is a number like any other."""
    until = now()
    found = story.source.values("time()", since=until - 100 * STEP, until=until, step=STEP)
    assert [sample.at for sample in found] == [until - place * STEP for place in reversed(range(100))]
    assert all(0 <= sample.at.timestamp() - sample.value < 0.0011 for sample in found)


def test_a_query_follows_its_counter_and_a_gap_is_left_out(story: Story) -> None:
    """A moment before the series began has no value."""
    story.set(3.0)
    story.await_last(3.0)
    until = now()
    found = story.source.values(
        f"sum({story.metric})", since=until - timedelta(hours=1), until=until, step=timedelta(milliseconds=1000)
    )
    assert {sample.value for sample in found} == {3.0}
    assert found[-1].at == until
    assert len(found) < 1000


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ('{__name__=~"up|scrape_duration_seconds"}', "two series where one number was meant"),
        ('"text"', "must be Scalar or instant Vector"),
        ("up[5m]", "must be Scalar or instant Vector"),
        ("sum(", "does not accept the query"),
        ("", "does not accept the query"),
    ],
)
def test_what_gives_no_single_number_is_refused(story: Story, query: str, sentence: str) -> None:
    """In the server's words where it refuses itself."""
    story.set(1.0)
    story.await_last(1.0)
    with pytest.raises(SourceUnavailable, match=sentence):
        story.source.values(query, since=now() - 5 * STEP, until=now(), step=STEP)


def test_nan_of_a_query_is_a_value_and_no_series_is_none(story: Story) -> None:
    """0/0 is what a query says where there is no traffic; an absent series says nothing."""
    until = now()
    found = story.source.values("vector(0) / 0", since=until - 3 * STEP, until=until, step=STEP)
    assert [math.isnan(sample.value) for sample in found] == [True] * 3
    assert story.source.values("no_such_metric", since=until - 3 * STEP, until=until, step=STEP) == ()


def test_a_server_that_stops_is_unavailable(tmp_path: Path, exporter: Exporter, source_at: Sources) -> None:
    """A connection that was good does not hide that its server is gone."""
    with prometheus(tmp_path, file_sd=tmp_path / "none.json", interval=INTERVAL) as url:
        source = source_at(url)
        assert source.series(parse("up"), since=now() - timedelta(seconds=9), until=now()) == ()
        assert source.histogram(parse("up"), since=now() - timedelta(seconds=9), until=now()) == ()
        assert len(source.values("vector(1)", since=(until := now()) - STEP, until=until, step=STEP)) == 1
    for question in (
        lambda: source.series(parse("up"), since=now() - timedelta(seconds=9), until=now()),
        lambda: source.histogram(parse("up"), since=now() - timedelta(seconds=9), until=now()),
        lambda: source.values("vector(1)", since=now() - STEP, until=now(), step=STEP),
    ):
        with pytest.raises(SourceUnavailable, match="refuses connections"):
            question()
