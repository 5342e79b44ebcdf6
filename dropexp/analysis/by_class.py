"""Figures by class: how often each class is recognised, and what it is taken for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dropexp.config.tasks import CLASSES, NUM_OUTPUTS
from dropexp.runs.predictions import Predictions


@dataclass(frozen=True)
class ClassFigures:
    """Figures over the test images of one class.

    acc          share of the images that are predicted to be of this class
    confidence   mean probability of the predicted class
    loss         mean cross entropy, nats
    taken_for    the wrong class that is predicted most often; None if all images are recognised
    share        the share of the images that are predicted to be of the class `taken_for`
    """

    label: str
    images: int
    acc: float
    confidence: float
    loss: float
    taken_for: str | None
    share: float


def confusion(predictions: Predictions) -> NDArray[np.float64]:
    """Return which share of the images of each class (rows) is predicted as which class (columns), shape (10, 10).

    A row is NaN if there is no image of its class.
    """
    pairs = predictions.labels.astype(int) * NUM_OUTPUTS + predictions.classes
    counts = np.bincount(pairs, minlength=NUM_OUTPUTS**2).reshape(NUM_OUTPUTS, NUM_OUTPUTS).astype(float)
    images = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(counts, images, out=np.full_like(counts, math.nan), where=images > 0)
    return shares


def by_class(predictions: Predictions) -> list[ClassFigures]:
    """Return the figures of each class that has images, in the order of the labels."""
    shares = confusion(predictions)
    return [_figures(predictions, int(i), shares[i]) for i in np.unique(predictions.labels)]


def _figures(predictions: Predictions, i: int, shares: NDArray[np.float64]) -> ClassFigures:
    own = predictions.labels == i
    wrong = np.where(np.arange(NUM_OUTPUTS) == i, 0.0, shares)
    other = int(wrong.argmax())
    return ClassFigures(
        label=CLASSES[i],
        images=int(own.sum()),
        acc=float(shares[i]),
        confidence=float(predictions.confidences[own].mean(dtype=float)),
        loss=float(predictions.losses[own].mean(dtype=float)),
        taken_for=CLASSES[other] if wrong[other] else None,
        share=float(wrong[other]),
    )
