"""How many failures come together, read from the scatter between stable's own instances.

Not from one minute to the next: incidents and the time of day scatter the minutes, and neither is a burst. Instances
that serve the same users at the same time differ by bursts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 1.0
MOST: Final = 20.0

PRIOR_FAILURES: Final = 2.0
"""How many failures' worth the configured value counts: with one instance it is all there is."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """What a block says of it: sums, so that blocks can be added up."""

    failures: float = 0.0
    """Stable's failures in blocks where at least two of its instances served."""
    weighted: float = 0.0
    """The same, each block's multiplied by its index of dispersion."""

    def __add__(self, other: Scatter) -> Scatter:
        return Scatter(self.failures + other.failures, self.weighted + other.weighted)

    def dispersion(self, *, otherwise: float) -> float:
        """The estimate, drawn towards the configured value while there are few failures; 1 to 20.

        The mean of the blocks' indices, weighted by their failures. For failures in independent clusters of size G
        its expectation is E[G²]/E[G].
        """
        seen = (PRIOR_FAILURES * otherwise + self.weighted) / (PRIOR_FAILURES + self.failures)
        return min(MOST, max(LEAST, seen))


NO_SCATTER: Final = Scatter()


def scatter(instances: Iterable[Sequence[float]]) -> Scatter:
    """Of one block: (requests, failures) of each of stable's instances.

    The index of dispersion is Pearson's chi-squared against equal failure rates, over its degrees of freedom.
    """
    served = [(pair[0], pair[1]) for pair in instances if pair[0] > 0]
    failed = sum(failures for _, failures in served)
    if len(served) < 2 or failed <= 0:
        return NO_SCATTER
    requests = sum(total for total, _ in served)
    chi = 0.0
    for total, failures in served:
        expected = failed * total / requests
        chi += (failures - expected) ** 2 / expected
    return Scatter(failed, failed * chi / (len(served) - 1))
