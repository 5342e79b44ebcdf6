"""A long soak: thousands of tiny runs in one `dropexp train`, and what its processes hold on to meanwhile.

    python benchmarks/soak.py [--runs 2000] [--jobs 2] [--out docs]

Reads /proc again and again, so it wants Linux. Of the command and of each of its workers it notes the memory that is
their own, open files and threads; beside them what is new in /dev/shm, where semaphores and shared memory lie. Writes
soak.json and the chart soak.svg; or, if something grows or is left, says what and exits with 1.
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
from typing import TYPE_CHECKING, Any

from peers.machine import about

if TYPE_CHECKING:
    from altair.typing import ChartType

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
GRACE = 10.0  # seconds that multiprocessing's own helper may outlive the command
MEASURED = {"own_mb": "own memory, MB", "files": "open files", "threads": "threads"}
# Growth over 1,000 runs: garbage waits until it is 50,000 objects, of 75 a run, so some MB come and go.
ALLOWED = {"own_mb": 5.0, "files": 0.0, "threads": 0.0}

Sample = dict[str, Any]  # runs begun, entries in /dev/shm, and by process what is measured


def soak(folder: Path, runs: int, jobs: int) -> dict[str, Any]:
    """Train so many runs in `folder`; the samples, and what is left when the command has ended."""
    config, runs_dir = folder / "soak.yaml", folder / "runs"
    config.write_text(CONFIG.format(last=runs - 1), encoding="utf-8")
    shm, samples = entries(SHM), []
    arguments = ["train", "-c", str(config), "--jobs", str(jobs), "--runs-dir", str(runs_dir), "--device", "cpu"]
    began = time.perf_counter()
    with open(folder / "talk.txt", "w+", encoding="utf-8") as talk:
        command = subprocess.Popen([*COMMAND, *arguments], stderr=talk, start_new_session=True)
        try:
            while command.poll() is None:
                time.sleep(max(0.1, runs / 10_000))  # so often that some look finds no file just open
                samples.append(sample(command.pid, runs_dir, shm))
            end = time.perf_counter() + GRACE
            while (left := len([*session(command.pid)])) and time.perf_counter() < end:
                time.sleep(0.1)
        finally:
            with suppress(ProcessLookupError):  # nothing is left
                os.killpg(command.pid, signal.SIGKILL)
        talk.seek(0)
        said = talk.read().splitlines()
    return {
        "runs": runs,
        "jobs": jobs,
        "seconds": round(time.perf_counter() - began, 1),
        "exit_code": command.returncode,
        "done": sum(json.loads(file.read_bytes())["status"] == "done" for file in runs_dir.glob("*/*/run.json")),
        "said": said[-2:],
        "left": {
            "processes": left,
            "in /dev/shm": len(entries(SHM) - shm),
            "half-written files": len([*runs_dir.rglob(".*.tmp")]),
        },
        "samples": [one for one in samples if one["processes"]],
    }


def sample(command: int, runs_dir: Path, shm: set[str]) -> Sample:
    held = {name: facts for name, pid in processes(command) if (facts := of_process(pid))}
    return {"runs": len(entries(runs_dir / "soak")), "shm": len(entries(SHM) - shm), "processes": held}


def processes(command: int) -> Iterator[tuple[str, int]]:
    """The command and its workers, in the order of their numbers; the helper that counts semaphores is none of them."""
    yield "the command", command
    workers = [pid for pid in session(command) if pid != command and b"spawn_main" in read(pid, "cmdline")]
    for i, pid in enumerate(sorted(workers), 1):
        yield f"worker {i}", pid


def session(leader: int) -> Iterator[int]:
    """The processes of the session that the command began, its own if it still runs."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            stat = read(int(entry.name), "stat").rpartition(b") ")[2].split()
            if stat and int(stat[3]) == leader and stat[0] != b"Z":
                yield int(entry.name)


def of_process(pid: int) -> dict[str, float]:
    """What a process holds; nothing if it has ended."""
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


