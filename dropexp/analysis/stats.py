"""Statistics over seeds, on arrays.

All intervals are 95 % intervals for normally distributed values with unknown variance: those of means and predictions
by Student's t, those of SDs by chi-square. `differences` are those of paired runs, shape (n,), in any unit. A
difference that is not finite raises ValueError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, stdtr, stdtrit  # scipy.stats has the same functions and takes 0.35 s more to import

LEVEL = 0.95
ALPHA = round(1 - LEVEL, 9)  # 1 - 0.95 is slightly more than 0.05
POWER = 0.8
EXACT_PAIRS = 20  # up to this many pairs, all sign patterns are enumerated
SAMPLES = 100_000  # random sign patterns for more pairs
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(float)  # of each byte, shape (256, 8)


@dataclass(frozen=True)
class Spread:
    """Mean and sample SD of n values. The mean is NaN without a value, the SD below two values."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences and its interval; the ends are NaN below two pairs."""

    pairs: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Interval:
    """An interval; the ends are NaN if unknown."""

    low: float
    high: float

    def contains(self, value: float, rounding: float = 0.0) -> bool | None:
        """Return whether `value`, or a number at most `rounding` away from it, is in the interval, ends included.

        None if the value or the interval is unknown.
        """
        if math.isnan(self.low) or math.isnan(self.high) or math.isnan(value):
            return None
        return bool(self.low <= value + rounding and value - rounding <= self.high)


def mean(values: ArrayLike) -> float:
    """Return the mean of `values`, NaN if there are none."""
    x = np.asarray(values, dtype=float)
    return float(x.mean()) if x.size else math.nan


