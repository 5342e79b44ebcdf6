"""Many runs: in this process on all its cores, on a GPU side by side, or in worker processes of one thread each.

All ways yield the same events; on a CPU they train to the same numbers. A parent of workers imports no torch.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from dropexp.device import kind
from dropexp.fetch import DataError
from dropexp.provenance import cores
from dropexp.runs import Busy, Row, RunFolder
from dropexp.study import PlannedRun
from dropexp.variants import shape

if TYPE_CHECKING:
    import torch

    from dropexp.data import Data

STACK = 32  # runs side by side on a GPU: they fill it, and more would only end later
GRACE_SECONDS = 10.0  # for a worker to end; far more than it needs


@dataclass(frozen=True)
class Task:
    """One run to train, and where it goes."""

    planned: PlannedRun
    folder: RunFolder


@dataclass(frozen=True)
class Plan:
    """What all tasks share: the data's folder, a resolved device, and whether finished runs are trained again."""

    data_root: Path
    device: str = "cpu"
    force: bool = False
    stacks: bool | None = None  # whether runs of equal shape train side by side; None: on a CUDA device

    @property
    def stacked(self) -> bool:
        return kind(self.device) == "cuda" if self.stacks is None else self.stacks


@dataclass(frozen=True)
class Event:
    """A task began (neither row nor status), grew by a row, or ended with a status of run.json, or with "busy"."""

    task: int  # its place in the list of tasks
    row: Row | None = None
    status: str | None = None
    why: str | None = None


def default_jobs(device: str) -> int:
    """How many runs train at a time on a resolved device unless said: as many as there are cores, or as fill a GPU."""
    return {"cpu": cores(), "cuda": STACK}.get(kind(device), 1)


def execute(tasks: Sequence[Task], plan: Plan, jobs: int) -> Generator[Event]:
    """Train the tasks, at most `jobs` at a time, on a GPU in one process, and yield what happens.

    Raises `DataError`. Closing the generator or KeyboardInterrupt marks what is being trained as interrupted.
    """
    workers = min(jobs, len(tasks))
    return _in_workers(tasks, plan, workers) if workers > 1 and not plan.stacked else _here(tasks, plan, jobs)


def _here(tasks: Sequence[Task], plan: Plan, jobs: int) -> Generator[Event]:
    trainer = _Trainer(plan)
    for places in _stacks(tasks, plan, jobs):
        yield from trainer.events({place: tasks[place] for place in places})


def _stacks(tasks: Sequence[Task], plan: Plan, jobs: int) -> list[list[int]]:
    """The places of the tasks that train together, in the order of the first of each: runs of one shape, or one run."""
    by_shape: dict[str | int, list[int]] = {}
    for place, task in enumerate(tasks):
        alike = shape(task.planned.config) if plan.stacked else None
        by_shape.setdefault(place if alike is None else alike, []).append(place)
    return [places[i : i + jobs] for places in by_shape.values() for i in range(0, len(places), jobs)]


