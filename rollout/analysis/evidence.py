"""How strongly counts speak against a canary (or for it), as e-values that may be looked at any number of times.

An e-process starts at 1 and its expectation stays at most 1 as long as what it bets against is true, whatever the
traffic, the weights and the moments of looking. By Ville's inequality it ever reaches 1/a with probability at most a:
that is the whole promise behind `false_rollback`. Formulas are derived in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from rollout.analysis.blocks import Part

WORSE: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0)
"""How much worse than allowed a canary may be: the alternatives that are bet on, in equal parts."""
BETTER: Final = (0.75, 0.5, 0.25, 0.1, 0.02)
"""How much better than allowed: the alternatives of the evidence that a limit is kept."""

BLOCK_CAP: Final = 5.0
"""The most that one block may add, in nats: one freak scrape decides nothing. Lowering an e-value keeps it valid."""

_CEILING: Final = 1e250
_EVEN_BLOCKS: Final = 512
_EVEN_SHIFTS: Final = 8


class RateBets:
    """The growth of bets against "every canary request fails with probability at most `limit`".

    The alternative k has k times the odds of the limit, so the likelihood ratio for s failures of n requests is
    k^s / (1 + (k - 1) limit)^n. With factors below 1 the bets are against "at least `limit`".
    """

    def __init__(self, limit: float, factors: Sequence[float] = WORSE) -> None:
        self.size = len(factors)
        self._logs = tuple((math.log(k), math.log1p((k - 1) * limit)) for k in factors)

    def growth(self, total: float, failures: float, dispersion: float) -> list[float] | None:
        """The logarithm of each ratio, divided by the dispersion (1 or more); None where nothing was served."""
        if not total:
            return None
        s, n = failures / dispersion, total / dispersion
        return [s * per_failure - n * per_request for per_failure, per_request in self._logs]


class RatioBets:
    """The growth of bets against "the canary's failure rate is at most `ratio` times stable's", part by part.

    Given all failures of a part, the canary's share of them is binomial with the odds of ratio * n to m, whatever
    stable's rate is; the alternative has k times these odds. A part in which either version served nothing, or
    neither failed, says nothing. Exact for Poisson counts, conservative for independent requests. With factors below
    1 the bets are against "at least `ratio` times".
    """

    def __init__(self, ratio: float, factors: Sequence[float] = WORSE) -> None:
        self.size = len(factors)
        self._ratio = ratio
        self._logs = tuple((k, math.log(k)) for k in factors)

    def growth(self, parts: Sequence[Part], dispersion: float) -> list[float] | None:
        """The logarithm of each ratio over all parts, divided by the dispersion; None where nothing is said."""
        result: list[float] | None = None
        for part in parts:
            n, m = self._ratio * part.canary_total, part.stable_total
            failed = part.canary_failures + part.stable_failures
            if not (n and m and failed):
                continue
            s = part.canary_failures / dispersion
            every, whole = failed / dispersion, n + m
            grown = [s * log_k + every * math.log(whole / (k * n + m)) for k, log_k in self._logs]
            result = grown if result is None else [a + b for a, b in zip(result, grown, strict=True)]
        return result


class EProcess(NamedTuple):
    """Bets on every alternative, begun at several moments, so that a good past does not hide a late fault.

    What has not been bet yet counts as it is; without the cap, the expectation at the boundary is exactly 1.
    """

    bets: tuple[float, ...]
    """What each alternative's bets have become."""
    purse: float = 1.0
    """What is not bet yet."""
    blocks: int = 0
    """Blocks with canary traffic so far."""
    shifts: int = 0
    """Changes of weight between them."""
    weight: float = -1.0
    """The last block's weight in percent."""
    value: float = 1.0
    """The e-value now."""

    @classmethod
    def of(cls, bets: RateBets | RatioBets) -> EProcess:
        """The process before the first block."""
        return cls((0.0,) * bets.size)

    def after(self, growth: Sequence[float] | None, weight: float) -> EProcess:
        """The process after one more block in which the canary served requests at that weight.

        `growth` holds the logarithms of the likelihood ratios; None for a block that says nothing.
        """
        stake = self._stake(weight)
        purse = max(0.0, self.purse - stake)
        part = stake / len(self.bets)
        if growth is None:
            bets = [bet + part for bet in self.bets]
        else:
            exp, cap = math.exp, BLOCK_CAP
            bets = [(bet + part) * exp(grown if grown < cap else cap) for bet, grown in zip(self.bets, growth)]  # noqa: B905  (as many)
        value = purse + sum(bets)
        if value > _CEILING:
            bets = [min(bet, _CEILING) for bet in bets]
            value = min(value, _CEILING)
        shifts = self.shifts + 1 if self.blocks and weight != self.weight else self.shifts
        return EProcess(tuple(bets), purse, self.blocks + 1, shifts, weight, value)

    def _stake(self, weight: float) -> float:
        """What is bet anew before the block: half at the first canary traffic, a quarter spread over the blocks with
        traffic after it, a quarter over the changes of weight. All of it is at most 1, however long it goes on.
        """
        if not self.blocks:
            return 0.5
        stake = 0.25 * _spread(self.blocks, _EVEN_BLOCKS)
        if weight != self.weight:
            stake += 0.25 * _spread(self.shifts + 1, _EVEN_SHIFTS)
        return stake


def _spread(index: int, even: int) -> float:
    """The share of the index-th of unboundedly many: even among the first, then falling as 1/i².

    For i = 1, 2, ... the shares 1/(2 even) below `even` add up to less than 1/2, and even/(2 i (i + 1)) from there
    on telescopes to 1/2.
    """
    return min(1 / even, even / (index * (index + 1))) / 2
