"""What charts are drawn with: colours, themes, axes, labels that do not overlap, tooltips."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from altair.typing import ChartType
from scipy.optimize import isotonic_regression

from dropexp.errors import ChartError, printable
from dropexp.plurals import counted
from dropexp.runs.metrics import LARGE

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito, without yellow and black
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
DASHES = [[1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [14, 4]]  # 6, 7 and 5 share no factor: 210 combinations
GREY = "#767676"  # the same contrast on white and on a dark page
WIDTH, LINE, COLUMN = 460, 15, 18  # pixels of a plot, between lines of text, and of a column of figures
MAX_ROOMY_ROWS = 12  # rows of a chart
SELECTED = "selected"  # Vega's parameter for the series that was clicked
NUMBERS = {"value", "mean", "sd", "low", "high", "difference", "p_holm", "published", "rounding", "share", "x"}


@cache
def vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script for an HTML page; it defines `vegaEmbed`."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def theme(dark: bool) -> dict[str, Any]:
    """Return Vega's config for a light or a dark page; the background is the page's own."""
    ink, soft, grid = ("#e8e8e8", "#b4b4b4", "#3c3c3c") if dark else ("#1a1a1a", "#555555", "#dddddd")
    return {
        "background": "transparent",
        "font": "sans-serif",
        "title": {
            "color": ink,
            "subtitleColor": soft,
            "anchor": "start",
            "offset": 10,
            "subtitlePadding": 4,
            "fontSize": 15,
            "subtitleFontSize": 12,
        },
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "gridColor": grid,
            "domainColor": soft,
            "tickColor": soft,
            "labelFontSize": 12,
            "labelSeparation": 4,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12},
        "view": {"stroke": None},
        "text": {"color": ink, "fontSize": 12},
        "rule": {"color": ink},
        "point": {"color": ink},
    }


def data_of(frame: pd.DataFrame) -> alt.InlineData:
    """Return the frame as plain values: numbers with six digits, null where a value is missing, printable text."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        if isinstance(value, str):
            return printable(value)
        return None if value is pd.NA else value

    rows = ({str(k): plain(value) for k, value in row.items()} for row in frame.to_dict("records"))
    return alt.InlineData(tuple(rows))  # Altair would copy a list, row by row, for each layer and panel


@dataclass(frozen=True)
class ValueAxis:
    """An axis that several layers share; calling it with a field's name returns the channel for that field."""

    channel: Any  # alt.X or alt.Y
    title: str
    domain: Sequence[float]
    log: bool = False
    axis: alt.Axis | None = None

    def __call__(self, name: str) -> Any:
        scale, title = alt.Scale(domain=self.domain, nice=False, zero=False), self.title
        if self.log:
            scale, title = alt.Scale(type="log", domain=self.domain, nice=False), f"{title}, logarithmic"
        large = max(map(abs, self.domain)) >= LARGE  # by default Vega labels a tick 5.9999999999999995e+37
        axis = self.axis or alt.Axis(tickCount=7, format=".4~g" if large else alt.Undefined)
        return self.channel(name, type="quantitative", title=title, scale=scale, axis=axis)


def count_axis(field: str, last: int, title: str = "epoch", *, few: bool = False) -> alt.X:
    """Return the channel of epochs, or of something else, 1 to `last`, with a tick for each where they fit."""
    scale = alt.Scale(domain=[1, last] if last > 1 else [0.5, 1.5], nice=False)
    ticks: dict[str, Any] = {"values": list(range(1, last + 1))} if last <= 12 else {"tickMinStep": 1}
    if few:
        ticks = {"values": sorted({1, last})}
    return alt.X(field, type="quantitative", title=title, scale=scale, axis=alt.Axis(format="d", **ticks))


def row_axis(field: str, count: int) -> alt.Y:
    """Return the channel of a vertical position in a chart of `count` rows, the first on top; it has no labels."""
    axis = alt.Axis(values=list(range(count + 1)), labels=False, ticks=False, domain=False)
    return alt.Y(field, type="quantitative", title=None, scale=alt.Scale(domain=[count, 0], nice=False), axis=axis)


@dataclass(frozen=True)
class Size:
    """The width and the height of a plot in pixels, without its labels; None: as its content needs."""

    width: int | None = None
    height: int | None = None

    def within(self, width: int, height: int, lines: int = 0, columns: int = 0) -> tuple[int, int]:
        """Return the size, with these defaults, of a plot with so many lines of text and columns of figures.

        Raises ChartError if they would overlap.
        """
        for name, given, least in (("height", self.height, LINE * lines), ("width", self.width, COLUMN * columns)):
            if given is not None and given < least:
                what = counted(lines, "label") if name == "height" else counted(columns, "column")
                raise ChartError(f"a {name} of {given} pixels has no room for {what}; allowed: {least} or more")
        return self.width or width, self.height or max(height, LINE * lines)


AUTO = Size()


