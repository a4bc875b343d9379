"""What was found, in sentences that a statistician would sign and an engineer can check. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from rollout.analysis.blocks import Block, Part
from rollout.analysis.clauses import CATASTROPHE, Case, Kind
from rollout.analysis.histograms import Cut
from rollout.analysis.trial import Totals
from rollout.core.gates import REGRESSION_RATIO, FailureGate, LatencyGate
from rollout.core.plan import EVERYTHING

_BY_THE_LIMIT: Final = frozenset({Kind.SLOW, Kind.RATIO, Kind.ALONE, Kind.CATASTROPHE_ALONE})
"""Clauses whose error is that of a canary at the limit; the others' is that of one no worse than stable."""


def accusation(gate: FailureGate | LatencyGate, case: Case, blocks: Sequence[Block], cut: Cut | None) -> str:
    """Why the canary is taken back: the counts that show it best, what is allowed, and how rare this is by chance."""
    counted = [block for block in blocks[: case.blocks] if _counts_for(case.kind, block)]
    telling = _telling(gate, case, counted)
    seen = _summed(telling, case.kind)
    served = [block for block in counted if block.whole.canary_total]
    since = f"since {clock(telling[0].since)} " if telling and served and telling[0] is not served[0] else ""
    match case.kind:
        case Kind.ALONE | Kind.CATASTROPHE_ALONE:
            counts = (
                f"{since}the canary, which has all traffic, fails {_share(seen.canary_failures, seen.canary_total)}"
            )
        case Kind.SLOW:
            counts = f"{since}{_slowness(seen, cut)}"
        case Kind.EMERGENCY:
            counts = f"{_emergency(gate, blocks[: case.blocks])}; {since}{_failing(seen)}"
        case Kind.LIMIT | Kind.REGRESSION | Kind.RATIO | Kind.CATASTROPHE | None:
            counts = f"{since}{_failing(seen)}"
        case _:
            assert_never(case.kind)
    like = "allowed" if case.kind in _BY_THE_LIMIT or (isinstance(gate, FailureGate) and gate.max is None) else "stable"
    rare = f"a canary no worse than {like} would look this bad {rarity(case.log_e)}"
    return f"{counts}; {_broken(gate, case.kind, cut, seen)}; {rare}"


def comparison(gate: FailureGate | LatencyGate, totals: Totals, cut: Cut | None) -> str:
    """Both versions side by side."""
    if isinstance(gate, LatencyGate):
        return _slowness(totals.judged if totals.judged.canary_total else totals.whole, cut)
    return _failing(totals.whole)


def shared_trouble(gate: FailureGate | LatencyGate, seen: Part) -> str:
    """The canary is over the limit and not shown to be worse than stable."""
    found = f"the canary fails {_share(seen.canary_failures, seen.canary_total)}, and {allowance(gate, None)}"
    if not seen.stable_total:
        return f"{found}; stable has no requests to compare with"
    stable = _share(seen.stable_failures, seen.stable_total, unit="")
    if seen.canary_total and seen.stable_failures / seen.stable_total * 2 >= seen.canary_failures / seen.canary_total:
        return f"{found}; stable is failing too, {stable}: the cause may be shared"
    return f"{found}; stable fails {stable}, which is not yet shown to be better"


def held_regression(gate: FailureGate | LatencyGate, seen: Part) -> str:
    """The canary is inside its limit and clearly worse than stable, and the gate only holds for that."""
    return f"{_failing(seen)}; {_broken(gate, Kind.REGRESSION, None, seen)}; the gate only holds the rollout for that"


def allowance(gate: FailureGate | LatencyGate, cut: Cut | None) -> str:
    """What the gate allows."""
    if isinstance(gate, LatencyGate):
        effect = ""
        if cut is not None:
            low, high = (f"{part * 100:,.0f}" for part in cut.tolerance)
            effect = f" (with these buckets, in effect {low} % to {high} %)" if low != high else ""
        return f"allowed is a p{gate.quantile * 100:g} at most {percent(gate.max_increase)} above stable's{effect}"
    limits = []
    if gate.max is not None:
        limits.append(percent(gate.max))
    if gate.max_ratio is not None:
        limits.append(f"{gate.max_ratio:g} times stable's rate")
    return f"allowed is at most {' and at most '.join(limits)}"


def _broken(gate: FailureGate | LatencyGate, kind: Kind | None, cut: Cut | None, seen: Part) -> str:
    """What is broken: of a regression only where the limit itself is not."""
    if not isinstance(gate, FailureGate) or kind is not Kind.REGRESSION or gate.max is None:
        return allowance(gate, cut)
    if seen.canary_failures > gate.max * seen.canary_total:
        return allowance(gate, cut)
    return f"{allowance(gate, cut)}, and above {percent(gate.max / 2)} at most {REGRESSION_RATIO:g} times stable's rate"


def _failing(seen: Part) -> str:
    canary = _share(seen.canary_failures, seen.canary_total)
    if not seen.canary_total:
        return f"the canary has served nothing yet, stable fails {_share(seen.stable_failures, seen.stable_total)}"
    if not seen.stable_total:
        return f"the canary fails {canary}, and stable served nothing to compare with"
    return f"the canary fails {canary}, stable {_share(seen.stable_failures, seen.stable_total, unit='')}"


def _slowness(seen: Part, cut: Cut | None) -> str:
    if cut is None or not seen.canary_total:
        return (
            f"the canary has served {seen.canary_total:,.0f} requests that are judged, stable {seen.stable_total:,.0f}"
        )
    canary = _share(seen.canary_failures, seen.canary_total)
    found = f"of the canary {canary} take longer than {duration(cut.bound)}"
    if not seen.stable_total:
        return f"{found}, and stable served nothing to compare with"
    expected = seen.stable_failures / seen.stable_total
    return f"{found}; if it were as slow as allowed, {percent(expected)} would, by {seen.stable_total:,.0f} of stable"


