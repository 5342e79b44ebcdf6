"""What is shown of searches: the selected settings of each arm, of each repeat, and every trial."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.report.tables.cells import ABSENT, figure_cell, is_missing
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import METRICS
from dropexp.runs.record import natural, text

# The columns that are not config keys.
NAMES = ("arm", "repeat", "trial", "trials", "selected", "status", "val_acc", "val_loss")


def tuning_table(comparison: Comparison) -> Table | None:
    """Return a row per arm: its budget and the settings that its repeats selected; None without searches."""
    frame = comparison.tuning.selected
    if frame.empty:
        return None
    keys = _keys(frame)
    ranges = {
        key
        for searches in comparison.tuning.records.values()
        for one in searches
        for key in one.space
        if one.dimension(key).kind != "choice"
    }
    rows = []
    for arm, own in frame.groupby("arm", sort=False):
        trials = sorted(set(own["trials"]))
        rows.append(
            [
                str(arm),
                str(len(own)),
                " or ".join(map(str, trials)),
                figure_cell(own["val_acc"].mean(), METRICS["val_acc"].unit),
                *(_summary([value for value in own[key] if not is_missing(value)], key in ranges) for key in keys),
            ]
        )
    return Table(
        "Selected settings",
        ["arm", "repeats", "trials\neach", "validation\naccuracy, %", *keys],
        rows,
        fold=(0,),
        left=(0, *range(4, 4 + len(keys))),
        secondary=("trials\neach", "repeats"),
        about="the best trial of each repeat, by validation accuracy after the last epoch. "
        "Ranges: median [lowest, highest] over the repeats, or the median of each entry; choices: number of "
        "repeats in parentheses. validation accuracy: of the selected trials; too high on average, because it selects "
        "them; the tested runs have other seeds.",
    )


def selections_table(comparison: Comparison) -> Table | None:
    """Return a row per arm and repeat: the selected trial and its settings; None without searches."""
    return _table("Selected settings of each repeat", comparison.tuning.selected, ["repeat", "trial"])


def trials_table(comparison: Comparison) -> Table | None:
    """Return a row per trial: its settings and validation figures; None without searches."""
    return _table("Trials", comparison.tuning.trials, ["repeat", "trial", "selected", "status"])


def _table(title: str, frame: pd.DataFrame, names: Sequence[str]) -> Table | None:
    if frame.empty:
        return None
    keys = _keys(frame)
    rows = [
        [
            row["arm"],
            *(_name_cell(row[name]) for name in names),
            figure_cell(row["val_acc"], METRICS["val_acc"].unit),
            figure_cell(row["val_loss"], METRICS["val_loss"].unit),
            *(ABSENT if is_missing(row[key]) else text(row[key]) for key in keys),
        ]
        for row in records(frame)
    ]
    headers = ["arm", *names, "validation\naccuracy, %", "validation\nloss", *keys]
    secondary = [name for name in ("validation\nloss", "status") if name in headers]
    return Table(title, headers, rows, fold=(0,), left=(0,), secondary=secondary)


def _name_cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    return str(value)


def _keys(frame: pd.DataFrame) -> list[str]:
    return [str(column) for column in frame.columns if column not in NAMES]


def _summary(values: Sequence[Any], of_range: bool) -> str:
    """Return what the repeats selected for a key: median and range of a range's numbers, counts of choices."""
    if not values:
        return ABSENT
    if of_range and all(isinstance(value, tuple) for value in values) and len({len(value) for value in values}) == 1:
        return ", ".join(_median(entries) for entries in zip(*values, strict=True))
    if of_range and not any(isinstance(value, tuple) for value in values):
        return f"{_median(values)} [{min(values):.4g}, {max(values):.4g}]"
    counts = Counter(map(text, values))
    return ", ".join(f"{value} ({counts[value]})" for value in sorted(counts, key=natural))


def _median(numbers: Iterable[float]) -> str:
    value = float(np.median(list(numbers)))
    return ABSENT if math.isnan(value) else f"{value:.4g}"
