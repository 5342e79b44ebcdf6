import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from dropexp.analysis.sentences import sentence
from dropexp.analysis.stats import holm, sign_flip_p, tost_p
from dropexp.analysis.verdicts import Pair, Verdict, VerdictWord, judge
from dropexp.runs.metrics import Unit

MARGIN = 0.003
SHAPE = np.array([-1.2, -0.9, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 0.9, 1.2])  # sums to zero


def pair(
    differences: ArrayLike,
    arm: str = "nn",
    what: str = "test accuracy after 5 epochs",
    higher_is_better: bool | None = True,
    unit: Unit = "points",
) -> Pair:
    return Pair(arm, "none", np.asarray(differences, dtype=float), what, higher_is_better, unit)


def verdict(differences: ArrayLike, margin: float = MARGIN) -> Verdict:
    (only,) = judge([pair(differences)], margin)
    return only


# the rules and their order


def test_a_large_and_certain_gain_is_better_and_a_loss_is_worse() -> None:
    assert verdict(0.012 + 0.004 * SHAPE).word is VerdictWord.BETTER
    assert verdict(-0.012 + 0.004 * SHAPE).word is VerdictWord.WORSE


def test_where_lower_is_better_a_loss_is_better() -> None:
    found = judge([pair(-0.02 + 0.01 * SHAPE, "nn", "test loss after 5 epochs", False, "nats")], 0.005)[0]
    assert found.word is VerdictWord.BETTER
    assert found.wins == 1.0
    assert sentence(found) == (
        "nn is BETTER than none in test loss after 5 epochs: -0.0200 nats, 95 % interval [-0.0256, -0.0144], "
        "p = 0.002, better in 10 of 10 pairs."
    )


def test_where_neither_way_is_better_more_is_higher_and_less_is_lower() -> None:
    more, less = (
        judge([pair(side * 2 + SHAPE, "nn", "norm of W1 after 5 epochs", None, "")], 0.1)[0] for side in (1, -1)
    )
    assert (more.word, more.wins) == (VerdictWord.HIGHER, 1.0)
    assert (less.word, less.wins) == (VerdictWord.LOWER, 0.0)
    assert sentence(more) == (
        "nn is HIGHER than none in norm of W1 after 5 epochs: +2, 95 % interval [+1.445, +2.555], "
        "p = 0.002, higher in 10 of 10 pairs."
    )
    assert "lower in 10 of 10 pairs" in sentence(less)
    few = judge([pair(2 + SHAPE[:5], "nn", "norm of W1 after 5 epochs", None, "")], 0.1)[0]
    assert "HIGHER and LOWER need at least 6 seeds" in sentence(few)


def test_small_differences_with_a_small_spread_are_equivalent() -> None:
    assert verdict(0.002 * SHAPE).word is VerdictWord.EQUIVALENT


def test_equivalence_is_said_before_a_detectable_difference() -> None:
    found = verdict(0.001 + 0.0005 * SHAPE)
    assert found.p_holm < 0.05
    assert found.p_equivalent < 0.05
    assert found.word is VerdictWord.EQUIVALENT


def test_a_certain_difference_that_may_exceed_the_margin_but_does_not_is_detectable() -> None:
    found = verdict(0.0025 + 0.002 * SHAPE)
    assert found.p_holm < 0.05 < found.p_equivalent
    assert found.word is VerdictWord.DETECTABLE


def test_what_is_neither_shown_nor_excluded_is_inconclusive() -> None:
    found = verdict(0.004 + 0.02 * SHAPE)
    assert found.p_holm > 0.05 < found.p_equivalent
    assert found.word is VerdictWord.INCONCLUSIVE


def test_a_difference_of_exactly_the_margin_reaches_it() -> None:
    differences = 0.003 + np.array([-0.001, 0.001] * 5)
    assert differences.mean() == pytest.approx(MARGIN)
    for margin in (MARGIN, float(differences.mean()), math.nextafter(float(differences.mean()), 1)):
        assert verdict(differences, margin).word is VerdictWord.BETTER


