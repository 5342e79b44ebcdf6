"""Part three: many runs of `dropexp train`, with one worker and with two, and the memory of each worker."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers.process import Failed, environment
from peers.whole import rows_of, train_command

RUNS, EPOCHS = 30, 5
CONFIG = f"epochs: {EPOCHS}\neval_train: false\nvariant: scratch\nmatrix: {{seed: 0..{RUNS - 1}}}\n"
INTERVAL = 1.0  # seconds between samples of memory; a sample takes some milliseconds
MODES = {  # jobs, and environment; several workers use one thread each by default
    "1 job, one thread": (1, {"OMP_NUM_THREADS": "1"}),
    "1 job, all cores": (1, {}),
    "2 jobs, one thread each": (2, {}),
}


def measure(data: Path, cache: Path, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return a row per mode with figures of each round."""
    config = folder / "many.yaml"
    config.write_text(CONFIG)
    rows: list[dict[str, Any]] = [{"name": name, "jobs": jobs, "rounds": []} for name, (jobs, _) in MODES.items()]
    for number in range(rounds):
        for row in rows:
            jobs, env = MODES[row["name"]]
            runs = folder / f"many-{jobs}-{time.monotonic_ns()}"
            arguments = [*train_command(config, runs), "--jobs", str(jobs)]
            wall, memory = _watched(arguments, environment(data, cache, env), cache)
            epochs = rows_of(runs)
            if len(epochs) != RUNS * EPOCHS:
                raise Failed(f"{row['name']}: {len(epochs)} epochs were trained, not {RUNS * EPOCHS}")
            spent = sum(epoch["seconds"] for epoch in epochs)
            row["rounds"].append({"wall": wall, "spent": spent, "run_epochs": len(epochs), **memory})
            print(f"many runs, round {number + 1} of {rounds}: {row['name']} {wall:.1f} s", file=sys.stderr)
    return rows


def _watched(arguments: list[str], env: dict[str, str], cache: Path) -> tuple[float, dict[str, float | None]]:
    """Return the seconds, and the largest private and mapped memory sampled from any worker."""
    largest: dict[str, float | None] = {"own_mb": None, "mapped_mb": None, "mapped_shared_mb": None}
    start = time.perf_counter()
    with subprocess.Popen(arguments, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for worker in _descendants(process.pid):
                for key, value in memory(worker, cache).items():
                    largest[key] = max(largest[key] or 0, value)
            try:
                process.wait(INTERVAL)
            except subprocess.TimeoutExpired:
                continue
        wall = time.perf_counter() - start
        assert process.stderr
        if process.returncode:
            raise Failed(f"{' '.join(arguments)} exited with {process.returncode}: {process.stderr.read()[-2000:]}")
    return wall, largest


def _descendants(pid: int) -> list[int]:
    """Return the process and its descendants, or [] where there is no /proc."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in _descendants(int(child)))]


def memory(pid: int, cache: Path) -> dict[str, float]:
    """Return, in 10⁶ bytes, the private memory of a process (USS) and its resident memory of files in the cache."""
    try:
        smaps = Path(f"/proc/{pid}/smaps").read_text()
    except OSError:  # it has exited
        return {}
    own = mapped = shared = 0
    in_cache = False
    for line in smaps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            in_cache = str(cache) in line or "/memfd:" in line or "/dev/shm/" in line
            continue
        key, _, value = line.partition(":")
        kilobytes = int(value.split()[0]) if value.strip().endswith("kB") else 0
        own += kilobytes if key in ("Private_Clean", "Private_Dirty") else 0
        mapped += kilobytes if in_cache and key == "Rss" else 0
        shared += kilobytes if in_cache and key in ("Shared_Clean", "Shared_Dirty") else 0
    unit = 1024 / 1e6
    return {"own_mb": own * unit, "mapped_mb": mapped * unit, "mapped_shared_mb": shared * unit}
