"""The driver's side: contenders as processes, in an environment without settings of libraries."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers.contenders import Contender
from peers.turns import PREFIX

KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT", "CXX", "LD_LIBRARY_PATH")
LEARNED = 0.7  # test accuracy; ten classes, so that guessing gives 0.1

Figures = dict[str, Any]  # of one epoch, as `turns.py` prints them


class Failed(Exception):
    """A contender exited or did not learn; the message names it and has the reason."""


def environment(data: Path, cache: Path, more: dict[str, str]) -> dict[str, str]:
    """Return the environment of a contender, without variables of this shell that configure a library."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    ours = {"DROPEXP_DATA": str(data), "XDG_CACHE_HOME": str(cache), "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor")}
    return kept | ours | {"PYTHONPATH": str(Path(__file__).parent.parent)} | more


class Process:
    """The process of a contender, which waits for its turns."""

    def __init__(self, contender: Contender, data: Path, cache: Path) -> None:
        self.contender = contender
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in close)
        self.process = subprocess.Popen(
            command(contender),
            env=environment(data, cache, contender.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def epoch(self) -> Figures:
        """Let it train and evaluate for one epoch. Raises Failed."""
        assert self.process.stdin and self.process.stdout
        try:
            print("epoch", file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failed() from None
        for line in self.process.stdout:
            if line.startswith(PREFIX):
                return dict(json.loads(line.removeprefix(PREFIX)))
        raise self._failed()

    def peak_mb(self) -> float | None:
        """Return the peak resident memory so far, in 10⁶ bytes, or None where there is no /proc."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6

    def close(self) -> None:
        """End the process by closing its input; kill it if it does not exit."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _failed(self) -> Failed:
        code = self.process.wait()
        self.errors.seek(0)
        return Failed(f"{self.contender.name} exited with {code}: {self.errors.read()[-2000:]}")


def command(contender: Contender) -> list[str]:
    return [sys.executable, "-m", f"peers.{contender.module}"]


def check_learning(name: str, epochs: list[Figures]) -> None:
    """Raise Failed unless the epochs, including the first one, show a network that learned."""
    losses = [epoch[key] for epoch in epochs for key in ("train_loss", "test_loss")]
    best = max(epoch["test_acc"] for epoch in epochs)
    if not all(map(math.isfinite, losses)):
        raise Failed(f"{name} diverged: its losses are {losses}")
    if epochs[-1]["train_loss"] >= epochs[0]["train_loss"]:
        raise Failed(f"{name} learned nothing: its train loss went {epochs[0]['train_loss']} → {losses[-2]}")
    if best < LEARNED:
        raise Failed(f"{name} learned too little: its best test accuracy is {best}, not {LEARNED} or more")
