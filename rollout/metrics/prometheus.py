"""Raw counters from Prometheus, or from a server that answers its query API.

It asks for samples as they were scraped and hands them on: no `rate()`, no `increase()`, no query with a step, since
each of these would compute before `analysis` can. The only text it puts into a query is a rendered `Selector`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rollout.analysis.counters import Sample, Series
from rollout.core.finding import Finding
from rollout.core.selector import Matcher, Selector
from rollout.errors import SourceUnavailable
from rollout.metrics.settings import PrometheusSettings

if TYPE_CHECKING:
    from rollout.metrics.prometheus_api import PrometheusApi, RawSeries

_NAME: Final = "__name__"


class PrometheusSource:
    """The counters of one Prometheus server. Implements `Source`."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._connected: PrometheusApi | None = None

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """The raw samples in (since, until], by an instant query of a range selector at `until`.

        That form returns what was scraped, with the times of the scrapes and without staleness markers
        (prometheus.io/docs, HTTP API, "Range vectors"). Older servers include the left end of the range and newer
        ones do not, so a little more is asked for and cut here. Raises SourceUnavailable.
        """
        seconds = max(1, math.ceil((until - since).total_seconds())) + 1
        found = self.api().matrix(f"{self.complete(selector)}[{seconds}s]", at=until)
        seen: set[frozenset[tuple[str, str]]] = set()
        result: list[Series] = []
        for raw in found:
            identity = frozenset(raw.metric.items())
            if identity in seen:
                # No query engine returns a series twice. Where a proxy does, one of the two may be a part or a copy,
                # and a copy would double the evidence.
                raise self._broken(selector, "the same series comes twice", "Check the proxy that merges answers.")
            seen.add(identity)
            samples = tuple(sample for sample in self._samples(selector, raw) if since < sample.at <= until)
            if samples:
                labels = {name: value for name, value in raw.metric.items() if name != _NAME}
                result.append(Series(labels=labels, samples=samples))
        return tuple(result)

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """Look at the server, its clock, and what each selector finds; changes nothing."""
        from rollout.metrics.prometheus_doctor import examine  # noqa: PLC0415  (only `doctor` needs it)

        yield from examine(self, self._settings, selectors, now=now)

    def complete(self, selector: Selector) -> Selector:
        """The selector with the extra labels of the settings."""
        extra = tuple(
            Matcher(label=name, operator="=", value=value) for name, value in sorted(self._settings.labels.items())
        )
        return Selector(metric=selector.metric, matchers=selector.matchers + extra)

    def api(self) -> PrometheusApi:
        """The connection, opened when it is first needed."""
        if self._connected is None:
            from rollout.metrics.prometheus_api import PrometheusApi  # noqa: PLC0415  (takes a tenth of a second)

            self._connected = PrometheusApi(self._settings)
        return self._connected

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _samples(self, selector: Selector, raw: RawSeries) -> Iterator[Sample]:
        if raw.histograms:
            raise self._broken(
                selector, "it is a native histogram", "A gate takes counters; name the counter of the histogram."
            )
        newest = -math.inf
        for seconds, text in raw.values:
            if not newest < seconds:
                raise self._broken(selector, "samples are not in the order of time", "Check the proxy in between.")
            newest = seconds
            try:
                yield Sample(at=datetime.fromtimestamp(seconds, UTC), value=float(text))
            except (ValueError, OverflowError, OSError):
                raise self._broken(
                    selector, "a sample is not a number at a time", "Check that the server is a Prometheus."
                ) from None

    def _broken(self, selector: Selector, what: str, hint: str) -> SourceUnavailable:
        return SourceUnavailable(f"{self._settings.url} answers {selector} with nonsense: {what}", hint=hint)


def scrape_interval(series: tuple[Series, ...]) -> timedelta | None:
    """The median time between two samples of a series; None where no series has two."""
    gaps = sorted(
        later.at - earlier.at for one in series for earlier, later in zip(one.samples, one.samples[1:], strict=False)
    )
    return gaps[len(gaps) // 2] if gaps else None
