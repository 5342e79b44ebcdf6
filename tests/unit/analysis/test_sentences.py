"""Verdicts in sentences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.verdicts import MARGIN, SHAPE, pair, verdict

from dropexp.analysis.plan_new_study import NewStudy
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
    broken = ["seeds 3, 5 of nn diverged", "seed 4 of none is at chance level (10.00 %)"]
    pairs = pair(0.012 + 0.004 * SHAPE), pair([])
    many, none = judge([replace(one, broken=broken) for one in pairs], MARGIN)
    start = (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: seeds 3, 5 of nn diverged; seed 4 of none is "
        "at chance level (10.00 %); a verdict never excludes such runs "
    )
    assert sentence(many) == f"{start}(all pairs with figures: +1.20 points, 95 % interval [+0.98, +1.42])."
    assert sentence(none) == f"{start}(the arms have no seed in common)."


def test_an_inconclusive_comparison_has_its_minimum_detectable_difference_and_the_seeds_needed() -> None:
    found = verdict(0.001 + 0.01 * SHAPE)
    assert sentence(found) == (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: +0.10 points, "
        "95 % interval [-0.46, +0.66], p = 0.719. With 80 % power, 10 seeds detect a true difference of 0.80 points; "
        "about 55 seeds (95 % interval 28 to 180) detect a true difference of 0.3 points."
    )
    assert found.detectable == pytest.approx(0.0080, abs=5e-5)
    assert (found.needed.pairs, found.needed.low, found.needed.high) == (55, 28, 178)


def test_an_open_comparison_ends_in_the_command_of_a_new_study_with_other_seeds() -> None:
    open_pair = replace(
        pair(0.001 + 0.01 * SHAPE), new_study=NewStudy("dropout-confirm", 100), caveat="nn also differs."
    )
    assert sentence(judge([open_pair], MARGIN)[0]).endswith(
        " detect a true difference of 0.3 points. nn also differs. These seeds are a pilot: decide on the number of "
        "seeds first, and judge a new study of other seeds alone: "
        "dropexp train -c FILE --set name=dropout-confirm --seeds 100..154"
    )
    decided = replace(open_pair, differences=0.012 + 0.004 * SHAPE)
    assert sentence(judge([decided], MARGIN)[0]).endswith("better in 10 of 10 pairs. nn also differs.")


def test_the_command_has_the_seeds_of_the_sentence_and_no_fewer_than_the_pilot() -> None:
    wide = replace(pair(0.03 * SHAPE), new_study=NewStudy("dropout-confirm", 100))
    assert "about 480 seeds" in (text := sentence(judge([wide], MARGIN)[0]))
    assert text.endswith("--seeds 100..579")
    enough = replace(pair(0.0016 + 0.0034 * SHAPE), new_study=NewStudy("dropout-confirm", 100))
    (found,) = judge([enough], MARGIN)
    assert found.word is VerdictWord.INCONCLUSIVE
    assert (found.needed.pairs or 0) < 10
    assert sentence(found).endswith("--seeds 100..109")


@pytest.mark.parametrize(
    ("pairs", "comparisons", "floor", "seeds"), [(5, 1, "0.0625", 6), (5, 2, "0.125", 7), (6, 2, "0.0625", 7)]
)
def test_too_few_seeds_for_significance_are_named_with_the_seeds_for_the_margin(
    pairs: int, comparisons: int, floor: str, seeds: int
) -> None:
    gain = 0.03 + 0.001 * SHAPE[:pairs]  # every sign agrees, the spread is tiny
    family = judge([pair(gain, str(i)) for i in range(comparisons)], MARGIN)
    assert all(v.word is VerdictWord.INCONCLUSIVE for v in family)
    beside = "" if comparisons == 1 else f" and {comparisons} comparisons"
    assert (
        f". BETTER and WORSE cannot be reached with {pairs} seeds{beside}: p is at least {floor}. With 80 % power, "
        f"about {seeds} seeds (95 % interval {seeds} to "
    ) in sentence(family[0])
    assert math.isnan(family[0].detectable)
    more = judge([pair(0.03 + 0.001 * SHAPE[:seeds], str(i)) for i in range(comparisons)], MARGIN)
    assert all(v.word is VerdictWord.BETTER for v in more)


def test_the_smallest_p_is_lower_beside_a_significant_comparison() -> None:
    family = judge([pair(0.03 + 0.001 * SHAPE), pair(0.03 + 0.001 * SHAPE[:5], "scratch")], MARGIN)
    assert "cannot be reached with 5 seeds and 2 comparisons: p is at least 0.0625." in sentence(family[1])


def test_six_pairs_without_other_comparisons_suffice_for_significance() -> None:
    found = verdict(0.02 * SHAPE[2:8])
    assert found.word is VerdictWord.INCONCLUSIVE
    assert "cannot be reached" not in sentence(found)


@pytest.mark.parametrize(
    ("size", "shown"), [(1e4, "7954.3053"), (1e10, "7.954e+09"), (1e38, "7.954e+37")], ids=["1e4", "1e10", "1e38"]
)
def test_seeds_beyond_any_study_are_not_counted(size: float, shown: str) -> None:
    (found,) = judge([replace(pair(size * SHAPE, unit=NATS), new_study=NewStudy("dropout-confirm", 100))], MARGIN)
    assert found.needed.pairs is None
    assert sentence(found).endswith(
        f". With 80 % power, 10 seeds detect a true difference of {shown} nats; "
        "more than 10⁹ seeds detect a true difference of 0.003 nats."
    )


def test_seeds_for_more_comparisons_than_were_simulated_are_unknown() -> None:
    found = judge([pair(0.02 * SHAPE)] * 101, MARGIN)[0]
    assert sentence(found).endswith("How many seeds are needed is known for up to 100 comparisons only.")


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
