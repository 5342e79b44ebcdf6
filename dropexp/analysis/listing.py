"""List runs: a row per run."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dropexp.analysis.frames import hashable
from dropexp.analysis.labels import labels_of
from dropexp.did_you_mean import did_you_mean, letters, nearest
from dropexp.errors import ComparisonError
from dropexp.runs.metrics import METRICS
from dropexp.runs.record import Run, keep, natural, read_runs, text
from dropexp.runs.state_names import Status

_CALLED = {
    **dict.fromkeys(("time", "date", "finished", "end", "newest"), "ended"),
    "started": "began",
    "start": "began",
}
PARTS = ("role", "repeat", "trial")  # of a run in a search


def load_runs(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002, the name of the command's option
    sort: str | None = None,
) -> pd.DataFrame:
    """Return a row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    Runs of a search have `role` ("trial" or "tested"), `repeat` and `trial`, the number of the trial.
    Lists of a config are tuples, so that `groupby` takes these columns.
    `began` and `ended` are the times of the last training, in ISO 8601 and UTC. A second folder of the same run is left
    out. A folder that cannot be read has status "corrupted" or "unreadable" and the reason in `why`.

    `filter` keeps runs whose keys, or whose `status`, have these values. `sort` is a column to sort by, descending if
    a hyphen precedes its name; runs without a value come last. Raises NoRuns, and ComparisonError if there is no such
    column.
    """
    runs = [run for run in keep(read_runs(paths_or_names, runs_dir), filter or {}) if run.status != Status.DUPLICATE]
    columns = _columns(runs)
    whole = [name for name in ("seed", "epoch", "repeat", "trial") if name in columns]
    frame = pd.DataFrame(columns).astype(dict.fromkeys(whole, "Int64"))
    return frame if sort is None else frame.iloc[_order(columns, sort)].reset_index(drop=True)


def _columns(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the columns by name, with NaN where a run lacks a config key or a figure."""
    labels = _labels(runs)
    columns: dict[str, list[Any]] = {
        "name": [run.study for run in runs],
        "arm": [run.arm for run in runs],
        "label": [labels.get(run.folder.path) for run in runs],
        "seed": [run.seed for run in runs],
        "status": [run.status for run in runs],
        "why": [run.why for run in runs],
        "path": [str(run.folder.path) for run in runs],
        "hash": [run.hash for run in runs],
        "epoch": [run.epoch for run in runs],
        "began": [run.time("began") for run in runs],
        "ended": [run.time("ended") for run in runs],
    }
    configs = [run.config for run in runs]
    for key in dict.fromkeys(itertools.chain.from_iterable(configs)):
        if key not in columns:
            columns[key] = [hashable(config.get(key, math.nan)) for config in configs]
    if any(run.tuning for run in runs):
        columns |= {name: [getattr(run.tuning, name, None) for run in runs] for name in PARTS}
    figures = [run.figures or dict.fromkeys(METRICS, math.nan) for run in runs]
    names = dict.fromkeys(itertools.chain.from_iterable(figures))
    return columns | {name: [own.get(name, math.nan) for own in figures] for name in names}


def _order(columns: Mapping[str, Sequence[Any]], sort: str) -> list[int]:
    """Return the rows in the order of a column. Raises ComparisonError if there is no such column."""
    key = sort.removeprefix("-")
    if key not in columns:
        from dropexp.config.other_libraries.keep_probs import drop_probs_instead
        from dropexp.config.other_libraries.keys import key_called

        if keep := drop_probs_instead(key):
            raise ComparisonError(f"no column {key!r} to sort by; {keep}")
        called = _CALLED.get(letters(key)) or (key if nearest(key, columns) else key_called(key) or key)
        remedy = f"{did_you_mean(called, columns)}; there are: {', '.join(columns)}"
        raise ComparisonError(f"no column {key!r} to sort by{remedy}")
    values = columns["label" if key == "arm" else key]  # labels are the arms that tables show
    known = [i for i, value in enumerate(values) if value is not None and value == value]
    ordered = sorted(known, key=lambda i: _rank(values[i]), reverse=sort != key)
    return list(dict.fromkeys([*ordered, *range(len(values))]))


def _rank(value: Any) -> tuple[bool, Any]:
    """Return a key that sorts numbers before texts, and in a text 2 before 10."""
    is_number = isinstance(value, int | float)
    return (False, value) if is_number else (True, natural(text(value)))


def _labels(runs: Sequence[Run]) -> dict[Path, str]:
    """Return labels by folder; all have the study as a prefix if the runs are of several studies."""
    by_study: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_study[run.study].append(run)
    labels = {}
    for study, own in by_study.items():
        prefix = f"{study}/" if len(by_study) > 1 else ""
        arms = labels_of([run for run in own if not run.is_trial])
        for run in own:
            label = f"{run.base}, {_part(run)}" if run.is_trial else arms.get((study, run.key))
            if label is not None:
                labels[run.folder.path] = f"{prefix}{label}"
    return labels


def _part(run: Run) -> str:
    """Return which trial of a search a run is."""
    return f"repeat {run.tuning.repeat}, trial {run.tuning.trial}" if run.tuning else ""
