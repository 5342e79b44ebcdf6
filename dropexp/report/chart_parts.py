"""What charts are drawn with: colours, shapes and dashes, channels, labels that do not overlap, themes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import astuple
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.stats import paired_difference, spread
from dropexp.runs.metrics import Metric
from dropexp.runs.record import text

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito, less yellow and black
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
DASHES = [[1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [14, 4]]  # 6, 7 and 5 share no factor: 210 different looks
GREY = "#767676"  # as far from white as from a dark page
WIDTH, LINE = 460, 15  # pixels of a plot and between lines of text
PICKED = "picked"  # the series that was clicked
Channel = Callable[[str], Any]  # of a field


@cache
def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script for an HTML page, which sets the name vegaEmbed."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def theme(dark: bool) -> dict[str, Any]:
    """Vega's config for a light or a dark page, whose own background shows through."""
    ink, soft, grid = ("#e8e8e8", "#b4b4b4", "#3c3c3c") if dark else ("#1a1a1a", "#555555", "#dddddd")
    title = {"anchor": "start", "offset": 10, "subtitlePadding": 4, "fontSize": 15, "subtitleFontSize": 12}
    axis = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8, "tickColor": soft}
    return {
        "background": "transparent",
        "font": "sans-serif",
        "title": {"color": ink, "subtitleColor": soft, **title},
        "axis": {"labelColor": ink, "titleColor": ink, "gridColor": grid, "domainColor": soft, **axis},
        "view": {"stroke": None},
        "text": {"color": ink, "fontSize": 12},
        **{mark: {"color": ink} for mark in ("rule", "point")},
    }


