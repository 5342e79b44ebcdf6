"""How often the rule of verdicts errs, and how often it has the computed power, in simulated studies.

    python benchmarks/verdicts.py [--quick]

For 5 to 40 pairs, 1 to 5 comparisons, and normal, skewed and heavy-tailed differences with an SD of 1:

    false difference   no arm differs, and one is BETTER, WORSE or NEGLIGIBLE (BETTER or WORSE if the margin is tiny)
    false equivalence  every arm differs by the margin, and one is EQUIVALENT or NEGLIGIBLE; the margin is large
    coverage           of the 95 % interval of a difference
    power              one arm differs by the margin, the others do not, and it gets the right one of BETTER and WORSE;
                       the margin is the one for which this number of pairs has a computed power of 80 %

All arms that differ do so in the same direction; of skewed differences the direction with the worse figure counts. Two
stages: the SD of the first arm of a pilot gives the pairs needed. The new study with that many other pairs
is judged alone; or the pilot's verdicts count too, and a new study follows only an INCONCLUSIVE one. Looks: how often
a study without a difference has a p below 5 % after at least one of five numbers of pairs. Seeded, with other seeds
than power_table.py; about five minutes on one core. --quick simulates a fiftieth of the studies, and writes nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from statistics import mean
from typing import Any

import numpy as np
import rule
from machine import about
from pages.verdicts import sections
from scipy.special import stdtr, stdtrit
from storage import save_results

from dropexp.analysis.power import min_detectable_difference, pairs_needed
from dropexp.analysis.stats import EXACT_PAIRS, LEVEL

Draw = Callable[[np.random.Generator, tuple[int, ...]], rule.Values]

PAIRS, COMPARISONS = (5, 8, 10, 20, 40), (1, 2, 5)
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
    "heavy-tailed": lambda rng, shape: rng.standard_t(3, size=shape) / math.sqrt(3),
}
STUDIES, STUDIES_SAMPLED = 20_000, 5_000  # of five comparisons; the latter above 20 pairs
PILOTS = (5, 8, 10)
NEEDED = 24  # pairs that the confirmatory study needs in truth
GRID = (*range(6, 11), 12, 14, 16, 18, 20, 24, 30, 40, 60, 100)  # pairs between which rates are interpolated
LOOKS = (8, 16, 24, 32, 40)


def errors(d: rule.Values, p: rule.Values, skewed: bool) -> list[dict[str, Any]]:
    """Return a row per number of comparisons: error rates and coverage.

    `d` (studies, comparisons, pairs) has a true mean of zero; `p` (studies, comparisons) are its sign-flip p-values.
    """
    studies, most, pairs = d.shape
    t = d.mean(axis=2) * math.sqrt(pairs) / d.std(axis=2, ddof=1)
    coverage = float((np.abs(t) <= stdtrit(pairs - 1, (1 + LEVEL) / 2)).mean())
    rows = []
    for comparisons in COMPARISONS:
        groups = most // comparisons
        families = [values[:, : groups * comparisons].reshape(-1, comparisons) for values in (p, t)]
        sides = [stdtr(pairs - 1, side * families[1]) for side in (1, -1)]  # TOST, if all arms are on one side
        difference, *equivalence = (float(rule.rejected(own).any(axis=1).mean()) for own in (families[0], *sides))
        rows.append(
            {
                "pairs": pairs,
                "comparisons": comparisons,
                "studies": studies * groups,
                "false_difference": difference,
                "false_equivalence": max(equivalence) if skewed else mean(equivalence),
                "coverage": coverage,
            }
        )
    return rows


def power(d: rule.Values, p_null: rule.Values, margin: float, skewed: bool = False) -> float:
    """Return the share of studies that find the difference of the first arm, which is the margin.

    `d` (studies, comparisons, pairs) has a true mean of zero, before the margin is added to the first arm; `p_null`
    are its sign-flip p-values.
    """
    shares = []
    for side in (1, -1):
        own = d[:, :1] + side * margin
        p = np.hstack([rule.sign_flip_p(own), p_null[:, 1:]])
        tost = np.hstack([rule.tost_p(own, margin), rule.tost_p(d[:, 1:], margin)])
        found = rule.rejected(p)[:, 0] & ~rule.rejected(tost)[:, 0] & (side * own[:, 0].mean(axis=1) > 0)
        shares.append(float(found.mean()))
    return min(shares) if skewed else mean(shares)


def simulate(share: float) -> list[dict[str, Any]]:
    """Return a row per distribution, number of pairs and comparisons; the power is None if it cannot be reached."""
    rows = []
    for name, draw in DISTRIBUTIONS.items():
        for pairs in PAIRS:
            studies = int(share * (STUDIES if pairs <= EXACT_PAIRS else STUDIES_SAMPLED))
            d, skewed = draw(np.random.default_rng([pairs, 1]), (studies, max(COMPARISONS), pairs)), name == "skewed"
            p = rule.sign_flip_p(d)
            for row in errors(d, p, skewed):
                k = row["comparisons"]
                margin = min_detectable_difference(pairs, k)
                reached = math.isfinite(margin)
                found = power(d[:, :k], p[:, :k], margin, skewed) if reached else None
                rows.append({"distribution": name, **row, "margin": margin if reached else None, "power": found})
    return rows


def two_stages(share: float) -> list[dict[str, Any]]:
    """Return a row per size of the pilot and number of comparisons.

    The computed pairs, the realised power, and error rates of the new study alone, and of both if the pilot counts too.
    """
    rows = []
    for comparisons in COMPARISONS:
        margin = min_detectable_difference(NEEDED, comparisons)
        curves = np.array([_rates(pairs, comparisons, margin, share) for pairs in GRID]).T
        for pilot in PILOTS:
            d = np.random.default_rng([pilot, 3]).normal(size=(int(share * STUDIES), comparisons, pilot))
            needed = [pairs_needed(float(sd), margin, comparisons) or math.nan for sd in d[:, 0].std(axis=1, ddof=1)]
            computed = np.maximum(pilot, needed)
            found, difference, equivalence = (np.asarray(np.interp(computed, GRID, curve)) for curve in curves)
            low, median, high = np.quantile(computed, (0.05, 0.5, 0.95))
            figures = {
                "low": low,
                "median": median,
                "high": high,
                "power": found.mean(),
                "false_difference": difference.mean(),
                "false_equivalence": equivalence.mean(),
                "either_difference": _either(d, margin, difference, wrong=0),
                "either_equivalence": _either(d + margin, margin, equivalence, wrong=1),
            }
            rows.append({"pilot": pilot, "comparisons": comparisons, **{k: float(v) for k, v in figures.items()}})
    return rows


def false_after_looks(share: float) -> float:
    """Return the share of studies of one comparison, without a difference, that find one after some of `LOOKS`."""
    d = np.random.default_rng(5).normal(size=(int(share * STUDIES_SAMPLED), 1, LOOKS[-1]))
    found = [rule.rejected(rule.sign_flip_p(d[..., :pairs])) for pairs in LOOKS]
    return float(np.any(found, axis=0).mean())


def _judged(d: rule.Values, margin: float) -> tuple[rule.Flags, rule.Flags]:
    """Return which differences are shown, and which are shown to be negligible."""
    return rule.rejected(rule.sign_flip_p(d)), rule.rejected(rule.tost_p(d, margin))


def _rates(pairs: int, comparisons: int, margin: float, share: float) -> tuple[float, float, float]:
    """Return the power, and the rates of a false difference and of a false equivalence, of normal differences."""
    studies = int(share * (STUDIES if pairs <= EXACT_PAIRS else STUDIES_SAMPLED) / 2)
    d = np.random.default_rng([pairs, 2]).normal(size=(studies, comparisons, pairs))
    p = rule.sign_flip_p(d)
    equivalence = rule.rejected(rule.tost_p(d + margin, margin)).any(axis=1)
    return power(d, p, margin), float(rule.rejected(p).any(axis=1).mean()), float(equivalence.mean())


def _either(d: rule.Values, margin: float, rate: rule.Values, wrong: int) -> float:
    """Return how often a pilot is wrong, or leaves its first arm open and the new study is wrong, at this rate.

    `wrong` is the index in what `_judged` returns: 0 for a false difference, 1 for a false equivalence.
    """
    judged = _judged(d, margin)
    open_arm = ~(judged[0] | judged[1])[:, 0]
    return float(np.where(judged[wrong].any(axis=1), 1.0, open_arm * rate).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the studies; writes nothing")
    quick = parser.parse_args().quick
    share, started = 0.02 if quick else 1.0, time.perf_counter()
    results: dict[str, Any] = {"about": about(), "needed": NEEDED}
    results |= {"rows": simulate(share), "two_stages": two_stages(share)}
    results |= {"looks": LOOKS, "false_after_looks": false_after_looks(share)}
    results["minutes"] = (time.perf_counter() - started) / 60
    print("\n\n".join(sections(results).values()))
    if not quick:
        save_results("verdicts", results)


if __name__ == "__main__":
    main()
