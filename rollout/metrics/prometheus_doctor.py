"""What would go wrong with a Prometheus server and the selectors of a plan, found before the first user is moved.

It asks and tells. It changes nothing, and it never raises for what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from rollout.analysis.counters import Series
from rollout.core.finding import Finding, Severity
from rollout.core.selector import Selector
from rollout.errors import SourceUnavailable
from rollout.metrics.buckets import BOUND_LABEL
from rollout.metrics.prometheus import PrometheusSource, scrape_interval
from rollout.metrics.settings import PrometheusSettings

_WINDOW: Final = timedelta(minutes=10)
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_BUCKET: Final = "_bucket"
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
    rows = {version: source.rows(selector.of(version), since=since, until=now) for version in ("stable", "canary")}
    native = any(row.histograms for found in rows.values() for row in found)
    buckets = native or _names_buckets(selector)
    read = source.buckets if buckets else source.counters
    stable, canary = (read(selector.of(version), found, since=since, until=now) for version, found in rows.items())
    both = {_identity(one) for one in stable} & {_identity(one) for one in canary}
    if both:
        yield Finding(
            subject=subject,
            severity=Severity.ERROR,
            message=f"canary and stable are the same {len(both)} series",
            hint='One label must tell the versions apart, such as version="$version".',
        )
    elif not stable:
        yield _absent(source, selector, since=since, until=now)
    elif buckets:
        yield _histogram(subject, stable, canary, native=native)
    else:
        yield Finding(
            subject=subject, severity=Severity.OK, message=f"{len(stable)} series of the stable release{_pace(stable)}"
        )
    for label in _REPLICA_LABELS:
        values = {one.labels.get(label, "") for one in stable}
        if len(values) > 1:
            yield Finding(
                subject=subject,
                severity=Severity.WARNING,
                message=f"the label {label} has {len(values)} values: each request may be counted as often",
                hint="Choose one copy under metrics.prometheus.labels.",
            )


def _names_buckets(selector: Selector) -> bool:
    """Whether the selector means whole classic histograms; one bucket by its bound is a counter like any other."""
    return selector.metric.endswith(_BUCKET) and all(matcher.label != BOUND_LABEL for matcher in selector.matchers)


def _histogram(subject: str, stable: tuple[Series, ...], canary: tuple[Series, ...], *, native: bool) -> Finding:
    """What kind of histogram it is and which bounds it has; whether one of them serves is for the gate to say."""
    owners = _bounds(stable + canary)
    common = set.intersection(*owners.values())
    if not native and any(bounds != common for bounds in owners.values()):
        return Finding(
            subject=subject,
            severity=Severity.WARNING,
            message=f"its {len(owners)} histograms have different bounds, and {len(common - {math.inf})} in common",
            hint="Give all instances of both releases the same buckets; only common bounds can be compared.",
        )
    found = _bounds(stable)
    seen = sorted(set.union(*found.values()) - {math.inf})
    if not seen:
        return Finding(
            subject=subject,
            severity=Severity.WARNING,
            message="the histogram has no bound but +Inf",
            hint="A native histogram has bounds once there are requests; a classic one must be given buckets.",
        )
    kind = f"{'native' if native else 'classic'} histogram{'s' if len(found) > 1 else ''}"
    return Finding(
        subject=subject,
        severity=Severity.OK,
        message=f"{len(found)} {kind} of the stable release, for a latency gate, with {len(seen)} bounds from "
        f"{seen[0]:g} to {seen[-1]:g}{_pace(stable)}",
    )


def _bounds(buckets: tuple[Series, ...]) -> dict[frozenset[tuple[str, str]], set[float]]:
    """The bounds of each histogram, by its labels without `le`."""
    found: dict[frozenset[tuple[str, str]], set[float]] = {}
    for one in buckets:
        owner = frozenset(item for item in one.labels.items() if item[0] != BOUND_LABEL)
        found.setdefault(owner, set()).add(float(one.labels[BOUND_LABEL]))
    return found


def _pace(series: tuple[Series, ...]) -> str:
    interval = scrape_interval(series)
    return f", a sample every {interval.total_seconds():g} s" if interval else ", one sample each"


def _absent(source: PrometheusSource, selector: Selector, *, since: datetime, until: datetime) -> Finding:
    """Why a selector finds nothing: the metric is absent or of another form, or one label has other values."""
    wanted = source.complete(selector.of("stable"))
    known = source.api().label_sets(str(Selector(metric=selector.metric)), since=since, until=until)
    if not known:
        message = f"no series: the server has no metric {selector.metric}"
        hint = "Check the name, and that the service is scraped. Before the first release this is normal."
        other = _other_form(source, selector, since=since, until=until)
        if other:
            message, hint = f"no series: {other[0]}", other[1]
    else:
        message = f"no series of the stable release, and {len(known)} of the metric"
        hint = "For a counter of failures that never failed this is normal; else check its labels."
        if _names_buckets(selector):
            hint = "Check its labels. Before the first release this is normal."
        for matcher in wanted.matchers:
            if not any(matcher.matches(labels) for labels in known):
                others = _values(matcher.label, known)
                message += f"; none has {_printable(str(matcher))}, the label {matcher.label} is {others}"
                break
    return Finding(subject=str(selector), severity=Severity.WARNING, message=message, hint=hint)


def _other_form(
    source: PrometheusSource, selector: Selector, *, since: datetime, until: datetime
) -> tuple[str, str] | None:
    """Whether the histogram is there as the other of the two kinds, and what to write then."""
    if selector.metric.endswith(_BUCKET):
        plain = Selector(metric=selector.metric.removesuffix(_BUCKET))
        # The samples are of the last minute only: this asks for every series of the metric.
        found = source.rows(plain, since=until - timedelta(minutes=1), until=until)
        if any(row.histograms for row in found):
            return f"{plain.metric} is a native histogram", f"Name it {plain.metric}, without {_BUCKET}."
        return None
    classic = Selector(metric=selector.metric + _BUCKET)
    if source.api().label_sets(str(classic), since=since, until=until):
        return f"{selector.metric} is a classic histogram", f"Name its buckets, {classic.metric}."
    return None


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