class _Trainer:
    """Trains tasks in this process; the data is loaded once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.data: Data | None = None

    def events(self, tasks: dict[int, Task]) -> Generator[Event]:
        """Train one task, or several of one shape as a stack; the keys are their places."""
        import torch

        from dropexp.data import load

        for place in tasks:
            yield Event(place)
        device = torch.device(self.plan.device)
        if self.data is None:
            self.data = load(self.plan.data_root).to(device)
        stackable = self.plan.stacked and all(shape(task.planned.config) for task in tasks.values())
        yield from (self._stack if stackable else self._one_by_one)(tasks, self.data, device)

    def _one_by_one(self, tasks: dict[int, Task], data: Data, device: torch.device) -> Generator[Event]:
        from dropexp.experiment import train_run

        for place, task in tasks.items():
            with closing(train_run(task.planned, task.folder, data, device, force=self.plan.force)) as rows:
                try:
                    while True:
                        yield Event(place, next(rows))
                except StopIteration as end:
                    yield Event(place, status=end.value.status, why=end.value.why)
                except Busy:
                    yield Event(place, status="busy", why="another process is training it")

    def _stack(self, tasks: dict[int, Task], data: Data, device: torch.device) -> Generator[Event]:
        from dropexp.experiment import Outcome
        from dropexp.stacking import train_stack

        places = list(tasks)
        planned, folders = [task.planned for task in tasks.values()], [task.folder for task in tasks.values()]
        with closing(train_stack(planned, folders, data, device, force=self.plan.force)) as all_news:
            for i, news in all_news:
                if isinstance(news, Outcome):
                    yield Event(places[i], status=news.status, why=news.why)
                else:
                    yield Event(places[i], news)


# Worker processes


class _Worker:
    """A process that trains the tasks it is sent, and its two pipes: for tasks and events, and for its end."""

    def __init__(self, plan: Plan) -> None:
        spawn = multiprocessing.get_context("spawn")  # the only way on every platform, and safe with threads
        self.pipe, theirs = spawn.Pipe()
        self.stop, stopped = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(plan, theirs, stopped), daemon=True)
        with _starting_a_worker():
            self.process.start()
        theirs.close()  # so that a dead worker's pipe ends
        stopped.close()
        self.task: int | None = None

    def train(self, index: int, task: Task) -> Event:
        self.task = index
        with suppress(OSError):  # it died; reading its pipe will tell
            self.pipe.send((index, task))
        return Event(index)

    def end(self) -> None:
        """Let it end, whatever it does."""
        for connection in (self.stop, self.pipe):
            connection.close()


def _in_workers(tasks: Sequence[Task], plan: Plan, count: int) -> Generator[Event]:
    waiting = iter(enumerate(tasks))
    workers: list[_Worker] = []
    try:
        for index, task in itertools.islice(waiting, count):
            workers.append(_Worker(plan))
            yield workers[-1].train(index, task)
        while busy := {worker.pipe: worker for worker in workers if worker.task is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # wait() returns what it was given
                try:
                    event = worker.pipe.recv()
                except (EOFError, OSError):
                    yield _died(worker, tasks)
                    workers.remove(worker)
                    for index, task in itertools.islice(waiting, 1):
                        workers.append(_Worker(plan))
                        yield workers[-1].train(index, task)
                    continue
                if isinstance(event, DataError):
                    raise event
                yield event
                if event.status:
                    worker.task = None
                    for index, task in itertools.islice(waiting, 1):
                        yield worker.train(index, task)
    finally:
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.process.join(GRACE_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.task is not None:
                _mark(tasks[worker.task].folder, "interrupted", None)


def _died(worker: _Worker, tasks: Sequence[Task]) -> Event:
    """A worker that ended by itself: killed, most often for memory. Its run is named, the others go on."""
    assert worker.task is not None
    worker.process.join()
    code = worker.process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    why = f"its worker process ended ({how}); the same command trains it again, fewer --jobs need less memory"
    _mark(tasks[worker.task].folder, "failed", why)
    return Event(worker.task, status="failed", why=why)


def _mark(folder: RunFolder, status: str, why: str | None) -> None:
    """Say in run.json how a run ended whose worker could not."""
    with suppress(Exception), folder.lock():  # it may have ended before there was a run.json
        rows = folder.read_rows()
        ended = {"status": status, "why": why, "rows": len(rows), "last": rows[-1] if rows else None}
        if folder.read_info()["status"] == "running":
            folder.write_info(folder.read_info() | ended)


@contextmanager
def _starting_a_worker() -> Iterator[None]:
    """A process started within it leaves Ctrl-C to its parent and does not run the parent's main module.

    A terminal sends Ctrl-C to every process of a command. And a worker needs nothing of a script, which may be standard
    input or lack the guard `if __name__ == "__main__"`.
    """
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), main.__dict__.pop("__file__", None)
    main.__spec__ = None
    before = None
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; what is blocked here is delivered afterwards
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # its own start would take the block off
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file


def _work(plan: Plan, tasks: Connection, stop: Connection) -> None:
    """A worker's whole life: train what comes, one thread, until the parent's end of a pipe closes."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they go to the parent too, which ends its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    gc.set_threshold(50_000, 20, 100)  # as in the command itself
    import torch

    torch.set_num_threads(1)
    _train_what_comes(_Trainer(plan), tasks)


def _train_what_comes(trainer: _Trainer, tasks: Connection) -> None:
    while True:
        try:
            index, task = tasks.recv()
        except (EOFError, OSError):  # the parent closed its end
            return
        with closing(trainer.events({index: task})) as events:
            next(events)  # the parent said itself that the task began
            try:
                for event in events:
                    if not _told(tasks, event):
                        return
            except DataError as error:
                _told(tasks, error)


def _told(tasks: Connection, news: Event | DataError) -> bool:
    try:
        tasks.send(news)
    except OSError:  # the parent is gone
        return False
    return True


def _end_with_parent(stop: Connection) -> None:
    """Wait until the parent closes its end, by intent or by dying, and end at once.

    Every file can bear that, and the parent marks the run. To raise an exception in the middle of torch is not safe.
    """
    with suppress(EOFError, OSError):
        stop.recv()
    os._exit(0)
