"""Figures of an arm's runs by seed, so that those of two arms can be subtracted in pairs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.arms import Arm
from dropexp.baselines import apart
from dropexp.claims.studies import NotTrained
from dropexp.history import Run

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


def figures(arm: Arm, name: str, epoch: int | Figures | None = None) -> Figures:
    """A figure of each run after so many epochs, the same or its own, else after the last. Raises NotTrained."""
    curves = curves_of(arm, name)
    if epoch is None:
        epoch = pd.Series({seed: len(curve) for seed, curve in curves.items()})
    elif isinstance(epoch, int):
        if epoch > arm.lengths[0]:
            raise NotTrained(f"{arm.label} has {arm.lengths[0]} epochs and not {epoch}")
        epoch = pd.Series(epoch, index=arm.seeds)
    there = epoch.dropna().astype(int)
    return pd.Series({seed: curve[there[seed] - 1] for seed, curve in curves.items() if seed in there}, dtype=float)


def first_epoch(arm: Arm, name: str, bound: Figures, *, rising: bool) -> Figures:
    """The epoch, counted from 1, in which each run's figure first is as high, or as low, as the bound; else NaN."""
    found = {}
    for seed, curve in curves_of(arm, name).items():
        aim = bound.get(seed, math.nan)
        reached = np.flatnonzero(curve >= aim if rising else curve <= aim)
        found[seed] = reached[0] + 1 if reached.size else math.nan
    return pd.Series(found, dtype=float)


def least(arm: Arm, name: str) -> Figures:
    """The lowest that each run's figure gets."""
    return pd.Series({seed: np.nanmin(curve) for seed, curve in curves_of(arm, name).items()}, dtype=float)


def curves_of(arm: Arm, name: str) -> dict[int, NDArray[np.float64]]:
    """A figure by seed and epoch. Raises NotTrained if it is not known of any run."""
    if not any(name in curves and np.isfinite(curves[name]).any() for curves in arm.curves.values()):
        raise NotTrained(f"no run of {arm.label} has the figure {name}")
    return {seed: curves[name] for seed, curves in arm.curves.items()}


def layers(arm: Arm, kind: str, what: str) -> dict[str, str]:
    """By layer, counted from 1, the columns such as h1_zero, of kind "h" and what "zero". Raises NotTrained."""
    names = sorted({name for curves in arm.curves.values() for name in curves})
    found = {match[1]: name for name in names if (match := re.fullmatch(rf"{kind}(\d+)_{what}", name))}
    if not found:
        raise NotTrained(f"no run of {arm.label} has figures such as {kind}1_{what}")
    return found
