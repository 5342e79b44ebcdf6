"""A table of all runs of a comparison, which the report's page sorts and filters."""

from __future__ import annotations

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.report.tables.cells import figure_cell, header, number_cell
from dropexp.report.tables.table import Table

COLUMNS = ("test_acc", "val_acc", "test_loss", "val_loss", "clean_train_acc", "gap", "train_loss", "w_norm")


def run_table(comparison: Comparison) -> Table | None:
    """Return a row per run that is done, with its figures at the compared epoch; None without any."""
    runs = comparison.runs
    if runs.empty:
        return None
    wanted = dict.fromkeys([comparison.metric.name, *COLUMNS])
    known = [name for name in wanted if name in comparison.metrics and runs[name].notna().any() and name != "seconds"]
    metrics = [comparison.metrics[name] for name in known]
    rows = [
        [
            run["arm"],
            str(run["seed"]),
            str(run["epoch"]),
            *(figure_cell(run[one.name], one.unit, "+" if one.name == "gap" else "") for one in metrics),
            number_cell(run["seconds"], ".2f"),
        ]
        for run in records(runs)
    ]
    headers = ["arm", "seed", "epoch", *(header(one.title, one.unit) for one in metrics), "s/epoch"]
    return Table("Runs", headers, rows, about="figures at the compared epoch; s/epoch: median.")
