"""Part two: whole processes, from start to exit, that train `EPOCHS` epochs and evaluate after each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.contenders import CONTENDERS, Contender
from peers.process import Failed, Figures, check_learning, command, environment
from peers.turns import PREFIX

EPOCHS = 5
CONFIGS = {  # of the command, which by default evaluates the training set too
    "`dropexp train`, scratch": "variant: scratch\n",
    "`dropexp train`, scratch, `eval_train: false`": "variant: scratch\neval_train: false\n",
}


def measure(data: Path, cache: Path, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return a row per contender with its seconds. A first run of one epoch fills the caches."""
    contenders: dict[str, Callable[[int], tuple[float, list[Figures]]]] = {}
    for contender in CONTENDERS:
        if contender.learns and contender.module != "ours" and contender.absent() is None:
            contenders[contender.name] = _peer(contender, data, cache)
    for number, (name, text) in enumerate(CONFIGS.items()):
        contenders[name] = _ours(text, data, cache, folder / str(number))
    rows: list[dict[str, Any]] = [{"name": name, "seconds": []} for name in contenders]
    for number in range(rounds + 1):
        for row in rows:
            seconds, epochs = contenders[row["name"]](EPOCHS if number else 1)
            print(f"whole process, round {number} of {rounds}: {row['name']} {seconds:.2f} s", file=sys.stderr)
            if number:
                check_learning(row["name"], epochs)
                row["seconds"].append(seconds)
                row["last"] = epochs[-1]
    return rows


def run(arguments: list[str], env: dict[str, str]) -> tuple[float, str]:
    """Return the seconds from start to exit, and stdout. Raises Failed."""
    start = time.perf_counter()
    done = subprocess.run(arguments, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise Failed(f"{' '.join(arguments)} exited with {done.returncode}: {done.stderr[-2000:]}")
    return seconds, done.stdout


def _peer(contender: Contender, data: Path, cache: Path) -> Callable[[int], tuple[float, list[Figures]]]:
    def once(epochs: int) -> tuple[float, list[Figures]]:
        arguments = [*command(contender), "--epochs", str(epochs)]
        seconds, printed = run(arguments, environment(data, cache, contender.env))
        lines = [line for line in printed.splitlines() if line.startswith(PREFIX)]
        return seconds, [json.loads(line.removeprefix(PREFIX)) for line in lines]

    return once


def _ours(text: str, data: Path, cache: Path, folder: Path) -> Callable[[int], tuple[float, list[Figures]]]:
    folder.mkdir()
    config = folder / "scratch.yaml"
    config.write_text(text)

    def once(epochs: int) -> tuple[float, list[Figures]]:
        runs = folder / f"runs-{time.monotonic_ns()}"
        arguments = [*train_command(config, runs), "--set", f"epochs={epochs}"]
        return run(arguments, environment(data, cache, {}))[0], rows_of(runs)

    return once


def train_command(config: Path, runs: Path) -> list[str]:
    """Return the command as a user types it."""
    dropexp = Path(sys.executable).with_name("dropexp")
    return [str(dropexp), "train", "--config", str(config), "--runs-dir", str(runs), "--quiet"]


def rows_of(runs: Path) -> list[Figures]:
    """Return the rows of every epochs.csv in this folder of runs."""
    rows = []
    for path in sorted(runs.glob("*/*/epochs.csv")):
        with path.open(newline="") as file:
            rows += [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    return rows
