"""What a gate will count: from what stable counted in the last hour, or assumed and said to be so."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.analysis.counters import Sample, Series
from rollout.analysis.expected import Traffic, Unseen, assumed, measured
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate
from tests.analysis.foreseen import GATES, LATENCY, LIMIT, NOW, policy

HOUR = 240


def counter(grown: Sequence[float], *, instance: str, first: int = 0, **labels: str) -> Series:
    """A counter that was scraped every 15 s up to now, and the first time `first` scrapes after its process was."""
    values, samples = 0.0, []
    for index, amount in enumerate(grown):
        values += amount
        if index >= first:
            at = NOW - timedelta(seconds=15 * (len(grown) - 1 - index))
            samples.append(Sample(at=at, value=values))
    return Series(labels={"job": "chat", "instance": instance, **labels}, samples=tuple(samples))


def reading(instances: Sequence[Sequence[tuple[float, float]]], gate: FailureGate = LIMIT) -> Reading:
    """Stable by (requests, failures) of each instance between two scrapes."""
    return Reading(
        gate=gate,
        stable=Counters(
            total=tuple(counter([n for n, _ in one], instance=str(name)) for name, one in enumerate(instances)),
            failures=tuple(
                counter([s for _, s in one], instance=str(name), code="500") for name, one in enumerate(instances)
            ),
        ),
    )


def found(subject: Reading, dispersion: float = 3.0) -> Traffic:
    result = measured(subject, plan=policy(LIMIT, LATENCY, dispersion=dispersion), now=NOW)
    assert isinstance(result, Traffic)
    return result


def test_rates_are_those_of_all_instances_and_of_both_versions() -> None:
    stable = reading([[(150, 3)] * HOUR, [(75, 0)] * HOUR])
    assert found(stable).rate == pytest.approx(15)
    assert found(stable).stable == pytest.approx(3 / 225, rel=0.01)
    canary = Counters(total=(counter([75] * 20, instance="new"),))
    assert found(replace(stable, canary=canary)).rate == pytest.approx(20)


def test_a_process_that_is_young_is_counted_by_the_time_it_was_scraped() -> None:
    assert found(reading([[(150, 0)] * 41])).rate == pytest.approx(10)
    assert found(reading([[(0, 0)] * 200 + [(150, 0)] * 40])).rate == pytest.approx(10)


def test_the_first_failures_of_a_new_label_set_count() -> None:
    """A counter of failures that begins at 40, while its process was scraped already, has grown by 40."""
    subject = reading([[(150, 0)] * HOUR])
    late = counter([0] * 100 + [40] + [0] * 139, instance="0", first=100, code="500")
    counted = found(replace(subject, stable=replace(subject.stable, failures=(late,))))
    assert counted.stable == pytest.approx(40 / (150 * 239), rel=0.02)


def test_bursts_are_seen_in_the_scatter_between_instances() -> None:
    source = random.Random(5)
    bursts = [[(200.0, source.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 9)) * 1.0) for _ in range(HOUR)] for _ in range(3)]
    single = [[(200.0, float(source.random() < 0.5)) for _ in range(HOUR)] for _ in range(3)]
    assert found(reading(bursts)).dispersion > 5
    assert found(reading(single)).dispersion < 1.5
    assert not found(reading(single)).assumed


def test_one_instance_shows_no_bursts_so_the_configured_dispersion_is_taken_and_said() -> None:
    counted = found(reading([[(200, 2)] * HOUR]), dispersion=7)
    assert counted.dispersion == 7
    assert any("dispersion 7" in text for text in counted.assumed)


def test_a_latency_gate_gets_the_bucket_that_the_judge_would_take() -> None:
    """Log-normal durations with a p95 of 0.4 s, in buckets that are a quarter of an octave apart."""
    suited = assumed(LATENCY, rate=1, plan=policy(LATENCY))
    assert isinstance(suited, Traffic)
    assert suited.durations is not None
    buckets = tuple(
        counter([count / 1e6 * 300] * HOUR, instance="a", le="+Inf" if bound == math.inf else repr(bound))
        for bound, count in suited.durations.items()
    )
    counted = found(Reading(gate=LATENCY, stable=Counters(buckets=buckets)))
    assert counted.rate == pytest.approx(20)
    assert counted.cut is not None
    assert suited.cut is not None
    assert counted.cut.bound == suited.cut.bound
    assert counted.share(0.3) == pytest.approx(counted.stable)
    assert counted.share(0) < counted.share(0.3) < counted.share(1)


def test_buckets_that_cannot_serve_are_refused_with_advice() -> None:
    """All durations are far below the lowest bound but one: nothing lies in the tail."""
    buckets = tuple(counter([300] * HOUR, instance="a", le=bound) for bound in ("1.0", "10.0", "+Inf"))
    refused = measured(Reading(gate=LATENCY, stable=Counters(buckets=buckets)), plan=policy(LATENCY), now=NOW)
    assert isinstance(refused, Unseen)
    assert "bucket" in refused.why
    assert refused.applies


@pytest.mark.parametrize("if_present", [True, False])
def test_a_metric_that_is_not_there_is_no_traffic(if_present: bool) -> None:
    absent = measured(Reading(gate=replace(LIMIT, if_present=if_present)), plan=policy(), now=NOW)
    assert isinstance(absent, Unseen)
    assert absent.applies is not if_present


def test_a_source_that_is_away_and_an_hour_without_requests_are_said() -> None:
    away = measured(Reading(gate=LIMIT, problem="it is away"), plan=policy(), now=NOW)
    idle = measured(reading([[(0, 0)] * HOUR]), plan=policy(), now=NOW)
    assert isinstance(away, Unseen)
    assert isinstance(idle, Unseen)
    assert "it is away" in away.why
    assert "no requests" in idle.why


@pytest.mark.parametrize("name", GATES)
def test_what_is_assumed_is_said(name: str) -> None:
    traffic = assumed(GATES[name], rate=5, plan=policy(dispersion=4))
    assert isinstance(traffic, Traffic)
    assert traffic.given
    assert any("dispersion 4" in text for text in traffic.assumed)
    assert traffic.share(traffic.healthy) <= traffic.stable
