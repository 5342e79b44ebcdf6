"""What many machines and many runs cost, as it stands in docs/scale.md: Ray's overhead per run, and the bookkeeping.

    python benchmarks/scale.py [--runs 1000] [--folders 100000] [--parts overhead,bookkeeping] [--quick]

Overhead: so many runs of linear regression, of a few hundredths of a second each, by two worker processes and by a Ray
cluster of two nodes on this machine, bound to 127.0.0.1. Bookkeeping: what each command takes over made-up finished
runs. Wants a machine that does nothing else. --quick takes 50 runs and 2,000 folders.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from many_runs import timed, write_runs

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scale.md"
NODES = 2
CONFIG = "task: linear-regression\nvariant: scratch\ntrain_size: 100\nlr: 0.003\nbatch_size: 50\nepochs: 1\n"
STUDY = "name: many\nvariant: none\nmatrix: {{seed: 0..{last}}}\n"  # but the first 100 none of them is there


def overhead(runs: int) -> str:
    """Markdown: seconds of one run and of all, by workers and by Ray, and what each run adds."""
    environment = os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    nodes = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "ray_nodes.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    lines = ["| by | 1 run, s | all runs, s | ms more for each run |", "|---|---:|---:|---:|"]
    with nodes, tempfile.TemporaryDirectory() as folder:
        assert nodes.stdin is not None and nodes.stdout is not None
        address = ""
        for _ in range(NODES):
            print(json.dumps({"start": {}}), file=nodes.stdin, flush=True)
            address = json.loads(nodes.stdout.readline())["address"]
        for name, how in (("worker processes", ["--jobs", str(NODES)]), ("Ray", ["--ray", address])):
            taken = {}
            for count in (1, runs):
                config = Path(folder) / f"{name[0]}{count}.yaml"
                config.write_text(f"{CONFIG}matrix: {{seed: 0..{count - 1}}}\n")
                command = ["train", "-c", str(config), "--runs-dir", f"{folder}/runs", "-q", *how]
                began = time.perf_counter()
                program = "from dropexp.cli.main import main; main()"
                subprocess.run([sys.executable, "-c", program, *command], check=True, env=environment)
                taken[count] = time.perf_counter() - began
            more = 1000 * (taken[runs] - taken[1]) / (runs - 1)
            lines.append(
                f"| {NODES} {name} | {taken[1]:.1f} | {taken[runs]:.1f} | {more:.0f} |".replace("2 Ray", "Ray")
            )
        nodes.stdin.close()
    return f"{runs:,} runs of one epoch, two at a time.\n\n" + "\n".join(lines)


def bookkeeping(most: int) -> str:
    """Markdown: seconds and peak MB by the number of folders."""
    counts = [count for count in (1_000, 10_000, 100_000) if count < most] + [most]
    lines = [
        "| folders | to make them | `runs` | `compare` | `train --dry-run` of a study as large |",
        "|---:|---:|---:|---:|---:|",
    ]
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            write_runs(Path(folder), count, 100)
            cells = [f"{time.perf_counter() - began:.1f} s"]
            study = Path(folder) / "study.yaml"
            study.write_text(STUDY.format(last=count - 1))
            for command in (["runs"], ["compare", "many"], ["train", "-c", str(study), "--dry-run"]):
                seconds, peak, done = timed(*command, "--runs-dir", folder)
                cells.append(f"{seconds:.1f} s, {peak:.0f} MB" if done.returncode == 0 else f"exit {done.returncode}")
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--folders", type=int, default=100_000)
    parser.add_argument("--parts", default="overhead,bookkeeping")
    parser.add_argument("--quick", action="store_true", help="50 runs and 2,000 folders")
    options = parser.parse_args()
    runs, folders = (50, 2_000) if options.quick else (options.runs, options.folders)
    for part in options.parts.split(","):
        result = overhead(runs) if part == "overhead" else bookkeeping(folders)
        taken = f"Taken on {date.today()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end."
        print(result)
        begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
        PAGE.write_text(f"{before}{begin}\n{result}\n\n{taken}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
