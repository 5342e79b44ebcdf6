"""Runs, stacks and networks trained in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dropexp.config.planned_run import PlannedRun
from dropexp.data.fashion_mnist import Data
from dropexp.nets import linreg
from dropexp.nets.network_interface import Network
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RunFolder
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.jobs import Job
from dropexp.training.loop import EpochRecord, Part, fit
from dropexp.training.run_group import train_group
from dropexp.training.trainees import NetworkTrainee, RegressionTrainee, Rows


def train_run(
    planned: PlannedRun, folder: RunFolder, data: Data | None, device: torch.device, **options: Any
) -> Generator[Event]:
    """Train one run, whose job has the index 0."""
    return train_group({0: Job(planned, folder)}, data, device, **options)


def train_stack(
    planned: Sequence[PlannedRun], folders: Sequence[RunFolder], data: Data, device: torch.device, **options: Any
) -> Generator[Event]:
    """Train runs side by side, whose jobs are numbered as in the lists."""
    jobs = {index: Job(*pair) for index, pair in enumerate(zip(planned, folders, strict=True))}
    return train_group(jobs, data, device, stacked=True, **options)


def rows_of(events: Iterable[Event]) -> list[Row]:
    return [event.row for event in events if isinstance(event, Epoch)]


def notes_of(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def end_of(events: Iterable[Event]) -> Ended:
    """Return the event with which a run ended; it must be the last."""
    *_, last = events
    assert isinstance(last, Ended)
    return last


def table(folder: Path) -> str:
    """Return epochs.csv without the column `seconds`, the only one that differs between equal trainings."""
    return pd.read_csv(folder / "epochs.csv", dtype=str).drop(columns="seconds").to_csv(index=False)


def fit_network(
    network: Network,
    train: Rows,
    test: Rows,
    *,
    lr: float,
    batch_size: int,
    order: torch.Generator,
    validation: Rows | None = None,
    clean: bool = True,
    **options: Any,
) -> Iterator[EpochRecord]:
    """Train a network alone, and yield its records; `options` are those of `fit`."""
    evaluated: dict[Part, Rows] = {"test": test}
    if clean:
        evaluated["train"] = train
    if validation:
        evaluated["validation"] = validation
    trainee = NetworkTrainee(network, train, evaluated, batch_size=batch_size, order=order)
    return (record for (record,) in fit(trainee, lrs=[lr], **options))


def fit_regression(
    model: linreg.Model,
    data: linreg.RegressionData,
    *,
    lr: float,
    batch_size: int,
    order: torch.Generator,
    **options: Any,
) -> Iterator[EpochRecord]:
    """Train a linear regression model, and yield its records; `options` are those of `fit`."""
    trainee = RegressionTrainee(model, data, batch_size=batch_size, order=order)
    return (record for (record,) in fit(trainee, lrs=[lr], **options))
