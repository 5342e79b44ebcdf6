"""Train in a program or a notebook: `from dropexp import train`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dropexp.config.study import Study, load_config
from dropexp.data import dataset_files
from dropexp.errors import TrainingError, UnfinishedRun
from dropexp.home_folder import expanded
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import default_runs_dir
from dropexp.runs.state_names import Status
from dropexp.training import device as devices
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.pipeline import Stage, Training


def prepare(
    config: Study | str | Path | Mapping[str, Any],
    runs_dir: str | Path | None,
    data_dir: str | Path | None,
    device: str,
    force: bool,
    jobs: int | None,
) -> tuple[Training, Callable[[], Path]]:
    """Return the training of a study or a config, and a function that finds the data; write no run.

    Raises what `train` raises before it trains.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; it must be 1 or more, or None")
    study = config if isinstance(config, Study) else load_config(config)
    where = default_runs_dir() if runs_dir is None else expanded(runs_dir)
    training = Training([study], where, devices.resolve(device), force=force)

    def find_data() -> Path:
        return dataset_files.find(None if data_dir is None else Path(data_dir)) or dataset_files.fetch()

    if any(job.has_images for job in training.first.unfinished):
        find_data()
    return training, find_data


def train(
    config: Study | str | Path | Mapping[str, Any],
    *,
    runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    force: bool = False,
) -> Generator[Row]:
    """Train the unfinished runs of a study or a config; yield a row per epoch, with the run's name as `run`.

    Finished runs yield nothing; `load_runs` returns them. By default one run trains at a time, on a CUDA device 32 side
    by side; on a CPU more than one use worker processes. Notes, such as on corrupted files, are warnings. Settings of
    torch in this process, such as autocast, change no figure; they are restored whenever a row is yielded.

    A run trains when its rows are requested, but the call itself raises `ConfigError`, `DataError` or `DeviceError`.
    After the last row a `TrainingError` is raised if runs failed or diverged; it lists them. Runs that another process
    trains are left to it, with a warning.
    """
    return _rows(*prepare(config, runs_dir, data_dir, device, force, jobs), jobs)


def _rows(training: Training, find_data: Callable[[], Path], jobs: int | None) -> Generator[Row]:
    with closing(train_stages(training, find_data, jobs)) as events:
        for stage, event in events:
            if isinstance(event, Epoch):
                yield {"run": stage.unfinished[event.job].planned.cell, **event.row}


def train_stages(training: Training, find_data: Callable[[], Path], jobs: int | None) -> Generator[tuple[Stage, Event]]:
    """Train in a program; yield each event with its stage. Notes are warnings.

    `jobs` is the number of runs at a time, on a CPU 1 by default. Raises `TrainingError` at the end.
    """
    if jobs is None and training.device == "cpu":
        jobs = 1
    not_done = []
    for stage in training.stages():
        with closing(training.start(stage, find_data, jobs)) as events:
            for event in events:
                match event:
                    case Note(text=text):
                        warnings.warn(text, stacklevel=3)
                    case Ended(job=index, status=status, why=why) if stage.unfinished[index].is_failure(status):
                        not_done.append(UnfinishedRun(stage.unfinished[index].planned.cell, status, why))
                    case Ended(job=index, status=Status.BUSY, why=why):
                        warnings.warn(f"{stage.unfinished[index].planned.cell}: {why}", stacklevel=3)
                yield stage, event
    for one in training.blocked:
        if one.busy:
            warnings.warn(str(one), stacklevel=3)
        else:
            not_done.append(UnfinishedRun(one.label, Status.FAILED, one.why))
    if not_done:
        raise TrainingError(not_done)
