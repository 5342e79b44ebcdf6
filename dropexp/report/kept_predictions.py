"""The predictions that the runs of a comparison have kept, by arm."""

from __future__ import annotations

from collections.abc import Sequence

from dropexp.errors import RunError
from dropexp.report.origin_of_runs import ComparedRun
from dropexp.runs.predictions import Predictions, read_predictions

Kept = dict[str, list[Predictions]]  # by arm; an arm is empty unless all of its runs have kept theirs


def kept_of(runs: Sequence[ComparedRun]) -> Kept:
    """Return the predictions of each arm's runs at the compared epoch."""
    by_arm: dict[str, list[Predictions | None]] = {}
    for run in runs:
        by_arm.setdefault(run.arm, []).append(_read(run))
    return {arm: [one for one in found if one] if all(found) else [] for arm, found in by_arm.items()}


def _read(run: ComparedRun) -> Predictions | None:
    try:
        return read_predictions(run.folder.path, run.predictions_sha256).get(run.epoch)
    except RunError:  # a note of the comparison names a corrupted file
        return None
