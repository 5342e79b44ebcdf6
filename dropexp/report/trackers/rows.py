"""Runs as other trackers have them: rows with times, figures and texts. `tensorboard` and `mlflow` write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dropexp.config import yaml
from dropexp.errors import ExportError, RunError
from dropexp.files import what_failed
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RUN
from dropexp.runs.state_names import Status

if TYPE_CHECKING:
    from dropexp.runs.record import Run


@dataclass(frozen=True)
class Exported:
    """How many runs are exported, where to, why others are not, and which runs there have no folder here any more."""

    runs: int
    destination: str
    skipped: list[str]
    gone: list[str]


@dataclass(frozen=True)
class TimedRun:
    """A run with its rows, and the times of its start and of the end of each epoch, in seconds since 1970.

    `config` is the text of its config.yaml, `commit` that of the program; empty if they are not known.
    """

    run: Run
    rows: list[Row]
    times: list[float]
    config: str
    commit: str


def import_tool(tool: str, *names: str) -> list[Any]:
    """Import modules of an optional package. Raises `ExportError` with the command that installs it."""
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ExportError(f"{tool} is not installed ({error}); pip install 'dropexp[{tool.lower()}]'") from None


def with_epochs(runs: Iterable[Run]) -> tuple[list[TimedRun], list[str]]:
    """Return the runs that have epochs, and why the others are skipped."""
    found, skipped = [], []
    for run in runs:
        try:
            found.append(_timed(run))
        except (RunError, OSError, ValueError) as error:
            skipped.append(what_failed(error))
    return found, skipped


def _timed(run: Run) -> TimedRun:
    """Read the run's rows and times. Raises `RunError` if it has no epochs."""
    if run.info is None or run.status == Status.DUPLICATE:
        raise RunError(run.why or f"{run.folder.path} is {run.status}")
    rows = run.rows()
    if not rows:
        raise RunError(f"{run.folder.path} has no epoch yet")
    provenance = run.info.provenance
    began = provenance.get("first_began") or provenance.get("began")  # exported times must not move when a run resumes
    start = datetime.fromisoformat(began).timestamp() if began else (run.folder.path / RUN).stat().st_mtime
    times = list(accumulate((row.get("seconds") or 0.0 for row in rows), initial=start))
    return TimedRun(run, rows, times, yaml.dump(run.config), str(provenance.get("commit") or ""))


def figures(row: Row) -> dict[str, float]:
    """Return the figures of an epoch that were measured, and its generalisation gap."""
    known = {name: float(value) for name, value in row.items() if name != "epoch" and value is not None}
    if {"clean_train_acc", "test_acc"} <= known.keys():
        known["gap"] = known["clean_train_acc"] - known["test_acc"]
    return known


def text(value: Any) -> str:
    """Return a value of a config as text."""
    return value if isinstance(value, str) else json.dumps(value)
