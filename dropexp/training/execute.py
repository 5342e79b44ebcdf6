"""Many runs: in this process on all its cores, on a GPU side by side, in worker processes, or on a Ray cluster.

All ways yield the same events; on a CPU they train to the same numbers. A parent of workers imports no torch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dropexp.runs.provenance import cores
from dropexp.training.cluster.driver import on_ray
from dropexp.training.device import kind
from dropexp.training.pool import in_workers
from dropexp.training.stack_shape import stack_shape
from dropexp.training.trainer import Event, Plan, Task, Trainer

STACK = 32  # runs side by side on a GPU: they fill it, and more would only end later


def default_jobs(device: str) -> int:
    """How many runs train at a time on a resolved device unless said: as many as there are cores, or as fill a GPU."""
    return {"cpu": cores(), "cuda": STACK}.get(kind(device), 1)


def execute(tasks: Sequence[Task], plan: Plan, jobs: int | None = None) -> Generator[Event]:
    """Train the tasks, at most `jobs` at a time, on a GPU in one process, and yield what happens.

    On Ray `jobs` is how many train at a time on each GPU, or on all processors together; None is as many as there are.
    Raises `DataError`, `PluginError`, `ClusterError`. Closing the generator or KeyboardInterrupt marks what is being
    trained as interrupted.
    """
    if plan.on_ray:
        return on_ray(tasks, plan, _stacks(tasks, plan, jobs or STACK), jobs)
    jobs = jobs or default_jobs(plan.device)
    workers = min(jobs, len(tasks))
    return in_workers(tasks, plan, workers) if workers > 1 and not plan.stacked else _here(tasks, plan, jobs)


def _here(tasks: Sequence[Task], plan: Plan, jobs: int) -> Generator[Event]:
    trainer = Trainer(plan)
    for places in _stacks(tasks, plan, jobs):
        yield from trainer.events({place: tasks[place] for place in places})


def _stacks(tasks: Sequence[Task], plan: Plan, jobs: int) -> list[list[int]]:
    """The places of the tasks that train together, in the order of the first of each: runs of one shape, or one run."""
    by_shape: dict[str | int, list[int]] = {}
    for place, task in enumerate(tasks):
        alike = stack_shape(task.planned.config) if plan.stacked else None
        by_shape.setdefault(place if alike is None else alike, []).append(place)
    return [places[i : i + jobs] for places in by_shape.values() for i in range(0, len(places), jobs)]
