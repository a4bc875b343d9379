"""What would go wrong with a Prometheus server and the selectors of a plan, found before the first user is moved.

It asks and tells. It changes nothing, and it never raises for what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from rollout.analysis.counters import Series
from rollout.core.finding import Finding, Severity
from rollout.core.selector import Selector
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource, scrape_interval
from rollout.metrics.settings import PrometheusSettings

_WINDOW: Final = timedelta(minutes=10)
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_SUBJECT: Final = "prometheus"
_REPLICA_LABELS: Final = ("replica", "prometheus_replica", "__replica__")


def examine(
    source: PrometheusSource, settings: PrometheusSettings, selectors: tuple[Selector, ...], *, now: datetime
) -> Iterator[Finding]:
    """Findings on the connection, then on each selector."""
    yield from _connection(settings)
    try:
        version = _version(source, selectors, now)
    except SourceUnavailable as failure:
        yield Finding(subject=_SUBJECT, severity=Severity.ERROR, message=failure.message, hint=failure.hint)
        return
    yield Finding(subject=_SUBJECT, severity=Severity.OK, message=f"{settings.url} answers{version}")
    yield from _clock(source.api().clock, now)
    for selector in dict.fromkeys(selectors):
        try:
            yield from _selector(source, selector, now)
        except SourceUnavailable as failure:
            yield Finding(subject=str(selector), severity=Severity.ERROR, message=failure.message, hint=failure.hint)


def _connection(settings: PrometheusSettings) -> Iterator[Finding]:
    secrets = settings.bearer_token or settings.bearer_token_file or settings.basic_auth or settings.headers
    parts = urlsplit(settings.url)
    if parts.scheme == "http" and secrets and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        yield Finding(
            subject=_SUBJECT,
            severity=Severity.WARNING,
            message="credentials travel without TLS",
            hint="Use an https:// address.",
        )
    if settings.verify is False:
        yield Finding(
            subject=_SUBJECT,
            severity=Severity.WARNING,
            message="the TLS certificate is not checked (verify: false)",
            hint="Set metrics.prometheus.verify to the file of the CA.",
        )


def _version(source: PrometheusSource, selectors: tuple[Selector, ...], now: datetime) -> str:
    """What the server says of itself; servers that say nothing are asked a real question instead."""
    try:
        version = source.api().version()
    except SourceUnavailable:
        if not selectors:
            raise
        source.series(selectors[0].of("stable"), since=now - timedelta(seconds=1), until=now)
        return ""
    return f" (version {_printable(version)})" if version else ""


def _clock(server: datetime | None, now: datetime) -> Iterator[Finding]:
    if server is None:
        return
    apart = server - now
    if abs(apart) > _CLOCK_TOLERANCE:
        ahead = "ahead of" if apart > timedelta(0) else "behind"
        yield Finding(
            subject="clock",
            severity=Severity.WARNING,
            message=f"the metrics server is {abs(apart.total_seconds()):.0f} s {ahead} this machine",
            hint="Set both clocks by NTP: samples that look old or early make the rollout blind.",
        )


def _selector(source: PrometheusSource, selector: Selector, now: datetime) -> Iterator[Finding]:
    subject = str(selector)
    since = now - _WINDOW
    stable = source.series(selector.of("stable"), since=since, until=now)
    canary = source.series(selector.of("canary"), since=since, until=now)
    both = {_identity(one) for one in stable} & {_identity(one) for one in canary}
    if both:
        yield Finding(
            subject=subject,
            severity=Severity.ERROR,
            message=f"canary and stable are the same {len(both)} series",
            hint='One label must tell the versions apart, such as version="$version".',
        )
    elif stable:
        interval = scrape_interval(stable)
        pace = f", a sample every {interval.total_seconds():g} s" if interval else ", one sample each"
        yield Finding(
            subject=subject, severity=Severity.OK, message=f"{len(stable)} series of the stable release{pace}"
        )
    else:
        yield _absent(source, selector, since=since, until=now)
    for label in _REPLICA_LABELS:
        values = {one.labels.get(label, "") for one in stable}
        if len(values) > 1:
            yield Finding(
                subject=subject,
                severity=Severity.WARNING,
                message=f"the label {label} has {len(values)} values: each request may be counted as often",
                hint="Choose one copy under metrics.prometheus.labels.",
            )


def _absent(source: PrometheusSource, selector: Selector, *, since: datetime, until: datetime) -> Finding:
    """Why a selector finds nothing: the metric is absent, or one label has other values."""
    wanted = source.complete(selector.of("stable"))
    known = source.api().label_sets(str(Selector(metric=selector.metric)), since=since, until=until)
    if not known:
        message = f"no series: the server has no metric {selector.metric}"
        hint = "Check the name, and that the service is scraped. Before the first release this is normal."
    else:
        message = f"no series of the stable release, and {len(known)} of the metric"
        hint = "For a counter of failures that never failed this is normal; else check its labels."
        for matcher in wanted.matchers:
            if not any(matcher.matches(labels) for labels in known):
                others = _values(matcher.label, known)
                message += f"; none has {_printable(str(matcher))}, the label {matcher.label} is {others}"
                break
    return Finding(subject=str(selector), severity=Severity.WARNING, message=message, hint=hint)


def _values(label: str, known: tuple[Mapping[str, str], ...]) -> str:
    values = sorted({labels[label] for labels in known if label in labels})
    if not values:
        return "not there"
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(_printable(value) for value in values[:5]) + more


def _identity(series: Series) -> frozenset[tuple[str, str]]:
    return frozenset(series.labels.items())


def _printable(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= 60 else shown[:59] + "…"
