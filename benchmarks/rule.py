"""The rule of verdicts for many simulated studies at once; a test compares it with `dropexp.analysis.verdicts`.

Differences of simulated studies have the shape (studies, comparisons, pairs), their p-values (studies, comparisons).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from dropexp.analysis import stats
from dropexp.analysis.stats import ALPHA

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
LISTED = 10  # pairs up to which all sums of a comparison are listed; beyond, the sums of its two halves are combined
FEW_PATTERNS, CLEAR = 1000, 0.15  # with so few patterns, a p-value of CLEAR is about ten standard errors above 5 %
BLOCK = 1 << 20  # sums in memory at once


def sign_flip_p(d: Values) -> Values:
    """Return what `stats.sign_flip_p` returns for each comparison; no two sums may be equal.

    Above 20 pairs, a p-value above `CLEAR` is a rougher one, from fewer random patterns.
    """
    rows = d.reshape(-1, d.shape[-1])
    if rows.shape[1] > stats.EXACT_PAIRS:
        p = _sampled(rows)
    else:
        p = _listed(rows) if rows.shape[1] <= LISTED else _halved(rows)
    return p.reshape(d.shape[:-1])


def tost_p(d: Values, margin: float) -> Values:
    """Return what `stats.tost_p` returns for each comparison; no SD may be zero."""
    pairs = d.shape[-1]
    excess = np.abs(d.mean(axis=-1)) - margin
    return np.asarray(stdtr(pairs - 1, excess * np.sqrt(pairs) / d.std(axis=-1, ddof=1)))


def rejected(p: Values) -> Flags:
    """Return which p-values are below 5 % after Holm's adjustment within each study."""
    order = np.argsort(p, axis=1)
    small = np.take_along_axis(p, order, axis=1) * np.arange(p.shape[1], 0, -1) < ALPHA
    found = np.empty(p.shape, dtype=bool)
    np.put_along_axis(found, order, np.logical_and.accumulate(small, axis=1), axis=1)
    return found


def _bounds(rows: Values) -> Values:
    return np.asarray(np.abs(rows.sum(axis=1)) * (1 - 1e-9))


def _listed(rows: Values) -> Values:
    bounds, p = _bounds(rows), np.empty(len(rows))
    for block in _blocks(len(rows), 2 ** (rows.shape[1] - 1)):
        p[block] = (np.abs(_sums(rows[block])) >= bounds[block, None]).mean(axis=1)
    return p


def _halved(rows: Values) -> Values:
    """Return the p-values without listing all sums.

    For each sum of one half of the pairs, a search in the sorted sums of the other half counts the totals that are not
    extreme.
    """
    middle, bounds, p = rows.shape[1] // 2, _bounds(rows), np.empty(len(rows))
    for block in _blocks(len(rows), 2 ** (rows.shape[1] - middle)):
        ours = _sums(rows[block, :middle])
        half = _sums(rows[block, middle:])
        theirs = np.sort(np.concatenate([half, -half], axis=1), axis=1)
        for i, own, others in zip(range(block.start, block.stop), np.sort(ours), theirs, strict=True):
            below, above = others.searchsorted(-bounds[i] - own, "right"), others.searchsorted(bounds[i] - own)
            p[i] = 1 - (above - below).mean() / len(others)
    return p


def _sampled(rows: Values) -> Values:
    """Return p from a few random patterns and, where it is not clearly above 5 %, that of `stats.sign_flip_p`."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (FEW_PATTERNS, rows.shape[1]))
    p = np.array([(np.abs((signs * row).sum(axis=1)) >= abs(row.sum())).mean() for row in rows])
    for i in np.flatnonzero(p <= CLEAR):
        p[i] = stats.sign_flip_p(rows[i])
    return p


def _sums(rows: Values) -> Values:
    """Return the sums of each row for all patterns of signs whose first is plus, shape (rows, 2^(pairs - 1)).

    No matrix product: on a busy machine the threads of BLAS wait for each other for minutes.
    """
    sums = rows[:, :1]
    for x in rows[:, 1:].T[:, :, None]:
        sums = np.concatenate([sums + x, sums - x], axis=1)
    return sums


def _blocks(rows: int, sums: int) -> list[slice]:
    step = max(1, BLOCK // sums)
    return [slice(start, min(rows, start + step)) for start in range(0, rows, step)]
