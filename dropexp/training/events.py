"""What happens while runs train, as typed events. `job` is the index of the run in the list of jobs."""

from __future__ import annotations

from dataclasses import dataclass

from dropexp.runs.epochs_table import Row
from dropexp.runs.state_names import Status


@dataclass(frozen=True)
class Started:
    """A run is about to train; it may still turn out to be finished or locked by another process."""

    job: int


@dataclass(frozen=True)
class Epoch:
    """A run has trained an epoch; `row` is the new row of its epochs.csv."""

    job: int
    row: Row


@dataclass(frozen=True)
class Note:
    """A message about a run, such as the name of a corrupted file that was renamed; without a job, about all runs."""

    job: int | None
    text: str


@dataclass(frozen=True)
class Ended:
    """A run has ended: it is done, diverged, interrupted, failed or busy; `why` gives the reason unless it is done."""

    job: int
    status: Status
    why: str | None = None


Event = Started | Epoch | Note | Ended