def line_labels(
    ends: pd.DataFrame,
    y: Channel,
    color: Any,
    domain: list[float],
    size: tuple[int, int],
    start: Any,
    *,
    log: bool = False,
) -> list[alt.Chart]:
    """The names of lines, right of the plot and none on another, each with a thin line from the end of its own."""
    if ends.empty:
        return []
    ends = ends.sort_values("mean", ignore_index=True)
    means, (low, high) = (np.log(ends["mean"]), np.log(domain)) if log else (ends["mean"], domain)
    space = LINE * (high - low) / size[1]
    blocks: list[tuple[float, int]] = []  # isotonic regression: the nearest places in that order, a line apart
    for place in means - space * ends.index:
        blocks.append((place, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    places = np.repeat([place for place, _ in blocks], [n for _, n in blocks])
    places = np.clip(places, low, max(low, high - space * (len(ends) - 1))) + space * ends.index
    ends["at"] = np.exp(places) if log else places
    base, name = alt.Chart(data_of(ends)).encode(opacity=lit(1)), alt.Text("label", type="nominal")
    # Without a tooltip a layer takes no clicks.
    leads = base.mark_rule(strokeDash=[1, 2]).encode(
        y("mean"), alt.Y2("at"), color, x=start, x2=alt.value(size[0] + 16)
    )
    words = base.mark_text(align="left", baseline="middle", limit=260, cursor="pointer")
    return [leads, words.encode(y("at"), name, x=alt.value(size[0] + 20), tooltip=tooltips("arm", "mean", "n"))]


def looks(comparison: Comparison) -> tuple[Any, Any, Any]:
    """Colour, shape and dash by series, the same in every chart."""
    names = list(dict.fromkeys(comparison.arms["series"]))

    def look(kind: Any, values: list[Any]) -> Any:
        scale = alt.Scale(domain=names, range=[values[i % len(values)] for i in range(len(names))])
        return kind("series", type="nominal", legend=None, scale=scale)

    return look(alt.Color, COLORS), look(alt.Shape, SHAPES), look(alt.StrokeDash, DASHES)


def together(charts: list[ChartType], columns: int) -> alt.ConcatChart:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Automatically deduplicated")  # a click in one chart is meant for all
        return alt.concat(*charts, columns=columns, spacing=30)


def picked() -> alt.Parameter:
    return alt.selection_point(name=PICKED, fields=["series"], on="click")


def lit(opacity: float) -> Any:
    """`opacity`, but faint while another series is picked."""
    return {"condition": {"param": PICKED, "value": opacity}, "value": opacity / 8}


def tooltips(*fields: str) -> list[alt.Tooltip]:
    figures = {"value", "mean", "sd", "low", "high", "difference", "p_holm", "published", "rounding"}
    number: dict[str, Any] = {"type": "quantitative", "format": ".5~g"}
    return [alt.Tooltip(field, **(number if field in figures else {"type": "nominal"})) for field in fields]


def row_channel(field: str, count: int) -> alt.Y:
    axis = alt.Axis(values=list(range(count + 1)), labels=False, ticks=False, domain=False)
    return alt.Y(field, type="quantitative", title=None, scale=alt.Scale(domain=[count, 0], nice=False), axis=axis)


def row_labels(base: alt.Chart, name: str, count: int) -> list[alt.Chart]:
    """Names left and figures right of the rows. An axis would write the names into an expression."""
    left = base.mark_text(align="right", limit=360, cursor="pointer").encode(alt.Text(name, type="nominal"))
    right = base.mark_text(align="left", cursor="pointer").encode(alt.Text("said", type="nominal"))
    middle = row_channel("middle", count)
    return [left.encode(middle, x=alt.value(-10)), right.encode(middle, x=alt.value(WIDTH + 10))]


def epoch_channel(field: str, last: int) -> alt.X:
    scale = alt.Scale(domain=[1, int(last)] if last > 1 else [0.5, 1.5], nice=False)
    ticks: dict[str, Any] = {"values": list(range(1, int(last) + 1))} if last <= 12 else {"tickMinStep": 1}
    return alt.X(field, type="quantitative", title="epoch", scale=scale, axis=alt.Axis(format="d", **ticks))


def channel_of(channel: Any, title: str, domain: list[float], *, log: bool = False) -> Channel:
    """The channel of a field; layers that share an axis say the same of it."""
    scale, axis = alt.Scale(domain=domain, nice=False, zero=False), alt.Axis(tickCount=7)
    if log:
        scale, title = alt.Scale(type="log", domain=domain, nice=False), f"{title}, logarithmic"
    return lambda field: channel(field, type="quantitative", title=title, scale=scale, axis=axis)


def domain_of(*columns: pd.Series[float], log: bool = False) -> list[float]:
    if log:
        return [math.exp(end) for end in domain_of(*(column.map(np.log) for column in columns))]
    values = pd.concat(columns).to_numpy(dtype=float)
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return [low - pad, high + pad]


def data_of(frame: pd.DataFrame) -> alt.InlineData:
    """As plain values of six digits; what is not known is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        return None if value is pd.NA else value

    return alt.InlineData([{str(k): plain(value) for k, value in row.items()} for row in frame.to_dict("records")])


def titled(chart: ChartType, title: str, legend: str, figures: list[str]) -> ChartType:
    """With a title, what the marks mean, and both with the figures as a description for who cannot see it."""
    more = [f"and {len(figures) - 8} more"] if len(figures) > 8 else []
    title = title[:1].upper() + title[1:]
    description = f"{title} ({legend}): {'; '.join(figures[:8] + more) or 'no figures'}."
    return chart.properties(title=alt.Title(title, subtitle=legend), description=description)


def in_words(metric: Metric) -> tuple[str, int, str]:
    """A title with the unit, how many of that unit there are to ours, and the form of a figure."""
    if metric.name == "gap":
        return "train accuracy − test accuracy (points)", 100, ".2f"
    forms = {
        **{"points": (" (fraction)", ".4f"), "nats": (" (cross entropy, nats)", ".4f"), "s": (" (s)", ".3f")},
        **{"squares": (" (½ · squared error)", ".4g"), "": ("", ".4g")},
    }
    unit, form = forms[metric.unit]
    return f"{metric.title}{unit}", 1, form


def doses_of(comparison: Comparison) -> dict[str, Any]:
    """By arm the value of the key that arms go by, a number or a text; None for an arm that has no use for it."""

    def dose(value: Any) -> Any:
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas makes NaN of None among numbers
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (int(value) if value == int(value) else value) if number else text(value)

    return dict(zip(comparison.arms["arm"], map(dose, comparison.arms["by"]), strict=True))


def dose_axis(by: str, doses: list[Any], height: int) -> tuple[alt.X, Callable[[Any, float], float], list[alt.Chart]]:
    """The channel of a dose; where it stands, by how far aside of its own place, from -0.5 to 0.5; names of places."""
    number = not any(isinstance(dose, str) for dose in doses)
    values: list[float] = doses if number else [*map(float, range(len(doses)))]
    at = dict(zip(doses, values, strict=True))
    log = number and min(values) > 0 and max(values) > 20 * min(values)
    places = np.sort(np.log(values) if log else np.array(values, dtype=float))
    step = float(np.diff(places).min()) / 3 if len(places) > 1 else 1 / 3
    ends = [float(place) for place in (places[0] - step, places[-1] + step)]
    scale = alt.Scale(type="log", domain=[math.exp(end) for end in ends]) if log else alt.Scale(domain=ends, nice=False)
    axis: dict[str, Any] = {"values": sorted(values)} if len(doses) <= 10 or not number else {}
    # As a string, because a given tick of 64 reads 6e+1; but a text as text, never in an expression.
    axis |= {"labelExpr": "'' + datum.value"} if number else {"labels": False, "titlePadding": 24}
    x = alt.X("place", type="quantitative", title=by, scale=scale, axis=alt.Axis(**axis))
    names = pd.DataFrame({"place": values, "name": map(text, doses)})
    words = (
        alt.Chart(data_of(names))
        .mark_text(limit=140)
        .encode(x, alt.Text("name", type="nominal"), y=alt.value(height + 14))
    )
    return (
        x,
        lambda dose, aside: at[dose] * math.exp(aside * step) if log else at[dose] + aside * step,
        [words] * (not number),
    )


def series_of(comparison: Comparison) -> dict[str, str]:
    return dict(zip(comparison.arms["arm"], comparison.arms["series"], strict=True))


def shared_epochs(curves: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The epochs that all runs of an arm have, and whether there are others: they would show the longest runs only."""
    if "seed" not in curves:
        return curves, False
    shortest = curves.groupby(["arm", "seed"])["epoch"].max().groupby("arm").min()
    shared = curves[curves["epoch"] <= curves["arm"].map(shortest)]
    return shared, len(shared) < len(curves)


def runs_of(comparison: Comparison) -> pd.DataFrame:
    """A row per run whose figure is known."""
    runs, name = comparison.runs, comparison.metric.name
    if runs.empty:
        return pd.DataFrame(columns=["arm", "series", "seed", "epoch", "value"]).astype({"value": float})
    runs = runs[["arm", "series", "seed", "epoch"]].assign(
        value=runs[name].replace([math.inf, -math.inf], math.nan) * in_words(comparison.metric)[1]
    )
    return runs.dropna(subset="value", ignore_index=True)


def means_of(comparison: Comparison, runs: pd.DataFrame) -> pd.DataFrame:
    """A row per arm: mean, 95 % interval of the mean and SD, and the same in words."""
    rows, form = comparison.arms[["arm", "series", "diverged"]].copy(), in_words(comparison.metric)[2]
    groups = [runs["value"][runs["arm"] == arm].to_numpy(dtype=float) for arm in rows["arm"]]
    # A paired difference to nothing: Student's interval of the mean.
    rows[["n", "mean", "low", "high"]] = [astuple(paired_difference(own, 0 * own)) for own in groups]
    rows["n"], rows["sd"] = rows["n"].astype(int), [spread(own).sd for own in groups]
    known = [f"{row.mean:{form}} ± {row.sd:{form}}, n = {row.n}" for row in rows.itertuples()]
    said = [words.replace(" ± nan", "") if len(own) else "no figures" for words, own in zip(known, groups, strict=True)]
    lost = rows["diverged"].map(lambda n: f", {n} diverged" if n else "")
    return rows.assign(said=pd.Series(said, rows.index) + lost)
