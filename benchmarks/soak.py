"""Train thousands of tiny runs with one `dropexp train`, and look for leaks in its processes.

    python benchmarks/soak.py [--runs 2000] [--jobs 2]

Samples /proc, so it needs Linux. For the command and each of its workers it records private memory, open files and
threads; also new entries in /dev/shm, where semaphores and shared memory are. Exits with 1 and a list if something
grows or is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from machine import about
from pages.soak import TITLES, growth_lines
from storage import data_root, save_results

CONFIG = """\
name: soak
variant: scratch
hidden: [16, 16]
train_size: 200
epochs: 1
eval_train: false
matrix: {{seed: 0..{last}}}
"""
COMMAND = [sys.executable, "-c", "from dropexp.cli.main import main; main()"]
SHM = Path("/dev/shm")
GRACE = 10.0  # seconds that multiprocessing's resource tracker may outlive the command
# Growth per 1,000 runs. Garbage collection starts at 50,000 objects and a run leaves 75, so memory varies by some MB.
ALLOWED = {"own_mb": 5.0, "files": 0.0, "threads": 0.0}

Sample = dict[str, Any]  # "runs" started, new entries in "shm", and the measures of "processes" by name


def soak(folder: Path, runs: int, jobs: int) -> dict[str, Any]:
    """Train the runs in `folder`. Return the samples, and what is left behind after the command has exited."""
    config, runs_dir = folder / "soak.yaml", folder / "runs"
    config.write_text(CONFIG.format(last=runs - 1), encoding="utf-8")
    shm, samples = entries(SHM), []
    arguments = ["train", "-c", str(config), "--jobs", str(jobs), "--runs-dir", str(runs_dir), "--device", "cpu"]
    start = time.perf_counter()
    with open(folder / "stderr.txt", "w+", encoding="utf-8") as stderr:
        command = subprocess.Popen([*COMMAND, *arguments], stderr=stderr, start_new_session=True)
        try:
            while command.poll() is None:
                time.sleep(max(0.1, runs / 10_000))  # often enough that some samples miss files open for a moment
                samples.append(sample(command.pid, runs_dir, shm))
            end = time.perf_counter() + GRACE
            while (left := len([*session(command.pid)])) and time.perf_counter() < end:
                time.sleep(0.1)
        finally:
            with suppress(ProcessLookupError):  # all have exited
                os.killpg(command.pid, signal.SIGKILL)
        stderr.seek(0)
        messages = stderr.read().splitlines()
    return {
        "runs": runs,
        "jobs": jobs,
        "seconds": round(time.perf_counter() - start, 1),
        "exit_code": command.returncode,
        "done": sum(json.loads(file.read_bytes())["status"] == "done" for file in runs_dir.glob("*/*/run.json")),
        "messages": messages[-2:],
        "left": {
            "processes": left,
            "in /dev/shm": len(entries(SHM) - shm),
            "temporary files": len([*runs_dir.rglob(".*.tmp")]),
        },
        "samples": [one for one in samples if one["processes"]],
    }


def sample(command: int, runs_dir: Path, shm: set[str]) -> Sample:
    """Measure the processes of the command once."""
    measured = {name: values for name, pid in processes(command) if (values := measures(pid))}
    return {"runs": len(entries(runs_dir / "soak")), "shm": len(entries(SHM) - shm), "processes": measured}


def processes(command: int) -> Iterator[tuple[str, int]]:
    """Yield name and process id of the command and of its workers, ordered by id, without the resource tracker."""
    yield "the command", command
    workers = [pid for pid in session(command) if pid != command and b"spawn_main" in read(pid, "cmdline")]
    for i, pid in enumerate(sorted(workers), 1):
        yield f"worker {i}", pid


def session(leader: int) -> Iterator[int]:
    """Yield the running processes of the session that the command leads."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            stat = read(int(entry.name), "stat").rpartition(b") ")[2].split()
            if stat and int(stat[3]) == leader and stat[0] != b"Z":
                yield int(entry.name)


def measures(pid: int) -> dict[str, float]:
    """Return a process's memory, open files and threads, or {} if it has exited."""
    lines = (line.partition(b":") for line in read(pid, "status").splitlines())
    status = {name: value.split()[0] for name, _, value in lines if value.strip()}
    try:
        own_mb, threads = int(status[b"RssAnon"]) / 1000, int(status[b"Threads"])
    except KeyError:
        return {}
    return {"own_mb": own_mb, "files": len(entries(Path(f"/proc/{pid}/fd"))), "threads": threads}


def read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def entries(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def growth(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return, by process and measure, the growth per 1,000 runs.

    This is the minimum over the last fifth of the runs minus the minimum over the second fifth. A minimum ignores
    files and buffers that were open only while a sample was taken.
    """
    found: dict[str, dict[str, float]] = {}
    fifth = results["runs"] / 5
    for name in {name: None for one in results["samples"] for name in one["processes"]}:
        own = [(one["runs"], one["processes"][name]) for one in results["samples"] if name in one["processes"]]
        early = [values for runs, values in own if fifth <= runs < 2 * fifth]
        late = [values for runs, values in own if 4 * fifth <= runs < results["runs"]]  # before any worker exits
        if early and late:
            found[name] = {
                key: round(1000 * (min(x[key] for x in late) - min(x[key] for x in early)) / (3 * fifth), 2)
                for key in ALLOWED
            }
    return found


def faults(results: dict[str, Any]) -> list[str]:
    """Return a line for everything that failed, is left behind or grows."""
    found = [f"{name}: {count} left" for name, count in results["left"].items() if count]
    if results["done"] < results["runs"] or results["exit_code"]:
        done = f"{results['done']} of {results['runs']} runs are done, exit code {results['exit_code']}"
        found += [done, *results["messages"]]
    if not results["growth"]:
        found.append("too few samples to measure growth; give more --runs")
    for name, grown in results["growth"].items():
        grows = [key for key, more in grown.items() if more > ALLOWED[key]]
        found += [f"{name}: {TITLES[key]} {grown[key]:+g} per 1,000 runs" for key in grows]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2, help="workers, at least 2")
    options = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("soak.py reads /proc, which only Linux has")
    data_root()
    machine = about()
    with tempfile.TemporaryDirectory() as folder:
        results = {"about": machine, **soak(Path(folder), options.runs, options.jobs)}
    results["growth"] = growth(results)
    print(f"{results['done']} of {results['runs']} runs in {results['seconds']} s; left: {results['left']}")
    print("growth per 1,000 runs:", *growth_lines(results), sep="\n  ")
    if found := faults(results):
        sys.exit("\n".join(found))
    save_results("soak", results)


if __name__ == "__main__":
    main()
