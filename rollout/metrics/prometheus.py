"""Raw counters from Prometheus, or from a server that answers its query API.

It asks for samples as they were scraped and hands them on: no `rate()`, no `increase()`, since each of these would
compute before `analysis` can. The only text it puts into a query is a rendered `Selector`; a query of the user's own
is sent as it is.
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
from rollout.metrics.buckets import NativeSeries, NotAHistogram, classic, cumulative, read_native
from rollout.metrics.settings import PrometheusSettings

if TYPE_CHECKING:
    from rollout.metrics.prometheus_api import PrometheusApi, RawSeries

_NAME: Final = "__name__"
_MOST_MOMENTS: Final = 10_000
"""How many values are asked for at once; Prometheus gives 11,000 at most (web/api/v1, `queryRange`)."""
_TOLERANCE_S: Final = 0.002
"""How far a moment of an answer may be from the one asked for: both are rounded to a millisecond on the way."""


class PrometheusSource:
    """The counters of one Prometheus server. Implements `Source`."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._connected: PrometheusApi | None = None

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """The raw samples in (since, until], by an instant query of a range selector at `until`.

        That form returns what was scraped, with the times of the scrapes and without staleness markers
        (prometheus.io/docs, HTTP API, "Range vectors"). Raises SourceUnavailable, also for a native histogram.
        """
        return self.counters(selector, self.rows(selector, since=since, until=until), since=since, until=until)

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """The buckets of classic histograms as they are, and native ones as `buckets.cumulative` puts them.

        Asked as `series` is, so that native histograms come with their buckets. Raises SourceUnavailable.
        """
        return self.buckets(selector, self.rows(selector, since=since, until=until), since=since, until=until)

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        """What the query gives at `until` and every `step` before it, by a range query that ends at `until`.

        The server knows milliseconds, so it evaluates up to one before the moments that are handed over. Series that
        follow one another in time are one number each time; two at one moment are refused. Raises SourceUnavailable,
        and ValueError for a step that is not a whole number of milliseconds.
        """
        if step <= timedelta(0) or step % timedelta(milliseconds=1):
            raise ValueError("step is a whole number of milliseconds")
        count = -((since - until) // step)
        moments = [until - place * step for place in reversed(range(count))]
        result: list[Sample] = []
        for first in range(0, count, _MOST_MOMENTS):
            asked = moments[first : first + _MOST_MOMENTS]
            found = self.api().evaluate(query, start=asked[0], end=asked[-1], step=step)
            result += read_values(found, asked, step=step, where=self._settings.url)
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

    def rows(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[RawSeries, ...]:
        """What the server holds for a selector, with samples in (since, until] and a few before them.

        Older servers include the left end of the range and newer ones do not, so a little more is asked for.
        Raises SourceUnavailable.
        """
        seconds = max(1, math.ceil((until - since).total_seconds())) + 1
        found = self.api().matrix(f"{self.complete(selector)}[{seconds}s]", at=until)
        seen: set[frozenset[tuple[str, str]]] = set()
        for raw in found:
            identity = frozenset(raw.metric.items())
            if identity in seen:
                # No query engine returns a series twice. Where a proxy does, one of the two may be a part or a copy,
                # and a copy would double the evidence.
                raise self._broken(selector, "the same series comes twice", "Check the proxy that merges answers.")
            seen.add(identity)
        return found

    def counters(
        self, selector: Selector, rows: tuple[RawSeries, ...], *, since: datetime, until: datetime
    ) -> tuple[Series, ...]:
        """The rows of a selector as counters. Raises SourceUnavailable."""
        result: list[Series] = []
        for raw in rows:
            if raw.histograms:
                raise self._broken(
                    selector,
                    "it is a native histogram",
                    "A failure gate takes counters; a native histogram serves a latency gate.",
                )
            samples = tuple(sample for sample in self._samples(selector, raw) if since < sample.at <= until)
            if samples:
                result.append(Series(labels=_labels(raw), samples=samples))
        return tuple(result)

    def buckets(
        self, selector: Selector, rows: tuple[RawSeries, ...], *, since: datetime, until: datetime
    ) -> tuple[Series, ...]:
        """The rows of a selector as buckets of histograms. Raises SourceUnavailable."""
        plain = self.counters(selector, tuple(raw for raw in rows if not raw.histograms), since=since, until=until)
        try:
            native = [_native(raw, since=since, until=until) for raw in rows if raw.histograms]
            return classic(plain) + cumulative([one for one in native if one.samples])
        except NotAHistogram as failure:
            raise SourceUnavailable(f"{self._settings.url} {failure.what}, for {selector}", hint=failure.hint) from None

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


def read_values(
    found: tuple[RawSeries, ...], moments: list[datetime], *, step: timedelta, where: str
) -> Iterator[Sample]:
    """The one number that a range query gives at each of the moments it was asked for. Raises SourceUnavailable."""
    given: dict[int, float] = {}
    for raw in found:
        if raw.histograms:
            raise SourceUnavailable(
                f"{where} answers the query with histograms where one number was meant",
                hint="Take one number out of them, such as histogram_quantile(0.95, ...).",
            )
        newest = -1
        for seconds, text in raw.values:
            apart = seconds - moments[0].timestamp()
            place = round(apart / step.total_seconds()) if math.isfinite(apart) else -1
            if not newest < place < len(moments) or abs(apart - place * step.total_seconds()) > _TOLERANCE_S:
                raise SourceUnavailable(
                    f"{where} answers the query for other moments than it was asked for",
                    hint="Check the proxy or cache in between: the moments must not be rounded.",
                )
            newest = place
            if place in given:
                many = "two" if len(found) == 2 else f"{len(found):,}"
                raise SourceUnavailable(
                    f"{where} answers the query with {many} series where one number was meant",
                    hint="Put sum() or avg() around it, or choose one series by its labels.",
                )
            given[place] = _number(text, where)
    for place in sorted(given):
        yield Sample(at=moments[place], value=given[place])


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceUnavailable(
            f"{where} answers the query with something that is not a number",
            hint="Check that the server is a Prometheus.",
        ) from None


def _native(raw: RawSeries, *, since: datetime, until: datetime) -> NativeSeries:
    if raw.values:
        raise NotAHistogram(
            "mixes numbers and native histograms in one series", "Name a metric that is always a histogram."
        )
    samples = tuple(sample for sample in read_native(raw.histograms) if since < sample.at <= until)
    return NativeSeries(labels=_labels(raw), samples=samples)


def _labels(raw: RawSeries) -> dict[str, str]:
    return {name: value for name, value in raw.metric.items() if name != _NAME}


def scrape_interval(series: tuple[Series, ...]) -> timedelta | None:
    """The median time between two samples of a series; None where no series has two."""
    gaps = sorted(
        later.at - earlier.at for one in series for earlier, later in zip(one.samples, one.samples[1:], strict=False)
    )
    return gaps[len(gaps) // 2] if gaps else None
