"""The chart of gains over the network without a regulariser, by number of training images."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd
from altair.typing import ChartType

from dropexp.report.charts.data import domain_of
from dropexp.report.charts.style import (
    WIDTH,
    ValueAxis,
    click_selection,
    data_of,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    titled,
)
from dropexp.report.charts.sweep_axis import sweep_axis

HEIGHT = 280  # pixels of the plot


def gains_chart(rows: pd.DataFrame, series: Sequence[str], title: str, legend: str) -> ChartType:
    """Return the gains over the number of images, a line for each of `series`.

    `rows` has the columns size, series, mean, low and high; the last three in points.
    """
    x = sweep_axis("training images", sorted(set(rows["size"])), (WIDTH, HEIGHT))
    offsets = (rows["series"].map(list(series).index) - (len(series) - 1) / 2) / 6  # so that intervals do not overlap
    rows = rows.assign(x=[x.position(size, offset) for size, offset in zip(rows["size"], offsets, strict=True)])
    y = ValueAxis(alt.Y, "test accuracy: gain over none (points)", domain_of(rows["low"], rows["high"]))
    looks = looks_of(series)
    base = alt.Chart(data_of(rows)).encode(x.channel, opacity=highlight(1))
    chart = alt.layer(
        alt.Chart(data_of(pd.DataFrame({"none": [0.0]}))).mark_rule().encode(y("none")),
        base.mark_line(strokeWidth=2).encode(y("mean"), looks.color, looks.dash).add_params(click_selection()),
        base.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high"), looks.color),
        base.mark_point(filled=True, size=80).encode(y("mean"), looks.color, looks.shape),
        *line_labels(line_ends(rows), y, looks.color, (WIDTH, HEIGHT)),
    ).properties(width=WIDTH, height=HEIGHT)
    figures = [f"{row.series}, {row.size} images: {row.mean:+.2f}" for row in rows.itertuples(index=False, name="Gain")]
    return titled(chart, title, legend, figures)
