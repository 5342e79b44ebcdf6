"""Train jobs in this process, alone or as a stack. Imports torch only to train."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from dropexp.interrupts import import_torch
from dropexp.training.events import Event, Note, Started
from dropexp.training.jobs import Job, Plan
from dropexp.training.stack_shape import stack_shape

if TYPE_CHECKING:
    from dropexp.data.fashion_mnist import Data


class Trainer:
    """Trains jobs in this process; the data is loaded once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.data: Data | None = None

    def events(self, jobs: dict[int, Job]) -> Generator[Event]:
        """Train one job, or several of one shape as a stack; the keys are their indexes.

        Trains under the program's own torch settings; those of the calling process are restored at each event.
        Interrupts are delayed while torch loads, before the first event.
        """
        import_torch()

        from dropexp.training.torch_settings import under_own_settings

        yield from under_own_settings(self._events(jobs))

    def _events(self, jobs: dict[int, Job]) -> Generator[Event]:
        import torch

        from dropexp.data.fashion_mnist import load
        from dropexp.training.run_group import train_group

        yield from [Started(index) for index in jobs]
        device = torch.device(self.plan.device)
        if self.data is None and self.plan.data_root is not None:
            self.data = load(self.plan.data_root).to(device)
            yield from [Note(None, note) for note in self.data.notes]
        stacked = self._stacked(jobs.values())
        for group in [jobs] if stacked else [{index: job} for index, job in jobs.items()]:
            yield from train_group(group, self.data, device, stacked=stacked, force=self.plan.force)

    def restart_of(self, job: Job) -> str | None:
        """Return why a job would restart and how many epochs that loses; None if it would resume or start.

        Nothing is written but the cache of the data. Raises `RunError` if its checkpoint cannot be read.
        """
        import_torch()
        import torch

        from dropexp.data.fashion_mnist import load
        from dropexp.training.active_run import ActiveRun
        from dropexp.training.torch_settings import own_settings

        with own_settings():
            if self.data is None and self.plan.data_root is not None:
                self.data = load(self.plan.data_root)
            device = torch.device(self.plan.device)
            run = ActiveRun(0, job, self.data, device, stacked=self._stacked([job]), force=False)
            restart = run.would_restart()
        return str(restart) if restart else None

    def _stacked(self, jobs: Iterable[Job]) -> bool:
        return self.plan.stacked and all(stack_shape(job.planned.config) for job in jobs)
