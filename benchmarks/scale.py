"""What many machines and many runs cost: Ray's overhead per run, and the commands over many run folders.

    python benchmarks/scale.py [--runs 1000] [--folders 100000] [--parts overhead,bookkeeping] [--quick]

Overhead: runs of linear regression, of some hundredths of a second each, trained by two worker processes and by a Ray
cluster of two nodes on this machine, bound to 127.0.0.1. Bookkeeping: seconds and memory of the commands over generated
finished runs. Needs an idle machine. --quick takes 50 runs and 2,000 folders, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import about
from many_runs import timed, write_runs
from pages import scale
from storage import OUT, ROOT, load_results, save_results

PARTS = ("overhead", "bookkeeping")
NODES = 2
CONFIG = "task: linear-regression\nvariant: scratch\ntrain_size: 100\nlr: 0.003\nbatch_size: 50\nepochs: 1\n"
STUDY = "name: many\nvariant: none\nmatrix: {{seed: 0..{last}}}\n"  # only its first 100 runs exist


def overhead(runs: int) -> dict[str, Any]:
    """Return the seconds that worker processes and Ray take for one run and for all runs."""
    environment = os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    nodes = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "helpers" / "ray_nodes.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    seconds: dict[str, tuple[float, float]] = {}
    with nodes, tempfile.TemporaryDirectory() as folder:
        assert nodes.stdin is not None and nodes.stdout is not None
        address = ""
        for _ in range(NODES):
            print(json.dumps({"start": {}}), file=nodes.stdin, flush=True)
            address = json.loads(nodes.stdout.readline())["address"]
        for name, options in ((f"{NODES} worker processes", ["--jobs", str(NODES)]), ("Ray", ["--ray", address])):
            measured = []
            for count in (1, runs):
                config = Path(folder) / f"{name[:3]}{count}.yaml"
                config.write_text(f"{CONFIG}matrix: {{seed: 0..{count - 1}}}\n")
                command = ["train", "-c", str(config), "--runs-dir", f"{folder}/runs", "-q", *options]
                start = time.perf_counter()
                program = "from dropexp.cli.main import main; main()"
                subprocess.run([sys.executable, "-c", program, *command], check=True, env=environment)
                measured.append(time.perf_counter() - start)
            seconds[name] = measured[0], measured[1]
        nodes.stdin.close()
    return {"runs": runs, "seconds": seconds}


def bookkeeping(most: int) -> dict[str, Any]:
    """Return seconds and peak memory of each command by number of run folders."""
    rows = []
    for count in [count for count in (1_000, 10_000, 100_000) if count < most] + [most]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            write_runs(Path(folder), count, 100)
            row: dict[str, Any] = {"folders": count, "write_seconds": time.perf_counter() - start, "commands": {}}
            study = Path(folder) / "study.yaml"
            study.write_text(STUDY.format(last=count - 1))
            for name, command in {
                "runs": ["runs"],
                "compare": ["compare", "many"],
                "train --dry-run": ["train", "-c", str(study), "--dry-run"],
            }.items():
                seconds, peak, done = timed(*command, "--runs-dir", folder)
                if done.returncode:
                    sys.exit(f"dropexp {name} exited with {done.returncode}: {done.stderr[-2000:]}")
                row["commands"][name] = {"seconds": seconds, "peak_mb": peak}
            rows.append(row)
    return {"rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--folders", type=int, default=100_000)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="50 runs and 2,000 folders; writes nothing")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    runs, folders = (50, 2_000) if options.quick else (options.runs, options.folders)
    results: dict[str, Any] = {}
    for part in parts:
        machine = about()
        measured = overhead(runs) if part == "overhead" else bookkeeping(folders)
        results[part] = {"about": machine, **measured}
        print(*scale.sections({part: results[part]}).values())
    if not options.quick:
        save_results("scale", load_results("scale", OUT) | results)


if __name__ == "__main__":
    main()
