"""Put verdicts into sentences, and their figures into text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from dropexp.analysis.power import MAX_COMPARISONS, Needed
from dropexp.analysis.stats import ALPHA
from dropexp.analysis.verdicts import Verdict, VerdictWord
from dropexp.runs.metrics import Unit, format_figure

PLAN = "These {0} are a pilot: decide on the number of {0} first, and judge a new study of other {0} alone"


def sentence(verdict: Verdict, titles: Mapping[str, str] | None = None) -> str:
    """Return the verdict with its figures, the pair's caveat and, if open, the command of a study to decide it."""
    pair = verdict.pair
    arm, baseline = ((titles or {}).get(name, name) for name in (pair.arm, pair.baseline))
    if verdict.word is VerdictWord.EQUIVALENT:
        text = (
            f"{arm} and {baseline} are EQUIVALENT WITHIN ±{_margin(verdict)} in {pair.what}: "
            f"{_estimate(verdict)}, {_equivalence(verdict)}, {verdict.difference.pairs} pairs."
        )
    elif verdict.word is VerdictWord.INCONCLUSIVE:
        text = f"{arm} against {baseline} in {pair.what} is INCONCLUSIVE: {_doubts(verdict)}"
    elif verdict.word is VerdictWord.NEGLIGIBLE:
        text = (
            f"{arm} is {pair.direction.lower()} than {baseline} in {pair.what}, by a NEGLIGIBLE amount "
            f"within ±{_margin(verdict)}: {_estimate(verdict)}, {_significance(verdict)}, {_equivalence(verdict)}, "
            f"{_agreement(verdict)}."
        )
    else:
        text = (
            f"{arm} is {verdict.word} than {baseline} in {pair.what}: "
            f"{_estimate(verdict)}, {_significance(verdict)}, {_agreement(verdict)}."
        )
    return " ".join(part for part in (text, pair.caveat, _plan(verdict)) if part)


def amount(value: float, unit: Unit, form: str = "") -> str:
    """Format a difference with its unit; by default signed, and as precise as the unit needs."""
    return f"{_number(value, unit, form)} {unit.differences}".rstrip()


def interval(low: float, high: float, unit: Unit) -> str:
    """Format the ends of an interval of differences."""
    return f"[{_number(low, unit)}, {_number(high, unit)}]"


def _number(value: float, unit: Unit, form: str = "") -> str:
    return format_figure(value * unit.factor, form or f"+{unit.difference_form}")


def p_in_words(p: float) -> str:
    """Format a p-value for a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {rounded_p(p, 3)}"


def rounded_p(p: float, decimals: int) -> str:
    """Format a p-value with this many decimals, or with more if rounding moved it across the 5 % of a verdict."""
    enough = next(k for k in count(decimals) if (round(p, k) < ALPHA) == (p < ALPHA))
    return f"{p:.{enough}f}"


def _agreement(verdict: Verdict) -> str:
    """Return how many pairs have the sign of the mean difference."""
    differences = verdict.pair.differences
    agreeing = int((np.sign(differences) == np.sign(differences.mean())).sum())
    return f"{verdict.pair.direction.lower()} in {agreeing} of {len(differences)} pairs"


def _doubts(verdict: Verdict) -> str:
    """Return why there is no verdict, and how many seeds would give one."""
    pairs, broken = verdict.difference.pairs, verdict.pair.broken
    if broken:
        rest = f"all pairs with figures: {_estimate(verdict)}" if pairs else verdict.pair.absent
        return f"{'; '.join(broken)}; a verdict never excludes such runs ({rest})."
    if pairs == 0:
        return f"{verdict.pair.absent}."
    if pairs == 1:
        return f"{_estimate(verdict)} with one {_units(verdict).removesuffix('s')}; n = 1, no spread can be estimated."
    return f"{_estimate(verdict)}, {_significance(verdict)}. {_power(verdict)}"


def _power(verdict: Verdict) -> str:
    """Return whether these seeds can show a difference, and how many detect one of the margin with 80 % power."""
    pairs, size, units = verdict.difference.pairs, verdict.family.size, _units(verdict)
    least, shown = verdict.family.min_p(verdict.index, pairs), ""
    if least >= ALPHA:
        others = f" and {size} comparisons" if size > 1 else ""
        words = " and ".join(verdict.pair.directions)
        shown = f"{words} cannot be reached with {pairs} {units}{others}: p is at least {least:.3g}. "
    if size > MAX_COMPARISONS:
        return f"{shown}How many {units} are needed is known for up to {MAX_COMPARISONS} comparisons only."
    needed = f"{_pairs_needed(verdict.needed, units)} detect a true difference of {_margin(verdict)}"
    if math.isnan(verdict.detectable):
        return f"{shown}With 80 % power, {needed}."
    unit = verdict.pair.unit
    least_shown = amount(verdict.detectable, unit, unit.difference_form)
    return f"{shown}With 80 % power, {pairs} {units} detect a true difference of {least_shown}; {needed}."


def _units(verdict: Verdict) -> str:
    """Return what pairs are of: seeds, or repeats of a search."""
    new_study = verdict.pair.new_study
    return "repeats" if new_study is not None and new_study.tuned else "seeds"


def _pairs_needed(needed: Needed, units: str) -> str:
    if needed.pairs is None:
        return f"more than 10⁹ {units}"
    low, high = (None if end is None else f"{rounded(end):,}" for end in (needed.low, needed.high))
    return f"about {rounded(needed.pairs):,} {units} (95 % interval {low} to {high or 'more than 10⁹'})"


def _plan(verdict: Verdict) -> str:
    """Return how to decide an open comparison: a fixed number of other seeds, and the command that trains them."""
    new_study, needed = verdict.pair.new_study, verdict.needed.pairs
    if verdict.word is not VerdictWord.INCONCLUSIVE or new_study is None or needed is None:
        return ""
    seeds = seeds_to_plan([verdict], needed)
    if new_study.missing or not new_study.has_room(seeds):
        return ""
    return f"{PLAN.format(_units(verdict))}: {new_study.plan(seeds)}"


def seeds_to_plan(verdicts: Sequence[Verdict], needed: int) -> int:
    """Return the number of seeds of a new study: `needed`, rounded up, and no fewer than the pilot had."""
    return max(rounded(needed), *(one.difference.pairs for one in verdicts))


def rounded(number: int) -> int:
    """Round a number of seeds up to two digits: the SD that it follows from is an estimate."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def _estimate(verdict: Verdict) -> str:
    """Return the mean difference and, if it is known, its interval."""
    unit, difference = verdict.pair.unit, verdict.difference
    mean = amount(difference.mean, unit)
    if math.isnan(difference.low):
        return mean
    return f"{mean}, 95 % interval {interval(difference.low, difference.high, unit)}"


def _significance(verdict: Verdict) -> str:
    return p_in_words(verdict.p_holm) + _family(verdict)


def _equivalence(verdict: Verdict) -> str:
    p = p_in_words(verdict.p_equivalent_holm) + _family(verdict)
    return f"{p} against a true difference of {_margin(verdict)} or more"


def _family(verdict: Verdict) -> str:
    return f" (Holm, {verdict.family.size} comparisons)" if verdict.family.size > 1 else ""


def _margin(verdict: Verdict) -> str:
    return amount(verdict.margin, verdict.pair.unit, "g")
