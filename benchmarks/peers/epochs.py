"""Part one: single epochs, round after round, one contender at a time while the others wait."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from peers.contenders import ALONE, CONTENDERS
from peers.process import Process, check_learning

PAUSE = 0.3  # seconds between turns, until the threads of the previous contender stop spinning


def measure(data: Path, cache: Path, rounds: int) -> list[dict[str, Any]]:
    """Return a row per contender: its warm-up epoch and its timed epochs, or why it is absent."""
    rows: list[dict[str, Any]] = []
    running: list[tuple[Process, dict[str, Any]]] = []
    try:
        for contender in CONTENDERS + ALONE:
            row: dict[str, Any] = {
                "name": contender.name,
                "note": contender.note,
                "absent": contender.absent(),
                "epochs": [],
            }
            rows.append(row)
            if row["absent"] is None:
                running.append((Process(contender, data, cache), row))
                row["warm_up"] = _epoch(running[-1][0], "warm-up")
        for number in range(rounds):
            for process, row in running:
                row["epochs"].append(_epoch(process, f"round {number + 1} of {rounds}"))
        for process, row in running:
            row["peak_mb"] = process.peak_mb()
            if process.contender.learns:
                check_learning(process.contender.name, [row["warm_up"], *row["epochs"]])
    finally:
        for process, _ in running:
            process.close()
    return rows


def _epoch(process: Process, label: str) -> dict[str, Any]:
    time.sleep(PAUSE)
    figures = process.epoch()
    seconds = figures["train_seconds"] + figures["test_seconds"]
    print(f"{label}: {process.contender.name} {seconds:.3f} s", file=sys.stderr)
    return figures
