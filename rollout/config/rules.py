"""What several values of rollout.yml must agree on, found even where other values are wrong.

The rules look at the plain content, skip what they cannot read (its own mistake is reported elsewhere), and point at
the value to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rollout.config import gate_rules
from rollout.config.broken import Broken
from rollout.config.document import Loc
from rollout.config.file import MetricsSection, TargetSection
from rollout.core.duration import parse_duration
from rollout.core.instances import GATE
from rollout.core.plan import Advance


def check(content: dict[str, object]) -> Iterator[Broken]:
    """Every rule that does not hold."""
    yield from _one_of(content, "target", tuple(TargetSection.model_fields))
    yield from _one_of(content, "metrics", tuple(MetricsSection.model_fields))
    yield from _log_of_nginx(content)
    yield from _waves(content)
    yield from _weights(content)
    yield from _not_empty(content)
    yield from _min_soaks(content)
    yield from _names(content, "gates", "gate")
    yield from _names(content, "checks", "check")
    metrics = content.get("metrics")
    of_access_log = isinstance(metrics, dict) and list(metrics) == ["access_log"]
    for at, gate in _items(content, "gates"):
        yield from gate_rules.check(gate, ("gates", at), of_access_log=of_access_log)


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


def _log_of_nginx(content: dict[str, object]) -> Iterator[Broken]:
    target, metrics = content.get("target"), content.get("metrics")
    if isinstance(target, dict) and isinstance(metrics, dict) and "access_log" in metrics and "nginx" not in target:
        yield Broken(
            loc=("metrics", "access_log"),
            message="only the nginx target writes an access log that can be read",
            hint='name a Prometheus: prometheus: { url: "http://prometheus.internal:9090" }',
        )


def _waves(content: dict[str, object]) -> Iterator[Broken]:
    target = content.get("target")
    if not content.get("waves") or not isinstance(target, dict):
        return
    if not {"kubernetes", "argo"} & set(target):
        yield Broken(
            loc=("waves",),
            message="waves are clusters, and this target has none",
            hint="leave them out, or release to `kubernetes` or `argo`",
        )
    yield from _names(content, "waves", "wave")


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


def _min_soaks(content: dict[str, object]) -> Iterator[Broken]:
    for at, step in _items(content, "steps"):
        if step.get("min_soak") is None:
            continue
        loc: Loc = ("steps", at, "min_soak")
        if content.get("advance", Advance.SOAK) == Advance.SOAK:
            yield Broken(
                loc=loc,
                message="`min_soak` needs `advance: evidence`",
                hint="add `advance: evidence`, or leave min_soak out: without it a step lasts all of its soak",
            )
        least, soak = _duration(step["min_soak"]), _duration(step.get("soak"))
        if least is not None and soak is not None and least > soak:
            yield Broken(
                loc=loc,
                message=f"{step['min_soak']} is longer than the soak of {step['soak']}",
                hint="a step lasts its min_soak at least, and its soak where there is no evidence before",
            )


def _duration(text: object) -> timedelta | None:
    try:
        return parse_duration(text) if isinstance(text, str) else None
    except ValueError:
        return None


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
        if section == "gates" and name == GATE:
            yield Broken(
                loc=(section, at, "name"),
                message=f"{GATE} is the gate of the canary's processes",
                hint="choose another name; its limits are under `instances` at the top",
            )
        if isinstance(name, str):
            seen.add(name)


def _listed(content: dict[str, object], section: str) -> list[object]:
    found = content.get(section)
    return found if isinstance(found, list) else []


def _items(content: dict[str, object], section: str) -> Iterator[tuple[int, dict[str, object]]]:
    for at, one in enumerate(_listed(content, section)):
        if isinstance(one, dict):
            yield at, one
