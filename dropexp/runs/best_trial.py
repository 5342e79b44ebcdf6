"""The rule that selects the best trial of a search, from figures on validation rows alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dropexp.runs.search_records import SearchRecord, TrialRecord


def best_trial(trials: Sequence[TrialRecord]) -> int | None:
    """Return the index of the trial with the highest validation accuracy.

    Ties: the lowest validation loss, then the first trial. None if one has not ended, or if all diverged.
    """
    done = [index for index, trial in enumerate(trials) if trial.status == "done"]
    if not done or any(trial.status is None for trial in trials):
        return None
    return min(done, key=lambda index: (*_rank(trials[index]), index))


def _rank(trial: TrialRecord) -> tuple[float, float]:
    loss = math.inf if trial.val_loss is None or math.isnan(trial.val_loss) else trial.val_loss
    return (math.inf if trial.val_acc is None else -trial.val_acc, loss)


def with_trials(record: SearchRecord, num_trials: int) -> SearchRecord:
    """Return the record of the same search with this number of trials; if one is missing, without a selection."""
    known = record.trials[:num_trials]
    selected = best_trial(known) if len(known) == num_trials else None
    return record.model_copy(update={"num_trials": len(known), "selected": selected})
