"""What was found, in sentences that a statistician would sign and an engineer can check. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from rollout.analysis.blocks import Block
from rollout.analysis.clauses import CATASTROPHE, Case, Kind
from rollout.core.plan import Gate
from rollout.core.verdict import Counts


def summed(blocks: Sequence[Block]) -> tuple[Counts, Counts]:
    """The counts of the canary and of stable over all of the blocks."""
    return (
        Counts(
            total=sum(block.canary.total for block in blocks),
            failures=sum(block.canary.failures for block in blocks),
        ),
        Counts(
            total=sum(block.stable.total for block in blocks),
            failures=sum(block.stable.failures for block in blocks),
        ),
    )


def accusation(gate: Gate, case: Case) -> str:
    """Why the canary is taken back: the counts that show it best, what is allowed, and how rare this is by chance."""
    blocks = _telling(gate, case)
    canary, stable = summed(blocks)
    served = [block for block in case.blocks if block.canary.total]
    since = f"since {clock(blocks[0].since)} " if blocks and served and blocks[0] is not served[0] else ""
    match case.kind:
        case Kind.ALONE | Kind.CATASTROPHE_ALONE:
            counts = f"{since}the canary, which has all traffic, fails {share(canary)}"
        case Kind.LIMIT | Kind.RATIO | Kind.CATASTROPHE | None:
            counts = f"{since}{comparison(canary, stable)}"
        case _:
            assert_never(case.kind)
    return f"{counts}; {allowance(gate)}; a canary no worse than allowed would look this bad {rarity(case.log_e)}"


def comparison(canary: Counts, stable: Counts) -> str:
    """Both versions' failures side by side."""
    if not canary.total:
        return f"the canary has served nothing yet, stable fails {share(stable)}"
    if not stable.total:
        return f"the canary fails {share(canary)}, and stable served nothing to compare with"
    return f"the canary fails {share(canary)}, stable {share(stable, unit='')}"


def share(counts: Counts, *, unit: str = " requests") -> str:
    """A failure rate with the number it is a rate of, such as `5.1 % of 1,204 requests`."""
    return f"{percent(counts.rate or 0.0)} of {counts.total:,}{unit}"


def allowance(gate: Gate) -> str:
    """What the gate allows."""
    limits = []
    if gate.max is not None:
        limits.append(percent(gate.max))
    if gate.max_ratio is not None:
        limits.append(f"{gate.max_ratio:g} times stable's rate")
    return f"allowed is at most {' and at most '.join(limits)}"


def rarity(log_e: float) -> str:
    """How often a canary that is as allowed reaches such an e-value, by Ville's inequality; rounded towards often."""
    if log_e >= math.log(1e6):
        return "less than once in 1,000,000 rollouts"
    once_in = math.floor(math.exp(log_e))
    unit = 10 ** max(0, len(str(once_in)) - 2)
    return f"at most once in {once_in // unit * unit:,} rollouts"


def percent(rate: float) -> str:
    """A ratio in percent: one decimal from 10 % on, two significant digits below."""
    value = rate * 100
    digits = 1 if value >= 10 or value == 0 else 1 - math.floor(math.log10(value))
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def clock(moment: datetime) -> str:
    """A time of day."""
    return f"{moment:%H:%M:%S} UTC"


def seconds(span: timedelta) -> str:
    """A span in whole seconds."""
    return f"{span.total_seconds():,.0f} s"


def _telling(gate: Gate, case: Case) -> tuple[Block, ...]:
    """The newest blocks of the case, as many as show the excess most clearly (the highest likelihood ratio)."""
    best, begin, n, s, m, q = 0.0, 0, 0, 0, 0, 0
    for index in range(len(case.blocks) - 1, -1, -1):
        block = case.blocks[index]
        n, s = n + block.canary.total, s + block.canary.failures
        m, q = m + block.stable.total, q + block.stable.failures
        match case.kind:
            case Kind.LIMIT | Kind.ALONE:
                excess = _excess(s, n, gate.max or 0.0)
            case Kind.CATASTROPHE | Kind.CATASTROPHE_ALONE:
                excess = _excess(s, n, max(CATASTROPHE, gate.max or 0.0))
            case Kind.RATIO | None:
                expected = (gate.max_ratio or 1.0) * n
                excess = _excess(s, s + q, expected / (expected + m)) if expected and m else 0.0
            case _:
                assert_never(case.kind)
        if excess > best:
            best, begin = excess, index
    return case.blocks[begin:]


def _excess(events: int, trials: int, expected: float) -> float:
    """The log-likelihood ratio of the observed share of events against the expected one; 0 where it is no higher."""
    if not trials or events <= expected * trials:
        return 0.0
    seen = events / trials
    rest = (trials - events) * math.log((1 - seen) / (1 - expected)) if events < trials else 0.0
    return events * math.log(seen / expected) + rest
