"""What a source knew for one gate: the raw samples that every verdict is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.analysis.counters import Sample, Series
from rollout.core.gates import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What one version showed, for one gate."""

    total: tuple[Series, ...] = ()
    failures: tuple[Series, ...] = ()
    buckets: tuple[Series, ...] = ()
    """Of a latency gate: the cumulative counters of its histograms, by the label `le`."""
    values: tuple[Sample, ...] = ()
    """Of a query gate: what the expression gave, oldest first."""

    def of_release(self, release: str) -> Counters:
        """Without the series that carry the `release` label of another release."""

        def ours(many: tuple[Series, ...]) -> tuple[Series, ...]:
            return tuple(one for one in many if one.labels.get("release", "") in ("", release))

        return Counters(
            total=ours(self.total), failures=ours(self.failures), buckets=ours(self.buckets), values=self.values
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not (self.total or self.failures or self.buckets or self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a source knows for one gate."""

    gate: Gate
    canary: Counters = field(default_factory=Counters)
    stable: Counters = field(default_factory=Counters)
    problem: str = ""
    """Why the source could not be asked, in a sentence without secrets; empty where it answered."""
    queries: tuple[str, ...] = ()
    """What it was asked."""

    @property
    def empty(self) -> bool:
        """Whether the source answered that neither version has anything."""
        return not self.problem and self.canary.empty and self.stable.empty

    def of_releases(self, *, canary: str, stable: str) -> Reading:
        """Without the series that carry the `release` label of another release than the version's."""
        return Reading(
            gate=self.gate,
            canary=self.canary.of_release(canary),
            stable=self.stable.of_release(stable),
            problem=self.problem,
            queries=self.queries,
        )
