"""What the keys of one gate must agree on: its kind, its limits, and what its source of metrics can answer.

As the rules of the whole file, these look at plain content and skip what they cannot read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.config import gates
from rollout.config.broken import Broken
from rollout.config.document import Loc
from rollout.core import selector as selectors
from rollout.metrics import access_log
from rollout.settings import parse_percent

_QUERY_LIMITS: Final = ("max", "min", "max_increase")


def check(gate: dict[str, object], loc: Loc, *, of_access_log: bool) -> Iterator[Broken]:
    """Every rule that one gate breaks. `loc` is its place."""
    yield from _kind(gate, loc)
    kind = gates.kind_of(gate)
    if kind is None:
        return
    if of_access_log:
        yield from _access_log(gate, loc)
    if kind.section is gates.FailureSection:
        yield from _failure_limits(gate, loc)
        yield from _emergency(gate, loc)
        yield from _same_counter(gate, loc)
        yield from _by(gate, loc)
    elif kind.section is gates.LatencySection:
        yield from _buckets(gate, loc)
    else:
        yield from _query_limits(gate, loc)


def _kind(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    named = gates.named(gate)
    if len(named) > 1:
        mixed = " with ".join(kind.words for kind in named)
        yield Broken(loc=loc, message=f"the gate mixes {mixed}", hint="make a gate of each, with a name of its own")
    elif not named and not gates.misspelt(gate):
        key = gates.telling(gate)
        kinds = ", or ".join(kind.words for kind in gates.KINDS)
        told = f"`{key}` belongs to a gate with {gates.owners(key)[0].words}" if key else f"give it {kinds}"
        yield Broken(loc=loc, message="the gate does not say what it looks at", hint=told)


def _failure_limits(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    if not any(key.startswith("max") and value is not None for key, value in gate.items()):
        yield Broken(loc=loc, message="the gate limits nothing", hint="set max: 2%, max_ratio: 1.5 or both")
    for key in ("regression", "emergency"):
        if gate.get(key) is not None and gate.get("max") is None:
            yield Broken(loc=(*loc, key), message=f"`{key}` needs `max`", hint=f"add max: 2%, or leave {key} out")


def _emergency(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    emergency = gate.get("emergency")
    if not isinstance(emergency, dict):
        return
    limit, own = _percent(emergency.get("max")), _percent(gate.get("max"))
    if limit is not None and own is not None and limit < own:
        yield Broken(
            loc=(*loc, "emergency", "max"),
            message=f"{limit * 100:g}% is below the gate's own max of {own * 100:g}%",
            hint="an emergency is a rate that is no lower than `max`, such as 3% over a max of 2%",
        )


def _same_counter(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    failures, total = _selector(gate.get("failures")), _selector(gate.get("total"))
    if failures is not None and failures == total:
        yield Broken(
            loc=(*loc, "failures"),
            message="this is the same counter as total, so everything would be a failure",
            hint='add the label that marks failures, such as code=~"5.."',
        )


def _by(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    total = _selector(gate.get("total"))
    labels = gate.get("by")
    if total is None or not isinstance(labels, list):
        return
    telling = {matcher.label for matcher in total.matchers if selectors.VERSION in matcher.value}
    for at, label in enumerate(labels):
        if label in telling:
            yield Broken(
                loc=(*loc, "by", at),
                message=f"{label} tells canary from stable, so within its values there is nothing to compare",
                hint="name a label that both versions have, such as route",
            )


def _buckets(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    histogram = _selector(gate.get("histogram"))
    if histogram is not None and any(matcher.label == "le" for matcher in histogram.matchers):
        yield Broken(
            loc=(*loc, "histogram"),
            message="a histogram is named with all of its buckets",
            hint="leave the label le out; the bucket to look at is found by `quantile` and `max_increase`",
        )


def _query_limits(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    found = [key for key in _QUERY_LIMITS if gate.get(key) is not None]
    if not found and not any(key.startswith(("max", "min")) and not gates.owners(key) for key in gate):
        yield Broken(loc=loc, message="the gate limits nothing", hint="set max: 80, min: 1 or max_increase: 30%")
    for extra in found[1:]:
        yield Broken(
            loc=(*loc, extra),
            message=f"`{found[0]}` is already the limit of this query",
            hint="keep one of them, or make a gate of each",
        )


def _access_log(gate: dict[str, object], loc: Loc) -> Iterator[Broken]:
    for key, what in (("histogram", "histograms"), ("query", "queries")):
        if key in gate:
            yield Broken(
                loc=(*loc, key),
                message=f"the access log knows no {what}",
                hint="it counts requests; take the gate out, or take the prometheus source",
            )
    for key in ("failures", "total"):
        yield from _access_log_counter(_selector(gate.get(key)), (*loc, key))
    labels = gate.get("by")
    for at, label in enumerate(labels if isinstance(labels, list) else []):
        if isinstance(label, str) and label not in access_log.LABELS:
            yield _no_label(label, (*loc, "by", at))


def _access_log_counter(selector: selectors.Selector | None, loc: Loc) -> Iterator[Broken]:
    if selector is None:
        return
    if selector.metric != access_log.METRIC:
        yield Broken(
            loc=loc,
            message=f"the access log knows no {selector.metric}",
            hint=f"it counts {access_log.METRIC}; other metrics need the prometheus source",
        )
        return
    for matcher in selector.matchers:
        if matcher.label not in access_log.LABELS:
            yield _no_label(matcher.label, loc)


def _no_label(label: str, loc: Loc) -> Broken:
    return Broken(
        loc=loc,
        message=f"the access log has no label {label}",
        hint=f"its labels are {', '.join(access_log.LABELS)}",
    )


def _percent(value: object) -> float | None:
    try:
        return parse_percent(value)
    except ValueError:
        return None


def _selector(text: object) -> selectors.Selector | None:
    try:
        return selectors.parse(text) if isinstance(text, str) else None
    except selectors.NotASelector:
        return None
