"""The verb `record`: the raw samples of a past window in the form that `replay` takes. It asks, and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rollout import compose
from rollout.analysis.counters import Sample, Series
from rollout.analysis.readings import Reading
from rollout.cli.opening import Opened, now, open_service
from rollout.core.decisions import Promote, RollBack
from rollout.core.duration import parse_duration
from rollout.core.events import Event, Intended
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.plan import NOTHING, Plan, Weight
from rollout.core.state import State, fold
from rollout.errors import ConfigurationError, SourceUnavailable
from rollout.journals.file import FileJournal
from rollout.metrics.base import Source
from rollout.reading import QUERY_DELAY, read_gates
from rollout.replay.lines import QUERY, sample_line, weight_line

if TYPE_CHECKING:
    from argparse import Namespace

    from rollout.cli.parser import Call

Key = tuple[str, frozenset[tuple[str, str]]]
"""A metric and its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is recorded."""

    since: datetime
    until: datetime
    weights: tuple[tuple[datetime, Weight], ...] = ()
    releases: tuple[str, str] | None = None
    """The tags of the canary and of stable, where the journal tells them."""


def record(call: Call) -> int:
    """Print the recording. Raises ConfigurationError for a window that is none, SourceUnavailable."""
    opened = open_service(call)
    window = _window(opened, call.arguments)
    for line in lines(compose.source_of(opened.configuration), opened.configuration.plan, window):
        sys.stdout.write(line + "\n")
    return 0


def lines(source: Source, plan: Plan, window: Window) -> Iterator[str]:
    """Everything that the gates of a plan read in a window, and before it what that is counted from.

    Raises SourceUnavailable, also where there is nothing.
    """
    found: dict[Key, tuple[Sample, ...]] = {}
    for gate in plan.gates:
        for metric, series in _recorded(source, plan, gate, window):
            found[metric, frozenset(series.labels.items())] = series.samples
    if not found:
        raise SourceUnavailable(
            f"there is no sample of any gate from {window.since.isoformat()} to {window.until.isoformat()}",
            hint="`rollout doctor` says what each gate finds now; does the server still hold that time?",
        )
    return _ordered(found, window)


def _window(opened: Opened, arguments: Namespace) -> Window:
    """The window that was asked for, cut to the rollout in it where the weights come from the journal."""
    since, until = _asked(arguments)
    if arguments.weight is not None:
        return Window(since=since, until=until, weights=((since, _weight(arguments.weight)),))
    return of_rollout(opened.journal, since=since, until=until)


def of_rollout(journal: FileJournal, *, since: datetime, until: datetime) -> Window:
    """The part of a rollout of the journal that lies between two moments. Raises ConfigurationError."""
    inside = [
        (state, ended)
        for events in journal.rollouts()
        if (state := fold(events)) is not None and state.deployed_at is not None and state.stable is not None
        if state.started_at < until and (ended := _ended(events)) > since
    ]
    if not inside:
        raise ConfigurationError(
            f"the journal knows no rollout from {since.isoformat()} to {until.isoformat()}",
            hint="say which share of the traffic the canary had, in percent: --weight 5",
        )
    if len(inside) > 1:
        names = ", ".join(f"{state.rollout} ({state.started_at.isoformat()})" for state, _ in inside)
        raise ConfigurationError(
            f"there were {len(inside)} rollouts in this time: {names}", hint="choose one by --from and --to"
        )
    state, ended = inside[0]
    return _cut(state, since=max(since, state.started_at), until=min(until, ended))


def _cut(state: State, *, since: datetime, until: datetime) -> Window:
    served = ((state.started_at, NOTHING), *state.served)
    before = [weight for at, weight in served if at <= since]
    later = tuple((at, weight) for at, weight in served if since < at <= until)
    stable = state.stable.tag if state.stable is not None else ""
    return Window(since=since, until=until, weights=((since, before[-1]), *later), releases=(state.release.tag, stable))


def _ended(events: tuple[Event, ...]) -> datetime:
    """When a rollout decided how it ends: what comes after it is no canary any more."""
    ends = (
        event.at for event in events if isinstance(event, Intended) and isinstance(event.action, Promote | RollBack)
    )
    return next(ends, now())


def _asked(arguments: Namespace) -> tuple[datetime, datetime]:
    if (arguments.since is None) == (arguments.begin is None):
        raise ConfigurationError("which time is to be recorded?", hint="say --since 2h, or --from and --to")
    until = _moment(arguments.end, "--to") if arguments.end is not None else now()
    if arguments.begin is not None:
        since = _moment(arguments.begin, "--from")
    else:
        try:
            since = until - parse_duration(arguments.since)
        except (ValueError, OverflowError) as wrong:
            raise ConfigurationError(f"--since: {wrong}", hint="write a duration such as 2h or 90m") from None
    if since >= until:
        raise ConfigurationError(f"{since.isoformat()} is not before {until.isoformat()}", hint="swap them")
    return since, until


def _moment(text: str, flag: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{flag}: {text!r} is no time", hint="write it like 2026-03-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{flag}: {text} has no time zone", hint=f"write {text}Z for UTC")
    return moment


def _weight(percent: float) -> Weight:
    try:
        return Weight(percent)
    except ValueError as wrong:
        raise ConfigurationError(f"--weight: {wrong}", hint="it is the canary's share in percent, such as 5") from None


def _recorded(source: Source, plan: Plan, gate: Gate, window: Window) -> Iterator[tuple[str, Series]]:
    """Every series that a gate reads, with its metric; the values of a query as series of their own."""
    if isinstance(gate, QueryGate):
        yield from _values(source, gate, plan.interval, window)
        return
    alone = replace(plan, gates=(gate,))
    reading, *_ = read_gates(source, alone, start=window.since, until=window.until, clock=lambda: window.until)
    if reading.problem:
        raise SourceUnavailable(f"gate {gate.name}: {reading.problem}")
    yield from _series(gate, _ours(reading, window))


def _ours(reading: Reading, window: Window) -> Reading:
    if window.releases is None:
        return reading
    canary, stable = window.releases
    return reading.of_releases(canary=canary, stable=stable)


def _series(gate: FailureGate | LatencyGate, reading: Reading) -> Iterator[tuple[str, Series]]:
    for counters in (reading.canary, reading.stable):
        if isinstance(gate, LatencyGate):
            yield from ((gate.histogram.metric, series) for series in counters.buckets)
        else:
            yield from ((gate.total.metric, series) for series in counters.total)
            yield from ((gate.failures.metric, series) for series in counters.failures)


def _values(source: Source, gate: QueryGate, interval: timedelta, window: Window) -> Iterator[tuple[str, Series]]:
    for version in ("canary", "stable"):
        until = window.until - QUERY_DELAY
        values = source.values(gate.of(version), since=window.since, until=until, step=interval)
        if values:
            yield QUERY, Series(labels={"gate": gate.name, "version": version}, samples=values)


def _ordered(found: dict[Key, tuple[Sample, ...]], window: Window) -> Iterator[str]:
    """Everything in the order of time, a change of weight before the samples of the same moment."""
    weights = [(at, 0, weight_line(at, weight)) for at, weight in window.weights]
    samples = [
        (sample.at, place, sample_line(sample.at, metric, dict(labels), sample.value))
        for place, ((metric, labels), many) in enumerate(found.items(), start=1)
        for sample in many
    ]
    for _, _, line in sorted(weights + samples):
        yield line
