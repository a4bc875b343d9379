"""How strongly counts speak against a canary, as e-values that may be looked at any number of times.

An e-process starts at 1 and its expectation stays at most 1 as long as the canary is no worse than allowed, whatever
the traffic, the weights and the moments of looking. By Ville's inequality it ever reaches 1/a with probability at
most a: that is the whole promise behind `false_rollback`. Formulas are derived in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rollout.analysis.blocks import Block

FACTORS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0)
"""How much worse than allowed the canary may be: the alternatives that are bet on, in equal parts."""

BLOCK_CAP: Final = 5.0
"""The most that one block may add, in nats: one freak scrape decides nothing. Lowering an e-value keeps it valid."""

_CAPPED: Final = math.exp(BLOCK_CAP)
_CEILING: Final = 1e250
_EVEN_BLOCKS: Final = 512
_EVEN_SHIFTS: Final = 8

Growth = Callable[[Block], Sequence[float]]
"""The log-likelihood ratio of a block, for each of FACTORS."""


def rate_over(blocks: Sequence[Block | None], *, limit: float, dispersion: float = 1.0) -> tuple[float, ...]:
    """The e-value after each block against "every canary request fails with probability at most `limit`".

    The alternative k has k times the odds of the limit, so the ratio for s failures of n is
    k^s / (1 + (k - 1) limit)^n. `dispersion` (1 or more) divides its logarithm. None stands for a block that does
    not count: the value is carried over it.
    """
    logs = tuple((math.log(k), math.log1p((k - 1) * limit)) for k in FACTORS)

    def growth(block: Block) -> Sequence[float]:
        n, s = block.canary.total, block.canary.failures
        return [(s * per_failure - n * per_request) / dispersion for per_failure, per_request in logs]

    return _process(blocks, growth)


def ratio_over(blocks: Sequence[Block | None], *, ratio: float, dispersion: float = 1.0) -> tuple[float, ...]:
    """The e-value after each block against "the canary's failure rate is at most `ratio` times stable's".

    Given all failures of a block, the canary's share of them is binomial with the odds of ratio * n to m, whatever
    stable's rate is; the alternative has k times these odds. A block in which either version served nothing says
    nothing. Exact for Poisson counts, conservative for independent requests.
    """
    logs = tuple((k, math.log(k)) for k in FACTORS)
    nothing = (0.0,) * len(FACTORS)

    def growth(block: Block) -> Sequence[float]:
        n, s = ratio * block.canary.total, block.canary.failures
        m, q = block.stable.total, block.stable.failures
        if not (n and m and s + q):
            return nothing
        return [(s * log_k + (s + q) * math.log((n + m) / (k * n + m))) / dispersion for k, log_k in logs]

    return _process(blocks, growth)


def both(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    """The e-value against "one or the other is as allowed": the lower one, at each block."""
    return tuple(min(pair) for pair in zip(first, second, strict=True))


def _process(blocks: Sequence[Block | None], growth: Growth) -> tuple[float, ...]:
    """Bets on every alternative, begun at several moments, so that a good past does not hide a late fault.

    What has not been bet yet counts as it is; without the cap, the expectation at the boundary is exactly 1.
    """
    bets = [0.0] * len(FACTORS)
    purse = 1.0
    values: list[float] = []
    for block, stake in zip(blocks, _stakes(blocks), strict=True):
        if block is not None and stake:
            purse = max(0.0, purse - stake)
            part = stake / len(FACTORS)
            bets = [
                (bet + part) * (math.exp(grown) if grown < BLOCK_CAP else _CAPPED)
                for bet, grown in zip(bets, growth(block), strict=True)
            ]
            if max(bets) > _CEILING:
                bets = [min(bet, _CEILING) for bet in bets]
        values.append(purse + sum(bets))
    return tuple(values)


def _stakes(blocks: Sequence[Block | None]) -> Iterator[float]:
    """What is bet anew before each block: half at the first canary traffic, a quarter spread over the blocks with
    traffic after it, a quarter over the changes of weight. All of it together is at most 1, however long it goes on.
    """
    seen = shifts = 0
    before: Block | None = None
    for block in blocks:
        if block is None or not block.canary.total:
            yield 0.0
            continue
        if before is None:
            stake = 0.5
        else:
            seen += 1
            stake = 0.25 * _spread(seen, _EVEN_BLOCKS)
            if block.weight != before.weight:
                shifts += 1
                stake += 0.25 * _spread(shifts, _EVEN_SHIFTS)
        before = block
        yield stake


def _spread(index: int, even: int) -> float:
    """The share of the index-th of unboundedly many: even among the first, then falling as 1/i².

    For i = 1, 2, ... the shares 1/(2 even) below `even` add up to less than 1/2, and even/(2 i (i + 1)) from there
    on telescopes to 1/2.
    """
    return min(1 / even, even / (index * (index + 1))) / 2
