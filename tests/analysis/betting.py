"""E-processes over whole paths of blocks, and what they ought to be: computed from first principles, in fractions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from rollout.analysis.blocks import Block
from rollout.analysis.evidence import EProcess, RateBets, RatioBets

HALF = Fraction(1, 2)


def values(bets: RateBets | RatioBets, blocks: Sequence[Block], *, dispersion: float = 1.0) -> list[float]:
    """The e-value after each block; those without canary requests are passed over, as `Weighing` does."""
    process, found = EProcess.of(bets), []
    for block in blocks:
        part = block.judged
        if part.canary_total:
            if isinstance(bets, RateBets):
                growth = bets.growth(part.canary_total, part.canary_failures, dispersion)
            else:
                growth = bets.growth(block.parts, dispersion)
            process = process.after(growth, block.weight.percent)
        found.append(process.value)
    return found


def binomial(n: int, s: int, p: Fraction) -> Fraction:
    """The probability of s of n."""
    return math.comb(n, s) * p**s * (1 - p) ** (n - s)


def with_odds(p: Fraction, factor: Fraction) -> Fraction:
    """The probability whose odds are so many times those of another."""
    odds = factor * p / (1 - p)
    return odds / (1 + odds)


def stakes(weights: Sequence[float]) -> Iterator[Fraction]:
    """What is bet anew before each block, as docs/statistics.md has it."""
    shifts = 0
    for index, weight in enumerate(weights):
        if index == 0:
            yield HALF
            continue
        stake = _share(index, 512) / 4
        if weight != weights[index - 1]:
            shifts += 1
            stake += _share(shifts, 8) / 4
        yield stake


def _share(index: int, even: int) -> Fraction:
    return min(Fraction(1, even), Fraction(even, index * (index + 1))) / 2


def mixture(ratios: Sequence[Sequence[Fraction]], weights: Sequence[float]) -> Fraction:
    """The e-value of bets begun before each block, by the likelihood ratio of each alternative in each block."""
    begun = [*stakes(weights)]
    total = 1 - sum(begun)
    for start, stake in enumerate(begun):
        for alternative in range(len(ratios[0])):
            grown = math.prod((row[alternative] for row in ratios[start:]), start=Fraction(1))
            total += stake / len(ratios[0]) * grown
    return Fraction(total)
