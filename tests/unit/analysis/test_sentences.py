"""Verdicts in sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.verdicts import MARGIN, SHAPE, pair, verdict

from dropexp.analysis.sentences import sentence
from dropexp.analysis.verdicts import VerdictWord, judge
from dropexp.runs.metrics import NATS, SECONDS


def test_a_result_has_difference_interval_p_and_pairs() -> None:
    assert sentence(verdict(0.012 + 0.004 * SHAPE)) == (
        "nn is BETTER than none in test accuracy after 5 epochs: +1.20 points, 95 % interval [+0.98, +1.42], "
        "p = 0.002, better in 10 of 10 pairs."
    )
    assert "WORSE than none in test accuracy after 5 epochs: -1.20 points, 95 % interval [-1.42, -0.98]" in (
        worse := sentence(verdict(-0.012 + 0.004 * SHAPE))
    )
    assert worse.endswith("worse in 10 of 10 pairs.")


def test_a_p_adjusted_by_holm_has_the_number_of_comparisons() -> None:
    family = judge([pair(0.012 + 0.004 * SHAPE), pair(0.02 * SHAPE, "scratch")], MARGIN)
    assert "p = 0.004 (Holm, 2 comparisons)" in sentence(family[0])


def test_an_equivalence_has_the_margin() -> None:
    assert sentence(verdict(0.002 * SHAPE)) == (
        "nn and none are EQUIVALENT WITHIN ±0.3 points in test accuracy after 5 epochs: +0.00 points, "
        "95 % interval [-0.11, +0.11], p < 0.001 against a true difference of 0.3 points or more, 10 pairs."
    )


def test_a_negligible_difference_has_its_direction_the_margin_and_both_p_values() -> None:
    assert sentence(verdict(-0.001 + 0.001 * SHAPE)) == (
        "nn is worse than none in test accuracy after 5 epochs, by a NEGLIGIBLE amount within ±0.3 points: "
        "-0.10 points, 95 % interval [-0.16, -0.04], p = 0.006, p < 0.001 against a true difference of 0.3 points or "
        "more, worse in 9 of 10 pairs."
    )


def test_both_p_values_have_the_number_of_comparisons() -> None:
    family = judge([pair(-0.001 + 0.001 * SHAPE), pair(0.02 * SHAPE, "scratch")], MARGIN)
    assert "p = 0.012 (Holm, 2 comparisons), p < 0.001 (Holm, 2 comparisons) against" in sentence(family[0])


def test_broken_runs_are_named_with_the_estimate_of_the_others() -> None:
    broken = ["seeds 3, 5 of nn diverged", "seed 4 of none is at chance level (0.100)"]
    pairs = pair(0.012 + 0.004 * SHAPE), pair([])
    many, none = judge([replace(one, broken=broken) for one in pairs], MARGIN)
    start = (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: seeds 3, 5 of nn diverged; seed 4 of none is "
        "at chance level (0.100); a verdict would rest on only the runs that finished well "
    )
    assert sentence(many) == f"{start}(+1.20 points, 95 % interval [+0.98, +1.42])."
    assert sentence(none) == f"{start}(the arms have no seed in common)."


def test_an_inconclusive_result_has_the_detectable_difference_and_the_seeds_for_the_margin() -> None:
    found = verdict(0.001 + 0.01 * SHAPE)
    assert sentence(found) == (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: +0.10 points, "
        "95 % interval [-0.46, +0.66], p = 0.719. 10 pairs detect a difference of 0.77 points with 80 % power; "
        "detecting 0.3 points needs about 55 seeds."
    )
    assert found.detectable == pytest.approx(0.0077, abs=5e-5)
    assert found.pairs_needed == 55


@pytest.mark.parametrize(
    ("pairs", "comparisons", "floor", "seeds"), [(5, 1, "0.0625", 6), (5, 2, "0.125", 7), (6, 2, "0.0625", 7)]
)
def test_too_few_seeds_for_significance_are_named_with_the_number_that_suffices(
    pairs: int, comparisons: int, floor: str, seeds: int
) -> None:
    gain = 0.03 + 0.001 * SHAPE[:pairs]  # every sign agrees, the spread is tiny
    family = judge([pair(gain, str(i)) for i in range(comparisons)], MARGIN)
    assert all(v.word is VerdictWord.INCONCLUSIVE for v in family)
    beside = "" if comparisons == 1 else f" and {comparisons} comparisons"
    assert sentence(family[0]).endswith(
        f". With {pairs} pairs{beside}, p cannot be below {floor}: BETTER and WORSE need at least {seeds} seeds."
    )
    more = judge([pair(0.03 + 0.001 * SHAPE[:seeds], str(i)) for i in range(comparisons)], MARGIN)
    assert all(v.word is VerdictWord.BETTER for v in more)


def test_the_least_p_is_lower_beside_a_significant_comparison() -> None:
    family = judge([pair(0.03 + 0.001 * SHAPE), pair(0.03 + 0.001 * SHAPE[:5], "scratch")], MARGIN)
    assert "p cannot be below 0.0625: BETTER and WORSE need at least 6 seeds" in sentence(family[1])


def test_six_pairs_without_other_comparisons_suffice_for_significance() -> None:
    found = verdict(0.02 * SHAPE[2:8])
    assert found.word is VerdictWord.INCONCLUSIVE
    assert "cannot be below" not in sentence(found)


def test_the_seeds_for_the_margin_are_at_least_those_for_significance() -> None:
    found = judge([pair([0.004, 0.008, 0.006, 0.008, 0.004]), pair(0.01 * SHAPE, "scratch")], MARGIN)[0]
    assert found.pairs_needed == 6
    assert "need at least 7 seeds; detecting 0.3 points with 80 % power needs about 7 seeds" in sentence(found)


@pytest.mark.parametrize(
    ("size", "detected"), [(1e4, "7719.2748"), (1e10, "7.719e+09"), (1e38, "7.719e+37")], ids=["1e4", "1e10", "1e38"]
)
def test_seeds_beyond_any_study_are_not_counted(size: float, detected: str) -> None:
    (found,) = judge([pair(size * SHAPE, unit=NATS)], MARGIN)
    assert found.pairs_needed is None
    assert sentence(found).endswith(
        f". 10 pairs detect a difference of {detected} nats with 80 % power; "
        "detecting 0.003 nats needs more than 10⁹ seeds."
    )


def test_enough_pairs_for_the_margin_can_show_nothing() -> None:
    found = verdict(0.0016 + 0.0036 * SHAPE)
    assert (found.pairs_needed or 0) <= 10
    assert sentence(found).endswith("The pairs show neither a difference nor equivalence within ±0.3 points.")


def test_fewer_than_two_pairs_have_no_verdict() -> None:
    one, none = judge([pair([0.01]), pair([], "scratch")], MARGIN)
    assert sentence(one) == (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: +1.00 points with one seed; "
        "n = 1, no spread can be estimated."
    )
    assert sentence(none) == (
        "scratch against none in test accuracy after 5 epochs is INCONCLUSIVE: the arms have no seed in common."
    )


def test_seconds_have_three_decimals_and_zero_has_no_minus() -> None:
    slower = sentence(judge([pair(0.5 + 0.1 * SHAPE, "nn", "seconds per epoch", False, SECONDS)], 0.05)[0])
    assert slower.startswith("nn is WORSE than none in seconds per epoch: +0.500 s, 95 % interval [+0.444, +0.556]")
    assert "+0.00 points" in sentence(verdict(-1e-6 + 0.002 * SHAPE))


def test_p_is_not_rounded_across_five_percent() -> None:
    rng = np.random.default_rng(9)
    drawn = (verdict(rng.normal(0.007, 0.01, 12)) for _ in range(5000))
    found = next(v for v in drawn if 0.0495 <= v.p < 0.05)  # three decimals would print 0.050
    assert found.word is VerdictWord.BETTER
    assert "p = 0.049" in sentence(found)
