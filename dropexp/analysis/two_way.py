"""The interval of a mean difference over seeds and test images: how it would vary with new seeds and new images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dropexp.analysis.arms import Arm
from dropexp.analysis.notes import Noted
from dropexp.analysis.run_figures import MeasuredRun
from dropexp.analysis.stats import LEVEL
from dropexp.errors import RunError
from dropexp.runs.predictions import Predictions, read_predictions

METRICS = ("test_acc", "test_loss")  # means over the test images
KEPT_RUNS = 256  # runs whose predictions stay in memory, since many arms are compared with the same baseline


def half_width(d: NDArray[Any]) -> float:
    """Return half the width of the 95 % interval of the mean of d, shape (S, I): values by seed and by image.

    Seeds and images are random effects. The variance of the mean is V = (MS_seed + MS_image − MS_residual)/(S·I), from
    the mean squares of a two-way layout without replication, with Satterthwaite's degrees of freedom. The interval is
    never narrower than that over the seeds alone. NaN below two seeds or images, and for values that are not finite.
    Sources: Searle, Casella and McCulloch, Variance Components (1992), chapter 4; Satterthwaite, An Approximate
    Distribution of Estimates of Variance Components (1946).
    """
    S, I = d.shape
    if S < 2 or I < 2 or not np.isfinite(d).all():
        return math.nan
    mean, by_seed, by_image = d.mean(dtype=float), d.mean(axis=1, dtype=float), d.mean(axis=0, dtype=float)
    total = np.square(d - mean).sum(dtype=float)
    seeds, images = I * np.square(by_seed - mean).sum(), S * np.square(by_image - mean).sum()
    ms_seed, ms_image = seeds / (S - 1), images / (I - 1)
    ms_residual = (total - seeds - images) / ((S - 1) * (I - 1))
    half = _t(S - 1) * math.sqrt(ms_seed / (S * I))
    variance = ms_seed + ms_image - ms_residual
    if variance > ms_seed:
        terms = ms_seed**2 / (S - 1) + ms_image**2 / (I - 1) + ms_residual**2 / ((S - 1) * (I - 1))
        half = max(half, _t(variance**2 / terms) * math.sqrt(variance / (S * I)))
    return float(half)


def _t(df: float) -> float:
    return float(stdtrit(df, (1 + LEVEL) / 2))


def half_widths(compared: Sequence[tuple[Arm, Arm]], metric: str) -> Noted[list[float | None]]:
    """Return half the width of the interval of each arm minus its baseline, over their common seeds and test images.

    None for metrics other than `METRICS`, and where runs have not kept the predictions of the epoch that is compared.
    The notes name corrupted files.
    """
    widths: list[float | None] = []
    notes: dict[str, None] = {}
    for arm, base in compared:
        try:
            d = _differences(arm, base, metric) if metric in METRICS else None
            widths.append(None if d is None else half_width(d))
        except RunError as error:
            widths.append(None)
            notes[f"not used: {error}"] = None
    return Noted(widths, list(notes))


def _differences(arm: Arm, base: Arm, metric: str) -> NDArray[Any] | None:
    """Return the differences by common seed and image, shape (S, I).

    None if there is no common seed, if a run has kept no predictions, or if the images differ.
    Raises `RunError` if a file is corrupted.
    """
    pairs = [(_kept(run), _kept(base.runs[seed])) for seed, run in arm.runs.items() if seed in base.runs]
    known = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    if not pairs or len(known) < len(pairs):
        return None
    labels = known[0][0].labels
    if not all(np.array_equal(side.labels, labels) for pair in known for side in pair):
        return None
    return np.array([_values(ours, metric) - _values(theirs, metric) for ours, theirs in known])


def _values(predictions: Predictions, metric: str) -> NDArray[Any]:
    """Return the metric of each image."""
    if metric == "test_acc":
        return predictions.correct.astype(np.int8)
    return predictions.losses.astype(np.float32)


def _kept(run: MeasuredRun) -> Predictions | None:
    """Return a run's predictions at the epoch that is compared."""
    return _read(run.path, run.predictions_sha256).get(run.epoch)


@lru_cache(maxsize=KEPT_RUNS)
def _read(folder: Path, checksum: str | None) -> Mapping[int, Predictions]:
    return read_predictions(folder, checksum)
