"""The process that trains many runs on a Ray cluster: it sends runs to the nodes, and writes what they send back.

Only this process reads and writes run folders, so no disk is shared, and a node that dies loses nothing: the runs that
it had not finished are sent again. This process imports no torch, and Ray only to train.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any

from dropexp.data import dataset_files
from dropexp.errors import ClusterError, RunError
from dropexp.files import what_failed
from dropexp.lock import max_locks, not_written
from dropexp.runs import transitions
from dropexp.runs.folder import CONFIG
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import lock_unfinished
from dropexp.training.cluster import worker
from dropexp.training.cluster.connect import amount
from dropexp.training.cluster.remote import remote_function
from dropexp.training.cluster.worker import RunFiles, Shared, Update, file_names
from dropexp.training.device import kind
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.jobs import Job, Plan

TRIES = 3  # for a run whose worker or node dies each time before another epoch is trained
MAX_SINGLE_RUNS_PER_CHUNK = 8  # they share Ray's overhead per task, but all wait if their node is slow
MIN_CHUNKS_PER_SLOT = 4  # with fewer, some slots would be idle at the end
MAX_SINGLE_RUNS_PER_GPU = 4  # at a time, of runs that cannot train as a stack: none of them fills the GPU
NO_UPDATE_SECONDS = 20  # without an update, after which a message reports that no node is left
MAX_UPDATES_PER_SECOND = 50.0  # from all nodes together: each costs this process some milliseconds


def on_ray(jobs: Sequence[Job], plan: Plan, groups: Sequence[list[int]], at_once: int | None) -> Generator[Event]:
    """Train the jobs on the cluster, and yield what happens; `groups` are the indexes of those that train together.

    `at_once` is how many train at a time: on all processors together (None: as many as there are), on each GPU at most
    MAX_SINGLE_RUNS_PER_GPU. Raises `ClusterError` if no node can train them. Closing the generator or KeyboardInterrupt
    marks the runs in training as interrupted. Meanwhile sys.stdout is None: otherwise a thread of Ray prints that a
    worker died, which is reported here.
    """
    with redirect_stdout(None):
        driver = _Driver(jobs, plan, groups, at_once)
        try:
            yield from driver.events()
        finally:
            driver.close()


@dataclass
class _Chunk:
    """Runs that were sent together, as groups of job indexes."""

    groups: list[list[int]]
    run_files: Any  # a reference to what was sent, which Ray keeps in memory as long as the reference exists
    started: set[int] = field(default_factory=set)


class _Driver:
    """Sends runs to the nodes, and writes the files that they send back."""

    def __init__(self, jobs: Sequence[Job], plan: Plan, groups: Sequence[list[int]], at_once: int | None) -> None:
        import ray

        self.ray: Any = ray
        self.jobs, self.plan, self.at_once = jobs, plan, at_once
        self.resource = "GPU" if kind(plan.device) == "cuda" else "CPU"
        self.waiting = deque(groups)
        self.chunks: dict[Any, _Chunk] = {}  # by the stream of their updates, the one that was read last at the end
        self.locks: dict[int, ExitStack] = {}  # of the runs that were sent and have not ended
        self.forced = {*range(len(jobs))} if plan.force else set()  # runs that start again, also finished ones
        self.max_locks = max_locks()
        self.epochs: Counter[int] = Counter()  # the last epoch yielded, by job
        self.failures: Counter[int] = Counter()  # of workers and nodes since the last epoch, by job
        self.excluded: dict[str, str] = {}  # the reason, by node
        self.seconds_without_update = 0.0
        has_images = any(job.has_images for job in jobs) and plan.data_root
        packed = ray.put(dataset_files.read_packed(has_images)) if has_images else None
        plugins = tuple((file.name, digest, file.read_bytes()) for file, digest in plan.plugins)
        self.shared = ray.put(Shared(plan, plugins, packed))
        self.remote: Any = ray.remote(remote_function())

    def events(self) -> Generator[Event]:
        while self.waiting or self.chunks:
            if self.waiting:
                yield from self._send_chunks()
            if self.chunks:
                yield from self._receive()

    def close(self) -> None:
        """Stop the runs in training, and unlock them."""
        for stream in self.chunks:
            with suppress(Exception):  # the cluster may be gone
                self.ray.cancel(stream, force=True)
        for index, lock in self.locks.items():
            with suppress(Exception):
                transitions.stop(self.jobs[index].folder, Status.INTERRUPTED)
            lock.close()

    def _send_chunks(self) -> Generator[Event]:
        """Keep the cluster busy: send a few chunks more than can train at a time, so that no processor waits."""
        slots = self._slots()
        most = slots + (0 if self.at_once else slots // 4 + 1)
        while self.waiting and len(self.chunks) < most and self._num_sent() < self.max_locks:
            run_files: list[list[RunFiles]] = []
            for group in self._next_groups(slots):
                run_files.append([])
                for index in group:
                    try:
                        ended = self._lock(index)
                        yield from ended
                        if not ended:
                            run_files[-1].append(self._pack(index))
                    except (RunError, OSError) as error:
                        self._unlock(index)
                        yield Ended(index, Status.FAILED, what_failed(error))
            run_files = [group for group in run_files if group]
            if not run_files:
                continue
            reference = self.ray.put(run_files)
            groups = [[one.index for one in group] for group in run_files]
            remote = self.remote.options(
                num_cpus=1,
                num_gpus=self._gpus(groups),
                num_returns="streaming",
                max_retries=0,  # Ray would start again from what was sent first
                scheduling_strategy="SPREAD",
                label_selector={"ray.io/node-id": f"!in({','.join(sorted(self.excluded))})"} if self.excluded else None,
                _generator_backpressure_num_objects=2,  # a node waits rather than fill the memory with updates
            )
            pace = max(1.0, slots / MAX_UPDATES_PER_SECOND)
            stream = remote.remote(worker.fingerprint(), [self.shared, reference], pace)
            self.chunks[stream] = _Chunk(groups, reference)

    def _slots(self) -> int:
        """Return how many chunks can train at a time on the nodes that exist now and are not excluded."""
        available = amount(self.resource, self.excluded)
        if self.resource == "GPU":
            return max(1, int(available * MAX_SINGLE_RUNS_PER_GPU))
        return max(1, int(available) if self.at_once is None else min(int(available), self.at_once))

    def _num_sent(self) -> int:
        """Return how many runs have been sent; each is a lock, so an open file."""
        return sum(len(group) for chunk in self.chunks.values() for group in chunk.groups)

    def _next_groups(self, slots: int) -> list[list[int]]:
        """Take what is sent next: one stack, or several single runs that train one after the other."""
        groups = [self.waiting.popleft()]
        size = min(
            MAX_SINGLE_RUNS_PER_CHUNK,
            len(self.waiting) // (MIN_CHUNKS_PER_SLOT * slots),
            self.max_locks // (2 * slots),
        )
        while len(groups) < size and len(groups[0]) == len(self.waiting[0]) == 1:
            groups.append(self.waiting.popleft())
        return groups

    def _gpus(self, groups: list[list[int]]) -> float:
        """Return which share of a GPU a chunk takes: a stack fills it."""
        if self.resource == "CPU":
            return 0
        if max(map(len, groups)) > 1:
            return 1
        return 1 / min(self.at_once or MAX_SINGLE_RUNS_PER_GPU, MAX_SINGLE_RUNS_PER_GPU)

    def _lock(self, index: int) -> list[Event]:
        """Lock a run until it has ended; return the events of a run that has ended already."""
        if index in self.locks:
            return []
        job = self.jobs[index]
        with ExitStack() as lock:
            if outcome := lock_unfinished(job.folder, job.planned, lock, self.plan.force):
                return [*(Note(index, note) for note in outcome.notes), Ended(index, outcome.status, outcome.why)]
            self.locks[index] = lock.pop_all()
        return []

    def _pack(self, index: int) -> RunFiles:
        """Read the files that a run resumes from. Raises `RunError`, OSError."""
        job = self.jobs[index]
        names = [] if index in self.forced else file_names(job.folder)
        files = {name: job.folder.read(name) for name in names}
        return RunFiles(index, job.planned, {name: content for name, content in files.items() if content is not None})

    def _unlock(self, index: int) -> None:
        if lock := self.locks.pop(index, None):
            lock.close()

    def _receive(self) -> Generator[Event]:
        """Wait up to a second for an update of any chunk."""
        ready, _ = self.ray.wait(list(self.chunks), num_returns=1, timeout=1)
        self.seconds_without_update = 0.0 if ready else self.seconds_without_update + 1
        if self.seconds_without_update >= NO_UPDATE_SECONDS and not amount(self.resource):
            self.seconds_without_update = -math.inf  # report it once
            left = "no node of the cluster is left; training resumes when a node joins"
            yield Note(None, f"{left}, or press Ctrl-C and start the same command later")
        if self.excluded and not ready and not amount(self.resource, self.excluded):
            raise ClusterError(f"no node of the cluster can train: {'; '.join(self.excluded.values())}")
        for stream in ready:
            chunk = self.chunks.pop(stream)
            try:
                received = self.ray.get(next(stream))
            except StopIteration:
                continue
            except self.ray.exceptions.RayError as error:
                yield from self._lost(stream, chunk, error)
                continue
            if isinstance(received, Update):
                self.chunks[stream] = chunk  # at the end, so that all get their turn
                yield from self._apply(received, chunk)
            else:
                yield from self._exclude(chunk, *received)

    def _apply(self, update: Update, chunk: _Chunk) -> Generator[Event]:
        """Write the files that changed, then yield the events, except those of runs that have ended."""
        for index, files in update.files.items():
            if index not in self.locks or (index in self.forced and CONFIG not in files):  # a run starts with CONFIG
                continue
            folder = self.jobs[index].folder
            try:
                transitions.receive(folder, files, restart=index in self.forced)
                self.forced.discard(index)
            except OSError as error:
                self._unlock(index)
                yield Ended(index, Status.FAILED, f"its folder {not_written(error)}")
        for event in update.events:
            if event.job is None:
                yield event
                continue
            index = event.job
            chunk.started.add(index)
            if index not in self.locks:
                continue
            if isinstance(event, Epoch):
                if event.row["epoch"] <= self.epochs[index]:  # trained again after a worker or node died
                    continue
                self.epochs[index] = event.row["epoch"]
                del self.failures[index]
            elif isinstance(event, Ended):
                self._unlock(index)
            elif isinstance(event, Note):
                event = Note(index, f"{self.jobs[index].folder.path}: {event.text}")
            yield event

    def _lost(self, stream: Any, chunk: _Chunk, error: Exception) -> Generator[Event]:
        """Count a failed try for each run in training when its worker or node died, and send unfinished runs again."""
        with suppress(Exception):  # if only its updates were lost, it may still be training
            self.ray.cancel(stream, force=True)
        unfinished = [index for group in chunk.groups for index in group if index in self.locks]
        how = getattr(error, "cause", None) or error
        what = f"its worker or node ended ({type(how).__name__}: {str(how).partition(chr(10))[0]})"
        for index in chunk.started.intersection(unfinished) or unfinished:
            self.failures[index] += 1
            folder = self.jobs[index].folder
            if self.failures[index] < TRIES:
                yield Note(index, f"{folder.path}: {what}; it resumes on another")
                continue
            why = f"{what}, {TRIES} times without another epoch; the same command trains it again"
            with suppress(Exception):
                transitions.stop(folder, Status.FAILED, why)
            self._unlock(index)
            yield Ended(index, Status.FAILED, why)
        self._send_again(chunk)

    def _exclude(self, chunk: _Chunk, node: str, why: str) -> Generator[Event]:
        """Send nothing more to an unusable node, and send its runs to others."""
        if node not in self.excluded:
            self.excluded[node] = why
            yield Note(None, f"{why}; this node is left out")
        self._send_again(chunk)

    def _send_again(self, chunk: _Chunk) -> None:
        groups = [[index for index in group if index in self.locks] for group in chunk.groups]
        self.waiting.extendleft(group for group in reversed(groups) if group)
