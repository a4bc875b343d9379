"""Each peer's rule decides as its documentation and its source say, in minutes of a rollout."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks.gates.peers import argo, flagger, guide, kayenta, pipecd
from benchmarks.gates.rules import NEVER, Decide
from benchmarks.gates.scenarios import ONSET, SCRAPES, Cell, Sort
from tests.benchmarks.told import Told, always, in_minutes


def minute(decide: Decide, signal: Told) -> float | None:
    """When a rule rolls the one run back, in minutes; None where it does not."""
    at = int(decide(signal)[0])
    return None if at == NEVER else at / 4


class TestFlagger:
    """Failed checks add up, and the tick after the last one rolls back."""

    def test_five_failed_checks_and_one_more_tick(self) -> None:
        """With `interval: 1m` and `threshold: 5` a canary that always fails goes back at minute 6."""
        assert minute(flagger.held, Told(always(1.0))) == 6

    def test_a_passed_check_takes_no_failure_back(self) -> None:
        """Five failures spread over the rollout count as well as five in a row."""
        assert minute(flagger.held, Told(in_minutes(dict.fromkeys((3, 20, 40, 80, 99), 0.5)))) == 100

    def test_four_failed_checks_are_too_few(self) -> None:
        """The threshold is not reached."""
        assert minute(flagger.held, Told(in_minutes(dict.fromkeys((3, 20, 40, 80), 0.5)))) is None

    def test_no_values_are_a_failed_check(self) -> None:
        """Five minutes without a request take the canary back."""
        assert minute(flagger.held, Told(always(math.nan))) == 6

    def test_the_limit_itself_passes(self) -> None:
        """A success rate of 98 % is not below 98 %."""
        assert minute(flagger.held, Told(always(0.02))) is None

    def test_own_weights_promote_before_a_late_fault(self) -> None:
        """From 5 % by 5 points a minute it is through after ten minutes, and a fault at minute 45 finds nobody."""
        cell = Cell(story="late", sort=Sort.BAD, rps=50, first_weight=5, canary=1.0, onset=ONSET)
        hazard = np.where(np.arange(SCRAPES) >= ONSET, 1.0, 0.0)[None, :]
        decided, failed = flagger.native(cell, hazard, np.random.default_rng(1))
        assert decided.tolist() == [NEVER]
        assert failed.tolist() == [0]

    def test_own_weights_do_not_rise_while_checks_fail(self) -> None:
        """A canary that fails everything stays at its first weight until minute 6, and 30 s more."""
        cell = Cell(story="bad", sort=Sort.BAD, rps=100, first_weight=10, canary=1.0)
        decided, failed = flagger.native(cell, np.ones((1, SCRAPES)), np.random.default_rng(1))
        assert decided.tolist() == [24]
        assert 3500 < failed[0] < 4300  # 10 per second for 390 s


class TestArgoRollouts:
    """More failed measurements than `failureLimit`."""

    def test_the_fourth_failure_exceeds_a_limit_of_three(self) -> None:
        """Each five minutes: 5, 10, 15 and 20."""
        assert minute(argo.rate, Told(always(1.0))) == 20

    def test_three_failures_do_not(self) -> None:
        """`failed (3) > failureLimit (3)` is false, whatever the prose says."""
        assert minute(argo.rate, Told(in_minutes(dict.fromkeys((5, 10, 15), 1.0)))) is None

    def test_the_first_failure_exceeds_the_default_limit(self) -> None:
        """`failureLimit` is 0 where left out."""
        assert minute(argo.first_failure, Told(in_minutes({35: 1.0}))) == 35

    def test_not_a_number_fails(self) -> None:
        """No requests in the window give NaN, and NaN is not at least 98 %."""
        assert minute(argo.irate, Told(always(math.nan))) == 20

    def test_what_happens_between_measurements_is_not_seen(self) -> None:
        """Minutes 6 to 9 are never asked for."""
        assert minute(argo.first_failure, Told(in_minutes(dict.fromkeys(range(6, 10), 1.0)))) is None


class TestKayenta:
    """A Mann-Whitney test at the end of each interval."""

    def test_a_canary_that_is_far_apart_fails_at_the_first_judgement(self) -> None:
        """30 values around 5 % against 30 around 0.2 %."""
        signal = Told(always(0), canary=lambda end: 0.05 + end * 1e-6, stable=lambda end: 0.002 + end * 1e-6)
        assert minute(kayenta.half_hourly, signal) == 30
        assert minute(kayenta.hourly, signal) == 60

    def test_identical_data_pass(self) -> None:
        """Sorted, the samples are the same."""
        assert (
            minute(kayenta.half_hourly, Told(always(0), canary=lambda end: end / 1e4, stable=lambda end: end / 1e4))
            is None
        )

    def test_minutes_without_requests_are_left_out(self) -> None:
        """They are neither failures nor zeros."""
        gone = np.array([np.nan] * 20 + [0.0, 0.01] * 5)
        assert not kayenta.fails(gone, np.array([0.0, 0.01] * 15))

    def test_a_critical_metric_without_data_fails(self) -> None:
        """No value at all is `Nodata`, which a critical metric does not pass."""
        assert kayenta.fails(np.array([np.nan, np.nan]), np.array([0.0, 0.01]))

    def test_a_canary_whose_minutes_mostly_have_no_failure_passes(self) -> None:
        """The commonest bad canary: stable has none, the canary one now and then. The estimate is 0 then."""
        canary = np.array([0.0] * 25 + [0.5] * 5)
        stable = np.array([0.0, 0.001] * 15)
        assert not kayenta.fails(canary, stable)

    def test_the_allowed_increase_of_the_mean(self) -> None:
        """A shift that is certain and small passes if more is allowed."""
        x, y = np.linspace(1.20, 1.21, 30), np.linspace(1.0, 1.01, 30)
        assert kayenta.fails(x, y)
        assert not kayenta.fails(x, y, allowed_increase=1.3)

    def test_a_shift_within_a_quarter_of_the_estimate_passes(self) -> None:
        """A shift of 0.5 is certain (2.9 standard errors) and not certainly over a quarter of itself (2.2)."""
        stable = np.linspace(9.0, 11.0, 30)
        assert kayenta.statistic(stable + 0.5, stable, 0.0) > kayenta.QUANTILE
        assert not kayenta.fails(stable + 0.5, stable)
        assert kayenta.fails(stable + 0.7, stable)

    def test_one_value_each(self) -> None:
        """Noise is added, and the higher one is high."""
        assert kayenta.fails(np.full(5, 0.4), np.full(5, 0.2))
        assert not kayenta.fails(np.full(5, 0.2), np.full(5, 0.4))

    def test_the_statistic_counts_pairs(self) -> None:
        """Against the definition: pairs won, half for ties, continuity and ties corrected."""
        x, y = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 0.0, 1.0])
        wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(x, y))
        ties = sum(t**3 - t for t in (1, 2, 3, 1))
        variance = 4 * 3 / 12 * (8 - ties / (7 * 6))
        assert kayenta.statistic(x, y, 0.0) == pytest.approx((wins - 6 - 0.5) / math.sqrt(variance))


class TestPipeCD:
    """Six values of each five minutes."""

    def test_one_value_out_of_range_fails_the_stage(self) -> None:
        """`failureLimit` is 0 where left out; minute 12 is seen at minute 15."""
        assert minute(pipecd.threshold, Told(in_minutes({12: 0.03}))) == 15

    def test_not_a_number_is_unexpected(self) -> None:
        """`skipOnNoData` is false where left out."""
        assert minute(pipecd.threshold, Told(in_minutes({12: math.nan}))) == 15

    def test_four_failures_exceed_a_limit_of_three(self) -> None:
        """At 5, 10, 15 and 20 minutes."""
        assert minute(pipecd.threshold_3, Told(always(1.0))) == 20

    def test_each_stage_counts_from_nothing(self) -> None:
        """Three failures in each of two steps of 30 minutes are not four."""
        assert minute(pipecd.threshold_3, Told(in_minutes(dict.fromkeys((17, 22, 27, 32, 37, 42), 1.0)))) is None

    def test_samples_that_are_apart_differ(self) -> None:
        """The canary's values are all higher, with a probability of 1 in 252 by chance."""
        p = pipecd.p_values(np.arange(11.0, 16.0)[None, :], np.arange(1.0, 6.0)[None, :])
        assert p[0] == pytest.approx(1 / 252)

    def test_lower_values_are_no_deviation_upwards(self) -> None:
        """With `deviation: HIGH` a better canary is as expected."""
        assert pipecd.p_values(np.arange(1.0, 6.0)[None, :], np.arange(11.0, 16.0)[None, :])[0] == pytest.approx(1.0)

    def test_equal_samples_are_expected(self) -> None:
        """All values equal, and the same values in both."""
        assert pipecd.p_values(np.ones((1, 6)), np.ones((1, 6)))[0] == 1.0
        same = np.arange(5.0)[None, :]
        assert pipecd.p_values(same, same)[0] > pipecd.ALPHA

    def test_a_worse_canary_fails_the_comparison_at_once(self) -> None:
        """At the first interval."""
        signal = Told(always(0), canary=lambda end: 0.05 + end * 1e-6, stable=lambda end: 0.002 + end * 1e-6)
        assert minute(pipecd.comparison, signal) == 5


class TestGuide:
    """A check each quarter of an hour, and an emergency."""

    def test_over_the_limit_at_the_quarter(self) -> None:
        """2.5 % are no emergency, and are seen at minute 15."""
        assert minute(guide.plain, Told(always(0.025))) == 15

    def test_the_emergency_needs_five_whole_minutes(self) -> None:
        """3 % are one, from minute 5 on and each minute."""
        assert minute(guide.plain, Told(always(0.03))) == 5
        assert minute(guide.plain, Told(in_minutes({4: 0.5, 37: 0.03}))) == 37

    def test_the_limit_itself_is_kept(self) -> None:
        """At most 2 %."""
        assert minute(guide.plain, Told(always(0.02))) is None

    @pytest.mark.parametrize(("requests", "failures"), [(99, 50), (1000, 4)])
    def test_the_guarded_rule_needs_a_sample(self, requests: int, failures: int) -> None:
        """At least 100 requests and 5 failures."""
        assert minute(guide.guarded, Told(always(0.5), requests=requests, failures=failures)) is None
        assert minute(guide.guarded, Told(always(0.5), requests=100, failures=5)) == 5
