"""Counters from nginx's own access log, so that a rollout can be judged where there is no Prometheus.

It answers selectors over one synthetic counter, `http_requests_total{service, version, code, release}`, as if it
were scraped each second. It judges nothing, and it knows only what nginx saw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rollout.analysis.counters import Sample, Series
from rollout.core.finding import Finding, Severity
from rollout.core.selector import VERSION, Selector
from rollout.errors import SourceUnavailable
from rollout.metrics.access_log_lines import Kind
from rollout.metrics.access_log_reader import AccessLogReader, Tally
from rollout.metrics.settings import AccessLogSettings

METRIC: Final = "http_requests_total"
LABELS: Final = ("service", "version", "code", "release")
VERSIONS: Final = ("stable", "canary")

_QUIET: Final = timedelta(minutes=5)


class AccessLogSource:
    """The counters of one nginx access log. Implements `Source`."""

    def __init__(self, settings: AccessLogSettings, *, service: str, path: Path | None = None) -> None:
        """`path` is the log of the nginx target, for settings that name none.

        `service` is the label of lines that do not name their service.
        """
        chosen = settings.path or path
        if chosen is None:
            raise ValueError("an access log source needs the path of the log")
        self._path = chosen
        self._service = service
        self._reader = AccessLogReader(chosen)

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """Counters that start at 0 with the first full second after `since`, one sample per second of change.

        `code` is the status that the version itself gave, also where another version answered in its place; requests
        whose version a tester forced are left out. Each counter has a sample at `until`: a log that can be read and
        has no new line says that there was no request. For the same reason a version of this service without any
        request is a counter that stays 0. Another metric than `http_requests_total` has no series.
        Raises SourceUnavailable where the log is absent, unreadable, or holds something else than JSON lines.
        """
        if selector.metric != METRIC:
            return ()
        tally = self._tally(since)
        found = [
            Series(labels=labels, samples=tuple(_samples(bins, since=since, until=until)))
            for kind, bins in tally.bins.items()
            if selector.matches(METRIC, labels := self._labels(kind))
        ]
        return tuple(found) or self._idle(selector, since=since, until=until)

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """Raises SourceUnavailable: the log is counted by status, not by duration."""
        raise SourceUnavailable(
            f"the access log has no histograms, so it cannot answer {selector}",
            hint="A latency gate needs the prometheus source.",
        )

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        """Raises SourceUnavailable: nothing here evaluates PromQL."""
        raise SourceUnavailable(
            "the access log cannot evaluate a query", hint="A query gate needs the prometheus source."
        )

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """Look at the log and at what each selector finds in its last minutes; changes nothing."""
        try:
            tally = self._tally(now - _QUIET)
        except SourceUnavailable as failure:
            severity = Severity.ERROR if self._path.exists() else Severity.WARNING
            yield Finding(subject="access log", severity=severity, message=failure.message, hint=failure.hint)
        else:
            yield self._freshness(tally, now)
        for selector in dict.fromkeys(selectors):
            yield self._fitness(selector)

    def _tally(self, since: datetime) -> Tally:
        tally = self._reader.read(since=since)
        # One broken line is a crash or a disk that was full for a moment; a share of them is another format.
        if tally.unreadable > 1 and tally.unreadable > tally.lines / 100:
            raise SourceUnavailable(
                f"{tally.unreadable:,} of {tally.lines:,} lines in {self._path} are not JSON lines with ts, version "
                "and status",
                hint="The log must be written by the include file of the nginx target and by nothing else.",
            )
        return tally

    def _labels(self, kind: Kind) -> dict[str, str]:
        labels = {
            "service": kind.service or self._service,
            "version": kind.version,
            "code": kind.code,
            "release": kind.release,
        }
        return {name: value for name, value in labels.items() if value}

    def _idle(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        candidates = ({"service": self._service, "version": version} for version in VERSIONS)
        samples = tuple(_samples({}, since=since, until=until))
        return tuple(
            Series(labels=labels, samples=samples) for labels in candidates if selector.matches(METRIC, labels)
        )

    def _freshness(self, tally: Tally, now: datetime) -> Finding:
        subject = "access log"
        if tally.newest is None or (age := now - datetime.fromtimestamp(tally.newest, UTC)) > _QUIET:
            return Finding(
                subject=subject,
                severity=Severity.WARNING,
                message=f"{self._path} has no line of the last {_QUIET.seconds // 60} minutes",
                hint="Either there is no traffic, or nginx writes to a file that was rotated away: `nginx -s reopen`.",
            )
        seconds = max(0.0, age.total_seconds())
        return Finding(
            subject=subject, severity=Severity.OK, message=f"{self._path}: the newest line is {seconds:.0f} s old"
        )

    def _fitness(self, selector: Selector) -> Finding:
        subject = str(selector)
        if selector.metric != METRIC:
            return Finding(
                subject=subject,
                severity=Severity.ERROR,
                message=f"the access log has no metric {selector.metric}",
                hint=f"It knows only {METRIC}; other metrics need the prometheus source.",
            )
        unknown = sorted({matcher.label for matcher in selector.matchers} - set(LABELS))
        if unknown:
            return Finding(
                subject=subject,
                severity=Severity.ERROR,
                message=f"the access log has no label {', '.join(unknown)}",
                hint=f"It knows {', '.join(LABELS)}.",
            )
        if not any(matcher.label == "version" and VERSION in matcher.value for matcher in selector.matchers):
            return Finding(
                subject=subject,
                severity=Severity.ERROR,
                message="canary and stable are the same series",
                hint='In the access log the label that tells them apart is version="$version".',
            )
        services = [matcher for matcher in selector.matchers if matcher.label == "service"]
        if not all(matcher.matches({"service": self._service}) for matcher in services):
            return Finding(
                subject=subject,
                severity=Severity.ERROR,
                message=f"the selector leaves out the service of this rollout, {self._service}",
                hint=f'Write service="{self._service}" or leave the label out.',
            )
        return Finding(subject=subject, severity=Severity.OK, message="the access log has this counter")


def _samples(bins: dict[int, int], *, since: datetime, until: datetime) -> Iterator[Sample]:
    """The cumulative counter over (since, until]: at each second that changed it and at the one before.

    The sample before keeps an increment in the second it belongs to. The second that `until` cuts is shown at
    `until`, as far as it is known.
    """
    first = math.floor(since.timestamp()) + 1
    last = until.timestamp()
    if first >= last:
        yield Sample(at=until, value=0.0)
        return
    shown, value = first, 0
    yield Sample(at=datetime.fromtimestamp(first, UTC), value=0.0)
    for second in sorted(bins):
        if second <= first or second - 1 >= last:
            continue
        if second - 1 > shown:
            yield Sample(at=datetime.fromtimestamp(second - 1, UTC), value=float(value))
        value += bins[second]
        shown = second
        if second < last:
            yield Sample(at=datetime.fromtimestamp(second, UTC), value=float(value))
    yield Sample(at=until, value=float(value))