def test_the_margin_decides_between_better_and_detectable() -> None:
    differences = 0.0025 + 0.002 * SHAPE
    assert verdict(differences, 0.002).word is VerdictWord.BETTER
    assert verdict(differences, 0.003).word is VerdictWord.DETECTABLE


# the family


def test_in_a_family_a_p_of_three_percent_is_inconclusive() -> None:
    alone = 0.01 + 0.01 * np.array([0.0, 0.2, -0.2, 0.4, -0.4, 0.0])  # six of six signs agree: p = 2/64
    assert verdict(alone).word is VerdictWord.BETTER
    noise = 0.02 * SHAPE
    first, second = judge([pair(alone), pair(noise, "scratch")], MARGIN)
    assert (first.p, first.p_holm) == (0.03125, 0.0625)
    assert first.word is second.word is VerdictWord.INCONCLUSIVE


def test_the_figures_of_a_verdict_are_those_of_the_tests() -> None:
    rng = np.random.default_rng(0)
    family = [pair(rng.normal(0.004, 0.005, 9), str(i)) for i in range(3)]
    p = [sign_flip_p(member.differences) for member in family]
    found = judge(family, MARGIN)
    assert [v.p for v in found] == p
    assert [v.p_holm for v in found] == holm(p)
    assert [v.p_equivalent for v in found] == [tost_p(member.differences, MARGIN) for member in family]


def test_arms_with_fewer_than_two_pairs_do_not_make_the_others_stricter() -> None:
    gain = pair(0.01 + 0.002 * SHAPE[:6])
    family = judge([gain, pair([0.01], "one"), pair([], "zero")], MARGIN)
    assert [v.word for v in family] == [VerdictWord.BETTER, VerdictWord.INCONCLUSIVE, VerdictWord.INCONCLUSIVE]
    assert family[0].p_holm == family[0].p == 0.03125
    assert all(math.isnan(v.p) and math.isnan(v.p_holm) and v.pairs_needed is None for v in family[1:])


def test_no_pair_is_no_verdict_and_a_margin_of_zero_is_refused() -> None:
    assert judge([], MARGIN) == []
    with pytest.raises(ValueError, match=r"the margin is 0\.0; it must be above zero"):
        verdict(SHAPE, 0.0)


# the sentences


def test_a_sentence_of_a_result_gives_difference_interval_p_and_pairs() -> None:
    assert sentence(verdict(0.012 + 0.004 * SHAPE)) == (
        "nn is BETTER than none in test accuracy after 5 epochs: +1.20 points, 95 % interval [+0.98, +1.42], "
        "p = 0.002, better in 10 of 10 pairs."
    )
    assert "WORSE than none in test accuracy after 5 epochs: -1.20 points, 95 % interval [-1.42, -0.98]" in (
        worse := sentence(verdict(-0.012 + 0.004 * SHAPE))
    )
    assert worse.endswith("worse in 10 of 10 pairs.")


def test_in_a_family_the_sentence_says_that_holm_adjusted_p() -> None:
    family = judge([pair(0.012 + 0.004 * SHAPE), pair(0.02 * SHAPE, "scratch")], MARGIN)
    assert "p = 0.004 (Holm, 2 comparisons)" in sentence(family[0])


def test_a_sentence_of_equivalence_names_the_margin() -> None:
    assert sentence(verdict(0.002 * SHAPE)) == (
        "nn and none are EQUIVALENT WITHIN ±0.3 points in test accuracy after 5 epochs: +0.00 points, "
        "95 % interval [-0.11, +0.11], p < 0.001 against a true difference of 0.3 points or more, 10 pairs."
    )


def test_a_sentence_of_a_detectable_difference_names_its_side_and_the_margin() -> None:
    assert sentence(verdict(-0.0025 + 0.003 * SHAPE)) == (
        "nn is worse than none in test accuracy after 5 epochs, DETECTABLE BUT BELOW THE MARGIN of 0.3 points: "
        "-0.25 points, 95 % interval [-0.42, -0.08], p = 0.012, worse in 8 of 10 pairs."
    )


