"""How much of a stage is trained, and an estimate of the time that the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dropexp.config.schema import Config
from dropexp.config.tasks import FASHION_MNIST, NUM_TRAIN_IMAGES
from dropexp.training.events import Ended, Epoch, Event
from dropexp.training.jobs import Job

EVALUATION = 5_000  # training images that take about as long as evaluating the test images


class Counts:
    """Counts of the jobs' epochs and runs, done and in all, and the seconds elapsed and left."""

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self.configs = [job.planned.config for job in jobs]
        self.clock, self.began = clock, clock()
        self.runs, self.runs_done = len(jobs), 0
        self.epochs = sum(config.epochs for config in self.configs)
        self.epochs_of: dict[int, int] = {}  # done, by job
        self.epochs_done = 0
        self._work_left = float(sum(config.epochs * _work(config) for config in self.configs))
        self._work_done = 0.0  # in this process
        self._working_since: float | None = None

    def add(self, event: Event) -> None:
        """Count an event. A resumed run's earlier epochs count as done, but not in the estimate of the speed."""
        if isinstance(event, Epoch):
            if self._working_since is None:  # without the start, which loads torch
                self._working_since = self.clock() - (event.row.get("seconds") or 0.0)
            self._work_done += _work(self.configs[event.job])
            self._set(event.job, event.row["epoch"])
        elif isinstance(event, Ended):
            self.runs_done += 1
            self._set(event.job, self.configs[event.job].epochs)  # none is left, even if the run stopped early

    def _set(self, job: int, epoch: int) -> None:
        more = epoch - self.epochs_of.get(job, 0)
        self.epochs_of[job] = epoch
        self.epochs_done += more
        self._work_left -= more * _work(self.configs[job])

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.began

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None before the first epoch."""
        if self._working_since is None or not self._work_done:
            return None
        return max(self._work_left, 0) / self._work_done * (self.clock() - self._working_since)


def _work(config: Config) -> float:
    """Return the cost of an epoch, in training images."""
    if config.task != FASHION_MNIST:
        return float(config.train_size or 1)
    return float((config.train_size or NUM_TRAIN_IMAGES - config.validation_size) + EVALUATION)


def clock_text(seconds: float) -> str:
    """Format a duration as 1:23 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
