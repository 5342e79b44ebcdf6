"""The figure of *Dive into Deep Learning*: train loss, train accuracy and test accuracy by epoch in one chart."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.report.charts.data import epoch_means, scale_of
from dropexp.report.charts.style import AUTO, COLORS, DASHES, WIDTH, Size, count_axis, data_of, grid, titled, tooltips
from dropexp.report.shorten import short_names

CURVES = {"train_loss": "train loss", "train_acc": "train accuracy", "test_acc": "test accuracy"}
LARGEST = 2.4  # of the axis: the loss of guessing among ten classes is 2.3


def book(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw a panel per arm with the book's three curves; None for runs without these figures."""
    names = [name if name in comparison.curves and comparison.curves[name].notna().any() else "" for name in CURVES]
    if names[2] == "" and "val_acc" in comparison.curves:
        names[2] = "val_acc"
    if not names[0] or not names[1] or "train_acc" not in comparison.metrics:
        return None
    rows = pd.concat([_curve(comparison, name, title) for name, title in _titles(names).items()])
    rows["x"] = rows["epoch"]
    top = min(LARGEST, max(1.0, 1.05 * float(rows["high"].max())))
    arms = list(dict.fromkeys(rows["arm"]))
    columns, width, height = _layout(len(arms))
    if size.width or len(arms) == 1:
        width = size.width or WIDTH
    last = int(rows["epoch"].max())
    panels = [
        _panel(rows[rows["arm"] == arm], last, top, Size(width, size.height or height), list(_titles(names).values()))
        for arm in arms
    ]
    shown = short_names(arms, max(8, width // 8))
    for arm, panel in zip(arms, panels, strict=True):
        panel.title = alt.Title(shown[arm], fontSize=13 if width > 150 else 11)
    ends = rows[rows["epoch"] == rows.groupby("arm")["epoch"].transform("max")]
    figures = [f"{arm} {row['curve']} {row['mean']:.3f}" for arm in arms for row in _of(ends, arm)]
    legend = (
        "mean over seeds, ± one SD; train figures with dropout active; accuracies are fractions, as the axis is shared"
    )
    return titled(grid(panels, columns), "Training, as the book draws it", legend, figures)


def _titles(names: list[str]) -> dict[str, str]:
    titles = dict(zip(names, CURVES.values(), strict=True))
    if "val_acc" in titles:
        titles["val_acc"] = "validation accuracy"
    return {name: title for name, title in titles.items() if name}


def _of(rows: pd.DataFrame, arm: str) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in rows[rows["arm"] == arm].to_dict("records")]


def _curve(comparison: Comparison, name: str, title: str) -> pd.DataFrame:
    metric = comparison.metrics[name]
    rows = epoch_means(comparison, metric)[0].assign(curve=title)
    rows[["mean", "sd", "low", "high"]] /= scale_of(metric).factor
    return rows


def _layout(panels: int) -> tuple[int, int, int]:
    """Return how many panels are side by side, and their size: forty arms still fit a page."""
    if panels <= 12:
        return min(3, panels), 215, 170 if panels > 3 else 215
    return 6, 105, 85


def _panel(rows: pd.DataFrame, last: int, top: float, size: Size, titles: list[str]) -> ChartType:
    small = (size.width or WIDTH) < 150
    ticks = math.ceil(top) * 2
    y_axis = alt.Axis(tickCount=ticks if not small else 3, grid=True)
    y_scale = alt.Scale(domain=[0, top], nice=False, clamp=True)

    def y(name: str) -> alt.Y:
        return alt.Y(name, type="quantitative", title="" if small else "loss, accuracy", scale=y_scale, axis=y_axis)

    x = count_axis("x", last, "" if small else "epoch", few=small)
    legend = alt.Legend(
        orient="top", title=None, symbolType="stroke", symbolSize=400, symbolStrokeWidth=2, symbolOpacity=1
    )
    colors, dashes = (alt.Scale(domain=titles, range=looks[: len(titles)]) for looks in (COLORS, DASHES))
    color = alt.Color("curve", type="nominal", legend=legend, scale=colors)
    dash = alt.StrokeDash("curve", type="nominal", legend=legend, scale=dashes)
    fill = alt.Color("curve", type="nominal", legend=legend, scale=colors)
    base = alt.Chart(data_of(rows)).encode(x)
    layers = [
        base.mark_area(opacity=0.15).encode(y("low"), alt.Y2("high"), fill),
        base.mark_line(strokeWidth=2).encode(
            y("mean"), color, dash, tooltip=tooltips("arm", "curve", "epoch", "mean", "sd")
        ),
    ]
    if last == 1:
        layers.append(base.mark_point(filled=True, size=40).encode(y("mean"), color))
    return alt.layer(*layers).properties(width=size.width or WIDTH, height=size.height or 215)
