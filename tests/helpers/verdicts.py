"""Paired differences, and verdicts on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dropexp.analysis.verdicts import Pair, Verdict, judge
from dropexp.runs.metrics import FRACTION, Unit

MARGIN = 0.003
SHAPE = np.array([-1.2, -0.9, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 0.9, 1.2])  # sums to zero


def pair(
    differences: ArrayLike,
    arm: str = "nn",
    what: str = "test accuracy after 5 epochs",
    higher_is_better: bool | None = True,
    unit: Unit = FRACTION,
) -> Pair:
    return Pair(arm, "none", np.asarray(differences, dtype=float), what, higher_is_better, unit)


def verdict(differences: ArrayLike, margin: float = MARGIN) -> Verdict:
    (only,) = judge([pair(differences)], margin)
    return only
