"""How many seeds the rule of verdicts needs: its own power, found by simulating it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import rule

from dropexp.analysis.power import MAX_COMPARISONS, Needed, min_detectable_difference, needed, pairs_needed
from dropexp.analysis.stats import min_sign_flip_p


def power(pairs: int, comparisons: int, studies: int) -> float:
    """Return the share of studies that find arm 1 BETTER, which differs by the minimum detectable difference."""
    margin = min_detectable_difference(pairs, comparisons)
    drawn = np.random.default_rng([pairs, 4]).normal(size=(studies, comparisons, pairs))
    drawn[:, 0] += margin
    shown, negligible = (rule.rejected(p)[:, 0] for p in (rule.sign_flip_p(drawn), rule.tost_p(drawn, margin)))
    return float((shown & ~negligible & (drawn[:, 0].mean(axis=1) > 0)).mean())


@pytest.mark.parametrize(("pairs", "comparisons"), [(6, 1), (8, 1), (8, 5), (10, 2), (12, 11), (16, 3)])
def test_the_rule_shows_the_minimum_detectable_difference_with_80_percent_power(pairs: int, comparisons: int) -> None:
    assert power(pairs, comparisons, 4000) == pytest.approx(0.8, abs=0.025)  # three standard errors are 0.019


def test_beyond_the_table_sampled_sign_flips_have_80_percent_power_too() -> None:
    assert power(30, 2, 400) == pytest.approx(0.8, abs=0.06)


def test_five_pairs_show_nothing_and_other_pairs_what_their_smallest_p_allows() -> None:
    for comparisons in (1, 2, 5, 20, 100):
        for pairs in range(2, 21):
            reachable = comparisons * min_sign_flip_p(pairs) < 0.05
            assert math.isfinite(min_detectable_difference(pairs, comparisons)) == reachable


def test_the_minimum_detectable_difference_falls_with_pairs_and_rises_with_comparisons() -> None:
    for comparisons in (1, 2, 11, 100):
        shown = [min_detectable_difference(pairs, comparisons) for pairs in range(13, 60)]
        assert all(many < few for few, many in pairwise(shown))
    for pairs in (12, 20, 21, 50):
        shown = [min_detectable_difference(pairs, comparisons) for comparisons in range(1, 60)]
        assert all(few <= many for few, many in pairwise(shown))


def test_a_large_number_of_pairs_is_that_of_a_t_test() -> None:
    assert pairs_needed(0.02, 0.003, 1) == 351  # (1.960 + 0.842)²·(20/3)² = 349, and t is a little wider


@pytest.mark.parametrize("comparisons", [1, 5])
@pytest.mark.parametrize("margin", [0.05, 0.02, 0.01, 0.003, 0.0005])
def test_one_pair_less_than_needed_does_not_suffice(margin: float, comparisons: int) -> None:
    pairs = pairs_needed(0.02, margin, comparisons)
    assert pairs is not None
    assert (
        0.02 * min_detectable_difference(pairs, comparisons)
        <= margin
        < 0.02 * min_detectable_difference(pairs - 1, comparisons)
    )


def test_an_sd_of_zero_needs_the_pairs_of_the_smallest_p_and_an_unknown_sd_gives_no_number() -> None:
    assert [pairs_needed(0.0, 0.003, comparisons) for comparisons in (1, 2, 5)] == [6, 7, 8]
    assert pairs_needed(math.nan, 0.003, 1) is None


def test_more_pairs_than_any_study_has_are_not_counted() -> None:
    assert pairs_needed(30.0, 0.003, 1) == pytest.approx(7.849e8, rel=1e-3)
    assert pairs_needed(40.0, 0.003, 1) is None
    assert pairs_needed(1e38, 1e-6, 1) is None
    assert pairs_needed(1.0, 0.5, MAX_COMPARISONS) is not None
    assert pairs_needed(1.0, 0.5, MAX_COMPARISONS + 1) is None


def test_the_interval_of_the_number_is_that_of_the_sd() -> None:
    assert needed(0.02, 10, 0.01, 1) == Needed(
        pairs_needed(0.02, 0.01, 1), pairs_needed(0.01376, 0.01, 1), pairs_needed(0.03651, 0.01, 1)
    )


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_that_is_not_positive_is_an_error(margin: float) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        pairs_needed(1.0, margin, 1)
