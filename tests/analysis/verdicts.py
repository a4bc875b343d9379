"""Verdicts on made-up traffic, in one line."""

from __future__ import annotations

from rollout.analysis.readings import Reading
from rollout.core.gates import FailureGate
from rollout.core.verdict import GateResult, Judgement, Verdict
from tests.analysis.traffic import Pairs, gate, judged, plan, reading, timeline

AT_5 = timeline((0, 5))
GOOD = [(20, 0)] * 20
GOOD_STABLE = [(380, 0)] * 20


def one(canary: Pairs, stable: Pairs, *, subject: FailureGate | None = None, gates: int = 1) -> GateResult:
    """The first gate's result at 5 %, right after the last scrape; the other gates never had a failure."""
    subject = subject or gate()
    others = tuple(gate(name=f"other {index}") for index in range(1, gates))
    quiet = tuple(reading(each, canary=[(20, 0)] * len(canary), stable=[(380, 0)] * len(stable)) for each in others)
    judgement = judged(
        reading(subject, canary=canary, stable=stable),
        *quiet,
        policy=plan(subject, *others),
        when=AT_5,
        now=max(len(canary), len(stable)) + 0.1,
    )
    return judgement.gates[0]


def decided_after(subject: FailureGate, *, canary: tuple[int, int], stable: tuple[int, int], gates: int) -> int:
    """How many seconds of this traffic it takes."""
    for length in range(1, 60):
        if one([canary] * length, [stable] * length, subject=subject, gates=gates).verdict is Verdict.UNHEALTHY:
            return length
    raise AssertionError("never decided")


def seen(subject: Reading, *, now: float, weight: float = 5, interval: float = 1.0) -> Judgement:
    """The verdict of one gate that many seconds after the start."""
    return judged(subject, policy=plan(subject.gate, interval=interval), when=timeline((0, weight)), now=now)
