"""A table of the accuracy of each arm by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.by_class import confusion
from dropexp.config.tasks import CLASSES
from dropexp.report.kept_predictions import Kept
from dropexp.report.tables.cells import ABSENT, NOT_KEPT, figure_cell
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import FRACTION
from dropexp.runs.predictions import Predictions


def mean_confusion(predictions: list[Predictions]) -> NDArray[np.float64]:
    """Return the mean confusion matrix of an arm's runs, shape (10, 10): see `confusion`."""
    mean: NDArray[np.float64] = np.mean([confusion(one) for one in predictions], axis=0)
    return mean


def accuracies_table(kept: Kept) -> Table | None:
    """Return a row per arm with the mean accuracy of each class; None if no arm has kept its predictions."""
    if not any(kept.values()):
        return None
    rows = [
        [arm, *(figure_cell(share, FRACTION) for share in np.diag(mean_confusion(predictions)).tolist())]
        if predictions
        else [f"{arm}: {NOT_KEPT}", *[ABSENT] * len(CLASSES)]
        for arm, predictions in kept.items()
    ]
    about = "the share of the test images of a class that are recognised, mean over the seeds."
    return Table("Test accuracy by class, %", ["arm", *CLASSES], rows, about=about)
