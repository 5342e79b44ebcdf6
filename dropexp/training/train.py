"""Training for a notebook, and what it shares with the command: from studies to tasks."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from dropexp.config import plugins
from dropexp.config.schema import canonical
from dropexp.config.study import PlannedRun, Study, load_config
from dropexp.data import download
from dropexp.errors import OtherRun
from dropexp.runs.find import by_hash
from dropexp.runs.folder import FINISHED, Row, RunFolder, default_runs_dir
from dropexp.runs.study_file import write_study
from dropexp.training import device as devices
from dropexp.training.events import Ended, Epoch, Note
from dropexp.training.execute import default_jobs, execute
from dropexp.training.task import Plan, Task


def tasks_of(studies: Iterable[Study], runs_dir: Path, device: str) -> list[Task]:
    """Every run of the studies with its folder, each once; `device` is a resolved one."""
    kind = devices.kind(device)
    there: dict[str, dict[str, list[RunFolder]]] = {}  # each study listed once: it may have a hundred thousand
    tasks: dict[tuple[str, str], Task] = {}
    for study in studies:
        if study.name not in there:
            there[study.name] = by_hash(runs_dir / study.name)
        for run in study.runs:
            key = study.name, canonical(run.config.settings(kind))
            if key not in tasks:
                digest = run.digest(kind)
                tasks[key] = Task(run, _folder(run, digest, there[study.name].get(digest, []), runs_dir))
    return list(tasks.values())


def _folder(run: PlannedRun, digest: str, there: Sequence[RunFolder], runs_dir: Path) -> RunFolder:
    """Where a run is or will be: of the folders of its hash one of its own, the one with a result if there are two.

    Of a hundred thousand runs two have the same hash as likely as not; their folders differ in the readable part.
    """
    own = RunFolder(runs_dir / run.name / f"{run.cell}-{digest}")
    if there in ([], [own]):
        return own

    def rank(folder: RunFolder) -> int:
        try:
            return folder.status(run.has) not in FINISHED
        except OtherRun:
            return 2

    ranks = {folder: rank(folder) for folder in there}
    return min((folder for folder in there if ranks[folder] < 2), key=lambda folder: ranks[folder], default=own)


def unfinished(tasks: Sequence[Task], force: bool = False) -> list[Task]:
    """The tasks that training has something to do for."""
    return [task for task in tasks if force or task.status() not in FINISHED]


def train(
    study: Study | str | Path,
    *,
    runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    force: bool = False,
) -> Generator[Row]:
    """Train what is missing of a study or a config file, and yield each new row of a run's table, with its `run`.

    Runs that are done yield nothing: `load_runs` has them. Unless said, one job trains at a time, on a CUDA device 32
    side by side; on a CPU more than one use worker processes. Raises
    `ConfigError`, `DataError` or `DeviceError` before anything is trained, RuntimeError after the rest was if a run
    failed. Warns of files that were damaged and set aside.
    """
    study = study if isinstance(study, Study) else load_config(study)
    runs_dir = default_runs_dir() if runs_dir is None else Path(runs_dir)
    device = devices.resolve(device)
    tasks = unfinished(tasks_of([study], runs_dir, device), force)
    if note := write_study(runs_dir, study.name, study.remarks):
        warnings.warn(note, stacklevel=2)
    if not tasks:
        return
    root = None
    if any(task.has_images for task in tasks):
        root = download.find(None if data_dir is None else Path(data_dir)) or download.fetch()
    jobs = jobs or (1 if device == "cpu" else default_jobs(device))
    files = plugins.files_of(task.planned.config.variant for task in tasks)
    failed = []
    with closing(execute(tasks, Plan(root, device, force, files), jobs)) as events:
        for event in events:
            cell = tasks[event.task].planned.cell
            if isinstance(event, Note):
                warnings.warn(event.text, stacklevel=2)
            elif isinstance(event, Epoch):
                yield {"run": cell, **event.row}
            elif isinstance(event, Ended) and event.status != "done":
                failed.append(f"{cell}: {event.status}, {event.why}")
    if failed:
        raise RuntimeError("\n".join(failed))
