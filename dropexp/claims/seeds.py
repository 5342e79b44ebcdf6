"""Figures of an arm's runs by seed, so that those of two arms can be subtracted in pairs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import apart
from dropexp.claims.studies import NotTrained
from dropexp.runs.record import Run

Figures: TypeAlias = "pd.Series[float]"  # by seed; one minus another has NaN where only one has the seed


def pairs(
    arms: Sequence[Arm], one: Callable[[Run], bool], other: Callable[[Run], bool], but_for: Collection[str] = ()
) -> list[tuple[Arm, Arm]]:
    """Every two arms of these kinds that agree in all settings but the variant and these keys. Raises NotTrained."""
    kinds = [(a, b) for a in arms if one(a.first) for b in arms if other(b.first)]
    found = [(a, b) for a, b in kinds if set(apart(a, b)) <= set(but_for)]
    if not found:
        raise NotTrained("the arms that are to be compared are not all there")
    return found


def figures(arm: Arm, name: str, epoch: int | None = None) -> Figures:
    """A figure of each run after so many epochs, else after the last. Raises NotTrained."""
    if epoch and arm.curves and epoch > arm.lengths[0]:
        raise NotTrained(f"{arm.label} has {arm.lengths[0]} epochs and not {epoch}")
    return _by_seed({seed: curve[(epoch or 0) - 1] for seed, curve in curves_of(arm, name).items()})


def first_epoch(arm: Arm, name: str, bound: Figures) -> Figures:
    """The epoch, counted from 1, in which each run's figure first is as high as its bound; else NaN."""
    found = {}
    for seed, curve in curves_of(arm, name).items():
        reached = np.flatnonzero(curve >= bound.get(seed, math.nan))
        found[seed] = reached[0] + 1 if reached.size else math.nan
    return _by_seed(found)


def at_loss(arm: Arm, name: str, loss: str, aim: Figures) -> Figures:
    """A figure of each run where its loss first is down at its aim, linear in log loss between epochs."""
    losses, found = curves_of(arm, loss), {}
    for seed, curve in curves_of(arm, name).items():
        down = np.flatnonzero(losses[seed] <= aim.get(seed, math.nan))
        if down.size:
            around = slice(max(0, down[0] - 1), down[0] + 1)
            found[seed] = float(np.interp(-math.log(aim[seed]), -np.log(losses[seed][around]), curve[around]))
    return _by_seed(found)


def least(arm: Arm, name: str) -> Figures:
    """The lowest that each run's figure gets."""
    return _by_seed({seed: np.nanmin(curve) for seed, curve in curves_of(arm, name).items()})


def curves_of(arm: Arm, name: str) -> dict[int, NDArray[np.float64]]:
    """A figure by seed and epoch; of an arm whose runs all diverged, none. Raises NotTrained if no run has it."""
    known = [name in curves and np.isfinite(curves[name]).any() for curves in arm.curves.values()]
    if known and not any(known):
        raise NotTrained(f"no run of {arm.label} has the figure {name}")
    return {seed: curves[name] for seed, curves in arm.curves.items()}


def _by_seed(found: Mapping[int, float]) -> Figures:
    return pd.Series(found, dtype=float)


def layers(arms: Sequence[Arm], kind: str, what: str) -> list[str]:
    """The columns such as h1_zero, of kind "h" and what "zero", layer by layer. Raises NotTrained."""
    names = {name for arm in arms for curves in arm.curves.values() for name in curves}
    found = [name for name in sorted(names) if re.fullmatch(rf"{kind}\d+_{what}", name)]
    if not found:
        raise NotTrained(f"no run of {' or '.join(arm.label for arm in arms)} has figures such as {kind}1_{what}")
    return found
