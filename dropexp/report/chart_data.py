"""What charts show, as frames: every figure is computed here, in the unit of its axis, before anything is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.stats import paired_difference, spread
from dropexp.runs.metrics import Metric, format_figure
from dropexp.runs.record import text

LOG_RATIO = 20  # losses that differ by a larger factor get a logarithmic axis


@dataclass(frozen=True)
class Scale:
    """How figures of a metric are shown: an axis title with the unit, a factor to that unit, a format."""

    title: str
    factor: int
    form: str


def scale_of(metric: Metric) -> Scale:
    """Return the scale of a metric's figures."""
    if metric.name == "gap":
        return Scale("train accuracy − test accuracy (points)", 100, ".2f")
    return Scale(_with_unit(metric.title, metric.unit.figures), 1, metric.unit.form)


def difference_scale(metric: Metric) -> Scale:
    """Return the scale of differences in a metric; those of accuracies are in points, hundredths of a fraction."""
    unit = metric.unit
    title = _with_unit(metric.title, unit.differences or unit.figures)
    return Scale(f"difference in {title}", unit.factor, unit.difference_form)


def _with_unit(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def series_by_arm(comparison: Comparison) -> dict[str, str]:
    """Return each arm's series, its label without the swept parameter."""
    return dict(zip(comparison.arms["arm"], comparison.arms["series"], strict=True))


def swept_values(comparison: Comparison) -> dict[str, float | str | None]:
    """Return each arm's value of the swept parameter, a number or a text; None for an arm that does not use it."""

    def plain(value: Any) -> float | str | None:
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas turns None into NaN
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return text(value)
        return int(value) if value == int(value) else value

    return dict(zip(comparison.arms["arm"], map(plain, comparison.arms["by"]), strict=True))


def run_values(comparison: Comparison) -> pd.DataFrame:
    """Return a row per run whose figure is known: arm, series, seed, epoch, value."""
    runs, name = comparison.runs, comparison.metric.name
    columns = ["arm", "series", "seed", "epoch"]
    if runs.empty:
        return pd.DataFrame(columns=[*columns, "value"]).astype({"value": float})
    values = runs[name].replace([math.inf, -math.inf], math.nan) * scale_of(comparison.metric).factor
    return runs[columns].assign(value=values).dropna(subset="value", ignore_index=True)


def arm_means(comparison: Comparison, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per arm: n, mean, its 95 % interval, SD, and the same as text in `figures`."""
    form = scale_of(comparison.metric).form
    rows = []
    for arm in comparison.arms[["arm", "series", "diverged"]].to_dict("records"):
        values = runs["value"][runs["arm"] == arm["arm"]].to_numpy(dtype=float)
        mean = paired_difference(values, 0 * values)  # paired with zeros: Student's interval of the mean
        sd = spread(values).sd
        figures = "no figures"
        if len(values):
            figures = format_figure(mean.mean, form) + ("" if math.isnan(sd) else f" ± {format_figure(sd, form)}")
            figures += f", n = {len(values)}"
        if arm["diverged"]:
            figures += f", {arm['diverged']} diverged"
        arm |= {"n": len(values), "mean": mean.mean, "low": mean.low, "high": mean.high, "sd": sd, "figures": figures}
        rows.append(arm)
    return pd.DataFrame(rows)


def epoch_means(comparison: Comparison, metric: Metric) -> tuple[pd.DataFrame, bool]:
    """Return a row per arm and epoch: n, mean, SD, mean ± SD; and whether longer runs of an arm were cut."""
    curves = comparison.curves if len(comparison.curves) else pd.DataFrame(columns=["arm", "epoch", metric.name])
    shared = _shared_epochs(curves)
    values = shared[["arm", "epoch"]].assign(value=shared[metric.name].astype(float) * scale_of(metric).factor)
    by_epoch = values[np.isfinite(values["value"])].groupby(["arm", "epoch"], sort=False)["value"]
    rows = by_epoch.agg(n="count", mean="mean", sd="std").reset_index()
    rows["low"], rows["high"] = rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]
    rows["series"] = rows["arm"].map(series_by_arm(comparison))
    return rows, len(shared) < len(curves)


def _shared_epochs(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs that all runs of an arm have; later means would cover the longest runs only."""
    if "seed" not in curves:
        return curves
    shortest = curves.groupby(["arm", "seed"])["epoch"].max().groupby("arm").min()
    return curves[curves["epoch"] <= curves["arm"].map(shortest)]


def needs_log_axis(metric: Metric, means: pd.Series[float]) -> bool:
    """Return whether these means are losses too far apart for a linear axis."""
    return metric.name.endswith("_loss") and bool(0 < LOG_RATIO * means.min() < means.max())


def difference_rows(comparison: Comparison) -> pd.DataFrame:
    """Return a row per difference: its columns in the unit of `difference_scale`, and its text in `figures`."""
    scale = difference_scale(comparison.metric)
    columns = ["arm", "baseline", "pairs", "difference", "low", "high", "p_holm", "verdict"]
    rows = comparison.differences[columns].copy()
    rows["series"] = rows["arm"].map(series_by_arm(comparison))
    rows["name"] = rows["arm"] + " − " + rows["baseline"]
    rows[["difference", "low", "high"]] *= scale.factor

    def figures(row: pd.Series[Any]) -> str:
        difference, low, high = (format_figure(row[name], f"+z{scale.form}") for name in ("difference", "low", "high"))
        if math.isnan(row["difference"]):
            return str(row["verdict"])
        if math.isnan(row["low"]):
            return f"{row['verdict']} {difference}"
        return f"{row['verdict']} {difference} [{low}, {high}]"

    rows["figures"] = [figures(row) for _, row in rows.iterrows()]
    return rows


def coverage_rows(comparison: Comparison) -> pd.DataFrame:
    """Return a row per published figure with its rounding's ends, and whether our interval covers it."""
    rows = comparison.published.drop(columns="source")
    rows["series"] = rows["arm"].map(series_by_arm(comparison))
    rows["least"], rows["most"] = rows["published"] - rows["rounding"], rows["published"] + rows["rounding"]
    words = {True: "inside", False: "outside"}
    rows["coverage"] = [words.get(inside, "unknown") for inside in comparison.published["inside"]]
    return rows


def domain_of(*columns: pd.Series[float], log: bool = False) -> list[float]:
    """Return the ends of an axis that shows all finite values, with a margin."""
    if log:
        return [math.exp(end) for end in domain_of(*(column.map(np.log) for column in columns))]
    values = pd.concat(columns).to_numpy(dtype=float)
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return [low - margin, high + margin]
