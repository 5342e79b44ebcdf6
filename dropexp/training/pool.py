"""Worker processes of one thread each: they train what they are sent, end with their parent, and die alone.

The parent imports no torch.
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
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from dropexp.config.plugins import load_plugin
from dropexp.errors import DataError, PluginError
from dropexp.runs.folder import FINISHED, RunFolder, so_far
from dropexp.training.trainer import Event, Plan, Task, Trainer

GRACE_SECONDS = 10.0  # for a worker to end; far more than it needs
KILLED = ("SIGKILL", "exit code 137")  # as the system does where memory runs out, and a container's shell tells it


class _Worker:
    """A process that trains the tasks it is sent, and its two pipes: for tasks and events, and for its end."""

    def __init__(self, plan: Plan) -> None:
        spawn = multiprocessing.get_context("spawn")  # the only way on every platform, and safe with threads
        self.pipe, theirs = spawn.Pipe()
        self.stop, stopped = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(plan, theirs, stopped), daemon=True)
        self.task: int | None = None
        try:
            with starting_a_worker():
                self.process.start()
        except BaseException:  # Ctrl-C, which came meanwhile
            self.end()
            raise
        finally:
            theirs.close()  # so that a dead worker's pipe ends
            stopped.close()

    def train(self, index: int, task: Task) -> Event:
        self.task = index
        with suppress(OSError):  # it died; reading its pipe will tell
            self.pipe.send((index, task))
        return Event(index)

    def end(self) -> None:
        """Let it end, whatever it does."""
        for connection in (self.stop, self.pipe):
            connection.close()


def in_workers(tasks: Sequence[Task], plan: Plan, count: int) -> Generator[Event]:
    """Train the tasks in `count` workers. Raises `DataError`, or `PluginError` if a plugin has changed meanwhile.

    A run whose worker is killed, most often by the system since memory ran out, goes on once more, after all others
    and in a group of one worker fewer.
    """
    killed: list[int] = []
    yield from _train_all(tasks, range(len(tasks)), plan, count, killed)
    begun = [place for place in killed if tasks[place].status() not in FINISHED]  # --force has cleared these
    again = [place for place in killed if place not in begun]
    yield from _train_all(tasks, begun, replace(plan, force=False), max(1, count - 1))
    yield from _train_all(tasks, again, plan, max(1, count - 1))


def _train_all(
    tasks: Sequence[Task], places: Sequence[int], plan: Plan, count: int, killed: list[int] | None = None
) -> Generator[Event]:
    """Train the tasks at these places. Those whose worker was killed are added to `killed`; without it they failed."""
    waiting = iter(places)
    workers: list[_Worker] = []
    try:
        for place in itertools.islice(waiting, count):
            workers.append(_Worker(plan))
            yield workers[-1].train(place, tasks[place])
        while busy := {worker.pipe: worker for worker in workers if worker.task is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # its types are wider than what it was given
                try:
                    event = worker.pipe.recv()
                except (EOFError, OSError):
                    yield _died(worker, tasks, killed)
                    workers.remove(worker)
                    for place in itertools.islice(waiting, 1):
                        workers.append(_Worker(plan))
                        yield workers[-1].train(place, tasks[place])
                    continue
                if isinstance(event, DataError | PluginError):
                    raise event
                yield event
                if event.status:
                    worker.task = None
                    for place in itertools.islice(waiting, 1):
                        yield worker.train(place, tasks[place])
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


def _died(worker: _Worker, tasks: Sequence[Task], killed: list[int] | None) -> Event:
    """A worker that ended by itself. Its run is named, the others go on."""
    assert worker.task is not None
    worker.end()
    worker.process.join()
    code = worker.process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    folder, why = tasks[worker.task].folder, f"its worker process ended ({how})"
    if how in KILLED and killed is not None:
        killed.append(worker.task)
        _mark(folder, "interrupted", why)
        return Event(worker.task, note=f"{folder.path}: {why}; it goes on after the others, with fewer at a time")
    why += "; the same command trains it again, fewer --jobs need less memory"
    _mark(folder, "failed", why)
    return Event(worker.task, status="failed", why=why)


def _mark(folder: RunFolder, status: str, why: str | None) -> None:
    """Say in run.json how a run ended whose worker could not."""
    with suppress(Exception), folder.lock():  # another process may train it by now
        mark_held(folder, status, why)


def mark_held(folder: RunFolder, status: str, why: str | None) -> None:
    """The same of a run that this process holds; it may have ended before there was a run.json."""
    with suppress(Exception):  # a folder that is gone, say: what ended the run is told in any case
        rows = folder.read_rows()
        ended = {"status": status, "why": why, **so_far(rows[-1] if rows else None)}
        info = folder.read_info()
        if info["status"] == "running" or (info["status"], status) == ("interrupted", "failed"):
            folder.write_info(info | ended)


@contextmanager
def starting_a_worker() -> Iterator[None]:
    """A process started within it leaves Ctrl-C to its parent and does not run the parent's main module.

    A terminal sends Ctrl-C to every process of a command. And a worker needs nothing of a script, which may be standard
    input or lack the guard `if __name__ == "__main__"`.
    """
    before = None
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; what is blocked here is delivered afterwards
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # its own start would take the block off
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), main.__dict__.pop("__file__", None)
    try:
        main.__spec__ = None
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file
        if before is not None:  # last, for what was held back is raised here
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(plan: Plan, tasks: Connection, stop: Connection) -> None:
    """A worker's whole life: train what comes, one thread, until the parent's end of a pipe closes."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they go to the parent too, which ends its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    gc.set_threshold(50_000, 20, 100)  # as in the command itself
    try:
        for file, digest in plan.plugins:
            load_plugin(file, digest)
    except PluginError as error:
        _told(tasks, error)
        return
    _train_what_comes(Trainer(plan), tasks)


def _train_what_comes(trainer: Trainer, tasks: Connection) -> None:
    while True:
        try:
            index, task = tasks.recv()
        except (EOFError, OSError):  # the parent closed its end
            return
        with closing(trainer.events({index: task})) as events:
            try:
                import torch

                torch.set_num_threads(1)
                next(events)  # the parent said itself that the task began
                for event in events:
                    if not _told(tasks, event):
                        return
            except DataError as error:
                _told(tasks, error)
            except Exception as error:  # before there was a run that could have failed of it: no memory for torch, say
                _told(tasks, Event(index, status="failed", why=f"{type(error).__name__}: {error}"))


def _told(tasks: Connection, news: Event | DataError | PluginError) -> bool:
    try:
        tasks.send(news)
    except OSError:  # the parent is gone
        return False
    return True


def _end_with_parent(stop: Connection) -> None:
    """Wait until the parent closes its end, by intent or by dying, and end at once.

    Every file can bear that, and the parent marks the run. To raise an exception in the middle of torch is not safe.
    """
    with suppress(EOFError, OSError):  # which is the news
        stop.recv()
    os._exit(0)
