import math

import numpy as np
import pytest
from scipy import stats

from dropexp.stats import Interval, paired_difference, prediction_interval, spread

RNG = np.random.default_rng(0)
A, B = RNG.normal(0.83, 0.02, 9), RNG.normal(0.82, 0.02, 9)


def test_spread_of_a_case_by_hand() -> None:
    s = spread([1.0, 2.0, 6.0])  # deviations -2, -1, 3: squares 14, over two degrees of freedom 7
    assert (s.n, s.mean) == (3, 3.0)
    assert s.sd == pytest.approx(math.sqrt(7))


def test_spread_agrees_with_scipy() -> None:
    found = stats.describe(A)
    assert spread(A).mean == pytest.approx(found.mean)
    assert spread(A).sd == pytest.approx(math.sqrt(found.variance))


def test_one_value_has_no_spread_and_none_has_no_mean() -> None:
    one, none = spread([0.8]), spread([])
    assert (one.n, one.mean) == (1, 0.8)
    assert math.isnan(one.sd)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_paired_difference_of_a_case_by_hand() -> None:
    d = paired_difference([3.0, 5.0, 7.0], [2.0, 3.0, 4.0])  # differences 1, 2, 3: mean 2, SD 1
    half = 4.302652729911275 / math.sqrt(3)  # t(.975, 2) from a table
    assert (d.pairs, d.mean) == (3, 2.0)
    assert (d.low, d.high) == pytest.approx((2 - half, 2 + half))


def test_paired_difference_agrees_with_scipy() -> None:
    d, interval = paired_difference(A, B), stats.ttest_rel(A, B).confidence_interval(0.95)
    assert (d.low, d.high) == pytest.approx((interval.low, interval.high))


def test_the_difference_is_of_pairs_not_of_groups() -> None:
    d = paired_difference([0.70, 0.80, 0.90], [0.69, 0.79, 0.89])
    assert d.high - d.low < 1e-9


def test_one_pair_has_a_difference_and_no_interval() -> None:
    d = paired_difference([0.8], [0.7])
    assert d.pairs == 1
    assert d.mean == pytest.approx(0.1)
    assert math.isnan(d.low)
    assert math.isnan(d.high)


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one common shape \(n,\), not \(2,\) and \(3,\)"):
        paired_difference([1, 2], [1, 2, 3])


def test_prediction_interval_of_a_case_by_hand() -> None:
    interval = prediction_interval([1.0, 2.0, 3.0])  # mean 2, SD 1
    half = 4.302652729911275 * math.sqrt(4 / 3)
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half))


def test_prediction_interval_agrees_with_scipy() -> None:
    low, high = stats.t.interval(0.95, len(A) - 1, A.mean(), A.std(ddof=1) * math.sqrt(1 + 1 / len(A)))
    interval = prediction_interval(A)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_one_run_in_twenty_falls_outside_the_prediction_interval() -> None:
    draws = RNG.normal(size=(4000, 6))
    outside = sum(prediction_interval(row[:5]).holds(row[5]) is False for row in draws)
    assert 0.04 < outside / len(draws) < 0.06  # three standard errors are 0.0103


def test_an_interval_holds_its_ends_and_knows_what_it_does_not_know() -> None:
    assert Interval(0.8, 0.9).holds(0.8) is True
    assert Interval(0.8, 0.9).holds(0.91) is False
    assert Interval(0.8, 0.9).holds(math.nan) is None
    assert prediction_interval([0.8]).holds(0.8) is None
