"""What trained runs say of a claim: differences by seed, their verdict as `dropexp compare` gives it, and the word."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dropexp.analysis import stats, verdicts
from dropexp.analysis.stats import ALPHA
from dropexp.analysis.verdicts import Pair
from dropexp.analysis.verdicts import Word as Verdict
from dropexp.claims.finding import Finding, Word
from dropexp.runs.metrics import MARGIN

Claimed = Literal["more", "less", "equal", "no less", "no more"]

MORE, LESS, EQUAL = {Verdict.HIGHER}, {Verdict.LOWER}, {Verdict.EQUIVALENT}
# The verdicts by which what is claimed holds, and those by which it fails; by all others it is open.
BY_VERDICT: dict[Claimed, tuple[set[Verdict], set[Verdict]]] = {
    "more": (MORE, LESS | EQUAL),
    "less": (LESS, MORE | EQUAL),
    "equal": (EQUAL, MORE | LESS),
    "no less": (MORE | EQUAL, LESS),
    "no more": (LESS | EQUAL, MORE),
}
FEWEST_FOR_SPREAD = 10  # seeds
ALIKE = 5 / 4  # SDs whose ratio is between this and its inverse count as equal


@dataclass(frozen=True)
class Contrast:
    """A difference that is claimed to be there, or not: what it is of, in which setting, and by seed."""

    what: str
    setting: str
    pair: Pair


def judged(contrasts: Sequence[Contrast], claimed: Claimed, margin: float = MARGIN) -> Iterator[Finding]:
    """A finding per contrast, all of one family, by the rules of `verdicts` and a margin in the differences' unit.

    "no less" and "no more" hold as well where the whole 95 % interval is within the margin on the wrong side.
    """
    holds, fails = BY_VERDICT[claimed]
    for contrast, verdict in zip(contrasts, verdicts.judge([c.pair for c in contrasts], margin), strict=True):
        pair = contrast.pair
        d = stats.paired_difference(pair.differences, np.zeros_like(pair.differences))
        found = Word.HOLDS if verdict.word in holds else Word.FAILS if verdict.word in fails else Word.OPEN
        words = verdict.sentence
        end, worst = (d.low, -margin) if claimed == "no less" else (-d.high, margin)
        if found is Word.OPEN and claimed in ("no less", "no more") and end > -margin:
            found = Word.HOLDS
            words += f" But the interval leaves out {verdicts.amount(worst, pair.unit)}, so it is no worse."
        figures = {"mean": d.mean, "low": d.low, "high": d.high, "p": verdict.p_holm, "p_equal": verdict.p_equivalent}
        yield Finding(contrast.what, found, words, figures | {"n": d.pairs}, contrast.setting)


def sd_ratio(what: str, a: NDArray[np.float64], b: NDArray[np.float64], setting: str = "") -> Finding:
    """Whether a (n,) spreads less than b (n,), which is paired with it by seed; both normally distributed.

    The interval of SD(a)/SD(b) is that of Pitman (1939) and Morgan (1939) for correlated values: the square root of
    (s_a²/s_b²)·(K ± √(K² − 1)), K = 1 + 2·(1 − r²)·t²/(n − 2). HOLDS: that of 95 % lies below 1. FAILS: above, or that
    of 90 %, which is two one-sided tests at 5 %, between 4/5 and 5/4. OPEN: all else, and below ten seeds.
    """
    n = len(a)
    if n < FEWEST_FOR_SPREAD or not (a.std() > 0 and b.std() > 0):
        why = f"n = {n}: SDs are compared from {FEWEST_FOR_SPREAD} seeds on, and where both are above 0"
        return Finding(what, Word.OPEN, why, {"n": n}, setting)
    ratio, r = float(a.std() / b.std()), float(np.corrcoef(a, b)[0, 1])

    def interval(alpha: float) -> tuple[float, float]:
        K = 1 + 2 * max(0.0, 1 - r**2) * float(stdtrit(n - 2, 1 - alpha / 2)) ** 2 / (n - 2)
        return ratio * math.sqrt(K - math.sqrt(K**2 - 1)), ratio * math.sqrt(K + math.sqrt(K**2 - 1))

    (low, high), (low_90, high_90) = interval(ALPHA), interval(2 * ALPHA)
    equal = low_90 > 1 / ALIKE and high_90 < ALIKE
    found = Word.HOLDS if high < 1 else Word.FAILS if low > 1 or equal else Word.OPEN
    words = f"SD {ratio:.2f} times as large, 95 % interval [{low:.2f}, {high:.2f}], 90 % [{low_90:.2f}, {high_90:.2f}]"
    words += f", n = {n}, normality assumed; equal within {1 / ALIKE:g} to {ALIKE:g}" + " is not shown" * (not equal)
    return Finding(what, found, words, {"mean": ratio, "low": low, "high": high, "n": n}, setting)