def median(values: NDArray[np.float64]) -> float:
    """Return the median, NaN if there is no value or one is NaN; ten times as fast as `np.median` for a few values."""
    if not values.size:
        return math.nan
    in_order = np.sort(values)  # NaN last
    middle = (in_order[(len(values) - 1) // 2] + in_order[len(values) // 2]) / 2
    return math.nan if np.isnan(in_order[-1]) else float(middle)


def spread(values: ArrayLike) -> Spread:
    """Return mean and sample SD (divided by n - 1) of `values`, shape (n,)."""
    x = np.asarray(values, dtype=float)
    sd = float(x.std(ddof=1)) if x.size > 1 else math.nan
    return Spread(x.size, mean(x), sd)


def paired_difference(values: ArrayLike, baseline: ArrayLike) -> Difference:
    """Return the mean of values - baseline, both of shape (n,) and in the same order of seeds, with its t-interval.

    Source: Student's paired t; n - 1 degrees of freedom. Raises ValueError if the shapes differ.
    """
    a, b = np.asarray(values, dtype=float), np.asarray(baseline, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired values need one common shape (n,), not {a.shape} and {b.shape}")
    d = spread(a - b)
    half = _quantile(d.n) * d.sd / math.sqrt(d.n) if d.n > 1 else math.nan
    return Difference(d.n, d.mean, d.mean - half, d.mean + half)


def prediction_interval(values: ArrayLike) -> Interval:
    """Return the 95 % prediction interval of one further value: mean ± t·SD·√(1 + 1/n) of `values`, shape (n,).

    Source: Hahn and Meeker, Statistical Intervals (1991), chapter 4. NaN below two values.
    """
    s = spread(values)
    half = _quantile(s.n) * s.sd * math.sqrt(1 + 1 / s.n) if s.n > 1 else math.nan
    return Interval(s.mean - half, s.mean + half)


def sign_flip_p(differences: ArrayLike) -> float:
    """Return the two-sided p of no difference: the share of sign patterns whose |sum| is at least the observed one.

    All 2^n patterns are enumerated for up to `EXACT_PAIRS` pairs; for more, `SAMPLES` random patterns are drawn with a
    fixed seed. NaN without a pair.
    Sources: Fisher, The Design of Experiments (1935), section 21; for random patterns Davison and Hinkley,
    Bootstrap Methods and their Application (1997), section 4.2: (hits + 1) / (samples + 1).
    """
    d = _finite(differences)
    if not d.size:
        return math.nan
    bound = abs(d.sum()) - 1e-9 * np.abs(d).sum()  # sums that differ only by rounding are equally extreme
    if d.size <= EXACT_PAIRS:
        sums = d[:1]  # a pattern and its opposite are equally extreme, so the first sign is fixed
        for x in d[1:]:
            sums = np.concatenate([sums + x, sums - x])
        return float((np.abs(sums) >= bound).mean())
    kept = np.zeros(SAMPLES)  # the sum of the differences whose sign is kept
    for eight, patterns in zip(_eights(d), _random_bytes(d.size), strict=True):
        kept += (_BITS @ eight)[patterns]  # a byte has the signs of eight differences
    hits = int((np.abs(2 * kept - d.sum()) >= bound).sum())
    return (hits + 1) / (SAMPLES + 1)


def _eights(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values in rows of eight, the last one filled up with zeros."""
    return np.append(d, np.zeros(-d.size % 8)).reshape(-1, 8)


@lru_cache(maxsize=4)
def _random_bytes(n: int) -> NDArray[np.uint8]:
    """Return `SAMPLES` random patterns of n bits, each a column of bytes."""
    drawn = np.random.default_rng(0).integers(0, 256, (SAMPLES, -(-n // 8)), dtype=np.uint8)
    return np.ascontiguousarray(drawn.T)


def min_sign_flip_p(pairs: int) -> float:
    """Return the smallest p that the test of n pairs can give: 2 / 2^n if it is exact, for differences of one sign."""
    return min(1.0, 2.0 ** (1 - pairs)) if pairs <= EXACT_PAIRS else 1 / (SAMPLES + 1)


def holm(p_values: ArrayLike) -> list[float]:
    """Return p-values adjusted for being one family, in the given order; NaN stays NaN and does not count.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    p = np.asarray(p_values, dtype=float)
    family = p.size - int(np.isnan(p).sum())
    order = np.argsort(p)[:family]  # NaN sorts last
    adjusted = np.full(p.size, math.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(family, 0, -1)))
    return list(adjusted.tolist())


def win_rate(differences: ArrayLike) -> float:
    """Return the share of differences above zero, a tie counted as half a win; NaN without a pair.

    Source: P(A > B) of Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021).
    """
    d = _finite(differences)
    return float((np.sign(d).mean() + 1) / 2) if d.size else math.nan


def tost_p(differences: ArrayLike, margin: float) -> float:
    """Return the TOST p of a true mean at or beyond ±margin, in the unit of `differences`: small if equivalent.

    Source: Schuirmann's two one-sided paired t-tests (1987); this is the larger p. NaN below two pairs.
    Raises ValueError if the margin is not positive.
    """
    _positive("the margin", margin)
    d = spread(_finite(differences))
    if d.n < 2:
        return math.nan
    excess = abs(d.mean) - margin  # the nearer bound gives the larger p
    if d.sd == 0:
        return 0.0 if excess < 0 else 1.0
    return float(stdtr(d.n - 1, excess * math.sqrt(d.n) / d.sd))


def sd_interval(sd: float, n: int) -> Interval:
    """Return the interval of the true SD of n normal values with the sample SD `sd`; NaN below two values.

    Source: Hahn and Meeker, Statistical Intervals (1991), chapter 4: (n - 1)·SD²/σ² has a chi-square distribution.
    """
    if n < 2:
        return Interval(math.nan, math.nan)
    low, high = (sd * math.sqrt((n - 1) / float(chdtri(n - 1, tail))) for tail in (ALPHA / 2, 1 - ALPHA / 2))
    return Interval(low, high)


def _quantile(n: int) -> float:
    return float(stdtrit(n - 1, (1 + LEVEL) / 2))


def _finite(differences: ArrayLike) -> NDArray[np.float64]:
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or not np.isfinite(d).all():
        raise ValueError(f"differences must have the shape (n,) and finite values: {d}")
    return d


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be above zero")
