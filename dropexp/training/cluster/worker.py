"""The work of a Ray node: train the received runs in a temporary folder, and send back the files that change there.

A node needs this package, torch and Ray, and no access to the run folders.
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

from dropexp.config.planned_run import PlannedRun
from dropexp.config.plugins import load_plugin
from dropexp.data import dataset_files
from dropexp.errors import DataError, PluginError
from dropexp.files import what_failed
from dropexp.runs.folder import BEFORE, CHECKPOINT, CORRUPTED, FILES, RUN, RunFolder
from dropexp.runs.provenance import version_of
from dropexp.training.events import Ended, Event, Note
from dropexp.training.in_process import Trainer
from dropexp.training.jobs import Job, Plan

Files = dict[str, bytes | None]  # the contents of a run folder's files by name; None for a file that is gone
CHECKPOINT_EVERY = 10  # a run's checkpoint is sent at most once in the time of so many updates


def file_names(folder: RunFolder) -> list[str]:
    """List the files of a run folder in the order of writing, preceded by renamed ones."""
    endings = (f"{name}{ending}*" for name in FILES for ending in (CORRUPTED, BEFORE))
    renamed = sorted(path.name for pattern in endings for path in folder.path.glob(pattern))
    return renamed + [name for name in FILES if (folder.path / name).exists()]


class NodeUnusable(Exception):
    """The node cannot train these runs; the message gives the reason."""


@dataclass(frozen=True)
class Shared:
    """What all runs of a command have in common; each node gets it once."""

    plan: Plan
    plugins: tuple[tuple[str, str, bytes], ...] = ()  # files: name, digest, text
    packed: Any = None  # a reference to the packed files of Fashion-MNIST by name; None: no run has images


@dataclass(frozen=True)
class RunFiles:
    """One run as it is sent: the index of its job, and the files that it resumes from."""

    index: int
    planned: PlannedRun
    files: dict[str, bytes]


@dataclass(frozen=True)
class Update:
    """What has happened since the last update: the files that changed, by job, and the events."""

    files: dict[int, Files] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


@cache
def fingerprint() -> str:
    """Return what must be equal on two nodes for equal figures: a hash of the package, and the version of torch."""
    package, source = Path(__file__).parents[2], hashlib.sha256()
    for name in sorted(file.relative_to(package).as_posix() for file in package.rglob("*.py")):
        text = (package / name).read_bytes().replace(b"\r\n", b"\n")
        source.update(f"{name}\0{len(text)}\0".encode() + text)
    torch = (version_of("torch") or "unknown").partition("+")[0]  # without the CUDA that it was built for
    return f"dropexp {version_of('dropexp')} (source {source.hexdigest()[:8]}) with torch {torch}"


def train(shared: Shared, groups: Sequence[Sequence[RunFiles]], pace: float) -> Iterator[Update]:
    """Train the runs on one thread, those of a group together.

    Yield an update at most every `pace` seconds, and when a run ends.

    Raises `NodeUnusable` if this node lacks what they need.
    """
    try:
        for plugin in shared.plugins:
            _load_plugin(*plugin)
        root = None if shared.packed is None else _data_root(shared.packed)
        trainer = _trainer(replace(shared.plan, data_root=root, force=False, plugins=()))
        # In the system's temporary folder: the cache may be on a disk that many machines share.
        with tempfile.TemporaryDirectory(prefix="dropexp-") as folder:
            buffer = _UpdateBuffer(Path(folder), pace)
            for group in groups:
                with closing(trainer.events({one.index: buffer.unpack(one) for one in group})) as events:
                    for event in events:
                        yield from buffer.add(event)
    except (DataError, PluginError, OSError) as error:
        raise NodeUnusable(what_failed(error)) from error


class _UpdateBuffer:
    """The run folders of this node, which of their files have been sent, and the events since the last update."""

    def __init__(self, folder: Path, pace: float) -> None:
        self.folder, self.pace = folder, pace
        self.runs: dict[int, RunFolder] = {}
        self.sent: dict[int, dict[str, tuple[int, ...]]] = {}  # each file's stamp when it was sent
        self.checkpointed: dict[int, float] = {}  # when the last checkpoint was sent
        self.events: list[Event] = []
        self.last_update = -pace

    def unpack(self, run_files: RunFiles) -> Job:
        """Write the files of a run into its folder here."""
        run = self.runs[run_files.index] = RunFolder(self.folder / str(run_files.index))
        run.path.mkdir()
        for name, content in run_files.files.items():
            (run.path / name).write_bytes(content)
        self.sent[run_files.index] = self._stamps(run)
        return Job(run_files.planned, run)

    def add(self, event: Event) -> Iterator[Update]:
        """Collect the event; yield an update if it is time or the run has ended."""
        if isinstance(event, Note) and event.job is not None:
            event = Note(event.job, event.text.replace(f"{self.runs[event.job].path}{os.sep}", ""))
        self.events.append(event)
        now = time.monotonic()
        if not isinstance(event, Ended) and now - self.last_update < self.pace:
            return
        ended = {event.job for event in self.events if isinstance(event, Ended)}
        files = {index: changed for index in self.runs if (changed := self._changed(index, index in ended, now))}
        events, self.events, self.last_update = self.events, [], now
        for index in ended:
            del self.runs[index]
        yield Update(files, events)

    def _changed(self, index: int, ended: bool, now: float) -> Files:
        """Read the files that differ from those sent. Training is paused meanwhile, so the files are consistent."""
        run, sent = self.runs[index], self.sent[index]
        stamps = self._stamps(run)
        early = now - self.checkpointed.get(index, -math.inf) < CHECKPOINT_EVERY * self.pace
        if early and not ended and CHECKPOINT in stamps and CHECKPOINT in sent:  # large, and the one sent suffices
            stamps |= {CHECKPOINT: sent[CHECKPOINT], RUN: sent[RUN]}
        changed: Files = {name: None for name in sent if name not in stamps}
        changed |= {name: (run.path / name).read_bytes() for name in stamps if stamps[name] != sent.get(name)}
        if changed.get(CHECKPOINT):
            self.checkpointed[index] = now
        self.sent[index] = stamps
        return changed

    @staticmethod
    def _stamps(run: RunFolder) -> dict[str, tuple[int, ...]]:
        """Return the modification time, size and inode of each file: they differ once it is written again."""
        stats = {name: (run.path / name).stat() for name in file_names(run)}
        return {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats.items()}


@lru_cache(maxsize=1)
def _trainer(plan: Plan) -> Trainer:
    """Return the trainer of this process. Ray reuses the process, so torch is imported and the data loaded once."""
    import torch

    torch.set_num_threads(1)
    return Trainer(plan)


@cache
def _load_plugin(name: str, digest: str, text: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="dropexp-") as folder:
        file = Path(folder) / name
        file.write_bytes(text)
        load_plugin(file, digest)


def _data_root(packed: Any) -> Path:
    """Return the node's own copy of the data; if there is none, write it into the cache."""
    root = dataset_files.find()
    if root is None:
        import ray

        root = dataset_files.store(ray.get(packed))
    return root
