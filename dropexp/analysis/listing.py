"""List runs: a row per run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dropexp.analysis.frames import hashable
from dropexp.analysis.labels import labels_of
from dropexp.runs.metrics import METRICS
from dropexp.runs.record import Run, keep, read_runs
from dropexp.runs.status import Status

PARTS = ("role", "repeat", "trial")  # of a run in a search


def load_runs(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002, the name of the command's option
) -> pd.DataFrame:
    """Return a row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    Runs of a search have `role` ("trial" or "tested"), `repeat` and `trial`, the number of the trial.
    Lists of a config are tuples, so that `groupby` takes these columns.
    `filter` keeps runs whose keys have these values. A second folder of the same run is left out. A folder that
    cannot be read has status "corrupted" or "unreadable" and the reason in `why`. Raises NoRuns if there is no run.
    """
    runs = [run for run in keep(read_runs(paths_or_names, runs_dir), filter or {}) if run.status != Status.DUPLICATE]
    labels = labels_of([run for run in runs if not run.is_trial])
    tuned = any(run.tuning for run in runs)
    rows: list[dict[str, Any]] = [
        {
            "name": run.study,
            "arm": run.arm,
            "label": f"{run.base}, {_part(run)}" if run.is_trial else labels.get((run.study, run.key)),
            "seed": run.seed,
            "status": run.status,
            "why": run.why,
            "path": str(run.folder.path),
            "epoch": run.epoch,
        }
        for run in runs
    ]
    for row, run in zip(rows, runs, strict=True):
        row |= {key: hashable(value) for key, value in run.config.items() if key not in row}
        if tuned:
            row |= {name: getattr(run.tuning, name, None) for name in PARTS}
        row |= run.figures or dict.fromkeys(METRICS, math.nan)
    whole = ["seed", "epoch", *(["repeat", "trial"] if tuned else [])]
    return pd.DataFrame(rows).astype(dict.fromkeys(whole, "Int64"))


def _part(run: Run) -> str:
    """Return which trial of a search a run is."""
    return f"repeat {run.tuning.repeat}, trial {run.tuning.trial}" if run.tuning else ""
