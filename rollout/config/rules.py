"""What several values of rollout.yml must agree on, found even where other values are wrong.

The rules look at the plain content, skip what they cannot read (its own mistake is reported elsewhere), and point at
the value to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollout.config.document import Loc
from rollout.config.file import MetricsSection, TargetSection
from rollout.core import selector as selectors
from rollout.metrics import access_log

ELSEWHERE: Final = frozenset({"histogram", "query"})
"""Keys of gates that count in another way, which this version does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule that does not hold, and where."""

    loc: Loc
    message: str
    hint: str


def check(content: dict[str, object]) -> Iterator[Broken]:
    """Every rule that does not hold."""
    yield from _one_of(content, "target", tuple(TargetSection.model_fields))
    yield from _one_of(content, "metrics", tuple(MetricsSection.model_fields))
    yield from _weights(content)
    yield from _not_empty(content)
    yield from _limits(content)
    yield from _names(content, "gates", "gate")
    yield from _names(content, "checks", "check")
    yield from _same_counter(content)
    yield from _access_log(content)


def _one_of(content: dict[str, object], section: str, known: tuple[str, ...]) -> Iterator[Broken]:
    found = content.get(section)
    if not isinstance(found, dict):
        return
    named = [key for key in found if key in known]
    names = ", ".join(known)
    if not found:
        yield Broken(loc=(section,), message=f"no {section} is named", hint=f"known: {names}")
    for extra in named[1:]:
        yield Broken(loc=(section, extra), message=f"{named[0]} is already the {section}", hint="keep one of them")


def _weights(content: dict[str, object]) -> Iterator[Broken]:
    steps = _items(content, "steps")
    before: float | None = None
    for at, step in steps:
        weight = step.get("weight")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 100:
            continue
        loc: Loc = ("steps", at, "weight")
        if before is not None and weight <= before:
            falls = "falls below" if weight < before else "repeats"
            yield Broken(
                loc=loc, message=f"{weight:g} {falls} the {before:g} before it", hint="weights rise from step to step"
            )
        before = weight
        if at == len(_listed(content, "steps")) - 1 and weight < 100:
            yield Broken(
                loc=loc,
                message=f"the last weight is 100, not {weight:g}",
                hint="add a step such as { weight: 100, soak: 30m }",
            )


def _not_empty(content: dict[str, object]) -> Iterator[Broken]:
    if content.get("steps") == []:
        yield Broken(
            loc=("steps",), message="there is no step", hint="leave `steps` out for those of the built-in policy"
        )
    if content.get("gates") == []:
        yield Broken(
            loc=("gates",),
            message="there is no gate, so nothing would be judged",
            hint="leave `gates` out for those of the built-in policy, or give a gate `observe: true` to only report it",
        )


def _limits(content: dict[str, object]) -> Iterator[Broken]:
    for at, gate in _items(content, "gates"):
        limits = [key for key in gate if key.startswith("max") or key in ELSEWHERE]
        if not limits:
            yield Broken(
                loc=("gates", at), message="the gate limits nothing", hint="set max: 2%, max_ratio: 1.5 or both"
            )


def _names(content: dict[str, object], section: str, what: str) -> Iterator[Broken]:
    seen: set[str] = set()
    for at, one in _items(content, section):
        name = one.get("name")
        if isinstance(name, str) and name in seen:
            yield Broken(
                loc=(section, at, "name"),
                message=f"another {what} has this name",
                hint="names tell them apart in reports",
            )
        if isinstance(name, str):
            seen.add(name)


def _same_counter(content: dict[str, object]) -> Iterator[Broken]:
    for at, gate in _items(content, "gates"):
        failures, total = _selector(gate.get("failures")), _selector(gate.get("total"))
        if failures is not None and failures == total:
            yield Broken(
                loc=("gates", at, "failures"),
                message="this is the same counter as total, so everything would be a failure",
                hint='add the label that marks failures, such as code=~"5.."',
            )


def _access_log(content: dict[str, object]) -> Iterator[Broken]:
    metrics = content.get("metrics")
    if not isinstance(metrics, dict) or list(metrics) != ["access_log"]:
        return
    for at, gate in _items(content, "gates"):
        for key in ("failures", "total"):
            selector = _selector(gate.get(key))
            if selector is None:
                continue
            loc: Loc = ("gates", at, key)
            if selector.metric != access_log.METRIC:
                yield Broken(
                    loc=loc,
                    message=f"the access log knows no {selector.metric}",
                    hint=f"it counts {access_log.METRIC}; other metrics need the prometheus source",
                )
                continue
            for matcher in selector.matchers:
                if matcher.label not in access_log.LABELS:
                    yield Broken(
                        loc=loc,
                        message=f"the access log has no label {matcher.label}",
                        hint=f"its labels are {', '.join(access_log.LABELS)}",
                    )


def _selector(text: object) -> selectors.Selector | None:
    try:
        return selectors.parse(text) if isinstance(text, str) else None
    except selectors.NotASelector:
        return None


def _listed(content: dict[str, object], section: str) -> list[object]:
    found = content.get(section)
    return found if isinstance(found, list) else []


def _items(content: dict[str, object], section: str) -> Iterator[tuple[int, dict[str, object]]]:
    for at, one in enumerate(_listed(content, section)):
        if isinstance(one, dict):
            yield at, one
