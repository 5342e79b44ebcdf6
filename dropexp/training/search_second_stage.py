"""Between the stages of a study with searches: select the best trial of each search, and plan the run that tests it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropexp.config.digests import canonical
from dropexp.config.planned_run import PlannedRun
from dropexp.config.search import Search
from dropexp.errors import RunError
from dropexp.runs.best_trial import best_trial
from dropexp.runs.record import number
from dropexp.runs.search_records import SearchRecord, TrialRecord
from dropexp.runs.state_names import FINISHED, Status
from dropexp.training.jobs import IN_TRAINING, Job


@dataclass(frozen=True)
class Selected:
    """A search with its selected trial, and the run that tests the settings of that trial."""

    record: SearchRecord
    tested: PlannedRun


@dataclass(frozen=True)
class Blocked:
    """A search without a selection; `busy` if another process trains one of its trials."""

    search: Search
    why: str
    busy: bool = False

    @property
    def label(self) -> str:
        arm = f"arm {self.search.arm}, " if self.search.arm else ""
        return f"{self.search.name}: {arm}repeat {self.search.repeat}"

    def __str__(self) -> str:
        return f"{self.label}: no settings are selected: {self.why}"


def select(
    search: Search, known: Sequence[TrialRecord], jobs: Mapping[str, Job], device_kind: str
) -> Selected | Blocked:
    """Select a trial. Figures that are not `known` are read; `jobs` has the trials by settings, see `by_settings`."""
    trials = []
    for trial, planned in zip(known, search.trials, strict=True):
        if trial.status is None:
            found = _measured(trial, jobs[canonical(planned.config.settings(device_kind))])
            if isinstance(found, _Unfinished):
                return Blocked(search, found.why, found.busy)
            trials.append(found)
        else:
            trials.append(trial)
    best = best_trial(trials)
    if best is None:
        return Blocked(search, "every trial diverged")
    figures = {"val_acc": trials[best].val_acc, "val_loss": trials[best].val_loss}
    measured = {name: value for name, value in figures.items() if value is not None}
    return Selected(SearchRecord.of(search, device_kind, trials, best), search.tested(best, measured))


def by_settings(jobs: Sequence[Job], device_kind: str) -> dict[str, Job]:
    """Return jobs by the settings of their runs."""
    return {canonical(job.planned.config.settings(device_kind)): job for job in jobs}


@dataclass(frozen=True)
class _Unfinished:
    why: str
    busy: bool


def _measured(trial: TrialRecord, job: Job) -> TrialRecord | _Unfinished:
    """Return the figures of a finished trial after its last epoch, none if it diverged."""
    state = job.state()
    if state.status not in FINISHED:
        return _Unfinished(f"{job.folder.path} is {state.status}", state.status in IN_TRAINING)
    try:
        info = job.folder.read_info()
    except RunError as error:
        return _Unfinished(str(error), busy=False)
    val_acc, val_loss = (number(info.last.get(name)) for name in ("val_acc", "val_loss"))
    if info.status == Status.DIVERGED or not math.isfinite(val_acc):
        return trial.model_copy(update={"status": "diverged"})
    return trial.model_copy(update={"status": "done", "val_acc": val_acc, "val_loss": val_loss})
