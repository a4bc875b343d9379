"""How long requests took over time, from the buckets of a histogram: what a chart shows beside what is judged.

It interpolates as PromQL does and proves nothing; a latency gate is judged by slow requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.analysis.blocks import Block
from rollout.analysis.histograms import quantile_of
from rollout.analysis.readings import Counters, Reading
from rollout.analysis.trial import by_bound
from rollout.core.gates import LatencyGate
from rollout.report.curves import Bin, binned, of_canary, of_stable

ENOUGH: Final = 100
"""Requests a point should rest on: of fewer, the slowest twentieth is a handful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile(Bin):
    """A quantile of the durations of one version between two moments."""

    value: float
    """In seconds, interpolated within its bucket."""


def quantiles_of(reading: Reading, blocks: Sequence[Block]) -> Mapping[str, tuple[Quantile, ...]]:
    """The gate's quantile of `canary` and `stable` in stretches of time with enough requests; none of other gates."""
    gate = reading.gate
    if not isinstance(gate, LatencyGate):
        return {}
    return {
        "canary": _quantiles(gate, reading.canary, binned(blocks, of_canary, enough=ENOUGH)),
        "stable": _quantiles(gate, reading.stable, binned(blocks, of_stable, enough=ENOUGH)),
    }


def _quantiles(gate: LatencyGate, counters: Counters, bins: Sequence[Bin]) -> tuple[Quantile, ...]:
    found = ((one, by_bound(counters.buckets, since=one.since, until=one.until)) for one in bins)
    valued = ((one, quantile_of(counts, gate.quantile)) for one, counts in found)
    return tuple(
        Quantile(since=one.since, until=one.until, counts=one.counts, value=value)
        for one, value in valued
        if value is not None
    )
