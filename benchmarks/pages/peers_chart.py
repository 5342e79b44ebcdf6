"""The chart of epochs: a dot at each contender's median, a line over its range, on a logarithmic axis."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from peers.contenders import BOOK, ONE_THREAD

from dropexp.report.charts.by_name import save
from dropexp.report.charts.style import COLORS, GREY, WIDTH, data_of, row_axis, row_labels, titled
from pages.peers import CHART, seconds


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write the chart, slowest contender first, if epochs were measured. One-thread rows are in the table only."""
    if "epochs" not in results:
        return
    rows = [row for row in results["epochs"]["rows"] if row["epochs"] and not row["name"].endswith(ONE_THREAD)]
    frame = pd.DataFrame(
        {
            "name": row["name"],
            "kind": _kind(row),
            "low": min(seconds(row)),
            "median": statistics.median(seconds(row)),
            "high": max(seconds(row)),
        }
        for row in rows
    ).sort_values("median", ascending=False, ignore_index=True)
    frame["middle"] = np.arange(len(frame)) + 0.5
    book = frame.loc[frame["name"] == BOOK, "median"].item()
    frame["figures"] = [f"{median:.3g} s, {book / median:.1f} ×" for median in frame["median"]]
    scale = alt.Scale(type="log", domain=[frame["low"].min() / 1.2, frame["high"].max() * 1.2], nice=False)
    title = "seconds per epoch, training and evaluation (logarithmic)"

    def x(channel: Any, field: str) -> Any:
        return channel(field, type="quantitative", title=title, scale=scale, axis=alt.Axis(format="~g"))

    looks = alt.Scale(domain=["ours", "peer", "limit"], range=[COLORS[1], COLORS[0], GREY])
    color = alt.Color("kind", type="nominal", scale=looks, legend=None)
    y = row_axis("middle", len(frame))
    base = alt.Chart(data_of(frame))
    chart = alt.layer(
        base.mark_rule(strokeWidth=2.5).encode(x(alt.X, "low"), alt.X2("high"), y, color),
        base.mark_point(filled=True, size=90, opacity=1).encode(x(alt.X, "median"), y, color),
        *row_labels(base, "name", len(frame), WIDTH),
    ).properties(width=WIDTH, height=26 * len(frame))
    legend = f"dot: median, line: range of {len(rows[0]['epochs'])} rounds; right: speed relative to {BOOK}"
    figures = (frame["name"] + " " + frame["figures"]).tolist()
    save(titled(chart, "An epoch compared with peers", legend, figures), folder / CHART)


def _kind(row: dict[str, Any]) -> str:
    if row["name"].startswith("dropexp"):
        return "ours"
    return "peer" if "test_acc" in row["epochs"][-1] else "limit"
