"""What `rollout doctor` says of the buckets of a latency gate, before the first user meets a release."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rollout.analysis.counters import Sample, Series
from rollout.cli.preflight import bucket_findings
from rollout.core.finding import Finding, Severity
from rollout.core.gates import LatencyGate
from rollout.core.selector import Selector, parse
from rollout.errors import SourceUnavailable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HISTOGRAM = parse('seconds_bucket{version="$version"}')
DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass
class Histogram:
    """A source with one histogram of stable: the cumulative counts by bound that it grew by within the last hour."""

    counts: Mapping[float, float] = field(default_factory=dict)
    away: bool = False

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        assert (selector, until - since) == (HISTOGRAM.of("stable"), timedelta(hours=1))
        if self.away:
            raise SourceUnavailable("nobody answers")
        times = (until - timedelta(minutes=50), until)
        return tuple(
            Series(
                labels={"le": f"{bound:g}"}, samples=(Sample(at=times[0], value=0), Sample(at=times[1], value=count))
            )
            for bound, count in self.counts.items()
        )

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        raise AssertionError("nobody asks for counters")

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        raise AssertionError("nobody asks for values")

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        raise AssertionError("nobody asks for a diagnosis")


def finding(source: Histogram, *, if_present: bool = False) -> Finding | None:
    gate = LatencyGate(name="p95 latency", histogram=HISTOGRAM, if_present=if_present)
    return next(bucket_findings(gate, source, until=NOON), None)


def lognormal(p95: float, total: float = 10_000, bounds: tuple[float, ...] = DEFAULT) -> dict[float, float]:
    def below(bound: float) -> float:
        return 0.5 * (1 + math.erf((math.log(bound / p95) / 0.5 + 1.645) / math.sqrt(2)))

    return {**{bound: round(total * below(bound)) for bound in bounds}, math.inf: total}


def test_a_bucket_that_serves_is_named_with_what_it_tolerates() -> None:
    found = finding(Histogram(lognormal(0.4)))
    assert found is not None
    assert found.severity is Severity.OK
    assert found.message.startswith("a request is slow above 0.5 s, which shows ")
    assert found.message.endswith("; allowed are 30 %")


@pytest.mark.parametrize(("if_present", "then"), [(False, "will hold the rollout"), (True, "will not apply")])
def test_where_none_serves_a_bound_is_advised_and_told_what_comes_of_it(if_present: bool, then: str) -> None:
    coarse = lognormal(0.4, bounds=(0.1, 5.0, 10.0))
    found = finding(Histogram(coarse), if_present=if_present)
    assert found is not None
    assert found.severity is Severity.WARNING
    assert found.message.endswith(then)
    assert found.hint.startswith("A bound at ")
    assert found.hint.endswith(" s would serve, or a native histogram.")


def test_durations_beyond_the_highest_bound_need_more_bounds() -> None:
    found = finding(Histogram(lognormal(40.0)))
    assert found is not None
    assert found.severity is Severity.WARNING
    assert "slower than the highest bound, 10 s" in found.message
    assert found.hint.startswith("Bounds beyond it would serve")


def test_too_few_requests_are_no_fault_of_the_buckets() -> None:
    found = finding(Histogram(lognormal(0.4, total=120)))
    assert found is not None
    assert found.message == "only 120 of the 500 requests of stable that the choice of a bucket needs in the last hour"
    assert "as soon as" in found.hint


def test_what_the_source_tells_by_itself_is_not_told_twice() -> None:
    assert finding(Histogram()) is None
    assert finding(Histogram(away=True)) is None
