"""Processes share one copy of the data in memory, and do not see each other's writes."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.synthetic import write_synthetic

from dropexp.data.fashion_mnist import Data, load

DATASET_MB = 220


@contextmanager
def worker(work: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Run `work` in a process with one end of a pipe; yield the other end. The process ends when it is closed."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def memory_mb(*kinds: str) -> float:
    """Return this process's memory in 10⁶ bytes: its own ("Private_") or shared with others ("Shared_")."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(kinds))


def touch(pipe: Connection, root: Path) -> None:
    """Load the data and read all of it; after another message, send how much memory that took."""
    torch.ones(1000, 784).sum(dim=1)
    own, shared = memory_mb("Private_"), memory_mb("Shared_")
    data = load(root)
    for tensor in (data.X_train, data.y_train, data.X_test, data.y_test):
        tensor.sum()
    pipe.send("loaded")
    pipe.recv()
    pipe.send((memory_mb("Private_") - own, memory_mb("Shared_") - shared))
    pipe.poll(None)


def overwrite(pipe: Connection, root: Path, checksums: dict[str, str]) -> None:
    data = load(root, checksums=checksums)
    data.X_train.fill_(7)
    data.y_train.fill_(7)
    pipe.send((data.X_train.mean().item(), data.y_train.unique().tolist()))
    pipe.poll(None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports shared memory")
def test_workers_share_the_memory_of_the_data(
    real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    load(real_root)  # decoded now, so that workers only map it
    with worker(touch, real_root) as one, worker(touch, real_root) as other:
        for pipe in (one, other):
            assert pipe.recv() == "loaded"
        for pipe in (one, other):
            pipe.send("measure")
        for pipe in (one, other):
            own, shared = pipe.recv()
            assert own < 40
            assert shared > DATASET_MB - 20


def test_a_process_writes_only_into_its_own_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checksums = write_synthetic(tmp_path / "data")
    data = load(tmp_path / "data", checksums=checksums)
    before = deepcopy(data)
    (cached,) = (tmp_path / "cache").rglob("decoded-*")
    content = cached.read_bytes()

    with worker(overwrite, tmp_path / "data", checksums) as pipe:
        assert pipe.recv() == (7, [7])
        assert same(data, before)
        assert same(load(tmp_path / "data", checksums=checksums), before)
    data.X_test.zero_()
    assert cached.read_bytes() == content


def same(a: Data, b: Data) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("X_train", "y_train", "X_test", "y_test"))
