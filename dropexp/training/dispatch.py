"""Choose how jobs train: in this process, in worker processes, as stacks on a GPU, or on a Ray cluster.

All ways yield the same events; on a CPU they train to the same numbers. A parent of workers imports no torch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dropexp.cpu_cores import cores
from dropexp.training.cluster.driver import on_ray
from dropexp.training.device import kind
from dropexp.training.events import Event
from dropexp.training.in_process import Trainer
from dropexp.training.jobs import Job, Plan
from dropexp.training.stack_shape import stack_shape
from dropexp.training.workers import in_workers

STACK = 32  # default number of runs that train side by side on a GPU: they fill it, and more would only take longer


def default_jobs(device: str) -> int:
    """Return how many runs train at a time on a resolved device by default: one per core, or a full GPU."""
    return {"cpu": cores(), "cuda": STACK}.get(kind(device), 1)


def execute(jobs: Sequence[Job], plan: Plan, at_once: int | None = None) -> Generator[Event]:
    """Train the jobs, at most `at_once` at a time (on a GPU in one process), and yield what happens.

    On Ray, `at_once` applies to each GPU, or to all processors together; None uses all processors. Raises `DataError`,
    `PluginError`, `ClusterError`. Closing the generator or KeyboardInterrupt marks the runs in training as interrupted.
    """
    if plan.on_ray:
        return on_ray(jobs, plan, _groups(jobs, plan, at_once or STACK), at_once)
    at_once = at_once or default_jobs(plan.device)
    workers = min(at_once, len(jobs))
    if workers > 1 and not plan.stacked:
        return in_workers(jobs, plan, workers)
    return _in_this_process(jobs, plan, at_once)


def _in_this_process(jobs: Sequence[Job], plan: Plan, at_once: int) -> Generator[Event]:
    trainer = Trainer(plan)
    for group in _groups(jobs, plan, at_once):
        yield from trainer.events({index: jobs[index] for index in group})


def _groups(jobs: Sequence[Job], plan: Plan, at_once: int) -> list[list[int]]:
    """Return groups of the indexes of jobs that train together: at most `at_once` runs of one shape, or one run."""
    by_shape: dict[str | int, list[int]] = {}
    for index, job in enumerate(jobs):
        shape = stack_shape(job.planned.config) if plan.stacked else None
        by_shape.setdefault(index if shape is None else shape, []).append(index)
    return [indexes[i : i + at_once] for indexes in by_shape.values() for i in range(0, len(indexes), at_once)]
