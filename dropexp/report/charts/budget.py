"""The budget curve: what validation accuracy a search for an arm's settings reaches with how many trials."""

from __future__ import annotations

import altair as alt
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.plurals import counted
from dropexp.report.charts.data import domain_of, scale_of, series_by_arm
from dropexp.report.charts.style import (
    AUTO,
    WIDTH,
    Size,
    ValueAxis,
    click_selection,
    count_axis,
    data_of,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    titled,
    tooltips,
)
from dropexp.runs.metrics import METRICS, format_figure


def budget(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw the best validation accuracy of the first n trials, by n, a line per arm; None without searches."""
    rows = comparison.tuning.budget
    if rows.empty:
        return None
    rows = rows.rename(columns={"trials": "x"}).assign(series=rows["arm"].map(series_by_arm(comparison)))
    scale = scale_of(METRICS["val_acc"])
    rows[["mean", "low", "high"]] *= scale.factor
    y = ValueAxis(alt.Y, f"best {scale.title}", domain_of(rows["mean"], rows["low"], rows["high"]))
    x = count_axis("x", int(rows["x"].max()), "trials")
    looks = looks_of(comparison.arms["series"])
    ends = line_ends(rows, by="arm")
    plot = size.within(WIDTH, 280, len(ends))
    base = alt.Chart(data_of(rows)).encode(x, opacity=highlight(1))
    chart = alt.layer(
        base.mark_area().encode(y("low"), alt.Y2("high"), looks.color, opacity=highlight(0.15)),
        base.mark_line(strokeWidth=2).encode(y("mean"), looks.color, looks.dash).add_params(click_selection()),
        base.mark_point(filled=True, size=30).encode(
            y("mean"), looks.color, looks.shape, tooltip=tooltips("arm", "x", "mean", "low", "high", "n")
        ),
        *line_labels(ends, y, looks.color, plot, x),
    ).properties(width=plot[0], height=plot[1])
    figures = [
        f"{row['arm']} {format_figure(row['mean'], scale.form)} with {counted(row['x'], 'trial')}"
        for row in records(rows.groupby("arm", sort=False).tail(1))
    ]
    legend = "mean over repeats; band: 95 % bootstrap interval over repeats; no evidence about test accuracy"
    return titled(chart, "Best validation accuracy of the first trials", legend, figures)
