"""Arms at the last epoch and at each run's best validation epoch, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dropexp.analysis.arms import Arm
from dropexp.analysis.stats import paired_difference, spread

_SIDE = ["", "_sd", "_difference", "_low", "_high"]
COLUMNS = ["arm", "baseline", "n", "earliest", "latest", *(f"{at}{name}" for at in ("last", "best") for name in _SIDE)]


def best_val_frame(arms: Sequence[Arm], baselines: Mapping[str, Arm], metric: str, at: str) -> pd.DataFrame:
    """Return a row per arm with validation rows; no rows unless `at` is "last" or "best-val".

    earliest, latest    the earliest and the latest best validation epoch of the arm's n runs
    last, best          mean of the metric at the last epoch and at the best validation epochs, and *_sd, its sample SD
    *_difference        mean difference from the baseline over pairs of runs; *_low, *_high: its 95 % t-interval

    Unknown figures are NaN. The metric `seconds` has no rows: it is a median over epochs.
    """
    shown = [arm for arm in arms if _best_epochs(arm)] if at in ("last", "best-val") and metric != "seconds" else []
    rows = [_row(arm, base if (base := baselines.get(arm.label)) is not arm else None, metric) for arm in shown]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(arm: Arm, base: Arm | None, metric: str) -> dict[str, Any]:
    epochs = _best_epochs(arm).values()
    row: dict[str, Any] = {"arm": arm.label, "baseline": base.label if base else None}
    row |= {"n": len(epochs), "earliest": min(epochs), "latest": max(epochs)}
    theirs = _figures(base, metric) if base else {}
    for at, ours in _figures(arm, metric).items():
        over_seeds = spread([*ours.values()])
        common = [seed for seed in ours if seed in theirs.get(at, {})]
        difference = paired_difference([ours[seed] for seed in common], [theirs[at][seed] for seed in common])
        figures = (over_seeds.mean, over_seeds.sd, difference.mean, difference.low, difference.high)
        row |= {f"{at}{name}": figure for name, figure in zip(_SIDE, figures, strict=True)}
    return row


def _best_epochs(arm: Arm) -> dict[int, int]:
    """Return the best validation epochs by seed."""
    return {seed: run.best_val_epoch for seed, run in arm.runs.items() if run.best_val_epoch is not None}


def _figures(arm: Arm, metric: str) -> dict[str, dict[int, float]]:
    """Return the metric by seed, at the "last" and at the "best" epoch, of the runs that have one."""
    epochs = _best_epochs(arm)
    figures = {
        "last": {seed: arm.runs[seed].figure(metric, arm.runs[seed].epochs) for seed in epochs},
        "best": {seed: arm.runs[seed].figure(metric, epoch) for seed, epoch in epochs.items()},
    }
    return {at: {seed: figure for seed, figure in own.items() if math.isfinite(figure)} for at, own in figures.items()}
