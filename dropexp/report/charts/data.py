"""What charts show, as frames: every figure is computed here, in the unit of its axis, before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    title = "train accuracy − test accuracy" if metric.name == "gap" else metric.title
    return Scale(_with_unit(title, metric.unit.figures), metric.unit.factor, metric.unit.form)


def difference_scale(metric: Metric) -> Scale:
    """Return the scale of differences in a metric; those of accuracies are in percentage points."""
    unit = metric.unit
    title = _with_unit(metric.title, unit.differences or unit.figures)
    return Scale(f"difference in {title}", unit.factor, unit.difference_form)


def _with_unit(title: str, unit: str) -> str:
    unit = unit.replace("points", "percentage points")
    return f"{title} ({unit})" if unit else title


def series_by_arm(comparison: Comparison) -> dict[str, str]:
    """Return each arm's series, its label without the swept parameter."""
    return dict(zip(comparison.arms["arm"], comparison.arms["series"], strict=True))


@dataclass(frozen=True)
class Swept:
    """The swept parameter of a comparison: the title of its axis, and each arm's value in text and on the axis.

    Values on the axis are numbers, or the texts if they are not numbers; None for an arm without the parameter.
    """

    title: str
    texts: dict[str, str | None]
    values: dict[str, float | str | None]


def swept(comparison: Comparison) -> Swept:
    """Return the swept parameter; lists become numbers if only one entry varies, or the entries of each are equal."""
    arms = comparison.arms["arm"].tolist()
    given = [None if isinstance(value, float) and math.isnan(value) else value for value in comparison.arms["by"]]
    texts = [None if value is None else text(value) for value in given]
    title, values = str(comparison.by), [_plain(value) for value in given]
    lists = [value for value in given if isinstance(value, list | tuple)]
    if lists and len(lists) == sum(value is not None for value in given):
        suffix, numbers = _numbers(lists)
        if numbers:
            taken = iter(numbers)
            title, values = title + suffix, [None if value is None else next(taken) for value in given]
    return Swept(title, dict(zip(arms, texts, strict=True)), dict(zip(arms, values, strict=True)))


def _plain(value: Any) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value)
    return int(value) if value == int(value) else value


def _numbers(lists: Sequence[Sequence[Any]]) -> tuple[str, list[float]]:
    """Return a number for each list and what it is, or no numbers if more than one entry varies."""
    if len({len(one) for one in lists}) != 1 or not all(isinstance(x, int | float) for one in lists for x in one):
        return "", []
    if all(len(set(one)) == 1 for one in lists):
        return ", each layer" if len(lists[0]) > 1 else "", [one[0] for one in lists]
    varying = [i for i, entries in enumerate(zip(*lists, strict=True)) if len(set(entries)) > 1]
    return (f", layer {varying[0] + 1}", [one[varying[0]] for one in lists]) if len(varying) == 1 else ("", [])


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
    rows["label"] = rows["name"] if shared_baseline(comparison) is None else rows["arm"]
    rows[["difference", "low", "high"]] *= scale.factor

    def figures(row: pd.Series[Any]) -> str:
        difference, low, high = (format_figure(row[name], f"+{scale.form}") for name in ("difference", "low", "high"))
        if math.isnan(row["difference"]):
            return str(row["verdict"])
        if math.isnan(row["low"]):
            return f"{row['verdict']} {difference}"
        return f"{row['verdict']} {difference} [{low}, {high}]"

    rows["figures"] = [figures(row) for _, row in rows.iterrows()]
    return rows


def shared_baseline(comparison: Comparison) -> str | None:
    """Return the baseline of all differences if there are several and they have one."""
    baselines = comparison.differences["baseline"].tolist()
    return baselines[0] if len(baselines) > 1 and len(set(baselines)) == 1 else None


def coverage_rows(comparison: Comparison) -> pd.DataFrame:
    """Return a row per published figure with its rounding's ends, and whether our interval covers it."""
    rows = comparison.published.drop(columns="source")
    factors = rows["figure"].map({name: scale_of(metric).factor for name, metric in comparison.metrics.items()})
    for name in ("published", "rounding", "mean", "low", "high"):
        rows[name] = rows[name].astype(float) * factors.astype(float)
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
