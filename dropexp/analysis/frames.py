"""Arms as data frames: a row per arm, per run, and per run and epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import NOT_SETTINGS
from dropexp.analysis.stats import mean, median, spread
from dropexp.runs.record import text


def frame_of(rows: Iterable[Any], kind: type) -> pd.DataFrame:
    """Return a row per instance of the dataclass `kind`, with its fields as columns even if there are no rows."""
    return pd.DataFrame([vars(row) for row in rows], columns=[field.name for field in fields(kind)])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows by the names of their columns."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def json_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows for JSON, with None for unknown values."""
    return [{key: _plain(value) for key, value in row.items()} for row in records(frame)]


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def hashable(value: Any) -> Any:
    """Return a tuple for a list of a config, so that `groupby` takes its column."""
    return tuple(value) if isinstance(value, list) else value


def csv(frame: pd.DataFrame) -> str:
    """Return the rows as csv, with lists as in a config: the text of a tuple has parentheses."""
    lists = {name: column.map(_as_list) for name, column in frame.items() if column.dtype == object}
    return frame.assign(**{str(name): column for name, column in lists.items()}).to_csv(
        index=False, lineterminator="\n"
    )


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def arms_frame(arms: Sequence[Arm], metric: str, metrics: Iterable[str], by: str | None) -> pd.DataFrame:
    """Return a row per arm: names, number of runs, mean and SD of the metric, means of all metrics, mean by epoch."""
    return pd.DataFrame([_arm_row(arm, metric, metrics, by) for arm in arms]).astype({"by": object})


def _arm_row(arm: Arm, metric: str, metrics: Iterable[str], by: str | None) -> dict[str, Any]:
    known = {name: _known(arm.figures(name)) for name in metrics}
    compared = spread(known[metric])
    return {
        **_names(arm, by),
        "n": len(arm.runs),
        "diverged": len(arm.diverged),
        "mean": compared.mean,
        "sd": compared.sd,
        **{name: mean(figures) for name, figures in known.items()},
        "seconds": median(known["seconds"]),
        "curve": [mean(_known(figures)) for figures in arm.by_epoch(metric)],
    }


def _known(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    return figures[np.isfinite(figures)]


def _names(arm: Arm, by: str | None) -> dict[str, Any]:
    return {"arm": arm.label, "series": arm.series, "study": arm.study, "by": hashable(arm.value(by)) if by else None}


def runs_frame(arms: Sequence[Arm], metrics: Iterable[str], by: str | None) -> pd.DataFrame:
    """Return a row per run, with its figures at the epoch that is compared."""
    return pd.DataFrame(
        [
            {
                **_names(arm, by),
                "seed": seed,
                "path": str(run.path),
                "epoch": run.epoch,
                **{name: run.figure(name) for name in metrics},
            }
            for arm in arms
            for seed, run in arm.runs.items()
        ]
    )


def curves_frame(arms: Sequence[Arm], metrics: Iterable[str], by: str | None) -> pd.DataFrame:
    """Return a row per run and epoch."""
    runs = [run for arm in arms for run in arm.runs.values()]
    if not runs:
        return pd.DataFrame()
    lengths = [run.epochs for run in runs]
    names = pd.DataFrame([{**_names(arm, by), "seed": seed} for arm in arms for seed in arm.runs])
    frame = names.loc[np.repeat(names.index, lengths)].reset_index(drop=True)
    frame["epoch"] = np.concatenate([np.arange(1, length + 1) for length in lengths])
    return frame.assign(**{name: np.concatenate([run.curve(name) for run in runs]) for name in metrics})


def settings_frame(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return a row per arm, a column per config key that differs between arms; None where an arm does not use it."""
    keys = sorted({key for arm in arms for key in arm.first.config} - NOT_SETTINGS)
    values = {key: [hashable(arm.first.setting(key)) for arm in arms] for key in keys}
    differing = {k: v for k, v in values.items() if len({text(value) for value in v if value is not None}) > 1}
    return pd.DataFrame({"arm": [arm.label for arm in arms], **differing})
