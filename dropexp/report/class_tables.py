"""Tables by class: the accuracy of each arm, and what its runs take each class for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.classes import confusion
from dropexp.config.tasks import CLASSES
from dropexp.errors import RunError
from dropexp.report.cells import ABSENT, NOT_KEPT, figure_cell
from dropexp.report.origin import ComparedRun
from dropexp.report.table import Table
from dropexp.runs.predictions import Predictions, read_predictions


def confusions(runs: Sequence[ComparedRun]) -> dict[str, NDArray[np.float64] | None]:
    """Return by arm the mean confusion matrix of its runs at the compared epoch; None unless all have kept it."""
    by_arm: dict[str, list[Predictions | None]] = {}
    for run in runs:
        by_arm.setdefault(run.arm, []).append(_kept(run))
    return {
        arm: np.mean([confusion(one) for one in kept if one], axis=0) if all(kept) else None
        for arm, kept in by_arm.items()
    }


def _kept(run: ComparedRun) -> Predictions | None:
    try:
        return read_predictions(run.folder.path, run.predictions_sha256).get(run.epoch)
    except RunError:  # a note of the comparison names a corrupted file
        return None


def accuracies_table(by_arm: dict[str, NDArray[np.float64] | None]) -> Table | None:
    """Return a row per arm with the mean accuracy of each class; None if no arm has kept its predictions."""
    if not any(matrix is not None for matrix in by_arm.values()):
        return None
    rows = [
        [f"{arm}: {NOT_KEPT}", *[ABSENT] * len(CLASSES)]
        if matrix is None
        else [arm, *(figure_cell(share) for share in np.diag(matrix).tolist())]
        for arm, matrix in by_arm.items()
    ]
    legend = "the share of the test images of a class that are recognised, mean over the seeds."
    return Table("Test accuracy by class", ["arm", *CLASSES], rows, legend=legend)


def confusion_table(arm: str, matrix: NDArray[np.float64]) -> Table:
    """Return a row per class, a column per predicted class."""
    rows = [
        [label, *(figure_cell(100 * share, ".1f") for share in shares)]
        for label, shares in zip(CLASSES, matrix.tolist(), strict=True)
    ]
    legend = "rows: the class of the image; columns: the predicted class; % of the images of a class, mean over seeds."
    return Table(f"Confusion matrix of {arm}", ["class", *CLASSES], rows, legend=legend)
