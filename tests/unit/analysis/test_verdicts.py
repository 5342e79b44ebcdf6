"""The rules of verdicts, families of comparisons, and error rates."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers.verdicts import MARGIN, SHAPE, pair, verdict

from dropexp.analysis.sentences import sentence
from dropexp.analysis.stats import holm, sign_flip_p, tost_p
from dropexp.analysis.verdicts import VerdictWord, judge
from dropexp.runs.metrics import NATS, NUMBER

# the rules and their order


def test_a_large_significant_gain_is_better_and_a_loss_is_worse() -> None:
    assert verdict(0.012 + 0.004 * SHAPE).word is VerdictWord.BETTER
    assert verdict(-0.012 + 0.004 * SHAPE).word is VerdictWord.WORSE


def test_a_negative_difference_is_better_if_lower_is_better() -> None:
    found = judge([pair(-0.02 + 0.01 * SHAPE, "nn", "test loss after 5 epochs", False, NATS)], 0.005)[0]
    assert found.word is VerdictWord.BETTER
    assert found.wins == 1.0
    assert sentence(found) == (
        "nn is BETTER than none in test loss after 5 epochs: -0.0200 nats, 95 % interval [-0.0256, -0.0144], "
        "p = 0.002, better in 10 of 10 pairs."
    )


def test_a_metric_without_a_better_direction_is_higher_or_lower() -> None:
    more, less = (
        judge([pair(side * 2 + SHAPE, "nn", "norm of W1 after 5 epochs", None, NUMBER)], 0.1)[0] for side in (1, -1)
    )
    assert (more.word, more.wins) == (VerdictWord.HIGHER, 1.0)
    assert (less.word, less.wins) == (VerdictWord.LOWER, 0.0)
    assert sentence(more) == (
        "nn is HIGHER than none in norm of W1 after 5 epochs: +2, 95 % interval [+1.445, +2.555], "
        "p = 0.002, higher in 10 of 10 pairs."
    )
    assert "lower in 10 of 10 pairs" in sentence(less)
    few = judge([pair(2 + SHAPE[:5], "nn", "norm of W1 after 5 epochs", None, NUMBER)], 0.1)[0]
    assert "HIGHER and LOWER cannot be reached with 5 seeds" in sentence(few)


def test_small_differences_with_a_small_spread_are_equivalent() -> None:
    assert verdict(0.002 * SHAPE).word is VerdictWord.EQUIVALENT


def test_a_difference_that_is_shown_to_be_within_the_margin_is_negligible() -> None:
    found = verdict(0.001 + 0.0005 * SHAPE)
    assert found.p_holm < 0.05
    assert found.p_equivalent_holm < 0.05
    assert found.word is VerdictWord.NEGLIGIBLE


def test_a_difference_that_is_not_shown_to_be_within_the_margin_is_better() -> None:
    found = verdict(0.0025 + 0.002 * SHAPE)
    assert found.p_holm < 0.05 < found.p_equivalent_holm
    assert found.word is VerdictWord.BETTER


def test_a_difference_that_is_neither_shown_nor_excluded_is_inconclusive() -> None:
    found = verdict(0.004 + 0.02 * SHAPE)
    assert found.p_holm > 0.05 < found.p_equivalent
    assert found.word is VerdictWord.INCONCLUSIVE


def test_the_margin_decides_between_better_and_negligible() -> None:
    differences = 0.0025 + 0.002 * SHAPE
    assert verdict(differences, 0.003).word is VerdictWord.BETTER
    assert verdict(differences, 0.005).word is VerdictWord.NEGLIGIBLE


def test_broken_runs_leave_every_difference_inconclusive() -> None:
    for differences in (0.012 + 0.004 * SHAPE, 0.002 * SHAPE, 0.001 + 0.0005 * SHAPE):
        (found,) = judge([replace(pair(differences), broken=["seed 3 of nn diverged"])], MARGIN)
        assert found.word is VerdictWord.INCONCLUSIVE


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
    equivalence = [tost_p(member.differences, MARGIN) for member in family]
    assert [v.p_equivalent for v in found] == equivalence
    assert [v.p_equivalent_holm for v in found] == holm(equivalence)


def test_in_a_family_an_equivalence_of_three_percent_is_inconclusive() -> None:
    alone = 0.0058 * SHAPE
    assert 0.025 < tost_p(alone, MARGIN) < 0.05
    assert verdict(alone).word is VerdictWord.EQUIVALENT
    family = judge([pair(alone), pair(0.02 * SHAPE, "scratch")], MARGIN)
    assert [v.word for v in family] == [VerdictWord.INCONCLUSIVE] * 2


def test_arms_with_fewer_than_two_pairs_do_not_change_the_p_of_others() -> None:
    gain = pair(0.01 + 0.002 * SHAPE[:6])
    family = judge([gain, pair([0.01], "one"), pair([], "zero")], MARGIN)
    assert [v.word for v in family] == [VerdictWord.BETTER, VerdictWord.INCONCLUSIVE, VerdictWord.INCONCLUSIVE]
    assert family[0].p_holm == family[0].p == 0.03125
    assert all(math.isnan(v.p) and math.isnan(v.p_holm) and v.needed.pairs is None for v in family[1:])


def test_no_pairs_have_no_verdicts_and_a_margin_of_zero_is_an_error() -> None:
    assert judge([], MARGIN) == []
    with pytest.raises(ValueError, match=r"the margin is 0\.0; it must be above zero"):
        verdict(SHAPE, 0.0)


# error rates


def share(words: set[VerdictWord], mean: float, sd: float, studies: int = 2000) -> float:
    """Return the share of simulated studies, of ten seeds and one comparison, that get one of the words."""
    drawn = np.random.default_rng(10).normal(mean, sd, (studies, 10))
    return sum(verdict(row).word in words for row in drawn) / studies


@pytest.mark.parametrize("sd", [0.005, 0.01, 0.02])
def test_few_studies_without_a_difference_find_one(sd: float) -> None:
    assert share({VerdictWord.BETTER, VerdictWord.WORSE}, 0.0, sd) <= 0.065


def test_most_studies_find_a_difference_of_one_point() -> None:
    assert share({VerdictWord.BETTER}, 0.01, 0.005) >= 0.95


def test_a_difference_of_the_margin_is_rarely_called_equivalent() -> None:
    assert share({VerdictWord.EQUIVALENT}, MARGIN, 0.003) <= 0.065


def test_thousands_of_arms_are_judged_in_seconds() -> None:
    rng = np.random.default_rng(0)
    family = [pair(rng.normal(0, 0.01, 5), f"arm {i}") for i in range(2000)]
    began = time.process_time()
    judged = judge(family, 0.003)
    assert time.process_time() - began < 6  # 10 s if Holm is repeated for each rule of each arm
    assert "cannot be reached with 5 seeds and 2000 comparisons" in sentence(judged[0])
