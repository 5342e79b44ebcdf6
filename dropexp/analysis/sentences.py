"""Put verdicts into sentences, and their figures into text."""

from __future__ import annotations

import math
from itertools import count

import numpy as np

from dropexp.analysis.stats import ALPHA, MOST_PAIRS
from dropexp.analysis.verdicts import Verdict, VerdictWord
from dropexp.runs.metrics import Unit, format_figure


def sentence(verdict: Verdict) -> str:
    """Return the verdict with its figures, followed by the pair's caveat."""
    pair = verdict.pair
    if verdict.word is VerdictWord.EQUIVALENT:
        text = (
            f"{pair.arm} and {pair.baseline} are EQUIVALENT WITHIN ±{_margin(verdict)} in {pair.what}: "
            f"{_estimate(verdict)}, {_equivalence(verdict)}, {verdict.difference.pairs} pairs."
        )
    elif verdict.word is VerdictWord.INCONCLUSIVE:
        text = f"{pair.arm} against {pair.baseline} in {pair.what} is INCONCLUSIVE: {_doubts(verdict)}"
    elif verdict.word is VerdictWord.NEGLIGIBLE:
        text = (
            f"{pair.arm} is {pair.direction.lower()} than {pair.baseline} in {pair.what}, by a NEGLIGIBLE amount "
            f"within ±{_margin(verdict)}: {_estimate(verdict)}, {_significance(verdict)}, {_equivalence(verdict)}, "
            f"{_agreement(verdict)}."
        )
    else:
        text = (
            f"{pair.arm} is {verdict.word} than {pair.baseline} in {pair.what}: "
            f"{_estimate(verdict)}, {_significance(verdict)}, {_agreement(verdict)}."
        )
    return f"{text} {pair.caveat}".strip()


def amount(value: float, unit: Unit, form: str = "") -> str:
    """Format a difference with its unit; by default signed, and as precise as the unit needs."""
    return f"{_number(value, unit, form)} {unit.differences}".rstrip()


def _number(value: float, unit: Unit, form: str = "") -> str:
    return format_figure(value * unit.factor, form or f"+z{unit.difference_form}")


def p_in_words(p: float) -> str:
    """Format a p-value. Rounding never moves it across the 5 % that decide a verdict."""
    if p < 0.001:
        return "p < 0.001"
    decimals = next(k for k in count(3) if (round(p, k) < ALPHA) == (p < ALPHA))
    return f"p = {p:.{decimals}f}"


def _agreement(verdict: Verdict) -> str:
    """Return how many pairs have the sign of the mean difference."""
    differences = verdict.pair.differences
    agreeing = int((np.sign(differences) == np.sign(differences.mean())).sum())
    return f"{verdict.pair.direction.lower()} in {agreeing} of {len(differences)} pairs"


def _doubts(verdict: Verdict) -> str:
    """Return why there is no verdict, and how many seeds would give one."""
    pairs, broken = verdict.difference.pairs, verdict.pair.broken
    if broken:
        rest = _estimate(verdict) if pairs else verdict.pair.absent
        return f"{'; '.join(broken)}; a verdict would rest on only the runs that finished well ({rest})."
    if pairs == 0:
        return f"{verdict.pair.absent}."
    if pairs == 1:
        return f"{_estimate(verdict)} with one seed; n = 1, no spread can be estimated."
    return f"{_estimate(verdict)}, {_significance(verdict)}. {_outlook(verdict)}"


def _outlook(verdict: Verdict) -> str:
    pairs, comparisons, bound = verdict.difference.pairs, verdict.family.size, _margin(verdict)
    fewest, needed = verdict.family.fewest_pairs(verdict.index), verdict.pairs_needed or math.inf
    seeds = "more than 10⁹ seeds"
    if needed <= MOST_PAIRS:
        seeds = f"about {_two_digits(max(int(needed), fewest))} seeds"
    if fewest > pairs:
        others = f" and {comparisons} comparisons" if comparisons > 1 else ""
        power = f"; detecting {bound} with 80 % power needs {seeds}" if needed > pairs else ""
        return (
            f"With {pairs} pairs{others}, p cannot be below {verdict.family.least_p(verdict.index, pairs):.3g}: "
            f"{' and '.join(verdict.pair.directions)} need at least {fewest} seeds{power}."
        )
    if needed > pairs:
        least = amount(verdict.detectable, verdict.pair.unit, verdict.pair.unit.difference_form)
        return f"{pairs} pairs detect a difference of {least} with 80 % power; detecting {bound} needs {seeds}."
    return f"The pairs show neither a difference nor equivalence within ±{bound}."


def _estimate(verdict: Verdict) -> str:
    """Return the mean difference and, if it is known, its interval."""
    unit, difference = verdict.pair.unit, verdict.difference
    mean = amount(difference.mean, unit)
    if math.isnan(difference.low):
        return mean
    low, high = (_number(end, unit) for end in (difference.low, difference.high))
    return f"{mean}, 95 % interval [{low}, {high}]"


def _significance(verdict: Verdict) -> str:
    return p_in_words(verdict.p_holm) + _family(verdict)


def _equivalence(verdict: Verdict) -> str:
    p = p_in_words(verdict.p_equivalent_holm) + _family(verdict)
    return f"{p} against a true difference of {_margin(verdict)} or more"


def _family(verdict: Verdict) -> str:
    return f" (Holm, {verdict.family.size} comparisons)" if verdict.family.size > 1 else ""


def _margin(verdict: Verdict) -> str:
    return amount(verdict.margin, verdict.pair.unit, "g")


def _two_digits(number: int) -> str:
    """Format a number of seeds; from 100 on it is rounded, since the SD that it follows from is an estimate."""
    return f"{float(f'{number:.2g}'):,.0f}" if number >= 100 else str(number)
