"""What `dropexp runs` shows: a table of runs, or of what can be removed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from dropexp.analysis.frames import records
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.report.tables.cells import ABSENT, figure_cell, header, is_missing
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import METRICS

if TYPE_CHECKING:
    from dropexp.runs.prune import Removal

FIGURES = {
    "test_acc": "test\naccuracy",
    "val_acc": "validation\naccuracy",
    "test_loss": "test\nloss",
    "val_loss": "validation\nloss",
}


def runs_table(frame: pd.DataFrame) -> Table:
    """Return a row per run of `load_runs`: status, arm, seed, last epoch, accuracy or loss, end, hash, reason, path.

    Figures are those of the test set, and those of the validation rows if a run has no others.
    """
    regression = frame["task"] == LINEAR_REGRESSION if "task" in frame else pd.Series(False, frame.index)
    metrics = []
    for kind, runs in (("acc", frame[~regression]), ("loss", frame[regression])):
        test, validation = f"test_{kind}", f"val_{kind}"
        if len(runs):
            without_test = runs[test].isna() & runs[validation].notna()
            if not without_test.all():
                metrics.append(test)
            if without_test.any():
                metrics.append(validation)
    rows = [
        [
            run["status"],
            *(ABSENT if is_missing(run[key]) else str(run[key]) for key in ("label", "seed", "epoch")),
            *(figure_cell(run[name], METRICS[name].unit) for name in metrics),
            _local_time(run["ended"]),
            *(ABSENT if is_missing(run[key]) else str(run[key]) for key in ("hash", "why", "path")),
        ]
        for run in records(frame[["status", "label", "seed", "epoch", *metrics, "ended", "hash", "why", "path"]])
    ]
    figures = [header(FIGURES[name], METRICS[name].unit) for name in metrics]
    headers = ["status", "arm", "seed", "epoch", *figures, "ended", "hash", "why", "path"]
    digest, why, path = (headers.index(name) for name in ("hash", "why", "path"))
    secondary = ("path", "ended", "why", "epoch")
    table = Table("", headers, rows, fold=(1, why), cut=(1, path), left=(0, 1, digest, why, path), secondary=secondary)
    return table if frame["why"].notna().any() else table.without(["why"])


def _local_time(moment: str | None) -> str:
    """Return the local time of a time in ISO 8601."""
    if is_missing(moment):
        return ABSENT
    try:
        return f"{datetime.fromisoformat(str(moment)).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # edited
        return ABSENT


def removals_frame(removals: Iterable[Removal]) -> pd.DataFrame:
    """Return a row per removal: state, path, why, size in bytes."""
    rows = [{"state": r.state, "path": str(r.path), "why": r.why, "size": r.size} for r in removals]
    return pd.DataFrame(rows, columns=["state", "path", "why", "size"])


def removals_table(frame: pd.DataFrame) -> Table:
    """Return the rows of `removals_frame` as text."""
    rows = [[row["state"], file_size(row["size"]), row["why"], row["path"]] for row in records(frame)]
    return Table("", ["state", "size", "why", "path"], rows, fold=(2,), cut=(3,), left=(0, 2, 3))


def file_size(count: int) -> str:
    """Format a number of bytes as kB or MB."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