def _emergency(gate: FailureGate | LatencyGate, blocks: Sequence[Block]) -> str:
    rule = gate.emergency if isinstance(gate, FailureGate) else None
    assert rule is not None
    window = [block for block in blocks if block.at > blocks[-1].at - rule.over and not block.shifted]
    seen = _summed(window, Kind.EMERGENCY)
    found = _share(seen.canary_failures, seen.canary_total)
    return f"emergency: {found} failed in {seconds(rule.over)}, from {percent(rule.max)} on the canary is taken back"


def _share(failures: float, total: float, *, unit: str = " requests") -> str:
    """A rate with the number it is a rate of, such as `5.1 % of 1,204 requests`."""
    return f"{percent(failures / total if total else 0.0)} of {total:,.0f}{unit}"


def duration(value: float) -> str:
    """A duration of requests in seconds, in a unit that suits it, to three digits and never in powers of ten."""
    number, unit = (value * 1000, "ms") if value < 0.9995 else (value, "s")
    return f"{number:,.0f} {unit}" if number >= 99.95 or number == 0 else f"{plain(number)} {unit}"


def rarity(log_e: float) -> str:
    """How often a canary that is as allowed reaches such an e-value, by Ville's inequality; rounded towards often."""
    if log_e >= math.log(1e6):
        return "less than once in 1,000,000 rollouts"
    once_in = math.floor(math.exp(log_e))
    unit = 10 ** max(0, len(str(once_in)) - 2)
    return f"at most once in {once_in // unit * unit:,} rollouts"


def percent(rate: float) -> str:
    """A ratio in percent: one decimal from 10 % on, two significant digits below; 100 % is all, never nearly all."""
    value = rate * 100
    if 99.9 < value < 100:
        value = 99.9
    return f"{plain(value, digits=2) if value < 10 else _short(f'{value:,.1f}')} %"


def plain(value: float, *, digits: int = 3) -> str:
    """A number with so many significant digits at least, written out; NaN and infinity by their names."""
    if not value:
        return "0"
    if not math.isfinite(value):
        return str(value)
    return _short(f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}")


def number(value: float) -> str:
    """A value of a query, to four digits at least."""
    return plain(value, digits=4)


def _short(text: str) -> str:
    """Without the zeros that say nothing."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock(moment: datetime) -> str:
    """A time of day."""
    return f"{moment:%H:%M:%S} UTC"


def seconds(span: timedelta) -> str:
    """A span in whole seconds."""
    return f"{span.total_seconds():,.0f} s"


def _counts_for(kind: Kind | None, block: Block) -> bool:
    match kind:
        case Kind.ALONE | Kind.CATASTROPHE_ALONE:
            return not block.shifted and block.weight == EVERYTHING
        case _:
            return not block.shifted


def _summed(blocks: Sequence[Block], kind: Kind | None) -> Part:
    cold = kind in (Kind.CATASTROPHE, Kind.CATASTROPHE_ALONE)
    parts = [block.whole if cold else block.judged for block in blocks]
    return Part(
        sum(part.canary_total for part in parts),
        sum(part.canary_failures for part in parts),
        sum(part.stable_total for part in parts),
        sum(part.stable_failures for part in parts),
    )


def _telling(gate: FailureGate | LatencyGate, case: Case, blocks: Sequence[Block]) -> Sequence[Block]:
    """The newest blocks of the case, as many as show the excess most clearly (the highest likelihood ratio)."""
    best, begin = 0.0, 0
    n = s = m = q = 0.0
    cold = case.kind in (Kind.CATASTROPHE, Kind.CATASTROPHE_ALONE)
    for index in range(len(blocks) - 1, -1, -1):
        part = blocks[index].whole if cold else blocks[index].judged
        n, s = n + part.canary_total, s + part.canary_failures
        m, q = m + part.stable_total, q + part.stable_failures
        excess = _clearness(gate, case.kind, (n, s, m, q))
        if excess > best:
            best, begin = excess, index
    return blocks[begin:]


def _clearness(gate: FailureGate | LatencyGate, kind: Kind | None, counts: tuple[float, float, float, float]) -> float:
    n, s, m, q = counts
    if isinstance(gate, LatencyGate) or kind is None:
        ratio, limit = 1.0, None
    else:
        match kind:
            case Kind.LIMIT | Kind.ALONE:
                ratio, limit = 1.0, gate.max
            case Kind.CATASTROPHE | Kind.CATASTROPHE_ALONE:
                ratio, limit = 1.0, max(CATASTROPHE, gate.max or 0.0)
            case Kind.RATIO:
                ratio, limit = gate.max_ratio or 1.0, None
            case Kind.REGRESSION:
                ratio, limit = REGRESSION_RATIO, None
            case Kind.EMERGENCY | Kind.SLOW:
                ratio, limit = 1.0, None
            case _:
                assert_never(kind)
    if limit is not None:
        return _excess(s, n, limit)
    expected = ratio * n
    return _excess(s, s + q, expected / (expected + m)) if expected and m else 0.0


def _excess(events: float, trials: float, expected: float) -> float:
    """The log-likelihood ratio of the observed share of events against the expected one; 0 where it is no higher."""
    if not trials or events <= expected * trials:
        return 0.0
    seen = events / trials
    rest = (trials - events) * math.log((1 - seen) / (1 - expected)) if events < trials else 0.0
    return events * math.log(seen / expected) + rest
