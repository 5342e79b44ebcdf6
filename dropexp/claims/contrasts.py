"""What trained runs say of a claim: a figure per seed, its mean, its interval, and the word that follows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dropexp import stats
from dropexp.claims.finding import Finding, Word
from dropexp.stats import ALPHA

Claimed = Literal["more", "less", "equal"]

FEWEST_FOR_SPREAD = 10  # seeds


@dataclass(frozen=True)
class Contrast:
    """Paired differences in a setting, `values` (n,), one per seed; "points" are fractions, printed times 100."""

    what: str
    values: NDArray[np.float64]
    unit: str = ""
    remark: str = ""


def judged(contrasts: Sequence[Contrast], claimed: Claimed, margin: float | None = None) -> Iterator[Finding]:
    """A finding per contrast, all of one family (Holm): whether the true mean is more or less than 0, or equal to it.

    HOLDS where "more" or "less" is claimed: the 95 % t-interval leaves out 0 on the claimed side, and the sign-flip p
    is below 5 %. FAILS: the same on the other side, or both one-sided t-tests find the mean within ±margin. Where
    "equal" is claimed these tests make it hold, and it fails where they do not and 0 is left out. OPEN: all else.
    """
    p_values = [stats.sign_flip_p(c.values) if len(c.values) > 1 else math.nan for c in contrasts]
    for contrast, p in zip(contrasts, stats.holm(p_values), strict=True):
        d = stats.paired_difference(contrast.values, np.zeros_like(contrast.values))
        p_equal = stats.tost_p(contrast.values, margin) if margin else math.nan
        sure = p < ALPHA and (d.low > 0 or d.high < 0)
        equal = p_equal < ALPHA
        if claimed == "equal":
            found = Word.HOLDS if equal else Word.FAILS if sure else Word.OPEN
        elif sure and (d.mean > 0) == (claimed == "more"):
            found = Word.HOLDS
        else:
            found = Word.FAILS if sure or equal else Word.OPEN
        figures = {"mean": d.mean, "low": d.low, "high": d.high, "p": p, "p_equal": p_equal, "n": d.pairs}
        yield Finding(contrast.what, found, _words(contrast, d, p, p_equal, margin, found), figures)


def _words(contrast: Contrast, d: stats.Difference, p: float, p_equal: float, margin: float | None, found: Word) -> str:
    factor, places = (100, 2) if contrast.unit == "points" else (1, 4 if abs(d.mean) < 10 else 2)
    mean, low, high = (f"{value * factor:+z.{places}f}" for value in (d.mean, d.low, d.high))
    unit = f" {contrast.unit}" if contrast.unit else ""
    if d.pairs < 2:
        return f"n = {d.pairs}: one run is not a result" if d.pairs else "no seed in common"
    told = [f"{mean}{unit}, 95 % interval [{low}, {high}]", _p("p", p)]
    if margin and p_equal < ALPHA:
        told.append(f"within ±{margin * factor:g}{unit} ({_p('p', p_equal)})")
    if found is Word.OPEN and stats.least_sign_flip_p(d.pairs) >= ALPHA:
        told.append(f"n = {d.pairs} cannot tell: p is {stats.least_sign_flip_p(d.pairs):.3g} at least")
    else:
        told.append(f"n = {d.pairs}" + " cannot tell" * (found is Word.OPEN))
    return ", ".join(told) + (f". {contrast.remark}" if contrast.remark else "")


def _p(name: str, p: float) -> str:
    return f"{name} < 0.0001" if p < 0.0001 else f"{name} = {p:.4f}"


def sd_ratio(what: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> Finding:
    """Whether a (n,) spreads less than b (n,), which is paired with it by seed.

    The 95 % interval of SD(a)/SD(b) is that of Pitman (1939) and Morgan (1939) for correlated, normally distributed
    values: the square root of (s_a²/s_b²)·(K ± √(K² − 1)), K = 1 + 2·(1 − r²)·t²/(n − 2). HOLDS: it lies below 1.
    FAILS: above, or between 4/5 and 5/4. OPEN: all else, and below ten seeds.
    """
    n = len(a)
    low = high = math.nan
    ratio = float(a.std(ddof=1) / b.std(ddof=1)) if n > 1 and b.std() > 0 and a.std() > 0 else math.nan
    if n > 2 and not math.isnan(ratio):
        r = float(np.corrcoef(a, b)[0, 1])
        K = 1 + 2 * max(0.0, 1 - r**2) * float(stdtrit(n - 2, 1 - ALPHA / 2)) ** 2 / (n - 2)
        low, high = (ratio * math.sqrt(K + sign * math.sqrt(K**2 - 1)) for sign in (-1, 1))
    found = Word.OPEN
    if n >= FEWEST_FOR_SPREAD and high < 1:
        found = Word.HOLDS
    elif n >= FEWEST_FOR_SPREAD and (low > 1 or (low > 4 / 5 and high < 5 / 4)):
        found = Word.FAILS
    doubt = " cannot tell" * (found is Word.OPEN)
    words = f"SD {ratio:.2f} times as large, 95 % interval [{low:.2f}, {high:.2f}], n = {n}{doubt}"
    return Finding(what, found, words, {"ratio": ratio, "low": low, "high": high, "n": n})
