"""Between the stages of a study with searches: select the best trial of each search, and plan the run that tests it.

The rule: the highest validation accuracy after the last epoch; of equals the lowest validation loss, then the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropexp.config.digests import canonical
from dropexp.config.planned import PlannedRun
from dropexp.config.search import Search
from dropexp.errors import RunError
from dropexp.runs.record import number
from dropexp.runs.searches import Records, SearchRecord, TrialRecord
from dropexp.runs.status import FINISHED, Status
from dropexp.training.jobs import Job

IN_TRAINING = (Status.RUNNING, Status.BUSY)


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

    def __str__(self) -> str:
        where = ", ".join([*([f"arm {self.search.arm}"] if self.search.arm else []), f"repeat {self.search.repeat}"])
        return f"{self.search.name}: {where}: no settings are selected: {self.why}"


def recorded_selection(search: Search, records: Records, device_kind: str) -> Selected | None:
    """Return the selection that study.json has for a search with these trials, None without one."""
    record = records.get((search.digest, device_kind))
    if record is None or record.selected is None or record.points != [dict(point) for point in search.points]:
        return None
    return _selected(search, record, record.selected)


def select(search: Search, jobs: Mapping[str, Job], device_kind: str) -> Selected | Blocked:
    """Select a trial. `jobs` has the trials by their settings, see `by_settings`."""
    trials = []
    for point, planned in zip(search.points, search.trials, strict=True):
        trial = _measured(dict(point), jobs[canonical(planned.config.settings(device_kind))])
        if isinstance(trial, _Unfinished):
            return Blocked(search, trial.why, trial.busy)
        trials.append(trial)
    record = SearchRecord.of(search, device_kind).model_copy(update={"trials": trials})
    ranked = sorted(range(len(trials)), key=lambda index: (*_rank(trials[index]), index))
    if trials[ranked[0]].val_acc is None:
        return Blocked(search, "every trial diverged")
    return _selected(search, record, ranked[0])


def by_settings(jobs: Sequence[Job], device_kind: str) -> dict[str, Job]:
    """Return jobs by the settings of their runs."""
    return {canonical(job.planned.config.settings(device_kind)): job for job in jobs}


def _selected(search: Search, record: SearchRecord, trial: int) -> Selected:
    figures = record.trials[trial]
    known = {"val_acc": figures.val_acc, "val_loss": figures.val_loss}
    selection = {name: value for name, value in known.items() if value is not None}
    return Selected(record.model_copy(update={"selected": trial}), search.tested(trial, selection))


@dataclass(frozen=True)
class _Unfinished:
    why: str
    busy: bool


def _measured(values: dict[str, object], job: Job) -> TrialRecord | _Unfinished:
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
        return TrialRecord.model_validate({"values": values})
    return TrialRecord.model_validate({"values": values, "val_acc": val_acc, "val_loss": val_loss})


def _rank(trial: TrialRecord) -> tuple[float, float]:
    loss = math.inf if trial.val_loss is None or math.isnan(trial.val_loss) else trial.val_loss
    return (math.inf if trial.val_acc is None else -trial.val_acc, loss)
