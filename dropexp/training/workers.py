"""Train jobs in worker processes of one thread each. The parent imports no torch.

A worker exits when its parent does. If a worker crashes, only the run that it was training fails. If it is killed, most
often because memory ran out, that run is tried again later.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from dropexp.config.plugins import load_plugin
from dropexp.errors import DataError, PluginError
from dropexp.runs.state_names import FINISHED, Status
from dropexp.runs.transitions import mark
from dropexp.training.events import Ended, Event, Note, Started
from dropexp.training.in_process import Trainer
from dropexp.training.jobs import Job, Plan

EXIT_SECONDS = 10.0  # for a worker to exit; far more than it needs
KILLED = ("SIGKILL", "exit code 137")  # memory ran out; in a container, a shell reports 137


def in_workers(jobs: Sequence[Job], plan: Plan, count: int) -> Generator[Event]:
    """Train the jobs in `count` workers. Raises `DataError`, or `PluginError` if a plugin file has changed.

    A worker that is killed, most often because memory ran out, is not replaced. Its run is tried again after the
    others, in half as many workers, and so on until all fit; a run fails if it is killed while no other trains.
    """
    left = yield from _Pool(jobs, plan, count).train(range(len(jobs)))
    while left:
        count = max(1, count // 2)
        what = "workers were killed, most likely because memory ran out"
        yield Note(None, f"{what}; the remaining runs ({len(left)}) train {count} at a time")
        started = [index for index in left if jobs[index].state().status not in FINISHED]
        unchanged = [index for index in left if index not in started]  # --force has not cleared their results yet
        left = yield from _Pool(jobs, replace(plan, force=False), count).train(started)
        left += yield from _Pool(jobs, plan, count).train(unchanged)


class _Pool:
    """Workers that share the jobs. If one of several workers is killed, it is not replaced and its run is left over."""

    def __init__(self, jobs: Sequence[Job], plan: Plan, count: int) -> None:
        self.jobs, self.plan, self.count = jobs, plan, count
        self.workers: list[_Worker] = []
        self.waiting: deque[int] = deque()
        self.killed: list[int] = []

    def train(self, indexes: Iterable[int]) -> Generator[Event, None, list[int]]:
        """Train the jobs with these indexes. Return those left over; the ones whose worker was killed come last."""
        self.waiting.extend(indexes)
        try:
            while self.waiting and len(self.workers) < self.count:
                yield self._start_worker()
            while busy := {worker.pipe: worker for worker in self.workers if worker.job is not None}:
                for pipe in wait(list(busy)):
                    yield from self._receive(busy[pipe])  # type: ignore[index]  # wait() returns wider types than given
        finally:
            self._close()
        return [*self.waiting, *self.killed]

    def _start_worker(self) -> Event:
        worker = _Worker(self.plan)
        self.workers.append(worker)
        return self._send(worker)

    def _send(self, worker: _Worker) -> Event:
        """Send the next job to the worker."""
        index = self.waiting.popleft()
        worker.send(index, self.jobs[index])
        return Started(index)

    def _receive(self, worker: _Worker) -> Generator[Event]:
        """Yield the next event of a worker; when its run has ended, send it the next job."""
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            ended = self._crashed(worker)
            yield ended
            if self.waiting and isinstance(ended, Ended):
                yield self._start_worker()
            return
        if isinstance(event, DataError | PluginError):
            raise event
        if isinstance(event, Ended):
            worker.job = None
        yield event
        if worker.job is None and self.waiting:
            yield self._send(worker)

    def _crashed(self, worker: _Worker) -> Note | Ended:
        """Record that a worker exited unexpectedly, and return the event for its run: a note if it is left over."""
        index = worker.job
        assert index is not None
        self.workers.remove(worker)
        worker.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"exit code {code}" if code >= 0 else _signal_name(-code)
        folder, why = self.jobs[index].folder, f"its worker process ended ({how})"
        if how in KILLED and self.count > 1:
            self.killed.append(index)
            mark(folder, Status.INTERRUPTED, why)
            return Note(index, f"{folder.path}: {why}; it resumes after the others, with fewer workers")
        only = "it was the only worker: the run may need more memory than there is"
        hint = only if how in KILLED else "fewer --jobs need less memory"
        why += f"; the same command trains it again; {hint}"
        mark(folder, Status.FAILED, why)
        return Ended(index, Status.FAILED, why)

    def _close(self) -> None:
        """Stop all workers, and mark the runs that they were training as interrupted."""
        for worker in self.workers:
            worker.close()
        for worker in self.workers:
            worker.process.join(EXIT_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.job is not None:
                mark(self.jobs[worker.job].folder, Status.INTERRUPTED)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # of most real-time signals
        return f"signal {number}"


class _Worker:
    """The parent's side of a worker process: a pipe for jobs and events, and one that stops the worker when closed."""

    def __init__(self, plan: Plan) -> None:
        spawn = multiprocessing.get_context("spawn")  # the only method on every platform, and safe with threads
        self.pipe, jobs = spawn.Pipe()
        self.stop, stopped = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(plan, jobs, stopped, gc.get_threshold()), daemon=True)
        self.job: int | None = None
        try:
            with starting_a_worker():
                self.process.start()
        except BaseException:  # such as Ctrl-C
            self.close()
            raise
        finally:
            jobs.close()  # so that the worker has the only copy, and its exit ends the pipe
            stopped.close()

    def send(self, index: int, job: Job) -> None:
        self.job = index
        with suppress(OSError):  # the worker has exited, which is noticed when its pipe is read
            self.pipe.send((index, job))

    def close(self) -> None:
        """Close the pipes, so that the worker exits whatever it is doing."""
        for connection in (self.stop, self.pipe):
            connection.close()


