"""The one generator of all runs: what it promises about seeds, rates and what comes together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.gates import measure, ours
from benchmarks.gates.field import OURS, names
from benchmarks.gates.scenarios import NULLS, SECOND_INSTANCE, STEP, Cell, Sort, Subject, cells
from benchmarks.gates.signals import FailureSignal, histogram_quantile
from benchmarks.gates.traffic import draw, draw_durations


def null(story: str, *, rps: float = 50.0) -> Cell:
    """A cell of the comparison with a healthy canary, 5 % of the traffic first."""
    return next(
        cell
        for cell in cells()
        if (cell.subject, cell.story, cell.rps, cell.first_weight) == (Subject.ERRORS, story, rps, 5.0)
    )


def test_every_cell_has_a_name_of_its_own() -> None:
    """Results are kept by it."""
    found = cells()
    assert len({cell.key for cell in found}) == len(found)


def test_a_run_is_the_same_whichever_runs_are_drawn_with_it() -> None:
    """Each has a seed of its own."""
    many, one = draw(null("bursty"), seed=7, first=0, runs=4), draw(null("bursty"), seed=7, first=3, runs=1)
    assert np.array_equal(many.canary[3], one.canary[0])
    assert np.array_equal(many.stable_failed[3], one.stable_failed[0])


def test_runs_differ() -> None:
    """And so do seeds."""
    runs, other = draw(null("plain"), seed=7, first=0, runs=2), draw(null("plain"), seed=8, first=0, runs=1)
    assert not np.array_equal(runs.stable[0], runs.stable[1])
    assert not np.array_equal(runs.stable[0], other.stable[0])


@pytest.mark.parametrize("story", NULLS)
def test_stable_fails_two_in_a_thousand_in_every_null(story: str) -> None:
    """Bursts and incidents change how failures come, not how many there are."""
    traffic = draw(null(story, rps=50), seed=1, first=0, runs=300)
    assert traffic.stable_failed.sum() / traffic.stable.sum() == pytest.approx(0.002, rel=0.15)
    assert traffic.canary_failed.sum() / traffic.canary.sum() == pytest.approx(0.002, rel=0.2)


@pytest.mark.parametrize(("story", "dispersion"), [("plain", 1.0), ("bursty", 9.0), ("incidents", 1.0)])
def test_how_failures_come_together_is_seen_between_instances(story: str, dispersion: float) -> None:
    """Bursts of 5 on average have a dispersion of 9; incidents that all instances share have none."""
    traffic = draw(null(story), seed=1, first=0, runs=10)
    seen = np.mean([ours.history(traffic, run).dispersion(otherwise=dispersion) for run in range(10)])
    assert seen == pytest.approx(dispersion, rel=0.3)


def test_routes_fail_alike_and_versions_do_not() -> None:
    """The canary's requests go elsewhere, that is all."""
    traffic = draw(null("other routes", rps=500), seed=1, first=0, runs=5)
    canary = traffic.canary_failed.sum(axis=(0, 1, 2)) / traffic.canary.sum(axis=(0, 1, 2))
    stable = traffic.stable_failed.sum(axis=(0, 1, 2)) / traffic.stable.sum(axis=(0, 1, 2))
    assert canary == pytest.approx(stable, rel=0.1)
    assert traffic.canary_failed.sum() / traffic.canary.sum() > 5 * traffic.stable_failed.sum() / traffic.stable.sum()


def test_a_second_instance_is_not_judged_before_it_is_warm() -> None:
    """It joins at 25 %; the whole counts it at once."""
    traffic = draw(null("plain", rps=500), seed=1, first=0, runs=1)
    blocks = list(ours.blocks(traffic, 0, first_since=ours.DEPLOYED))
    assert blocks[SECOND_INSTANCE].shifted
    early, late = blocks[SECOND_INSTANCE + 1], blocks[SECOND_INSTANCE + ours.WARM_UP]
    assert early.judged.canary_total < 0.7 * early.whole.canary_total
    assert late.judged.canary_total == late.whole.canary_total
    assert [index for index, block in enumerate(blocks) if block.shifted] == [STEP, 2 * STEP, 3 * STEP]


def test_a_canary_that_fails_everything_is_taken_back_after_two_scrapes() -> None:
    """The promise of two scrapes, and what fails until then and 30 s longer."""
    cell = next(cell for cell in cells() if cell.key == "errors, 100 %, 50 rps, 5 %")
    outcome = measure.outcomes(cell, (OURS,), seed=1, first=0, runs=5)[OURS]
    assert outcome.decided.tolist() == [2] * 5
    assert outcome.failed.mean() == pytest.approx(2.5 * 60, rel=0.15)


def test_every_rule_sees_the_same_runs() -> None:
    """Rules that decide at the same scrape count the same failures."""
    cell = next(cell for cell in cells() if cell.key == "errors, 100 %, 500 rps, 5 %")
    found = measure.outcomes(cell, names(Subject.ERRORS), seed=1, first=0, runs=3)
    assert set(found) == set(names(Subject.ERRORS))
    assert np.array_equal(found["argo, rate"].failed, found["argo, irate"].failed)


def test_times_count_from_the_beginning_of_the_fault() -> None:
    """A rollback before it is an early one and no detection."""
    cell = Cell(story="late", sort=Sort.BAD, rps=5, first_weight=5, canary=0.2, onset=180)
    figures = measure.figures(cell, measure.Outcome(np.array([100, 184, 0]), np.array([1, 2, 3])))
    assert (figures.rolled_back, figures.early, figures.median_minutes) == (2, 1, 1.0)


def test_a_window_that_begins_before_the_rollout_holds_what_there_is() -> None:
    """The first minutes of a rate over five."""
    traffic = draw(null("plain"), seed=1, first=0, runs=1)
    assert FailureSignal(traffic).requests(4, 19)[0] == traffic.canary[0, :4].sum()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([10, 0, 0], 0.95), ([0, 10, 0], 1.95), ([5, 5, 0], 1.9), ([0, 0, 10], 2.0), ([0, 0, 0], math.nan)],
)
def test_a_percentile_is_interpolated_as_promql_does(counts: list[int], expected: float) -> None:
    """Bounds of 1 and 2 seconds, and one without."""
    found = histogram_quantile(0.95, (1.0, 2.0), np.array([counts]))
    assert found[0] == pytest.approx(expected, nan_ok=True)


def test_durations_have_the_percentile_that_they_should() -> None:
    """402 ms for stable, half as much again for the canary, within the fine buckets' width."""
    cell = next(cell for cell in cells() if cell.key == "latency, +50 %, fine buckets, 50 rps, 5 %")
    durations = draw_durations(cell, seed=1, first=0, runs=2)
    stable = histogram_quantile(0.95, durations.bounds, durations.stable.sum(axis=(1, 2)))
    canary = histogram_quantile(0.95, durations.bounds, durations.canary.sum(axis=(1, 2)))
    assert stable == pytest.approx(0.402, rel=0.05)
    assert canary == pytest.approx(0.603, rel=0.05)
