"""Runs and stacks trained in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import torch

from dropexp.config.study import PlannedRun
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import Row, RunFolder
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.group import train_group
from dropexp.training.task import Task


def train_run(
    planned: PlannedRun, folder: RunFolder, data: Data | None, device: torch.device, **options: Any
) -> Generator[Event]:
    """Train one run, whose task has the index 0."""
    return train_group({0: Task(planned, folder)}, data, device, **options)


def train_stack(
    planned: Sequence[PlannedRun], folders: Sequence[RunFolder], data: Data, device: torch.device, **options: Any
) -> Generator[Event]:
    """Train runs side by side, whose tasks are numbered as in the lists."""
    tasks = {index: Task(*pair) for index, pair in enumerate(zip(planned, folders, strict=True))}
    return train_group(tasks, data, device, stacked=True, **options)


def rows_of(events: Iterable[Event]) -> list[Row]:
    return [event.row for event in events if isinstance(event, Epoch)]


def notes_of(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def end_of(events: Iterable[Event]) -> Ended:
    """Return the event with which a run ended; it must be the last."""
    *_, last = events
    assert isinstance(last, Ended)
    return last