def growth(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By process and measure, how much more it holds per 1,000 runs.

    That is its least in the last fifth of the runs less its least in the second: what is held on to, and no file or
    buffer that was there when it was looked at.
    """
    found: dict[str, dict[str, float]] = {}
    fifth = result["runs"] / 5
    for name in {name: None for one in result["samples"] for name in one["processes"]}:
        own = [(one["runs"], one["processes"][name]) for one in result["samples"] if name in one["processes"]]
        early = [held for runs, held in own if fifth <= runs < 2 * fifth]
        late = [held for runs, held in own if 4 * fifth <= runs < result["runs"]]  # before any worker ends
        if early and late:
            found[name] = {
                key: round(1000 * (min(x[key] for x in late) - min(x[key] for x in early)) / (3 * fifth), 2)
                for key in MEASURED
            }
    return found


def faults(result: dict[str, Any]) -> list[str]:
    """What is not as it should be, in sentences."""
    said = [f"{name}: {count} left" for name, count in result["left"].items() if count]
    if result["done"] < result["runs"] or result["exit_code"]:
        ended = f"{result['done']} of {result['runs']} runs are done, exit code {result['exit_code']}"
        said += [ended, *result["said"]]
    if not result["growth"]:
        said.append("too few samples to tell what grows; take more --runs")
    for name, grown in result["growth"].items():
        grows = [key for key, more in grown.items() if more > ALLOWED[key]]
        said += [f"{name}: {MEASURED[key]} {grown[key]:+g} per 1,000 runs" for key in grows]
    return said


def in_words(result: dict[str, Any]) -> list[str]:
    """By process, how much more it holds per 1,000 runs."""
    return [
        f"{name}: " + ", ".join(f"{MEASURED[key]} {more:+g}" for key, more in grown.items())
        for name, grown in result["growth"].items()
    ]


def chart(result: dict[str, Any]) -> ChartType:
    """What each process holds, against the number of runs, a panel per measure; below it /dev/shm."""
    import altair as alt
    import pandas as pd

    from dropexp.report.chart_parts import (
        COLORS,
        DASHES,
        WIDTH,
        channel_of,
        data_of,
        domain_of,
        line_labels,
        lit,
        picked,
        titled,
        together,
    )

    samples, height, least = result["samples"], 150, pd.Series([0.0, 1.0])
    names = [*{name: None for one in samples for name in one["processes"]}, "new in /dev/shm"]
    color = alt.Color("series", type="nominal", legend=None, scale=alt.Scale(domain=names, range=COLORS[: len(names)]))
    dash = alt.StrokeDash("series", type="nominal", legend=None, scale=alt.Scale(domain=names, range=DASHES))
    ends = alt.Scale(domain=[0, result["runs"]], nice=False)
    x = alt.X("runs", type="quantitative", title="runs begun", scale=ends, axis=alt.Axis(tickCount=5))
    panels: list[ChartType] = []
    for key, title in [*MEASURED.items(), ("shm", "new in /dev/shm")]:
        rows = [
            {"runs": one["runs"], "series": name, "mean": held[key]}
            for one in samples
            for name, held in [*one["processes"].items(), ("new in /dev/shm", {"shm": one["shm"]})]
            if key in held
        ]
        frame = pd.DataFrame(rows)
        domain = domain_of(frame["mean"], least)
        y = channel_of(alt.Y, title, domain)
        last = frame.groupby("series", sort=False).tail(1).assign(label=lambda rows: rows["series"])
        lines = alt.Chart(data_of(frame)).mark_line(strokeWidth=2).encode(x, y("mean"), color, dash, opacity=lit(1))
        labels = line_labels(last, y, color, domain, (WIDTH, height), alt.value(WIDTH))
        panels.append(alt.layer(lines.add_params(picked()), *labels).properties(width=WIDTH, height=height))
    title = f"{result['runs']:,} runs in one command of {result['jobs']} workers"
    return titled(together(panels, 1), title, "each process by itself, from its start to its end", in_words(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2, help="workers; from 2 on")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs", help="where to write it")
    options = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("soak.py reads /proc, which only Linux has")
    known = about()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), options.runs, options.jobs)
    result = {"about": known, **result}
    result["growth"] = growth(result)
    print(f"{result['done']} of {result['runs']} runs in {result['seconds']} s; left: {result['left']}")
    print("growth per 1,000 runs:", *in_words(result), sep="\n  ")
    if said := faults(result):
        sys.exit("\n".join(said))
    from dropexp.report.charts import save

    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    save(chart(result), options.out / "soak.svg")


if __name__ == "__main__":
    main()
