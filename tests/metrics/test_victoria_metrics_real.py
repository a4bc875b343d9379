"""The Prometheus source against VictoriaMetrics, which answers the same query API from another engine."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rollout.core.finding import Severity
from rollout.core.selector import Matcher, Selector, parse
from rollout.demo.processes import free_port, running
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource
from tests.metrics.scraped import answers, scrape_configuration

if TYPE_CHECKING:
    from tests.metrics.conftest import Exporter

PROGRAM = shutil.which("victoria-metrics")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PROGRAM is None, reason="victoria-metrics is not installed"),
]


@pytest.fixture
def server(tmp_path: Path, exporter: Exporter) -> Iterator[str]:
    """VictoriaMetrics, scraping the exporter five times a second, with young samples in view at once."""
    address = f"127.0.0.1:{free_port()}"
    config = scrape_configuration(tmp_path / "scrape.yml", port=exporter.port)
    argv = [
        str(PROGRAM),
        f"-promscrape.config={config}",
        f"-storageDataPath={tmp_path / 'data'}",
        f"-httpListenAddr={address}",
        "-search.latencyOffset=0s",
    ]
    with running(argv, log=tmp_path / "log", ready=lambda: answers(f"http://{address}/health")):
        yield f"http://{address}"


def test_raw_samples_are_what_was_exposed(
    exporter: Exporter,
    server: str,
    source_at: Callable[..., PrometheusSource],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """Values, resets, first values of new label sets and odd label values come through as they were exposed."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    hostile = 'a"} or up{job=~".*'

    def expose(name: str, value: float) -> None:
        exporter.set(name, value)
        told = len(exporter.scrapes)
        eventually(lambda: len(exporter.scrapes) >= told + 2)

    def read(selector: Selector) -> list[list[float]]:
        found = source.series(selector, since=began, until=datetime.now(UTC))
        return [[sample.value for sample in one.samples if not math.isnan(sample.value)] for one in found]

    source = source_at(server)
    for value in (5.0, 8.0, 2.0):
        expose('told_total{code="200"}', value)
    expose('told_total{code="503"}', 7.0)
    expose('told_total{who="a\\"} or up{job=~\\".*"}', 1.0)
    exporter.remove('told_total{code="200"}')
    strange = Selector(metric="told_total", matchers=(Matcher(label="who", operator="=", value=hostile),))
    eventually(lambda: len(read(strange)) == 1)
    eventually(lambda: read(parse('told_total{code="200"}')) == [exporter.history('told_total{code="200"}')])
    [failed] = read(parse('told_total{code=~"5.."}'))
    assert set(failed) == {7.0}
    findings = list(source.diagnose((parse('told_total{code="200", who!="$version"}'),), now=datetime.now(UTC)))
    assert [finding.severity for finding in findings] == [Severity.OK, Severity.ERROR]


def test_classic_histograms_pass_through_and_its_own_form_is_refused(
    exporter: Exporter,
    server: str,
    source_at: Callable[..., PrometheusSource],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """`le` buckets are what they are anywhere; `vmrange` buckets have bounds of their own in each series."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    source = source_at(server)
    for name, value in (('took_bucket{le="0.50"}', 3.0), ('took_bucket{le="+Inf"}', 7.0), ("took_count", 7.0)):
        exporter.set(name, value)
    exporter.set('own_bucket{vmrange="1.0e-1...1.1e-1"}', 3.0)

    def read() -> dict[str, set[float]]:
        try:
            found = source.histogram(parse("took_bucket"), since=began, until=datetime.now(UTC))
        except SourceUnavailable as part:
            # The server takes new label sets into view one by one: a histogram without +Inf is a part of one.
            if "without the bucket" not in part.message:
                raise
            return {}
        return {one.labels["le"]: {s.value for s in one.samples if not math.isnan(s.value)} for one in found}

    def refusal() -> str:
        try:
            source.histogram(parse("own_bucket"), since=began, until=datetime.now(UTC))
        except SourceUnavailable as refused:
            return refused.message
        return ""

    eventually(lambda: read() == {"0.5": {3.0}, "+Inf": {7.0}})
    eventually(lambda: "vmrange" in refusal())


def test_a_query_is_evaluated_at_the_moments_asked_for(server: str, source_at: Callable[..., PrometheusSource]) -> None:
    """It rounds the moments of long ranges unless it is told not to. What is less than a second old repeats the value
    before it, whatever `-search.latencyOffset` says.
    """
    until = datetime.now(UTC) - timedelta(seconds=3)
    step = timedelta(milliseconds=1700)
    source = source_at(server)
    found = source.values("time()", since=until - 200 * step, until=until, step=step)
    assert [sample.at for sample in found] == [until - place * step for place in reversed(range(200))]
    assert all(0 <= sample.at.timestamp() - sample.value < 0.0011 for sample in found)
    with pytest.raises(SourceUnavailable, match="two series where one number was meant"):
        source.values(
            'union(label_set(1, "a", "b"), label_set(1, "a", "c"))', since=until - step, until=until, step=step
        )
    with pytest.raises(SourceUnavailable, match="does not accept the query"):
        source.values("sum(", since=until - step, until=until, step=step)
    assert source.values("no_such_metric", since=until - step, until=until, step=step) == ()