def test_an_inconclusive_sentence_says_what_the_pairs_can_find_and_how_many_seeds_it_takes() -> None:
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
def test_where_no_p_can_be_small_enough_the_sentence_says_how_many_seeds_it_takes(
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


def test_beside_a_certain_comparison_of_more_seeds_the_floor_is_lower() -> None:
    family = judge([pair(0.03 + 0.001 * SHAPE), pair(0.03 + 0.001 * SHAPE[:5], "scratch")], MARGIN)
    assert "p cannot be below 0.0625: BETTER and WORSE need at least 6 seeds" in sentence(family[1])


def test_nothing_is_out_of_reach_of_six_pairs_alone() -> None:
    found = verdict(0.02 * SHAPE[2:8])
    assert found.word is VerdictWord.INCONCLUSIVE
    assert "cannot be below" not in sentence(found)


def test_the_seeds_that_would_do_are_never_fewer_than_those_below_which_nothing_can() -> None:
    found = judge([pair([0.004, 0.008, 0.006, 0.008, 0.004]), pair(0.01 * SHAPE, "scratch")], MARGIN)[0]
    assert found.pairs_needed == 6
    assert "need at least 7 seeds; detecting 0.3 points with 80 % power needs about 7 seeds" in sentence(found)


def test_pairs_enough_for_the_margin_may_still_show_nothing() -> None:
    found = verdict(0.0016 + 0.0036 * SHAPE)
    assert (found.pairs_needed or 0) <= 10
    assert sentence(found).endswith("The pairs show neither a difference nor equivalence within ±0.3 points.")


def test_one_run_is_not_a_result() -> None:
    one, none = judge([pair([0.01]), pair([], "scratch")], MARGIN)
    assert sentence(one) == (
        "nn against none in test accuracy after 5 epochs is INCONCLUSIVE: +1.00 points with one seed; "
        "n = 1, no spread can be estimated."
    )
    assert sentence(none) == (
        "scratch against none in test accuracy after 5 epochs is INCONCLUSIVE: the arms have no seed in common."
    )


def test_seconds_have_three_decimals_and_no_sum_is_a_negative_zero() -> None:
    slower = sentence(judge([pair(0.5 + 0.1 * SHAPE, "nn", "seconds per epoch", False, "s")], 0.05)[0])
    assert slower.startswith("nn is WORSE than none in seconds per epoch: +0.500 s, 95 % interval [+0.444, +0.556]")
    assert "+0.00 points" in sentence(verdict(-1e-6 + 0.002 * SHAPE))


def test_rounding_carries_no_p_across_five_percent() -> None:
    rng = np.random.default_rng(9)
    drawn = (verdict(rng.normal(0.007, 0.01, 12)) for _ in range(5000))
    found = next(v for v in drawn if 0.0495 <= v.p < 0.05)  # three decimals would print 0.050
    assert found.word is VerdictWord.BETTER
    assert "p = 0.049" in sentence(found)


# error rates


def share(words: set[VerdictWord], mean: float, sd: float, studies: int = 2000) -> float:
    """How many of simulated studies of ten seeds and one comparison end in one of the words."""
    drawn = np.random.default_rng(10).normal(mean, sd, (studies, 10))
    return sum(verdict(row).word in words for row in drawn) / studies


@pytest.mark.parametrize("sd", [0.005, 0.01, 0.02])
def test_without_a_difference_few_studies_claim_one(sd: float) -> None:
    assert share({VerdictWord.BETTER, VerdictWord.WORSE}, 0.0, sd) <= 0.065


def test_a_difference_of_one_point_is_found() -> None:
    assert share({VerdictWord.BETTER}, 0.01, 0.005) >= 0.95


def test_a_difference_of_the_margin_is_rarely_called_equivalent() -> None:
    assert share({VerdictWord.EQUIVALENT}, MARGIN, 0.003) <= 0.065
