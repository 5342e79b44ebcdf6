"""Figures by class: the confusion matrix, and what each class is taken for."""

from __future__ import annotations

import numpy as np
import pytest

from dropexp.analysis.by_class import by_class, confusion
from dropexp.runs.predictions import Predictions


def predictions(*pairs: tuple[int, int]) -> Predictions:
    """Return the predictions of images with these labels and predicted classes."""
    labels, classes = np.array(pairs, np.uint8).T
    n = len(pairs)
    return Predictions(labels, classes, np.linspace(0.5, 1, n).astype(np.float16), np.arange(n).astype(np.float16))


def test_rows_of_the_confusion_matrix_are_classes_and_columns_predictions() -> None:
    found = confusion(predictions((0, 0), (0, 0), (0, 6), (0, 2), (9, 9)))
    assert found[0].tolist() == [0.5, 0, 0.25, 0, 0, 0, 0.25, 0, 0, 0]
    assert found[9, 9] == 1 and np.isnan(found[1:9]).all()


def test_figures_are_over_the_images_of_a_class() -> None:
    (trouser, shirt) = by_class(predictions((6, 6), (6, 0), (6, 0), (6, 4), (1, 1)))
    assert (shirt.label, shirt.images, shirt.acc) == ("Shirt", 4, 0.25)
    assert (shirt.taken_for, shirt.share) == ("T-shirt/top", 0.5)
    assert shirt.loss == 1.5 and shirt.confidence == pytest.approx(0.6875)
    assert (trouser.label, trouser.acc, trouser.taken_for, trouser.share) == ("Trouser", 1, None, 0)
