"""Part three: many runs of `dropexp train`, in one worker and in two, and what memory each worker has of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers.process import Failed, environment
from peers.whole import rows_of, train

RUNS, EPOCHS = 30, 5
CONFIG = f"epochs: {EPOCHS}\neval_train: false\nvariant: scratch\nmatrix: {{seed: 0..{RUNS - 1}}}\n"
EVERY = 1.0  # seconds between samples of memory: a sample takes some milliseconds
WAYS = {  # jobs, and the threads of a process that is told; workers take one each by themselves
    "1 job, one thread": (1, {"OMP_NUM_THREADS": "1"}),
    "1 job, all cores": (1, {}),
    "2 jobs, one thread each": (2, {}),
}


def measure(data: Path, cache: Path, scratch: Path, rounds: int) -> list[dict[str, Any]]:
    """A row per way with a figure per round."""
    config = scratch / "many.yaml"
    config.write_text(CONFIG)
    rows: list[dict[str, Any]] = [{"name": name, "jobs": jobs, "rounds": []} for name, (jobs, _) in WAYS.items()]
    for number in range(rounds):
        for row in rows:
            jobs, env = WAYS[row["name"]]
            runs = scratch / f"many-{jobs}-{time.monotonic_ns()}"
            words = [*train(config, runs), "--jobs", str(jobs)]
            wall, memory = _watched(words, environment(data, cache, env), cache)
            epochs = rows_of(runs)
            if len(epochs) != RUNS * EPOCHS:
                raise Failed(f"{row['name']}: {len(epochs)} epochs were trained, not {RUNS * EPOCHS}")
            spent = sum(epoch["seconds"] for epoch in epochs)
            row["rounds"].append({"wall": wall, "spent": spent, "run_epochs": len(epochs), **memory})
            print(f"many runs, round {number + 1} of {rounds}: {row['name']} {wall:.1f} s", file=sys.stderr)
    return rows


def _watched(words: list[str], env: dict[str, str], cache: Path) -> tuple[float, dict[str, float | None]]:
    """Seconds, and the largest that any worker was seen to have: its own memory, and its part of the mapped data."""
    seen: dict[str, float | None] = {"own_mb": None, "mapped_mb": None, "mapped_shared_mb": None}
    began = time.perf_counter()
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for worker in _descendants(process.pid):
                for key, value in memory(worker, cache).items():
                    seen[key] = max(seen[key] or 0, value)
            try:
                process.wait(EVERY)
            except subprocess.TimeoutExpired:
                continue
        wall = time.perf_counter() - began
        assert process.stderr
        if process.returncode:
            raise Failed(f"{' '.join(words)} ended (exit code {process.returncode}): {process.stderr.read()[-2000:]}")
    return wall, seen


def _descendants(pid: int) -> list[int]:
    """The process and those below it; none where there is no /proc."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in _descendants(int(child)))]


def memory(pid: int, cache: Path) -> dict[str, float]:
    """In 10⁶ bytes: what only this process has (USS), and what it has mapped of files in the cache, which all share."""
    try:
        smaps = Path(f"/proc/{pid}/smaps").read_text()
    except OSError:  # it has ended
        return {}
    own = mapped = shared = 0
    ours = False
    for line in smaps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = str(cache) in line or "/memfd:" in line or "/dev/shm/" in line
            continue
        key, _, value = line.partition(":")
        kilobytes = int(value.split()[0]) if value.strip().endswith("kB") else 0
        own += kilobytes if key in ("Private_Clean", "Private_Dirty") else 0
        mapped += kilobytes if ours and key == "Rss" else 0
        shared += kilobytes if ours and key in ("Shared_Clean", "Shared_Dirty") else 0
    unit = 1024 / 1e6
    return {"own_mb": own * unit, "mapped_mb": mapped * unit, "mapped_shared_mb": shared * unit}
