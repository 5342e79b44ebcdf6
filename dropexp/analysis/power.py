"""How many seeds the rule of verdicts needs.

Power is the probability of the verdict BETTER or WORSE on an arm whose true difference is the margin, while the other
arms have no difference. All differences are normal with one SD. So power depends on the number of pairs, the number of
comparisons, and the margin in SDs. `power.json` has the margin, in SDs, for a power of 80 %; benchmarks/power_table.py
finds it by simulation of the whole rule.

Beyond the 20 pairs of that table the sign-flip test is nearly a t-test. The margin is then that of a t-test at
5 % / comparisons, (t(1 - α/2k) + t(.8))/√n (Zar, Biostatistical Analysis, 2010, chapter 7), times a ratio that falls
to 1 as 1/n² and makes both equal at 20 pairs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scipy.special import stdtrit

from dropexp.analysis.stats import ALPHA, EXACT_PAIRS, POWER, sd_interval

MAX_PAIRS = 10**9  # beyond, no study is trained
MAX_COMPARISONS = 100  # of the table
_TABLE = Path(__file__).with_name("power.json")


@dataclass(frozen=True)
class Needed:
    """A number of pairs and its 95 % interval, which is that of the SD; None where there is no number."""

    pairs: int | None
    low: int | None
    high: int | None


NO_NUMBER = Needed(None, None, None)


def needed(sd: float, pairs: int, margin: float, comparisons: int) -> Needed:
    """Return how many pairs a study needs, given the sample SD of a pilot with `pairs` pairs. See `pairs_needed`."""
    true_sd = sd_interval(sd, pairs)
    return Needed(*(pairs_needed(one, margin, comparisons) for one in (sd, true_sd.low, true_sd.high)))


@lru_cache(maxsize=4096)
def min_detectable_difference(pairs: int, comparisons: int) -> float:
    """Return the margin, in SDs of the differences, that this many pairs detect with a power of `POWER`.

    Infinite if they cannot: too few pairs, or more comparisons than `power.json` has.
    """
    margins = _margins(comparisons)
    if pairs <= EXACT_PAIRS:
        return margins.get(pairs, math.inf)
    ratio = margins[EXACT_PAIRS] / _of_t_test(EXACT_PAIRS, comparisons) if margins else math.inf
    return _of_t_test(pairs, comparisons) * (1 + (ratio - 1) * (EXACT_PAIRS / pairs) ** 2)


def pairs_needed(sd: float, margin: float, comparisons: int) -> int | None:
    """Return the fewest pairs that detect a true difference of the margin with a power of at least `POWER`.

    None if `sd` is unknown, more than `MAX_PAIRS` are needed, or there are more comparisons than `power.json` has.
    Raises ValueError if the margin is not positive.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"the margin is {margin}; it must be above zero")
    margins = _margins(comparisons)
    if math.isnan(sd) or not margins or sd * min_detectable_difference(MAX_PAIRS, comparisons) > margin:
        return None
    for pairs, in_sds in margins.items():
        if sd * in_sds <= margin:
            return pairs
    few, enough = EXACT_PAIRS, 2 * EXACT_PAIRS
    while sd * min_detectable_difference(enough, comparisons) > margin:
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (
            (middle, enough) if sd * min_detectable_difference(middle, comparisons) > margin else (few, middle)
        )
    return enough


def _of_t_test(pairs: int, comparisons: int) -> float:
    degrees = pairs - 1
    quantiles = stdtrit(degrees, 1 - ALPHA / 2 / comparisons) + stdtrit(degrees, POWER)
    return float(quantiles) / math.sqrt(pairs)


@lru_cache(maxsize=1)
def _table() -> dict[int, dict[int, float]]:
    """Return the margins by comparisons and pairs, without pairs that are too few to show a difference."""
    content = json.loads(_TABLE.read_text(encoding="utf-8"))
    columns = enumerate(content["comparisons"])
    rows = {int(pairs): margins for pairs, margins in content["margins"].items()}
    return {k: {n: row[i] for n, row in rows.items() if row[i] is not None} for i, k in columns}


def _margins(comparisons: int) -> dict[int, float]:
    """Return the margins by pairs, of the first column with at least this many comparisons; {} if there is none."""
    return next((margins for k, margins in _table().items() if k >= comparisons), {})
