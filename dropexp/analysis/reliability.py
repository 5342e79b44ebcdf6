"""How confident predictions are, and how often they are right: the points of a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dropexp.runs.metrics import CALIBRATION_BINS
from dropexp.runs.predictions import Predictions


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: their mean confidence, accuracy, and share of all predictions."""

    confidence: float
    accuracy: float
    share: float


def reliability(predictions: Sequence[Predictions]) -> list[Bin]:
    """Return the bins of equal width that have predictions, of all runs together (Guo et al., 2017)."""
    confidences = np.concatenate([one.confidences for one in predictions]).astype(float)
    correct = np.concatenate([one.correct for one in predictions])
    index = np.clip(np.ceil(confidences * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(index, minlength=CALIBRATION_BINS)
    sums = [np.bincount(index, weights=values, minlength=CALIBRATION_BINS) for values in (confidences, correct)]
    return [
        Bin(float(sums[0][i] / counts[i]), float(sums[1][i] / counts[i]), float(counts[i] / len(index)))
        for i in np.flatnonzero(counts)
    ]


@dataclass(frozen=True)
class Mistake:
    """A test image that runs of an arm predict wrongly: its class, and the most frequent wrong one.

    `confidence` is the mean over all runs of the confidence in a wrong class; it is 0 for a run that is right.
    """

    image: int
    label: int
    predicted: int
    confidence: float


def confident_mistakes(predictions: Sequence[Predictions], count: int) -> list[Mistake]:
    """Return the `count` test images on which the runs are most confident of a wrong class, the worst first."""
    wrong = np.array([np.where(one.correct, 0.0, one.confidences.astype(float)) for one in predictions])
    means = wrong.mean(axis=0)
    worst = np.argsort(-means, kind="stable")[:count]
    found = []
    for i in worst[means[worst] > 0].tolist():
        classes = [int(one.classes[i]) for one, mistaken in zip(predictions, wrong[:, i], strict=True) if mistaken]
        found.append(Mistake(i, int(predictions[0].labels[i]), max(set(classes), key=classes.count), float(means[i])))
    return found
