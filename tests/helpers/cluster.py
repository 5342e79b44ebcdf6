"""A Ray cluster of nodes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
QUICK = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",  # a dead node is noticed after 5 s, not 15
    "RAY_worker_niceness": "0",  # otherwise workers wait for the other tests
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # or Ray takes this machine's other address


class Nodes:
    """Nodes of a cluster on this machine, each with its own cache and without data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.count = 0
        self.training: list[int] = []  # the numbers of the nodes that train, without killed ones
        environment = {key: value for key, value in os.environ.items() if key != "DROPEXP_DATA"}
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "helpers" / "ray_nodes.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment | LOOPBACK | QUICK,
            cwd=folder,
        )

    def start(self, package: Path = ROOT, cpus: int = 1) -> int:
        """Start a node with `cpus` processors that imports this package; return its number."""
        environment = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(self.cache(self.count))}
        environment["SECONDS_PER_DRAW"] = "0.03"  # of the plugin of tests that stop a training
        self._request({"start": environment, "cpus": cpus})
        number = self.count
        self.count += 1
        if cpus:
            self.training.append(number)
        return number

    def kill(self, number: int) -> None:
        self.training.remove(number)
        self._request({"kill": number})

    def cache(self, number: int) -> Path:
        return self.folder / f"cache-{number}"

    def decoded(self, number: int) -> list[Path]:
        """Return the data that the node has decoded for training."""
        return list(self.cache(number).glob("dropexp/decoded-*[0-9a-f]"))

    def end(self) -> None:
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()

    def _request(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        self.address = json.loads(self.process.stdout.readline())["address"]
