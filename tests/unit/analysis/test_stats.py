"""Statistics: examples by hand, agreement with scipy, and simulated error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dropexp.analysis.stats import (
    Interval,
    holm,
    min_sign_flip_p,
    paired_difference,
    prediction_interval,
    sd_interval,
    sign_flip_p,
    spread,
    tost_p,
    win_rate,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(0.83, 0.02, 9), RNG.normal(0.82, 0.02, 9)


def test_spread_of_an_example_by_hand() -> None:
    s = spread([1.0, 2.0, 6.0])  # deviations -2, -1, 3: squares 14, over two degrees of freedom 7
    assert (s.n, s.mean) == (3, 3.0)
    assert s.sd == pytest.approx(math.sqrt(7))


def test_spread_agrees_with_scipy() -> None:
    found = stats.describe(A)
    assert spread(A).mean == pytest.approx(found.mean)
    assert spread(A).sd == pytest.approx(math.sqrt(found.variance))


def test_one_value_has_no_sd_and_no_value_has_no_mean() -> None:
    one, none = spread([0.8]), spread([])
    assert (one.n, one.mean) == (1, 0.8)
    assert math.isnan(one.sd)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_paired_difference_of_an_example_by_hand() -> None:
    d = paired_difference([3.0, 5.0, 7.0], [2.0, 3.0, 4.0])  # differences 1, 2, 3: mean 2, SD 1
    half = 4.302652729911275 / math.sqrt(3)  # t(.975, 2) from a table
    assert (d.pairs, d.mean) == (3, 2.0)
    assert (d.low, d.high) == pytest.approx((2 - half, 2 + half))


def test_paired_difference_agrees_with_scipy() -> None:
    d, interval = paired_difference(A, B), stats.ttest_rel(A, B).confidence_interval(0.95)
    assert (d.low, d.high) == pytest.approx((interval.low, interval.high))


def test_the_interval_is_of_pairs_not_of_groups() -> None:
    d = paired_difference([0.70, 0.80, 0.90], [0.69, 0.79, 0.89])
    assert d.high - d.low < 1e-9


def test_one_pair_has_a_difference_and_no_interval() -> None:
    d = paired_difference([0.8], [0.7])
    assert d.pairs == 1
    assert d.mean == pytest.approx(0.1)
    assert math.isnan(d.low)
    assert math.isnan(d.high)


def test_values_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"one common shape \(n,\), not \(2,\) and \(3,\)"):
        paired_difference([1, 2], [1, 2, 3])


def test_prediction_interval_of_an_example_by_hand() -> None:
    interval = prediction_interval([1.0, 2.0, 3.0])  # mean 2, SD 1
    half = 4.302652729911275 * math.sqrt(4 / 3)
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half))


def test_prediction_interval_agrees_with_scipy() -> None:
    low, high = stats.t.interval(0.95, len(A) - 1, A.mean(), A.std(ddof=1) * math.sqrt(1 + 1 / len(A)))
    interval = prediction_interval(A)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_one_run_in_twenty_is_outside_the_prediction_interval() -> None:
    draws = RNG.normal(size=(4000, 6))
    outside = sum(prediction_interval(row[:5]).contains(row[5]) is False for row in draws)
    assert 0.04 < outside / len(draws) < 0.06  # three standard errors are 0.0103


def test_an_interval_contains_its_ends_and_is_unknown_with_nan() -> None:
    assert Interval(0.8, 0.9).contains(0.8) is True
    assert Interval(0.8, 0.9).contains(0.91) is False
    assert Interval(0.8, 0.9).contains(math.nan) is None
    assert prediction_interval([0.8]).contains(0.8) is None


# sign flips


def test_sign_flips_of_an_example_by_hand() -> None:
    # |sum| over the eight patterns of 1, 2, 4: 7, 5, 3, 1, each twice; -1 + 2 + 4 = 5 is reached by four of eight
    assert sign_flip_p([1.0, 2.0, 4.0]) == 2 / 8
    assert sign_flip_p([-1.0, 2.0, 4.0]) == 4 / 8


@pytest.mark.parametrize("n", [2, 5, 9, 12])
def test_sign_flips_agree_with_scipy(n: int) -> None:
    d = np.random.default_rng(n).normal(0.5, 1.0, n)
    theirs = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=2**n)
    assert sign_flip_p(d) == pytest.approx(theirs.pvalue)


def test_sign_flips_of_twenty_pairs_are_exact() -> None:
    d = np.random.default_rng(1).normal(0.3, 1.0, 20)
    patterns = ((np.arange(2**20)[:, None] >> np.arange(20)) & 1) * 2.0 - 1
    assert sign_flip_p(d) == (np.abs(patterns @ d) >= abs(d.sum()) - 1e-12).mean()


def test_patterns_that_differ_by_rounding_are_equally_extreme() -> None:
    d = [0.803 - 0.8, 0.813 - 0.81, 0.801 - 0.803 + 0.005]  # all 0.003, and no two are the same float
    assert len(set(d)) == 3
    assert sign_flip_p(d) == 2 / 8
    assert sign_flip_p([*d, -d[0]]) == 10 / 16  # all or none flipped, or any one: 2 sums of 4, 8 of 2


def test_sampled_sign_flips_agree_with_the_normal_approximation() -> None:
    for shift in (0.0, 0.15, 0.3):
        d = np.random.default_rng(2).normal(shift, 1.0, 60)
        p = 2 * stats.norm.sf(abs(d.sum()) / math.sqrt((d**2).sum()))  # the sum's variance over sign patterns
        assert sign_flip_p(d) == pytest.approx(p, abs=0.006)


def test_sampled_sign_flips_are_reproducible_and_never_zero() -> None:
    d = np.random.default_rng(3).normal(0.2, 1.0, 21)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(np.ones(40)) == 1 / 100_001


def test_sampled_and_exact_sign_flips_agree() -> None:
    d = np.random.default_rng(4).normal(0.4, 1.0, 20)
    assert sign_flip_p([*d, 0.0]) == pytest.approx(sign_flip_p(d), abs=0.005)  # another zero changes no sum


def test_zero_differences_have_p_1() -> None:
    assert sign_flip_p(np.zeros(5)) == 1.0
    assert sign_flip_p(np.zeros(25)) == 1.0
    assert sign_flip_p([0.3]) == 1.0
    assert math.isnan(sign_flip_p([]))


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_the_smallest_p_is_reached_when_all_signs_agree(n: int) -> None:
    assert sign_flip_p(np.arange(1.0, n + 1)) == min_sign_flip_p(n) == 2 / 2**n


def test_the_smallest_p_is_at_most_one_and_at_least_that_of_the_random_patterns() -> None:
    assert min_sign_flip_p(0) == 1.0
    assert min_sign_flip_p(40) == sign_flip_p(np.ones(40))


def test_unknown_differences_are_an_error() -> None:
    for test in (sign_flip_p, win_rate, lambda d: tost_p(d, 1.0)):
        with pytest.raises(ValueError, match="finite values"):
            test([0.1, math.nan])


# families of tests, wins


def test_holm_of_an_example_by_hand() -> None:
    # in order .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and none may be below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_excludes_unknown_p_values_from_the_family() -> None:
    first, unknown, second = holm([0.04, math.nan, 0.03])
    assert (first, second) == pytest.approx((0.06, 0.06))
    assert math.isnan(unknown)
    assert holm([]) == []


def test_an_adjusted_p_is_at_most_one_and_a_single_p_is_unchanged() -> None:
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]


def test_holm_rejects_one_true_null_hypothesis_in_twenty_families() -> None:
    p = np.random.default_rng(5).uniform(size=(10_000, 4))
    wrong = sum(min(holm(row)) < 0.05 for row in p)
    assert 0.042 < wrong / len(p) < 0.056  # independent: 1 - (1 - .05/4)^4 = 0.049; three standard errors are 0.0065


def test_a_tie_counts_as_half_a_win() -> None:
    assert win_rate([1.0, 2.0, -1.0, 0.0]) == 2.5 / 4
    assert win_rate([-3.0]) == 0.0
    assert math.isnan(win_rate([]))


def test_win_rate_agrees_with_scipy() -> None:
    d = np.round(RNG.normal(0.2, 1.0, 50), 1)
    assert win_rate(d) == pytest.approx(1 - stats.percentileofscore(d, 0.0, kind="mean") / 100)


# equivalence, SD


def test_tost_of_an_example_by_hand() -> None:
    # mean 1, SD √2, n 2: t = (1 - 3)/1 = -2 at the nearer margin; one degree of freedom: 1/2 - atan(2)/π
    assert tost_p([0.0, 2.0], 3.0) == pytest.approx(0.5 - math.atan(2) / math.pi)


@pytest.mark.parametrize("shift", [-0.5, 0.1, 0.5, 2.0])
def test_tost_agrees_with_scipy(shift: float) -> None:
    d = np.random.default_rng(6).normal(shift, 1.0, 15)
    above = stats.ttest_1samp(d, -0.8, alternative="greater").pvalue
    below = stats.ttest_1samp(d, 0.8, alternative="less").pvalue
    assert tost_p(d, 0.8) == pytest.approx(max(above, below))


def test_tost_of_equal_differences_depends_on_the_margin_alone() -> None:
    assert tost_p([0.5, 0.5, 0.5], 1.0) == 0.0
    assert tost_p([1.0, 1.0, 1.0], 1.0) == 1.0
    assert tost_p([-2.0, -2.0], 1.0) == 1.0
    assert math.isnan(tost_p([0.5], 1.0))


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_that_is_not_positive_is_an_error(margin: float) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        tost_p([0.1, 0.2], margin)


def test_the_interval_of_an_sd_of_an_example_by_hand() -> None:
    interval = sd_interval(2.0, 10)  # chi-square of nine degrees of freedom from a table: 2.70039, 19.02277
    assert (interval.low, interval.high) == pytest.approx((2 * math.sqrt(9 / 19.02277), 2 * math.sqrt(9 / 2.70039)))
    assert math.isnan(sd_interval(math.nan, 1).low)


def test_the_interval_of_an_sd_has_95_percent_coverage() -> None:
    intervals = [sd_interval(row.std(ddof=1), 5) for row in np.random.default_rng(7).normal(0, 2, (4000, 5))]
    assert np.mean([interval.contains(2.0) for interval in intervals]) == pytest.approx(0.95, abs=0.01)
