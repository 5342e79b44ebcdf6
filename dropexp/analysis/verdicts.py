"""Verdicts in words on arms that were compared over paired runs.

The rules, in their order, for the family of comparisons that are printed together:

BETTER, WORSE   Holm's p is below 5 % and the mean difference is at least the margin;
                HIGHER, LOWER for a metric of which neither more nor less is better
EQUIVALENT      the two one-sided t-tests say, at 5 %, that the difference is within the margin
DETECTABLE      Holm's p is below 5 %, but the mean difference is below the margin
INCONCLUSIVE    all else, and always below two pairs
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis import stats
from dropexp.analysis.stats import ALPHA
from dropexp.runs.metrics import UNITLESS, Unit

_FORM: dict[Unit, str] = {"points": "z.2f", "nats": "z.4f", "s": "z.3f", "squares": "z.4g", "": "z.4g"}


class Word(StrEnum):
    """What the runs say of an arm beside its baseline."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    HIGHER = "HIGHER"
    LOWER = "LOWER"
    EQUIVALENT = "EQUIVALENT"
    DETECTABLE = "DETECTABLE"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Pair:
    """Two arms and their differences, arm minus baseline, shape (n,): one per seed that both have.

    `what` names the metric and the setting, as in "test accuracy after 5 epochs". `higher_is_better` is None if
    neither way is; then the arm "wins" and is told of by where it is higher. Differences of the unit
    "points" are fractions and are printed times 100. `caveat`, a sentence, ends the verdict's; `absent` says why
    there is no difference at all.
    """

    arm: str
    baseline: str
    differences: NDArray[np.float64]
    what: str
    higher_is_better: bool | None
    unit: Unit
    caveat: str = ""
    absent: str = "they have no seed in common"


@dataclass(frozen=True)
class Verdict:
    """A word, the sentence that bears it out, and its figures; what is not known is NaN or None.

    p             of the sign-flip test; `p_holm` is adjusted for all comparisons of two or more pairs
    wins          share of pairs in which the arm is better (or higher, where neither is better), a tie half
    p_equivalent  of a difference at or beyond the margin (TOST)
    detectable    the smallest true difference that these pairs find in 4 studies of 5, in the differences' unit
    pairs_needed  how many pairs would find one as small as the margin as often
    """

    word: Word
    sentence: str
    p: float
    p_holm: float
    wins: float
    p_equivalent: float
    detectable: float
    pairs_needed: int | None


def judge(pairs: Sequence[Pair], margin: float) -> list[Verdict]:
    """A verdict per pair; all are one family. `margin`, in the differences' unit, is the least that matters.

    Raises ValueError if the margin is not positive or a difference is not finite.
    """
    p_values = [_sign_flip_p(pair) for pair in pairs]
    adjusted = stats.holm(p_values)
    return [_Case(pair, p_values, adjusted[i], i, margin).verdict() for i, pair in enumerate(pairs)]


def _sign_flip_p(pair: Pair) -> float:
    # A single pair is no test, so it shall not make Holm stricter on the others.
    return stats.sign_flip_p(pair.differences) if len(pair.differences) > 1 else math.nan


