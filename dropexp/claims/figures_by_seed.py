"""Figures of an arm's runs by seed: at an epoch, at a loss, their minimum, the epoch that reaches a bound, by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from dropexp.analysis.arms import Arm
from dropexp.analysis.run_figures import Curve
from dropexp.claims.trained_studies import NotTrained
from dropexp.plurals import counted

BySeed: TypeAlias = "pd.Series[float]"  # a figure of each run; a difference is NaN where only one side has the seed


def figures(arm: Arm, name: str, epoch: int | None = None) -> BySeed:
    """Return a figure of each run after an epoch, by default its last. Raises NotTrained if the runs do not have it."""
    if epoch and arm.runs and epoch > arm.min_epochs:
        raise NotTrained(f"{arm.label} has {counted(arm.min_epochs, 'epoch')}, not {epoch}")
    found = _by_seed({seed: curve[(epoch or 0) - 1] for seed, curve in _curves(arm, name).items()})
    if epoch and len(found) and found.isna().all():
        raise NotTrained(f"{arm.label} has no {name} at epoch {epoch}")
    return found


def first_epoch(arm: Arm, name: str, bound: BySeed) -> BySeed:
    """Return the first epoch, counted from 1, in which each run's figure reaches its bound; NaN if none does."""
    found = {}
    for seed, curve in _curves(arm, name).items():
        reached = np.flatnonzero(curve >= bound.get(seed, math.nan))
        found[seed] = reached[0] + 1 if reached.size else math.nan
    return _by_seed(found)


def at_loss(arm: Arm, name: str, loss: str, aim: BySeed) -> BySeed:
    """Return a figure of each run where its loss first reaches its aim, interpolated linearly in log loss."""
    losses, found = _curves(arm, loss), {}
    for seed, curve in _curves(arm, name).items():
        measured = np.flatnonzero(np.isfinite(losses[seed]))
        reached = np.flatnonzero(losses[seed][measured] <= aim.get(seed, math.nan))
        if reached.size:
            around = measured[max(0, reached[0] - 1) : reached[0] + 1]
            found[seed] = float(np.interp(-math.log(aim[seed]), -np.log(losses[seed][around]), curve[around]))
    return _by_seed(found)


def lowest(arm: Arm, name: str) -> BySeed:
    """Return the minimum of each run's figure over its epochs."""
    return _by_seed({seed: np.nanmin(curve) for seed, curve in _curves(arm, name).items()})


def layer_columns(arms: Sequence[Arm], kind: str, what: str) -> list[str]:
    """Return the columns of all layers: h1_zero, … for kind "h" and what "zero". Raises NotTrained if none exist."""
    names = {name for arm in arms for run in arm.runs.values() for name in run.curves}
    found = [name for name in sorted(names) if re.fullmatch(rf"{kind}\d+_{what}", name)]
    if not found:
        raise NotTrained(f"no run of {' or '.join(arm.label for arm in arms)} has a figure such as {kind}1_{what}")
    return found


def _curves(arm: Arm, name: str) -> dict[int, Curve]:
    """Return a figure by seed and epoch; nothing if all runs diverged. Raises NotTrained if no run has the figure."""
    curves = {seed: run.curve(name) for seed, run in arm.runs.items()}
    if curves and not any(np.isfinite(curve).any() for curve in curves.values()):
        raise NotTrained(f"no run of {arm.label} has the figure {name}")
    return curves


def _by_seed(found: Mapping[int, float]) -> BySeed:
    return pd.Series(found, dtype=float)
