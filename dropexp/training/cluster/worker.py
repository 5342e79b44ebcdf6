"""A node's part on a Ray cluster: it trains the runs it is sent in a folder of its own and tells what changes there.

Nothing here knows where the runs are kept. What a node has before it is sent anything is this package, torch and Ray.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from dropexp.config.plugins import load_plugin
from dropexp.config.study import PlannedRun
from dropexp.data import download
from dropexp.errors import DataError, PluginError
from dropexp.runs.folder import BEFORE, CHECKPOINT, DAMAGED, FILES, RunFolder
from dropexp.runs.provenance import version_of
from dropexp.tempfolder import temp_folder
from dropexp.training.trainer import Event, Plan, Task, Trainer

Files = dict[str, bytes | None]  # of a run folder, by name: what a file holds, None if it is gone
CHECKPOINT_EVERY = 10  # paces from one checkpoint of a run that is sent to the next, unless it ends


def names_in(run: RunFolder) -> list[str]:
    """The files of a run folder in the order of writing, before them what was set aside."""
    ends = [f"{name}{end}*" for name in FILES for end in (DAMAGED, BEFORE)]
    aside = sorted(path.name for end in ends for path in run.path.glob(end))
    return aside + [name for name in FILES if (run.path / name).exists()]


class Refused(Exception):
    """A node that cannot train these runs; the message says why."""


@dataclass(frozen=True)
class Shared:
    """What all runs of a command have in common; each node gets it once."""

    plan: Plan
    plugins: tuple[tuple[str, str, bytes], ...] = ()  # files: name, digest, text
    packed: Any = None  # a reference to the files of Fashion-MNIST by name, packed; None: no run has images


@dataclass(frozen=True)
class Parcel:
    """One run as it is sent: its place among the tasks, and the files that it goes on from."""

    place: int
    planned: PlannedRun
    files: dict[str, bytes]


@dataclass(frozen=True)
class News:
    """What has happened since the last news: the files that changed, and then the events."""

    files: dict[int, Files] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


@cache
def fingerprint() -> str:
    """What has to be equal for numbers to be equal: this package, to the letter, and the version of torch."""
    package, source = Path(__file__).parents[2], hashlib.sha256()
    for name in sorted(file.relative_to(package).as_posix() for file in package.rglob("*.py")):
        text = (package / name).read_bytes().replace(b"\r\n", b"\n")
        source.update(f"{name}\0{len(text)}\0".encode() + text)
    torch = (version_of("torch") or "unknown").partition("+")[0]  # without the CUDA that it was built for
    return f"dropexp {version_of('dropexp')} (source {source.hexdigest()[:8]}) with torch {torch}"


def train(shared: Shared, stacks: Sequence[Sequence[Parcel]], pace: float) -> Iterator[News]:
    """Train the runs, those of a stack side by side, on one thread; news come at most every `pace` seconds and at ends.

    Raises `Refused` if this node lacks what they need.
    """
    try:
        for plugin in shared.plugins:
            _load(*plugin)
        root = None if shared.packed is None else _data_root(shared.packed)
        trainer = _trainer(replace(shared.plan, data_root=root, force=False, plugins=()))
        with temp_folder(_local()) as folder:
            outbox = _Outbox(folder, pace)
            for stack in stacks:
                with closing(trainer.events({parcel.place: outbox.unpack(parcel) for parcel in stack})) as events:
                    for event in events:
                        yield from outbox.post(event)
    except (DataError, PluginError, OSError) as error:
        raise Refused(str(error)) from error


class _Outbox:
    """The folders of the runs here, and what of them has been sent."""

    def __init__(self, place: Path, pace: float) -> None:
        self.folder, self.pace = place, pace
        self.runs: dict[int, RunFolder] = {}
        self.sent: dict[int, dict[str, tuple[int, ...]]] = {}  # each file's stamp when it was sent
        self.checkpointed: dict[int, float] = {}  # when the last checkpoint was
        self.events: list[Event] = []
        self.posted = -pace

    def unpack(self, parcel: Parcel) -> Task:
        """Put the files of a run into its folder."""
        run = self.runs[parcel.place] = RunFolder(self.folder / str(parcel.place))
        run.path.mkdir()
        for name, content in parcel.files.items():
            (run.path / name).write_bytes(content)
        self.sent[parcel.place] = self._stamps(run)
        return Task(parcel.planned, run)

    def post(self, event: Event) -> Iterator[News]:
        """Take an event in, and send what has gathered, if it is time or the run ended."""
        note = event.note and event.note.replace(f"{self.runs[event.task].path}{os.sep}", "")
        self.events.append(replace(event, note=note))
        os.utime(self.folder)  # where locks do not work, a day without a sign of life counts as death
        now = time.monotonic()
        if not event.status and now - self.posted < self.pace:
            return
        ended = {event.task for event in self.events if event.status}
        files = {place: changed for place in self.runs if (changed := self._changed(place, place in ended, now))}
        events, self.events, self.posted = self.events, [], now
        for place in ended:
            del self.runs[place]
        yield News(files, events)

    def _changed(self, place: int, ended: bool, now: float) -> Files:
        """The files that are not as they were sent. The training waits meanwhile, so they fit together."""
        run, sent = self.runs[place], self.sent[place]
        stamps = self._stamps(run)
        early = now - self.checkpointed.get(place, -math.inf) < CHECKPOINT_EVERY * self.pace
        if early and not ended and CHECKPOINT in stamps and CHECKPOINT in sent:  # it is large, and the one sent will do
            stamps[CHECKPOINT] = sent[CHECKPOINT]
        changed: Files = {name: None for name in sent if name not in stamps}
        changed |= {name: (run.path / name).read_bytes() for name in stamps if stamps[name] != sent.get(name)}
        if changed.get(CHECKPOINT):
            self.checkpointed[place] = now
        self.sent[place] = stamps
        return changed

    @staticmethod
    def _stamps(run: RunFolder) -> dict[str, tuple[int, ...]]:
        """What differs between two states of each file that is there."""
        found = {name: (run.path / name).stat() for name in names_in(run)}
        return {name: (about.st_mtime_ns, about.st_size, about.st_ino) for name, about in found.items()}


@lru_cache(maxsize=1)
def _trainer(plan: Plan) -> Trainer:
    """The trainer of this process, which Ray uses again: torch is imported and the data loaded once."""
    import torch

    torch.set_num_threads(1)
    return Trainer(plan)


@cache
def _load(name: str, digest: str, text: bytes) -> None:
    """Load a plugin that was sent."""
    with temp_folder(_local()) as folder:
        file = folder / name
        file.write_bytes(text)
        load_plugin(file, digest)


def _local() -> Path:
    """Where this machine keeps what is soon forgotten; the cache may be on a disk that many share."""
    return Path(tempfile.gettempdir())


def _data_root(packed: Any) -> Path:
    """The node's own copy of the data, put into its cache if it has none; all processes map what it decodes to."""
    root = download.find()
    if root is None:
        import ray

        root = download.keep(ray.get(packed))
    return root
