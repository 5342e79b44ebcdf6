"""Many runs on a Ray cluster: sent to its nodes a few at a time, and written here, by the one process that holds them.

So no disk is shared, a node needs no place for runs, and one that dies takes nothing with it: what it was sent, and has
not told, is sent again. This process imports no torch, and Ray only when it trains.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from dropexp.data import download
from dropexp.errors import ClusterError, RunError
from dropexp.files import write_whole
from dropexp.lock import most_locks, not_written
from dropexp.runs.folder import CONFIG, FILES, RunFolder, read_file
from dropexp.runs.holding import hold
from dropexp.training.cluster import worker
from dropexp.training.cluster.connect import amount
from dropexp.training.cluster.worker import Files, News, Parcel, Shared, names_in
from dropexp.training.device import kind
from dropexp.training.pool import mark_held
from dropexp.training.trainer import Event, Plan, Task

TRIES = 3  # of a run that does not get an epoch further, each ended by the death of its worker or node
CHUNK = 8  # runs sent at once at most: Ray's time for a task is shared, and few wait for a slow one
CHUNKS = 4  # for each processor at least, so that all of them end at about the same time
ALONE = 4  # runs on one GPU at a time that cannot be stacked: none of them fills it
SILENCE = 20  # seconds without news after which it is said that no node is left
NEWS = 50.0  # a second, from all nodes together: each piece takes this process some milliseconds


def on_ray(tasks: Sequence[Task], plan: Plan, stacks: Sequence[list[int]], jobs: int | None) -> Generator[Event]:
    """Train the tasks on the cluster, and yield what happens; `stacks` are places of those that train side by side.

    `jobs` is how many train at a time: on processors in all (None: as many as there are), on each GPU at most ALONE.
    Raises `ClusterError` if no node can train them. Closing the generator or KeyboardInterrupt marks what is being
    trained as interrupted. Until it ends sys.stdout is None: a thread of Ray's would print there, at any time, that a
    worker died, which is told here.
    """
    with redirect_stdout(None):
        driver = _Driver(tasks, plan, stacks, jobs)
        try:
            yield from driver.events()
        finally:
            driver.end()


@dataclass
class _Chunk:
    """Runs that were sent together."""

    stacks: list[list[int]]
    parcels: Any  # a reference to what was sent; Ray keeps it as long as somebody holds it
    begun: set[int] = field(default_factory=set)


class _Driver:
    """The process that sends the runs and keeps what comes back."""

    def __init__(self, tasks: Sequence[Task], plan: Plan, stacks: Sequence[list[int]], jobs: int | None) -> None:
        import ray

        self.ray: Any = ray
        self.tasks, self.plan, self.jobs = tasks, plan, jobs
        self.resource = "GPU" if kind(plan.device) == "cuda" else "CPU"
        self.waiting = deque(stacks)
        self.chunks: dict[Any, _Chunk] = {}  # by the stream of their news, the one read last at the end
        self.holds: dict[int, ExitStack] = {}  # the locks of the runs that were sent
        self.forced = {*range(len(tasks))} if plan.force else set()  # runs to be cleared when they begin
        self.most_held = most_locks()
        self.epochs: Counter[int] = Counter()  # that have been told
        self.deaths: Counter[int] = Counter()  # since the last epoch
        self.refused: dict[str, str] = {}  # nodes, and why
        self.silence = 0.0  # seconds since the last news
        images = any(task.has_images for task in tasks) and plan.data_root
        packed = ray.put(download.packed(images)) if images else None
        plugins = tuple((file.name, digest, file.read_bytes()) for file, digest in plan.plugins)
        self.shared = ray.put(Shared(plan, plugins, packed))
        self.remote: Any = ray.remote(_task())

    def events(self) -> Generator[Event]:
        while self.waiting or self.chunks:
            if self.waiting:
                yield from self._send()
            if self.chunks:
                yield from self._receive()

    def end(self) -> None:
        """Stop what is being trained, and let go of the runs."""
        for stream in self.chunks:
            with suppress(Exception):  # the cluster may be gone
                self.ray.cancel(stream, force=True)
        for place, held in self.holds.items():
            mark_held(self.tasks[place].folder, "interrupted", None)
            held.close()

    def _send(self) -> Generator[Event]:
        """Keep the cluster busy: a few more chunks are under way than train at a time, so that no processor waits."""
        slots = self._slots()
        most = slots + (0 if self.jobs else slots // 4 + 1)
        while self.waiting and len(self.chunks) < most and self._under_way() < self.most_held:
            parcels = []
            for stack in self._next_stacks(slots):
                opened = [self._open(place) for place in stack]
                yield from (event for event in opened if isinstance(event, Event))
                parcels.append([parcel for parcel in opened if isinstance(parcel, Parcel)])
            stacks = [[parcel.place for parcel in stack] for stack in parcels if stack]
            if not stacks:
                continue
            reference = self.ray.put([stack for stack in parcels if stack])
            remote = self.remote.options(
                num_cpus=1,
                num_gpus=self._gpus(stacks),
                num_returns="streaming",
                max_retries=0,  # Ray would begin again with what it was sent first
                scheduling_strategy="SPREAD",
                label_selector={"ray.io/node-id": f"!in({','.join(sorted(self.refused))})"} if self.refused else None,
                _generator_backpressure_num_objects=2,  # a node waits rather than fill the memory with news
            )
            pace = max(1.0, slots / NEWS)
            stream = remote.remote(worker.fingerprint(), [self.shared, reference], pace)
            self.chunks[stream] = _Chunk(stacks, reference)

    def _slots(self) -> int:
        """How many chunks can train at a time, on the nodes that there are just now and that did not refuse."""
        there = amount(self.resource, self.refused)
        if self.resource == "GPU":
            return max(1, int(there * ALONE))
        return max(1, int(there) if self.jobs is None else min(int(there), self.jobs))

    def _under_way(self) -> int:
        """How many runs have been sent; each is a lock that is held, an open file."""
        return sum(len(stack) for chunk in self.chunks.values() for stack in chunk.stacks)

    def _next_stacks(self, slots: int) -> list[list[int]]:
        """What is sent next: one stack, or several runs that train one after the other."""
        stacks = [self.waiting.popleft()]
        size = min(CHUNK, len(self.waiting) // (CHUNKS * slots), self.most_held // (2 * slots))
        while len(stacks) < size and len(stacks[0]) == len(self.waiting[0]) == 1:
            stacks.append(self.waiting.popleft())
        return stacks

    def _gpus(self, stacks: list[list[int]]) -> float:
        """What a chunk takes of a GPU: a stack fills it."""
        if self.resource == "CPU":
            return 0
        return 1 if max(map(len, stacks)) > 1 else 1 / min(self.jobs or ALONE, ALONE)

    def _open(self, place: int) -> Parcel | Event:
        """Hold a run from now on, and pack what it goes on from; or say how it has ended."""
        task = self.tasks[place]
        if place not in self.holds:
            with ExitStack() as held:
                if ended := hold(task.planned, task.folder, held, self.plan.force):  # by another process, meanwhile
                    return Event(place, status=ended.status, why=ended.why, note=ended.note)
                self.holds[place] = held.pop_all()
        try:
            names = [] if place in self.forced else names_in(task.folder)
            files = {name: read_file(task.folder.path / name) for name in names}
        except (RunError, OSError) as error:
            self._let_go(place)
            return Event(place, status="failed", why=str(error))
        return Parcel(place, task.planned, {name: text for name, text in files.items() if text is not None})

    def _let_go(self, place: int) -> None:
        if held := self.holds.pop(place, None):
            held.close()

    def _receive(self) -> Generator[Event]:
        """What the next chunk tells, if one tells anything within a second."""
        ready, _ = self.ray.wait(list(self.chunks), num_returns=1, timeout=1)
        self.silence = 0.0 if ready else self.silence + 1
        if self.silence >= SILENCE and not amount(self.resource):
            self.silence = -math.inf  # it is said once
            note = "no node of the cluster is left to train; a new one will go on, or the same command after Ctrl-C"
            yield Event(next(iter(self.chunks.values())).stacks[0][0], note=note)
        if self.refused and not ready and not amount(self.resource, self.refused):
            raise ClusterError(f"no node of the cluster can train: {'; '.join(self.refused.values())}")
        for stream in ready:
            chunk = self.chunks.pop(stream)
            try:
                news = self.ray.get(next(stream))
            except StopIteration:
                continue
            except self.ray.exceptions.RayError as error:
                yield from self._again(stream, chunk, error)
                continue
            if isinstance(news, News):
                self.chunks[stream] = chunk  # as the last: all get their turn
                yield from self._keep(news, chunk)
            else:
                yield from self._elsewhere(chunk, *news)

    def _keep(self, news: News, chunk: _Chunk) -> Generator[Event]:
        """Write what has changed, then tell what has happened. Of a run that has been told to its end nothing is."""
        for place, files in news.files.items():
            if place in self.holds and (place not in self.forced or CONFIG in files):  # which a run begins with
                try:
                    if place in self.forced:
                        self.forced.remove(place)
                        self.tasks[place].folder.clear()
                    _write(self.tasks[place].folder, files)
                except OSError as error:
                    self._let_go(place)
                    yield Event(place, status="failed", why=f"its folder {not_written(error)}")
        for event in news.events:
            place = event.task
            chunk.begun.add(place)
            if place not in self.holds:
                continue
            if event.row:
                if event.row["epoch"] <= self.epochs[place]:  # trained again after a death
                    continue
                self.epochs[place] = event.row["epoch"]
                del self.deaths[place]
            if event.status:
                self._let_go(place)
            yield replace(event, note=event.note and f"{self.tasks[place].folder.path}: {event.note}")

    def _again(self, stream: Any, chunk: _Chunk, error: Exception) -> Generator[Event]:
        """A worker or its node is gone: what it was training has a try less, and what is not done is sent again."""
        with suppress(Exception):  # if only its news were lost, it may train still
            self.ray.cancel(stream, force=True)
        unfinished = [place for stack in chunk.stacks for place in stack if place in self.holds]
        how = getattr(error, "cause", None) or error
        what = f"its worker or node ended ({type(how).__name__}: {str(how).partition(chr(10))[0]})"
        for place in chunk.begun.intersection(unfinished) or unfinished:
            self.deaths[place] += 1
            if self.deaths[place] < TRIES:
                yield Event(place, note=f"{self.tasks[place].folder.path}: {what}; it goes on elsewhere")
                continue
            why = f"{what}, {TRIES} times without an epoch more; the same command trains it again"
            mark_held(self.tasks[place].folder, "failed", why)
            self._let_go(place)
            yield Event(place, status="failed", why=why)
        self._put_back(chunk)

    def _elsewhere(self, chunk: _Chunk, name: str, why: str) -> Generator[Event]:
        """A node refuses: it gets no more, and others get what it was sent."""
        if name not in self.refused:
            self.refused[name] = why
            yield Event(chunk.stacks[0][0], note=f"{why}; this node is left out")
        self._put_back(chunk)

    def _put_back(self, chunk: _Chunk) -> None:
        stacks = [[place for place in stack if place in self.holds] for stack in chunk.stacks]
        self.waiting.extendleft(stack for stack in reversed(stacks) if stack)


def _write(folder: RunFolder, files: Files) -> None:
    """Write a run's files so that it can go on wherever this is cut short: what is gone first, run.json last.

    What was set aside as damaged comes before both, under a name of its own.
    """
    aside = [name for name in files if name not in FILES]
    gone = [name for name in reversed(FILES) if name in files and files[name] is None]
    there = [name for name in FILES if files.get(name) is not None]
    for name in [*aside, *gone, *there]:
        content = files[name]
        if content is None:
            (folder.path / name).unlink(missing_ok=True)
        else:
            write_whole(folder.path / name, content)


def _task() -> Any:
    """What Ray runs on a node. It is sent as code, not by name, so that a node with another dropexp can say so."""

    def dropexp(fingerprint: str, references: list[Any], pace: float) -> Iterator[Any]:
        """Yields `News`, or the node's id and why it refuses; nothing is unpacked where versions differ."""
        import ray

        here = ray.get_runtime_context().get_node_id()
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray has types for a part of itself
        try:
            from dropexp.training.cluster import worker

            theirs, same = f"{worker.fingerprint()}, {worker.__file__}", worker.fingerprint() == fingerprint
        except Exception as error:
            theirs, same = f"no dropexp that trains on Ray ({error})", False
        if not same:
            yield here, f"node {address} has {theirs}; this command is {fingerprint}: install the same on both"
            return
        try:
            shared, stacks = ray.get(references)
            yield from worker.train(shared, stacks, pace)
        except worker.Refused as error:
            yield here, f"node {address}: {error}"

    return dropexp
