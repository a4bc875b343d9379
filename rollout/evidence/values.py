"""Everything that a verdict was computed from, and the verdict: enough to compute it again, to the last bit.

It computes nothing but that, and knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime

from rollout.analysis.blocks import Timeline
from rollout.analysis.judge import judge
from rollout.analysis.readings import Reading
from rollout.core.plan import Plan
from rollout.core.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One judgement with all it rests on. It holds labels and queries, no address and no credential of a source."""

    rollout: str
    at: datetime
    """When the verdict was noted: the time of its event in the journal."""
    now: datetime
    """The moment that was judged."""
    canary_release: str
    stable_release: str
    """The tags of both releases; stable's is empty where there is none."""
    plan: Plan
    timeline: Timeline
    readings: tuple[Reading, ...]
    """Of every gate of the plan, in its order."""
    judgement: Judgement
    written_by: str = ""
    """The version of rollout that judged."""


def judged_anew(evidence: Evidence) -> Judgement:
    """The verdict that this version computes from the same samples."""
    return judge(
        evidence.plan,
        evidence.readings,
        timeline=evidence.timeline,
        canary_release=evidence.canary_release,
        stable_release=evidence.stable_release,
        now=evidence.now,
    )


def differences(before: Judgement, after: Judgement) -> tuple[str, ...]:
    """What is not the same in two judgements, to the last bit, in words; nothing where they are the same."""
    return tuple(
        f"{place}: it is {now}, and was {then}" for place, then, now in differing(_by_name(before), _by_name(after))
    )


def differing(before: object, after: object, place: str = "") -> Iterator[tuple[str, object, object]]:
    """Where two values are not the same, and what is there. Of floats every bit counts, and NaN is NaN."""
    if type(before) is not type(after):
        yield place, before, after
    elif is_dataclass(before):
        for field in fields(before):
            inner = f"{place}.{field.name}" if place else field.name
            yield from differing(getattr(before, field.name), getattr(after, field.name), inner)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            inner = f"{place}: {key}" if place else str(key)
            yield from differing(before.get(key), after.get(key), inner)
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for index, (then, now) in enumerate(zip(before, after, strict=True)):
            yield from differing(then, now, f"{place}[{index}]")
    elif repr(before) != repr(after) if isinstance(before, float) else before != after:
        yield place, before, after


def _by_name(judgement: Judgement) -> dict[str, object]:
    return {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "until": judgement.until,
        **{f"gate {result.gate}": result for result in judgement.gates},
    }
