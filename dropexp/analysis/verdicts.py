"""Judge arms that were compared over paired runs.

A difference is shown if the p-value of the sign-flip test is below 5 %. It is shown to be negligible, that is within
the margin, if the p-value of two one-sided t-tests (TOST) is below 5 %. Both are Holm-adjusted over the family: all
comparisons that are judged together.

                shown   shown to be negligible
BETTER, WORSE   yes     no      HIGHER, LOWER for a metric without a better direction
NEGLIGIBLE      yes     yes
EQUIVALENT      no      yes
INCONCLUSIVE    no      no      and always below two pairs, or if a run of an arm diverged or is at chance level

`sentences.py` puts a verdict into words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis import power, stats
from dropexp.analysis.plan_new_study import NewStudy
from dropexp.analysis.power import NO_NUMBER, Needed
from dropexp.analysis.stats import ALPHA, Difference
from dropexp.runs.metrics import Unit


class VerdictWord(StrEnum):
    """The verdict on an arm and its baseline, in a word."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    HIGHER = "HIGHER"
    LOWER = "LOWER"
    NEGLIGIBLE = "NEGLIGIBLE"
    EQUIVALENT = "EQUIVALENT"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Pair:
    """Two arms and their differences, arm minus baseline, shape (n,): one per seed that both have.

    what              the metric and the epoch in words: "test accuracy after 5 epochs"
    higher_is_better  None if the metric has no better direction; the arm then "wins" where it is higher
    unit              of the metric; differences in fractions are printed in points
    caveat            sentences that follow the verdict's
    absent            why there is no difference, if there is none
    new_study         the new study to which these runs are a pilot, if both arms are of one study, otherwise None
    broken            runs of the arms that diverged or are at chance level, in words; they are part of the verdict
    """

    arm: str
    baseline: str
    differences: NDArray[np.float64]
    what: str
    higher_is_better: bool | None
    unit: Unit
    caveat: str = ""
    absent: str = "the arms have no seed in common"
    new_study: NewStudy | None = None
    broken: Sequence[str] = ()

    @property
    def gains(self) -> NDArray[np.float64]:
        """The differences, with the sign that makes a better (or higher) arm positive."""
        return -self.differences if self.higher_is_better is False else self.differences

    @property
    def directions(self) -> tuple[VerdictWord, VerdictWord]:
        """The words for a gain and for a loss."""
        if self.higher_is_better is None:
            return VerdictWord.HIGHER, VerdictWord.LOWER
        return VerdictWord.BETTER, VerdictWord.WORSE

    @property
    def direction(self) -> VerdictWord:
        """The word for the mean difference."""
        gain, loss = self.directions
        return gain if self.gains.mean() > 0 else loss


@dataclass(frozen=True)
class Family:
    """The sign-flip p-values of all comparisons that are judged together.

    A comparison of fewer than two pairs has p = NaN and does not make Holm's adjustment stricter for the others.
    """

    p_values: list[float]

    @cached_property
    def adjusted(self) -> list[float]:
        return stats.holm(self.p_values)

    @cached_property
    def ordered(self) -> NDArray[np.float64]:
        """The known p-values from small to large."""
        return np.array(sorted(p for p in self.p_values if not math.isnan(p)))

    @property
    def size(self) -> int:
        return len(self.ordered)

    def min_p(self, index: int, pairs: int) -> float:
        """Return the smallest adjusted p that comparison `index` could have with this many pairs.

        Equal to `stats.holm`, but the other p-values are sorted only once: a thousand sorts would take seconds.
        """
        p, own = stats.min_sign_flip_p(pairs), self.p_values[index]
        others = self.ordered if math.isnan(own) else np.delete(self.ordered, np.searchsorted(self.ordered, own))
        size, rank = len(others) + 1, int(np.searchsorted(others, p))
        smaller: list[float] = (others[:rank] * np.arange(size, size - rank, -1)).tolist()
        return min(1.0, max([p * (size - rank), *smaller]))


@dataclass(frozen=True)
class Verdict:
    """A word and the statistics it rests on; unknown figures are NaN or None.

    difference         mean difference and its 95 % interval
    p, p_holm          of the sign-flip test, and the same adjusted for the family
    wins               win rate: share of pairs in which the arm is better (or higher, without a better direction),
                       ties half
    p_equivalent       TOST p, of a true difference at or beyond the margin
    p_equivalent_holm  the same, adjusted for the family
    detectable         minimum detectable difference, in the differences' unit: the smallest margin for which these
                       pairs have 80 % power to detect a true difference of the margin; NaN if they can detect none
    needed             how many pairs have 80 % power to detect a true difference of the margin
    """

    word: VerdictWord
    pair: Pair
    margin: float
    family: Family
    index: int  # of the pair in its family
    difference: Difference
    p: float
    p_holm: float
    wins: float
    p_equivalent: float
    p_equivalent_holm: float
    detectable: float
    needed: Needed


def judge(pairs: Sequence[Pair], margin: float) -> list[Verdict]:
    """Return a verdict per pair; all pairs are one family.

    `margin` is the smallest difference that matters, in the unit of the pairs' `differences`.
    Raises ValueError if the margin is not positive or a difference is not finite.
    """
    family = Family([_sign_flip_p(pair) for pair in pairs])
    equivalence = [stats.tost_p(pair.differences, margin) for pair in pairs]
    figures = enumerate(zip(pairs, equivalence, stats.holm(equivalence), strict=True))
    return [_verdict(pair, family, index, margin, p, p_holm) for index, (pair, p, p_holm) in figures]


def _sign_flip_p(pair: Pair) -> float:
    return stats.sign_flip_p(pair.differences) if len(pair.differences) > 1 else math.nan


def _verdict(
    pair: Pair, family: Family, index: int, margin: float, p_equivalent: float, p_equivalent_holm: float
) -> Verdict:
    difference = stats.paired_difference(pair.differences, np.zeros_like(pair.differences))
    sd = stats.spread(pair.differences).sd
    judged = difference.pairs > 1 and not pair.broken
    in_sds = power.min_detectable_difference(difference.pairs, family.size) if judged else math.inf
    p_holm = family.adjusted[index]
    return Verdict(
        word=_word(pair, p_holm < ALPHA, p_equivalent_holm < ALPHA),  # an unknown p is NaN, and NaN < ALPHA is false
        pair=pair,
        margin=margin,
        family=family,
        index=index,
        difference=difference,
        p=family.p_values[index],
        p_holm=p_holm,
        wins=stats.win_rate(pair.gains),
        p_equivalent=p_equivalent,
        p_equivalent_holm=p_equivalent_holm,
        detectable=math.nan if math.isinf(in_sds) else sd * in_sds,
        needed=power.needed(sd, difference.pairs, margin, family.size) if judged else NO_NUMBER,
    )


def _word(pair: Pair, differs: bool, negligible: bool) -> VerdictWord:
    """Return the word for this combination: the table in the module's docstring."""
    if pair.broken:
        return VerdictWord.INCONCLUSIVE
    if differs:
        return VerdictWord.NEGLIGIBLE if negligible else pair.direction
    return VerdictWord.EQUIVALENT if negligible else VerdictWord.INCONCLUSIVE
