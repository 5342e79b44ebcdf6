"""Charts by epoch: learning curves, losses, the generalisation gap, and published figures with ours."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.report.charts.data import coverage_rows, domain_of, epoch_means, needs_log_axis, scale_of, swept
from dropexp.report.charts.style import (
    AUTO,
    WIDTH,
    Looks,
    Size,
    ValueAxis,
    click_selection,
    count_axis,
    data_of,
    grid,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    titled,
    tooltips,
)
from dropexp.report.shorten import short_names
from dropexp.runs.metrics import METRICS, Metric, format_figure

MAX_LABEL_WIDTH = 24  # columns of a label between two panels


def learning_curves(comparison: Comparison, size: Size = AUTO) -> ChartType:
    """Draw the compared metric by epoch, a line per series, a panel per value of the swept parameter."""
    return _by_epoch(comparison, comparison.metric, size)


def usual_curves(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw the usual metric by epoch if a metric of probes is compared, which alone explains little; else None."""
    if comparison.metric.name in METRICS:
        return None
    return _by_epoch(comparison, comparison.usual, size)


def gap(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw train accuracy in evaluation mode minus test accuracy by epoch; None if it was not measured."""
    if "gap" not in comparison.curves or comparison.curves["gap"].isna().all():
        return None
    return _by_epoch(comparison, comparison.metrics["gap"], size)


def loss(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw train loss and test loss by epoch, a panel each, a line per arm; None without any.

    The validation loss replaces one that was not measured.
    """
    means = {}
    for name in ("train_loss", "test_loss", "val_loss"):
        if name in comparison.curves and comparison.curves[name].notna().any():
            metric = comparison.metrics[name]
            means[metric] = epoch_means(comparison, metric)[0].assign(metric=name, series=lambda rows: rows["arm"])
    shown = list(means)[:2]
    if not shown:
        return None
    rows = pd.concat([means[metric] for metric in shown])
    log = needs_log_axis(shown[0], rows["mean"])
    looks = looks_of(comparison.arms["arm"])
    if log:
        rows["low"] = rows["low"].clip(lower=rows["mean"].min() / 2)
    labels = short_names(comparison.arms["arm"], MAX_LABEL_WIDTH) if len(shown) > 1 else {}
    panels = []
    for metric in shown:
        own = rows[rows["metric"] == metric.name]
        domain = domain_of(rows["mean"], rows["low"], rows["high"], log=log)
        y = ValueAxis(alt.Y, scale_of(metric).title, domain, log)
        width = size.width or (250 if len(shown) > 1 else WIDTH)
        panel = _epoch_panel(_placed(own), _epochs(rows), y, looks, Size(width, size.height), labels)
        panels.append(panel.properties(title=metric.title))
    figures = [
        f"{row['arm']} {metric.title} {format_figure(row['mean'], scale_of(metric).form)} at epoch {row['epoch']}"
        for metric in shown
        for row in records(means[metric].groupby("arm", sort=False).tail(1))
    ]
    running = "; the train loss is running, with dropout active" if shown[0].title.startswith("running") else ""
    legend = f"mean over seeds; band: ± one standard deviation of the seeds{running}"
    return titled(grid(panels, 2), "Loss by epoch", legend, figures)


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a horizontal position; points of a single epoch would coincide."""
    spread = np.linspace(-0.2, 0.2, len(rows) + 2)[1:-1]
    return rows.assign(x=rows["epoch"] + (spread if max(rows["epoch"], default=1) == 1 else 0.0))


def _epochs(rows: pd.DataFrame) -> alt.X:
    return count_axis("x", int(max(rows["epoch"], default=1)))


def _by_epoch(comparison: Comparison, metric: Metric, size: Size) -> ChartType:
    """Draw mean ± SD over the seeds by epoch; an arm that does not use the swept parameter is in every panel."""
    rows, truncated = epoch_means(comparison, metric)
    log = needs_log_axis(metric, rows["mean"])
    if log:
        rows["low"] = rows["low"].clip(lower=rows["mean"].min() / 2)  # mean - SD can be below 0
    zero = pd.Series([0.0] if metric.name == "gap" else [], dtype=float)
    domain = domain_of(rows["mean"], rows["low"], rows["high"], zero, log=log)
    y = ValueAxis(alt.Y, scale_of(metric).title, domain, log)
    rows = _placed(rows)
    x, looks = _epochs(rows), looks_of(comparison.arms["series"])

    texts = swept(comparison).texts
    values = [value for value in dict.fromkeys(texts.values()) if value is not None]
    size = Size(size.width or (250 if len(values) > 1 else WIDTH), size.height)

    def panel(shown: pd.DataFrame) -> ChartType:
        return _epoch_panel(shown, x, y, looks, size, zero_line=metric.name == "gap")

    if values:
        panels = []
        for value in values:
            arms = [arm for arm, own in texts.items() if own in (value, None)]
            panels.append(panel(rows[rows["arm"].isin(arms)]).properties(title=f"{comparison.by} = {value}"))
        chart: ChartType = grid(panels, 2 if len(panels) == 4 else 3)
    else:
        chart = panel(rows)

    form = scale_of(metric).form
    ends = rows.groupby("arm", sort=False).tail(1)
    figures = [
        f"{arm} {format_figure(mean, form)} at epoch {epoch}"
        for arm, mean, epoch in zip(ends["arm"], ends["mean"], ends["epoch"], strict=True)
    ]
    legend = "mean over seeds; band: ± one standard deviation of the seeds" if len(rows) else "no run has such figures"
    if truncated:
        legend += "; an arm's line ends with the shortest of its runs"
    return titled(chart, f"{metric.title} by epoch", legend, figures)


def _epoch_panel(
    rows: pd.DataFrame,
    x: alt.X,
    y: ValueAxis,
    looks: Looks,
    wanted: Size,
    labels: Mapping[str, str] | None = None,
    *,
    zero_line: bool = False,
) -> ChartType:
    """Draw lines and bands of `epoch_means`; dots at every epoch if there are few, else at the last."""
    ends = line_ends(rows, by="arm")
    ends["label"] = [(labels or {}).get(name, name) for name in ends["label"]]
    measured = rows.groupby("arm")["epoch"].transform("size")
    single = rows[measured == 1]
    dots = rows if measured.max() <= 10 else ends
    size = wanted.within(WIDTH, 280, len(ends))
    base = alt.Chart(data_of(rows)).encode(x, opacity=highlight(1))
    points = alt.Chart(data_of(dots)).encode(
        x, opacity=highlight(1), tooltip=tooltips("arm", "epoch", "mean", "sd", "n")
    )
    bars = alt.Chart(data_of(single)).encode(x, opacity=highlight(1))
    band = highlight(0.18 if len(ends) < 7 else 0.05)
    layers = [
        base.mark_area().encode(y("low"), alt.Y2("high"), looks.color, opacity=band).add_params(click_selection()),
        base.mark_line(strokeWidth=2, cursor="pointer").encode(
            y("mean"), looks.color, looks.dash, tooltip=tooltips("arm")
        ),
        points.mark_point(filled=True, size=40, cursor="pointer").encode(y("mean"), looks.color, looks.shape),
        bars.mark_rule().encode(y("low"), alt.Y2("high"), looks.color),
    ]
    if zero_line:
        layers.append(alt.Chart(data_of(pd.DataFrame({"zero": [0.0]}))).mark_rule(strokeDash=[4, 3]).encode(y("zero")))
    layers += line_labels(ends, y, looks.color, size, x)
    return alt.layer(*layers).properties(width=size[0], height=size[1])


def published(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw published figures and our means and 95 % prediction intervals, a row per arm; None without any."""
    if comparison.published.empty:
        return None
    rows = coverage_rows(comparison)
    looks, last_epoch = looks_of(comparison.arms["series"]), int(rows["epoch"].max())
    names = list(dict.fromkeys(rows["figure"]))
    panels = []
    for arm in dict.fromkeys(rows["arm"]):
        for name in names:
            same_figure = rows[rows["figure"] == name]
            own = same_figure[same_figure["arm"] == arm]
            shown = own if len(own) == 1 else same_figure  # lines of several arms share a domain
            domain = domain_of(*(shown[column] for column in ("low", "high", "least", "most", "mean")))
            y = ValueAxis(alt.Y, scale_of(comparison.metrics[name]).title, domain)
            panel = _published_panel(own, count_axis("epoch", last_epoch), y, looks, size.within(215, 220))
            panels.append(panel.properties(title=arm if name == names[0] else ""))

    sources = ", ".join(dict.fromkeys(map(str, comparison.published["source"].dropna()))) or "the source"
    known, outside = rows[rows["coverage"] != "unknown"], rows[rows["coverage"] == "outside"]
    figures = [f"{len(known) - len(outside)} of {len(known)} published figures can be inside"] if len(known) else []
    figures += [
        f"{row.arm} {row.figure} {row.published:.4g} at epoch {row.epoch} is outside" for row in outside.itertuples()
    ]
    if unknown := len(rows) - len(known):
        figures.append(f"{unknown} of {len(rows)} published figures have no interval: it needs two runs")
    band = "a cross is outside the band, the 95 % prediction interval of a run"
    no_band = "without a band: one run has no prediction interval"
    legend = f"points: published, with their rounding; {band if len(known) else no_band}"
    return titled(grid(panels, len(names)), f"Published by {sources}, and ours", legend, figures)


def _published_panel(rows: pd.DataFrame, x: alt.X, y: ValueAxis, looks: Looks, size: tuple[int, int]) -> ChartType:
    shapes = alt.Scale(domain=["inside", "outside", "unknown"], range=["circle", "cross", "diamond"])
    shape = alt.Shape("coverage", type="nominal", scale=shapes, legend=None)
    fields = ("arm", "epoch", "published", "rounding", "mean", "low", "high", "n", "coverage")
    base = alt.Chart(data_of(rows)).encode(x, tooltip=tooltips(*fields))
    layers = [
        base.mark_area(opacity=0.25).encode(y("low"), alt.Y2("high"), looks.color),
        base.mark_line(strokeWidth=1.5).encode(y("mean"), looks.color, looks.dash),
        base.mark_rule(strokeWidth=1.5).encode(y("least"), alt.Y2("most")),
        base.mark_point(filled=True, size=45, opacity=1).encode(y("published"), shape),
    ]
    if len(rows) == 1:  # an area and a line of one epoch are invisible
        layers[:0] = [
            base.mark_rule(strokeWidth=8, opacity=0.25).encode(y("low"), alt.Y2("high"), looks.color),
            base.mark_tick(thickness=2, size=16, orient="horizontal").encode(y("mean"), looks.color),
        ]
    return alt.layer(*layers).properties(width=size[0], height=size[1])
