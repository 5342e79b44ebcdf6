"""From studies to finished runs: one pipeline for the command and for notebooks."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

from dropexp.config import plugins
from dropexp.config.study import Study, load_config
from dropexp.data import download
from dropexp.errors import DataError, RunError, TrainingError, UnfinishedRun
from dropexp.interrupts import import_torch
from dropexp.runs.folder import RunFolder, default_runs_dir
from dropexp.runs.repair import repair_finished
from dropexp.runs.status import FINISHED, Status
from dropexp.runs.study_file import write_study
from dropexp.runs.table import Row
from dropexp.training import device as devices
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.execute import execute
from dropexp.training.jobs import Job, Plan, jobs_of
from dropexp.training.trainer import Trainer

RESUMABLE = (Status.INTERRUPTED, Status.FAILED, Status.CORRUPTED)  # with a checkpoint


class Training:
    """The runs of some studies on a resolved device, and the training of those that are not finished.

    `force` trains finished runs again; `on_ray` trains on the connected Ray cluster.
    """

    def __init__(
        self, studies: Sequence[Study], runs_dir: Path, device: str, *, force: bool = False, on_ray: bool = False
    ) -> None:
        self.studies, self.runs_dir = studies, runs_dir
        self.device, self.force, self.on_ray = device, force, on_ray
        self.jobs = jobs_of(studies, runs_dir, device)

    @cached_property
    def unfinished(self) -> list[Job]:
        """The jobs that will train. Events name them by their index in this list."""
        return [job for job in self.jobs if self.force or job.state().status not in FINISHED]

    @property
    def finished(self) -> list[Job]:
        """The jobs that will not train."""
        unfinished = {id(job) for job in self.unfinished}
        return [job for job in self.jobs if id(job) not in unfinished]

    @property
    def notes(self) -> list[str]:
        """What to know before training: options that add arms to the study of a config."""
        notes = []
        for study in self.studies:
            if study.added:
                what = f"{study.file} does not ask for {len(study.added)} of these runs"
                options = shlex.join(study.options[2:])
                hint = "`--set name=NAME` makes them a study of their own"
                notes.append(f"{what}, because of {options}, but they are in its study {study.name!r}; {hint}")
        return notes

    def restarts(self, data_dir: Path | None) -> Generator[str]:
        """Yield why unfinished runs would restart, and what that loses; write nothing. Leaves out runs on a cluster.

        Without the data, which is searched in `data_dir` first, it leaves out runs that have images.
        """
        left = [] if self.force or self.on_ray else self.unfinished
        left = [job for job in left if job.state().status in RESUMABLE]
        try:
            data_root = download.find(data_dir) if any(job.has_images for job in left) else None
        except DataError:
            data_root = None
        trainer = Trainer(Plan(data_root, self.device))
        for job in left:
            if data_root is not None or not job.has_images:
                try:
                    restart = trainer.restart_of(job)
                except RunError as error:
                    restart = str(error)
                if restart:
                    yield restart

    def start(self, find_data: Callable[[], Path], at_once: int | None = None) -> Generator[Event]:
        """Prepare everything, and return the events: a run trains when the next event is requested.

        `find_data` is called if a run needs images; `at_once` is how many runs train at a time, see `execute`. Raises
        `DataError` and what `execute` raises.
        """
        data_root = find_data() if any(job.has_images for job in self.unfinished) else None
        notes = [note for study in self.studies for note in write_study(self.runs_dir, study)]
        notes += [note for job in self.finished for note in repair_finished(job.folder, _saved_predictions)]
        files = plugins.files_of(job.planned.config.variant for job in self.unfinished)
        plan = Plan(data_root, self.device, self.force, files, on_ray=self.on_ray)
        return self._events([Note(None, note) for note in [*self.notes, *notes]], plan, at_once)

    def _events(self, notes: list[Note], plan: Plan, at_once: int | None) -> Generator[Event]:
        yield from notes
        if self.unfinished:
            yield from execute(self.unfinished, plan, at_once)


def _saved_predictions(folder: RunFolder) -> bytes:
    """Return the predictions in checkpoint.pt; only then torch is loaded to repair finished runs. Raises `RunError`."""
    import_torch()
    from dropexp.training.checkpoint import saved_predictions

    return saved_predictions(folder)


def train(
    study: Study | str | Path,
    *,
    runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    force: bool = False,
) -> Generator[Row]:
    """Train the unfinished runs of a study or a config file; yield each new row of a table, with the key `run`.

    Finished runs yield nothing; `load_runs` returns them. By default one run trains at a time, on a CUDA device 32 side
    by side; on a CPU more than one use worker processes. Notes, such as on corrupted files, are warnings. Settings of
    torch in this process, such as autocast, change no figure; whenever a row is yielded they are as they were.

    Raises `ConfigError`, `DataError` or `DeviceError` before anything is trained, and `TrainingError` at the end, which
    lists the runs that failed, diverged, or were busy: another process trains them.
    """
    study = study if isinstance(study, Study) else load_config(study)
    device = devices.resolve(device)
    training = Training([study], default_runs_dir() if runs_dir is None else Path(runs_dir), device, force=force)
    if jobs is None and device == "cpu":
        jobs = 1

    def find_data() -> Path:
        return download.find(None if data_dir is None else Path(data_dir)) or download.fetch()

    not_done = []
    with closing(training.start(find_data, jobs)) as events:
        for event in events:
            match event:
                case Note(text=text):
                    warnings.warn(text, stacklevel=2)
                case Epoch(job=index, row=row):
                    yield {"run": training.unfinished[index].planned.cell, **row}
                case Ended(job=index, status=status, why=why) if status != Status.DONE:
                    not_done.append(UnfinishedRun(training.unfinished[index].planned.cell, status, why))
    if not_done:
        raise TrainingError(not_done)
