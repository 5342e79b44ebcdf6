"""Training on a Ray cluster, for real: nodes on this machine, studies that lose nodes and drivers, and their tables."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Command

from dropexp import node
from dropexp.config import Config
from dropexp.driver import _write
from dropexp.experiment import train_run
from dropexp.node import Parcel, Shared
from dropexp.runs import RunFolder
from dropexp.study import PlannedRun
from dropexp.trainer import Plan

ROOT = Path(__file__).parent.parent
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # else Ray takes another address

LONG = "train_size: 500\nhidden: [16, 16]\neval_train: false\nepochs: 60\nmatrix: {variant: [scratch, nn], seed: 0..2}\n"
DRAWN = "task: linear-regression\nepochs: 20\nlr: 0.003\nbatch_size: 5\ntrain_size: 100\n"
PLUGIN = (
    "import torch, dropexp\n"
    "def noise(mask, p):\n"
    "    return lambda shape, dtype, generator: None\n"
)


class Cluster:
    """The nodes, and what a command needs to train on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.count = 0
        environment = os.environ | ON_LOOPBACK
        environment.pop("DROPEXP_DATA", None)  # so that a node has no data but what it is sent
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "ray_nodes.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )

    def start(self, package: Path = ROOT) -> int:
        """Start a node with a cache of its own and this package; returns its number."""
        self._ask({"start": {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(self.cache(self.count))}})
        self.count += 1
        return self.count - 1

    def kill(self, number: int) -> None:
        self._ask({"kill": number})

    def cache(self, number: int) -> Path:
        return self.folder / f"cache-{number}"

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def _ask(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        self.address = json.loads(self.process.stdout.readline())["address"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    nodes = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        nodes.start()
        nodes.start()
        yield nodes
    finally:
        nodes.end()


@pytest.fixture
def remote(command: Command, cluster: Cluster) -> Command:
    """The command in its folder, as one that can reach the cluster."""
    command.environment |= ON_LOOPBACK
    return command
