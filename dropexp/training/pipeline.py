"""From studies to finished runs: one pipeline for the command and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dropexp.config import plugins
from dropexp.config.digests import canonical
from dropexp.config.planned_run import PlannedRun
from dropexp.config.search import Search
from dropexp.config.study import Study
from dropexp.data import dataset_files
from dropexp.errors import DataError, RunError
from dropexp.interrupts import import_torch
from dropexp.plurals import counted
from dropexp.runs.folder import RunFolder, make_runs_dir
from dropexp.runs.repair import repair_finished
from dropexp.runs.search_records import Records, SearchRecord, known_trials, with_recorded
from dropexp.runs.state_names import Status
from dropexp.runs.study_file import notes_on_others, read_searches, write_searches, write_study
from dropexp.training import device as devices
from dropexp.training.dispatch import execute
from dropexp.training.events import Event, Note
from dropexp.training.in_process import Trainer
from dropexp.training.jobs import Job, Plan, jobs_of
from dropexp.training.search_second_stage import Blocked, Selected, by_settings, select

RESUMABLE = (Status.INTERRUPTED, Status.FAILED, Status.CORRUPTED)  # with a checkpoint


@dataclass
class Stage:
    """Jobs that train in any order, and how the command calls one of them: run, trial, or tested run."""

    noun: str
    jobs: list[Job]
    force: bool  # whether finished runs are trained again

    @cached_property
    def unfinished(self) -> list[Job]:
        """The jobs that will train. Events name them by their index in this list."""
        return [job for job in self.jobs if self.force or not job.is_finished]

    @property
    def finished(self) -> list[Job]:
        """The jobs that will not train."""
        unfinished = {id(job) for job in self.unfinished}
        return [job for job in self.jobs if id(job) not in unfinished]


class Training:
    """The runs of some studies on a resolved device, and the training of those that are not finished.

    `force` trains finished runs again; `on_ray` trains on the connected Ray cluster.
    """

    def __init__(
        self, studies: Sequence[Study], runs_dir: Path, device: str, *, force: bool = False, on_ray: bool = False
    ) -> None:
        self.runs_dir, self.device, self.force, self.on_ray = runs_dir, device, force, on_ray
        self.kind = devices.kind(device)
        self.records = {study.name: self._records_of(study) for study in studies}
        self.studies = [with_recorded(study, self.records[study.name], self.kind) for study in studies]
        self.searches = [search for study in self.studies for search in study.searches]
        self.blocked: list[Blocked] = []  # searches without a selection, after the trials
        self._selected: dict[str, Selected] = {}  # by the search's digest
        self._known = {one.digest: known_trials(one, self._record_of(one)) for one in self.searches}
        self._select([one for one in self.searches if all(trial.status for trial in self._known[one.digest])], [])
        trials_only = all(study.searches for study in self.studies)
        self.first = Stage("trial" if trials_only else "run", self._first_jobs(), force)

    def _records_of(self, study: Study) -> Records:
        if study.searches:
            with suppress(RunError):  # `write_study` renames a corrupted file, or reports one that cannot be read
                return read_searches(self.runs_dir / study.name)
        return {}

    def _record_of(self, search: Search) -> SearchRecord | None:
        """Return study.json's record of a search, whose trials may have been removed; None with `force`."""
        return None if self.force else self.records[search.name].get((search.digest, self.kind))

    def _first_jobs(self) -> list[Job]:
        """Return the jobs of runs and trials, without removed trials whose figures study.json has."""
        jobs = jobs_of(self.studies, self.runs_dir, self.device)
        needed = {
            self._key(trial)
            for one in self.searches
            for trial, known in zip(one.trials, self._known[one.digest], strict=True)
            if known.status is None
        }
        return [job for job in jobs if not job.is_trial or self._key(job.planned) in needed or job.is_finished]

    def _key(self, planned: PlannedRun) -> tuple[str, str]:
        return planned.name, canonical(planned.config.settings(self.kind))

    @property
    def jobs(self) -> list[Job]:
        """The jobs that are known: of the first stage, and the tested runs of searches with a selection."""
        return [*self.first.jobs, *self._tested_jobs()]

    @property
    def num_unselected(self) -> int:
        """The number of searches without a selection yet, each of which will add a tested run."""
        return len(self.searches) - len(self._selected) - len(self.blocked)

    def stages(self) -> Generator[Stage]:
        """Yield what is to be trained; the second stage, of tested runs, is known when the first has been trained."""
        yield self.first
        if self.searches:
            self._select(self.searches, self.first.jobs)
            yield Stage("tested run", self._tested_jobs(), self.force)

    def _select(self, searches: Sequence[Search], jobs: Sequence[Job]) -> None:
        """Select a trial of each of these searches."""
        by_study = {study.name: [job for job in jobs if job.planned.name == study.name] for study in self.studies}
        trials = {name: by_settings(own, self.kind) for name, own in by_study.items()}
        found = [select(one, self._known[one.digest], trials[one.name], self.kind) for one in searches]
        self.blocked = [one for one in found if isinstance(one, Blocked)]
        self._selected = {one.record.id: one for one in found if isinstance(one, Selected)}

    def _tested_jobs(self) -> list[Job]:
        tested: dict[str, list[PlannedRun]] = {}
        for search in self.searches:
            if search.digest in self._selected:
                tested.setdefault(search.name, []).append(self._selected[search.digest].tested)
        studies = [replace(study, runs=tested.get(study.name, [])) for study in self.studies if study.searches]
        return jobs_of(studies, self.runs_dir, self.device)

    def _record(self) -> list[str]:
        """Write what is known of the searches into study.json; return messages."""
        notes = []
        for study in self.studies:
            records = [
                self._selected[one.digest].record
                if one.digest in self._selected
                else SearchRecord.of(one, self.kind, self._known[one.digest])
                for one in study.searches
            ]
            if records:
                notes += write_searches(self.runs_dir / study.name, records)
        return notes

    @property
    def notes(self) -> list[str]:
        """Messages before training, on options that add arms to the study of a config."""
        notes = []
        for study in self.studies:
            if study.added:
                what = f"the study {study.name!r} gets {counted(study.added, 'run')}"
                reason = f"because of {shlex.join(study.options[2:])}; `--set name=NAME` trains them in another study"
                notes.append(f"{what} that {study.file or 'standard input'} does not define, {reason}")
        return notes

    def notes_on_others(self) -> list[str]:
        """Return messages on other configs whose runs are in the same studies; write nothing."""
        return notes_on_others(self.runs_dir, self.studies)

    def restarts(self, data_dir: Path | None) -> Generator[str]:
        """Yield why unfinished runs would restart, and what that loses; write nothing. Leaves out runs on a cluster.

        Without the data, which is searched in `data_dir` first, it leaves out runs that have images.
        """
        left = [] if self.force or self.on_ray else self.jobs
        left = [job for job in left if job.state().status in RESUMABLE]
        try:
            data_root = dataset_files.find(data_dir) if any(job.has_images for job in left) else None
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

    def start(self, stage: Stage, find_data: Callable[[], Path], at_once: int | None = None) -> Generator[Event]:
        """Prepare a stage, and return its events: a run trains when the next event is requested.

        `find_data` is called if a run needs images; `at_once` is how many runs train at a time, see `execute`. Raises
        `DataError`, `OSError` if runs cannot be written, and what `execute` raises.
        """
        if stage.unfinished:
            make_runs_dir(self.runs_dir)
        data_root = find_data() if any(job.has_images for job in stage.unfinished) else None
        notes = []
        if stage is self.first:
            notes = [*self.notes, *(note for study in self.studies for note in write_study(self.runs_dir, study))]
        notes += self._record()
        notes += [note for job in stage.finished for note in repair_finished(job.folder, _saved_predictions)]
        files = plugins.files_of(job.planned.config.variant for job in stage.unfinished)
        plan = Plan(data_root, self.device, self.force, files, on_ray=self.on_ray)
        return _events(notes, stage.unfinished, plan, at_once)


def _events(notes: Sequence[str], jobs: Sequence[Job], plan: Plan, at_once: int | None) -> Generator[Event]:
    yield from [Note(None, note) for note in notes]
    if jobs:
        yield from execute(jobs, plan, at_once)


def _saved_predictions(folder: RunFolder) -> bytes:
    """Return the predictions in checkpoint.pt. Imports torch, so it is called only if needed. Raises `RunError`."""
    import_torch()
    from dropexp.training.checkpoint import saved_predictions

    return saved_predictions(folder)
