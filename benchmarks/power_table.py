"""Write dropexp/analysis/power.json: the margin, in SDs of the differences, that a study detects with 80 % power.

    python benchmarks/power_table.py

By pairs and comparisons, the whole rule of verdicts is simulated: normal differences with an SD of 1, a true difference
of the margin for one arm and of zero for the others, sign flips and equivalence tests, each Holm-adjusted. The power is
the share of studies in which the one arm is BETTER. Other arms are drawn from a pool.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import rule
from scipy.special import ndtri
from storage import ROOT

from dropexp.analysis.stats import ALPHA, EXACT_PAIRS, POWER, min_sign_flip_p

TABLE = ROOT / "dropexp" / "analysis" / "power.json"
COMPARISONS = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 70, 100)
PAIRS = range(6, EXACT_PAIRS + 1)
STUDIES = 40_000
MIN_STUDIES, P_VALUES = 10_000, 200_000  # with many comparisons, P_VALUES in all, or MIN_STUDIES studies
FIRST, STEP = 2.5, 0.1  # of the simulated values of margin·√pairs


def power_of(pairs: int, studies: int = STUDIES) -> Callable[[float, int], float]:
    """Return a function of margin·√pairs and of the number of comparisons: the power, from the same random numbers."""
    rng = np.random.default_rng(pairs)
    noise, null = rng.normal(size=(2, studies, 1, pairs))
    p_null = rule.sign_flip_p(null)[:, 0]

    @cache
    def p_values(scaled: float) -> tuple[rule.Values, rule.Values, rule.Values]:
        margin = scaled / math.sqrt(pairs)
        own = noise + margin
        p = np.where(own.mean(axis=2) > 0, rule.sign_flip_p(own), 1.0)
        return p, rule.tost_p(own, margin), rule.tost_p(null, margin)[:, 0]

    def power(scaled: float, comparisons: int) -> float:
        p, tost, tost_null = p_values(scaled)
        used = min(studies, max(MIN_STUDIES, P_VALUES // comparisons))
        others = np.random.default_rng(comparisons).integers(0, studies, (used, comparisons - 1))
        shown = rule.rejected(np.hstack([p[:used], p_null[others]]))[:, 0]
        negligible = rule.rejected(np.hstack([tost[:used], tost_null[others]]))[:, 0]
        return float((shown & ~negligible).mean())

    return power


def margins(pairs: int, studies: int = STUDIES) -> list[float | None]:
    """Return the margin for each of `COMPARISONS`; None where no p can be small enough."""
    power = power_of(pairs, studies)
    found: list[float | None] = []
    step, least = round(FIRST / STEP), 0.0
    for comparisons in COMPARISONS:
        if comparisons * min_sign_flip_p(pairs) >= ALPHA:
            found.append(None)
            continue
        while power(step * STEP, comparisons) < POWER:  # more comparisons need a larger margin
            step += 1
        below, above = (ndtri(power(at * STEP, comparisons)) for at in (step - 1, step))
        scaled = STEP * (step - 1 + (ndtri(POWER) - below) / (above - below))
        least = max(least, float(f"{scaled / math.sqrt(pairs):.4g}"))
        found.append(least)
    return found


def main() -> None:
    table = {}
    for pairs in PAIRS:
        table[str(pairs)] = margins(pairs)
        print(f"{pairs} pairs: {table[str(pairs)]}", file=sys.stderr)
    rows = ",\n".join(f'  "{pairs}": {json.dumps(row)}' for pairs, row in table.items())
    TABLE.write_text(f'{{\n "comparisons": {json.dumps(COMPARISONS)},\n "margins": {{\n{rows}\n }}\n}}\n')


if __name__ == "__main__":
    main()