@contextmanager
def starting_a_worker() -> Iterator[None]:
    """Let a process that is started here ignore Ctrl-C from its first moment, and not run the parent's main module.

    A terminal sends Ctrl-C to every process of a command; the parent alone handles it. A worker needs nothing of the
    main module, which may be standard input or lack the guard `if __name__ == "__main__"`.
    """
    before = None
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; a blocked signal is delivered when it is unblocked
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # its own start would unblock the signal
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
        if before is not None:  # last, since a delayed Ctrl-C is raised here
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(plan: Plan, jobs: Connection, stop: Connection, gc_threshold: tuple[int, int, int]) -> None:
    """Run a worker process: train the jobs that arrive, on one thread, until the parent closes its end of a pipe."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the parent handles them and stops its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(stop,), daemon=True).start()
    gc.set_threshold(*gc_threshold)
    try:
        for file, digest in plan.plugins:
            load_plugin(file, digest)
    except PluginError as error:
        _report(jobs, error)
        return
    trainer = Trainer(plan)
    while True:
        try:
            index, job = jobs.recv()
        except (EOFError, OSError):  # the parent closed its end
            return
        if not _train(trainer, index, job, jobs):
            return


def _train(trainer: Trainer, index: int, job: Job, parent: Connection) -> bool:
    """Train a job and report its events; return False if the parent has exited."""
    try:
        with closing(trainer.events({index: job})) as events:
            import torch

            torch.set_num_threads(1)
            next(events)  # the parent has yielded Started itself
            return all(_report(parent, event) for event in events)
    except DataError as error:
        return _report(parent, error)
    except Exception as error:  # before the run could record it, such as too little memory to import torch
        return _report(parent, Ended(index, Status.FAILED, f"{type(error).__name__}: {error}"))


def _report(parent: Connection, event: Event | DataError | PluginError) -> bool:
    try:
        parent.send(event)
    except OSError:  # the parent has exited
        return False
    return True


def _exit_with_parent(stop: Connection) -> None:
    """Wait until the parent closes its end of the pipe, on purpose or by exiting, and exit at once.

    This corrupts no file, and the parent marks the run. Raising an exception in the middle of torch is not safe.
    """
    with suppress(EOFError, OSError):
        stop.recv()
    os._exit(0)
