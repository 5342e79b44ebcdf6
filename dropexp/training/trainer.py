"""Runs trained in this process, one by one or as a stack, told as events.

Imports torch only when it trains, since a parent of workers knows tasks and events too.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dropexp.config.study import PlannedRun
from dropexp.config.tasks import FASHION_MNIST
from dropexp.interrupts import interrupts_wait
from dropexp.runs.folder import Row, RunFolder
from dropexp.training.device import kind
from dropexp.training.stack_shape import stack_shape

if TYPE_CHECKING:
    import torch

    from dropexp.data.fashion_mnist import Data


@dataclass(frozen=True)
class Task:
    """One run to train, and where it goes."""

    planned: PlannedRun
    folder: RunFolder

    def status(self) -> str:
        """Its folder's. Raises `NewerRun`, and `OtherRun` where that is another run's."""
        return self.folder.status(self.planned.has)

    @property
    def has_images(self) -> bool:
        return self.planned.config.task == FASHION_MNIST


@dataclass(frozen=True)
class Plan:
    """What all tasks share: the data's folder, a resolved device, and whether finished runs are trained again."""

    data_root: Path | None  # None: no task has images
    device: str = "cpu"
    force: bool = False
    plugins: tuple[tuple[Path, str], ...] = ()  # files that worker processes load too, and their texts' digests
    stacks: bool | None = None  # whether runs of equal shape train side by side; None: on a CUDA device
    on_ray: bool = False  # whether the Ray cluster that is connected trains them

    @property
    def stacked(self) -> bool:
        return kind(self.device) == "cuda" if self.stacks is None else self.stacks


@dataclass(frozen=True)
class Event:
    """A task began (nothing else), met what is noted, grew by a row, or ended with a status of run.json or "busy"."""

    task: int  # its place in the list of tasks
    row: Row | None = None
    status: str | None = None
    why: str | None = None
    note: str | None = None  # a damaged file was set aside, or its worker or node is gone and it goes on elsewhere


class Trainer:
    """Trains tasks in this process; the data is loaded once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.data: Data | None = None

    def events(self, tasks: dict[int, Task]) -> Generator[Event]:
        """Train one task, or several of one shape as a stack; the keys are their places.

        An interrupt while the first event is waited for may be answered only then: torch is loaded.
        """
        with interrupts_wait():
            import torch

            from dropexp.data.fashion_mnist import load

        for place in tasks:
            yield Event(place)
        device = torch.device(self.plan.device)
        if self.data is None and self.plan.data_root is not None:
            notes: list[str] = []
            self.data = load(self.plan.data_root, tell=notes.append).to(device)
            yield from [Event(min(tasks), note=note) for note in notes]
        if (
            self.data is not None
            and self.plan.stacked
            and all(stack_shape(task.planned.config) for task in tasks.values())
        ):
            yield from self._stack(tasks, self.data, device)
        else:
            yield from self._one_by_one(tasks, self.data, device)

    def _one_by_one(self, tasks: dict[int, Task], data: Data | None, device: torch.device) -> Generator[Event]:
        from dropexp.training.run import train_run

        for place, task in tasks.items():
            with closing(train_run(task.planned, task.folder, data, device, force=self.plan.force)) as rows:
                try:
                    while True:
                        yield _event(place, next(rows))
                except StopIteration as end:
                    yield Event(place, status=end.value.status, why=end.value.why, note=end.value.note)

    def _stack(self, tasks: dict[int, Task], data: Data, device: torch.device) -> Generator[Event]:
        from dropexp.runs.holding import Outcome
        from dropexp.training.stacked_run import train_stack

        places = list(tasks)
        planned, folders = [task.planned for task in tasks.values()], [task.folder for task in tasks.values()]
        with closing(train_stack(planned, folders, data, device, force=self.plan.force)) as all_news:
            for i, news in all_news:
                if isinstance(news, Outcome):
                    yield Event(places[i], status=news.status, why=news.why, note=news.note)
                else:
                    yield _event(places[i], news)


def _event(place: int, news: Row | str) -> Event:
    return Event(place, note=news) if isinstance(news, str) else Event(place, news)