class _Case:
    """A pair, member `i` of its family, and all that its verdict rests on."""

    def __init__(self, pair: Pair, p_values: list[float], p_holm: float, i: int, margin: float) -> None:
        self.pair, self.p_values, self.p_holm, self.i, self.margin = pair, p_values, p_holm, i, margin
        self.family = len(p_values) - int(np.isnan(p_values).sum())
        self.p_equivalent = stats.tost_p(pair.differences, margin)
        self.difference = stats.paired_difference(pair.differences, np.zeros_like(pair.differences))
        self.n = self.difference.pairs
        sd = stats.spread(pair.differences).sd
        self.detectable = stats.detectable(sd, self.n)
        self.pairs_needed = stats.pairs_needed(sd, margin)
        more = pair.higher_is_better is not False
        self.gains = pair.differences if more else -pair.differences
        self.better = self.difference.mean > 0 if more else self.difference.mean < 0
        neutral = pair.higher_is_better is None
        self.words = (Word.HIGHER, Word.LOWER) if neutral else (Word.BETTER, Word.WORSE)

    def verdict(self) -> Verdict:
        word, wins = self.word(), stats.win_rate(self.gains)
        tests = (self.p_values[self.i], self.p_holm, wins, self.p_equivalent, self.detectable, self.pairs_needed)
        return Verdict(word, f"{self.sentence(word)} {self.pair.caveat}".strip(), *tests)

    def word(self) -> Word:
        size = abs(self.difference.mean)
        if self.p_holm < ALPHA and (size > self.margin or math.isclose(size, self.margin)):
            return self.words[0] if self.better else self.words[1]
        if self.p_equivalent < ALPHA:
            return Word.EQUIVALENT
        return Word.DETECTABLE if self.p_holm < ALPHA else Word.INCONCLUSIVE

    def sentence(self, word: Word) -> str:
        arm, baseline, what = self.pair.arm, self.pair.baseline, self.pair.what
        if word is Word.EQUIVALENT:
            return (
                f"{arm} and {baseline} are EQUIVALENT WITHIN ±{self.bound()} in {what}: {self.estimate()}, "
                f"{p_in_words(self.p_equivalent)} against a true difference of {self.bound()} or more, {self.n} pairs."
            )
        if word is Word.INCONCLUSIVE:
            return f"{arm} against {baseline} in {what} is INCONCLUSIVE: {self.doubts()}"
        side = self.words[0 if self.better else 1].lower()
        wins = int((self.gains > 0 if self.better else self.gains < 0).sum())
        support = f"{self.estimate()}, {self.chance()}, {side} in {wins} of {self.n} pairs."
        if word is Word.DETECTABLE:
            margin = f"DETECTABLE BUT BELOW THE MARGIN of {self.bound()}"
            return f"{arm} is {side} than {baseline} in {what}, {margin}: {support}"
        return f"{arm} is {word} than {baseline} in {what}: {support}"

    def doubts(self) -> str:
        """Why there is no verdict, and what it would take."""
        if self.n == 0:
            return f"{self.pair.absent}."
        if self.n == 1:
            return f"{self.estimate()} with one seed, and one run is not a result."
        said = [f"{self.estimate()}, {self.chance()}."]
        enough = self.enough()
        short = self.pairs_needed is not None and self.pairs_needed > self.n
        seeds = f"about {_two_digits(max(self.pairs_needed or 0, enough))} seeds"
        if enough > self.n:
            others = f" and {self.family} comparisons" if self.family > 1 else ""
            small = f", and {seeds} to find one as small as {self.bound()} in 4 studies of 5" if short else ""
            said.append(
                f"With {self.n} pairs{others} p cannot fall below {self.least_p(self.n):.3g} whatever the difference: "
                f"{' and '.join(self.words)} take {enough} seeds at least{small}."
            )
        elif short:
            said.append(
                f"{self.n} pairs find a true difference in 4 studies of 5 only from {self.amount(self.detectable)} on; "
                f"{seeds} would do so for {self.bound()}."
            )
        if len(said) == 1:
            said.append(f"They show neither that there is a difference nor that it is within ±{self.bound()}.")
        return " ".join(said)

    def enough(self) -> int:
        """The least number of pairs whose p may fall below 5 %."""
        pairs = next(n for n in count(2) if self.family * stats.least_sign_flip_p(n) < ALPHA)  # Holm asks no more
        while pairs > 2 and self.least_p(pairs - 1) < ALPHA:
            pairs -= 1
        return pairs

    def least_p(self, pairs: int) -> float:
        """The smallest Holm-adjusted p that so many pairs could give beside the family's other p-values."""
        others = self.p_values[: self.i], self.p_values[self.i + 1 :]
        return stats.holm([*others[0], stats.least_sign_flip_p(pairs), *others[1]])[self.i]

    def estimate(self) -> str:
        d = self.difference
        known = not math.isnan(d.low)
        interval = f", 95 % interval [{self.figure(d.low, '+')}, {self.figure(d.high, '+')}]" if known else ""
        return f"{self.amount(d.mean, '+')}{interval}"

    def chance(self) -> str:
        return p_in_words(self.p_holm) + (f" (Holm, {self.family} comparisons)" if self.family > 1 else "")

    def bound(self) -> str:
        return amount(self.margin, self.pair.unit, "g")

    def amount(self, value: float, sign: str = "") -> str:
        return amount(value, self.pair.unit, f"{sign}{_FORM[self.pair.unit]}")

    def figure(self, value: float, sign: str = "") -> str:
        return f"{value * _factor(self.pair.unit):{sign}{_FORM[self.pair.unit]}}"


def amount(value: float, unit: Unit, form: str = "") -> str:
    """A value with its unit, a fraction in points; signed and as exact as in a verdict, or in this form."""
    told = f"{value * _factor(unit):{form or '+' + _FORM[unit]}}"
    return told if unit in UNITLESS else f"{told} {unit}"


def _factor(unit: Unit) -> int:
    return 100 if unit == "points" else 1


def p_in_words(p: float) -> str:
    """A p-value, rounded."""
    if p < 0.001:
        return "p < 0.001"
    # Rounding must not carry a p across the 5 % that the word rests on.
    decimals = next(k for k in count(3) if (round(p, k) < ALPHA) == (p < ALPHA))
    return f"p = {p:.{decimals}f}"


def _two_digits(count: int) -> str:
    """A number of seeds, as exactly as it can be known."""
    return f"{float(f'{count:.2g}'):,.0f}" if count >= 100 else str(count)