def line_ends(rows: pd.DataFrame, by: str = "series") -> pd.DataFrame:
    """Return the last row of each line, a line per value of the column `by`, labelled with its series."""
    return rows.groupby(by, sort=False).tail(1).assign(label=lambda ends: ends["series"])


def line_labels(
    ends: pd.DataFrame, y: ValueAxis, color: alt.Color, size: tuple[int, int], start: alt.X | None = None
) -> list[alt.Chart]:
    """Return the labels of lines, right of a plot of `size` pixels, each joined to the `mean` where its line ends.

    `start` is the horizontal position of those ends, by default the right edge of the plot. Labels keep the order of
    the means and are a text line apart.
    """
    if ends.empty:
        return []
    ends = ends.sort_values("mean", ignore_index=True)
    means, (low, high) = (np.log(ends["mean"]), np.log(y.domain)) if y.log else (ends["mean"], y.domain)
    offsets = LINE * (high - low) / size[1] * np.arange(len(ends))
    nearest = isotonic_regression(means - offsets).x
    positions = np.clip(nearest, low, max(low, high - offsets[-1])) + offsets
    ends["label_y"] = np.exp(positions) if y.log else positions
    base = alt.Chart(data_of(ends)).encode(opacity=highlight(1))
    x = alt.value(size[0]) if start is None else start
    joins = base.mark_rule(strokeDash=[1, 2]).encode(
        y("mean"), alt.Y2("label_y"), color, x=x, x2=alt.value(size[0] + 16)
    )
    # Without a tooltip a layer takes no clicks.
    labels = base.mark_text(align="left", baseline="middle", limit=0, cursor="pointer").encode(
        y("label_y"), alt.Text("label", type="nominal"), x=alt.value(size[0] + 20), tooltip=tooltips("arm", "mean", "n")
    )
    return [joins, labels]


def row_height(count: int, most: int, least: int) -> int:
    """Return the height of a row in pixels: `most`, or `least` if so many rows would not fit a page otherwise."""
    return most if count <= MAX_ROOMY_ROWS else least


def row_labels(base: alt.Chart, name: str, count: int, width: int) -> list[alt.Chart]:
    """Return the labels left of rows of this width, from the field `name`, and right of them, from `figures`.

    They are marks, because an axis would evaluate them as expressions.
    """
    left = base.mark_text(align="right", limit=0, cursor="pointer").encode(alt.Text(name, type="nominal"))
    right = base.mark_text(align="left", cursor="pointer").encode(alt.Text("figures", type="nominal"))
    middle = row_axis("middle", count)
    return [left.encode(middle, x=alt.value(-10)), right.encode(middle, x=alt.value(width + 10))]


@dataclass(frozen=True)
class Looks:
    """The channels that distinguish series."""

    color: alt.Color
    shape: alt.Shape
    dash: alt.StrokeDash


def looks_of(series: Iterable[str]) -> Looks:
    """Return colour, shape and dash by series; the same series have the same looks in every chart."""
    names = list(dict.fromkeys(map(printable, series)))

    def channel(kind: Any, values: Sequence[Any]) -> Any:
        scale = alt.Scale(domain=names, range=[values[i % len(values)] for i in range(len(names))])
        return kind("series", type="nominal", legend=None, scale=scale)

    return Looks(channel(alt.Color, COLORS), channel(alt.Shape, SHAPES), channel(alt.StrokeDash, DASHES))


def click_selection() -> alt.Parameter:
    """Return the selection of a series by a click, which `highlight` shows."""
    return alt.selection_point(name=SELECTED, fields=["series"], on="click")


def highlight(opacity: float) -> Any:
    """Return an opacity that is an eighth of `opacity` while another series is selected."""
    return {"condition": {"param": SELECTED, "value": opacity}, "value": opacity / 8}


def tooltips(*fields: str) -> list[alt.Tooltip]:
    """Return the tooltips of these fields."""
    tips = []
    for name in fields:
        if name in NUMBERS:
            tips.append(alt.Tooltip(name, type="quantitative", format=".5~g"))
        else:
            tips.append(alt.Tooltip(name, type="nominal"))
    return tips


def grid(charts: Sequence[ChartType], columns: int) -> alt.ConcatChart:
    """Return the charts in rows of `columns`; a click in one selects in all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Automatically deduplicated")  # the selection is meant to be shared
        return alt.concat(*charts, columns=columns, spacing=30)


def titled(chart: ChartType, title: str, legend: str, figures: Sequence[str]) -> ChartType:
    """Add a title, a legend as its subtitle, and both with up to eight figures as a description for screen readers."""
    shown = [*figures[:8]]
    if len(figures) > 8:
        shown.append(f"and {len(figures) - 8} more")
    title = title[:1].upper() + title[1:]
    description = f"{title} ({legend}): {'; '.join(shown) or 'no figures'}."
    return chart.properties(title=alt.Title(title, subtitle=legend), description=description)
