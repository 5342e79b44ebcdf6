"""Charts of a comparison: curves, arms, differences, doses, a source's figures, one page of all; and their files.

All figures are worked out here and enter a chart as plain data under fixed column names. So a label may hold any
character, and Altair's limit on rows does not apply. The colours of text and axes are left to `theme`.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from altair.typing import ChartType

from dropexp.comparison import Comparison
from dropexp.history import text
from dropexp.metrics import METRICS, Metric
from dropexp.runs import write_whole
from dropexp.stats import paired_difference, spread

SUFFIXES = (".png", ".svg", ".pdf", ".html")
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito, less yellow and black
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
DASHES = [[1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [14, 4]]  # 6, 7 and 5 share no factor: 210 different looks
GREY = "#767676"  # as far from white as from a dark page
WIDTH, LINE = 460, 15  # pixels of a plot and between lines of text
PICKED = "picked"  # the series that was clicked
ARM, RUN = ("arm", "mean", "sd", "low", "high", "n", "diverged"), ("arm", "seed", "epoch", "value")
Channel = Callable[[str], Any]  # of a field

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dropexp</title><style>body { background: white }</style>
<script>%(script)s</script></head><body><div id="chart"></div>
<script>vegaEmbed("#chart", ...%(figures)s);</script></body></html>
"""


class ChartError(ValueError):
    """A file that no chart can be written to; says which can."""


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


def learning_curves(comparison: Comparison) -> ChartType:
    """The metric by epoch, a line per series; a panel per value of the key that arms go by."""
    return _by_epoch(comparison, comparison.metric)


def gap(comparison: Comparison) -> ChartType | None:
    """How far train accuracy, taken without dropout, is above test accuracy, by epoch; None if it was not taken."""
    known = not comparison.curves.empty and comparison.curves["gap"].notna().any()
    return _by_epoch(comparison, METRICS["gap"]) if known else None


def arms(comparison: Comparison) -> ChartType:
    """The metric per arm: a dot per seed, below the dots their mean and its 95 % interval."""
    (color, shape, _), dots = _looks(comparison), _runs(comparison)
    rows = _means(comparison, dots)
    rows["middle"] = np.arange(len(rows)) + 0.5
    rows["row"] = rows["middle"] + 0.3
    order = dots.groupby("arm")["value"].rank(method="first")
    # Steps of the golden ratio part the dots of like value.
    dots["row"] = (
        dots["arm"].map(dict(zip(rows["arm"], rows["middle"], strict=True))) - 0.4 + 0.55 * (order * 0.618 % 1)
    )
    x = _axis(alt.X, _said(comparison.metric)[0], _domain(dots["value"], rows["low"], rows["high"]))
    y = _row("row", len(rows))
    base = alt.Chart(_data(rows)).encode(opacity=_lit(1), tooltip=_tips(*ARM))
    points = alt.Chart(_data(dots)).encode(x("value"), y, opacity=_lit(0.65), tooltip=_tips(*RUN))
    chart = alt.layer(
        points.mark_point(filled=True, size=36, cursor="pointer").encode(color, shape).add_params(_picked()),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, color),
        base.mark_tick(thickness=3, size=LINE, orient="vertical").encode(x("mean"), y, color),
        *_named(base, "arm", len(rows)),
    ).properties(width=WIDTH, height=46 * len(rows))
    said = (rows["arm"] + " " + rows["said"]).tolist()
    legend = "a dot per seed; below: mean and its 95 % interval; right: mean ± standard deviation"
    return _titled(chart, f"{comparison.what}, by arm", legend, said)


def differences(comparison: Comparison) -> ChartType | None:
    """Each arm minus its baseline, paired by seed, with its 95 % interval, the margin and the verdict."""
    if comparison.differences.empty:
        return None
    (color, shape, _), metric = _looks(comparison), comparison.metric
    factor, digits = (100, 2) if metric.unit == "points" else (1, 4)
    fields = ("arm", "baseline", "pairs", "difference", "low", "high", "p_holm", "verdict")
    rows = comparison.differences[[*fields]].assign(series=lambda rows: rows["arm"].map(_series(comparison)))
    rows[["difference", "low", "high"]] *= factor
    rows["name"], rows["middle"] = rows["arm"] + " − " + rows["baseline"], np.arange(len(rows)) + 0.5
    said = [
        rows["verdict"],
        *(rows[column].map(f"{{:+z.{digits}f}}".format) for column in ("difference", "low", "high")),
    ]
    known = (said[0] + " " + said[1]).where(rows["difference"].notna(), said[0])
    rows["said"] = (known + " [" + said[2] + ", " + said[3] + "]").where(rows["low"].notna(), known)
    ends = {"low": -comparison.margin * factor, "high": comparison.margin * factor, "zero": 0.0}
    domain = _domain(pd.Series(ends), rows["difference"], rows["low"], rows["high"])
    x = _axis(alt.X, f"difference in {metric.title} ({metric.unit})", domain)
    y, base = _row("middle", len(rows)), alt.Chart(_data(rows)).encode(opacity=_lit(1), tooltip=_tips(*fields))
    band = alt.Chart(_data(pd.DataFrame([ends])))
    chart = alt.layer(
        band.mark_rect(color=GREY, opacity=0.18).encode(x("low"), alt.X2("high")),
        band.mark_rule(strokeDash=[4, 3]).encode(x("zero")),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, color).add_params(_picked()),
        base.mark_point(filled=True, size=90, cursor="pointer").encode(x("difference"), y, color, shape),
        *_named(base, "name", len(rows)),
    ).properties(width=WIDTH, height=36 * len(rows))
    side = f"{'higher' if metric.higher_is_better else 'lower'} is better"
    legend = f"paired by seed, with 95 % interval; grey: within ±{ends['high']:g} {metric.unit}; {side}"
    return _titled(chart, f"Differences in {comparison.what}", legend, (rows["name"] + ": " + rows["said"]).tolist())


def dose_response(comparison: Comparison) -> ChartType | None:
    """The metric against the key that arms go by; None without such a key, or if no arm has a value of it."""
    doses = {arm: dose for arm, dose in _doses(comparison).items() if dose is not None}
    if not doses:
        return None
    (color, shape, dash), dots, by, height = _looks(comparison), _runs(comparison), comparison.by, 300
    every = _means(comparison, dots)
    domain = _domain(dots["value"], every["low"], every["high"])
    y = _axis(alt.Y, _said(comparison.metric)[0], domain)
    rows, dots = every[every["arm"].isin(doses)].copy(), dots[dots["arm"].isin(doses)].copy()
    names = list(dict.fromkeys(rows["series"]))
    x, place, ticks = _dose_axis(str(by), list(dict.fromkeys(doses.values())), height)
    for frame, step in ((rows, 0.0), (dots, 0.3)):  # series stand side by side, and the dots of one beside its mean
        frame["dose"] = [text(doses[arm]) for arm in frame["arm"]]
        frame["aside"] = [(names.index(series) + step + 0.5) / len(names) - 0.5 for series in frame["series"]]
        frame["place"] = [place(doses[arm], aside) for arm, aside in zip(frame["arm"], frame["aside"], strict=True)]
    unused = every[~every["arm"].isin(doses)].dropna(subset="mean")
    unused["label"] = unused["arm"] + f" (no {by})"
    last = rows.dropna(subset="mean").groupby("series").tail(1).assign(label=lambda rows: rows["series"])
    base = alt.Chart(_data(rows)).encode(x, opacity=_lit(1), tooltip=_tips("dose", *ARM))
    points = alt.Chart(_data(dots)).encode(x, opacity=_lit(0.5), tooltip=_tips("dose", *RUN))
    rules = alt.Chart(_data(unused)).encode(opacity=_lit(1), tooltip=_tips(*ARM))
    chart = alt.layer(
        rules.mark_rule(strokeWidth=1.5).encode(y("mean"), color, dash),
        points.mark_point(filled=True, size=22, cursor="pointer")
        .encode(y("value"), color, shape)
        .add_params(_picked()),
        base.mark_line(strokeWidth=2).encode(y("mean"), color, dash),
        base.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high"), color),
        base.mark_point(filled=True, size=80, cursor="pointer").encode(y("mean"), color, shape),
        *_labels(pd.concat([last, unused]), y, color, domain, (WIDTH, height), alt.value(WIDTH)),
        *ticks,
    ).properties(width=WIDTH, height=height)
    said = (every["arm"] + " " + every["said"]).tolist()
    return _titled(chart, f"{comparison.what}, by {by}", "a dot per seed; mean and its 95 % interval", said)


def published(comparison: Comparison) -> ChartType | None:
    """A source's printed figures beside our means and 95 % prediction intervals, a row per arm; None without any."""
    if comparison.published.empty:
        return None
    frame = comparison.published.assign(series=lambda rows: rows["arm"].map(_series(comparison)))
    frame["least"], frame["most"] = frame["published"] - frame["rounding"], frame["published"] + frame["rounding"]
    frame["place"] = [{True: "inside", False: "outside"}.get(inside, "not known") for inside in frame["inside"]]
    figures, (color, _, dash), grid = list(dict.fromkeys(frame["figure"])), _looks(comparison), list[ChartType]()
    shapes = alt.Scale(domain=["inside", "outside", "not known"], range=["circle", "cross", "diamond"])
    shape = alt.Shape("place", type="nominal", scale=shapes, legend=None)
    tips = _tips("arm", "epoch", "published", "rounding", "mean", "low", "high", "n", "place")
    for arm in dict.fromkeys(frame["arm"]):
        for figure in figures:
            every = frame[frame["figure"] == figure]
            domain = _domain(*(every[column] for column in ("low", "high", "least", "most", "mean")))
            y = _axis(alt.Y, _said(METRICS[figure])[0], domain)
            own = every[every["arm"] == arm].drop(columns="source")
            base = alt.Chart(_data(own)).encode(_epochs("epoch", frame["epoch"].max()), tooltip=tips)
            panel = alt.layer(
                base.mark_area(opacity=0.25).encode(y("low"), alt.Y2("high"), color),
                base.mark_line(strokeWidth=1.5).encode(y("mean"), color, dash),
                base.mark_rule(strokeWidth=1.5).encode(y("least"), alt.Y2("most")),
                base.mark_point(filled=True, size=45, opacity=1).encode(y("published"), shape),
            )
            grid.append(panel.properties(width=215, height=220, title=arm if figure == figures[0] else ""))
    sources = ", ".join(dict.fromkeys(map(str, frame["source"].dropna()))) or "the source"
    out = frame[frame["place"] == "outside"]
    said = [f"{len(frame) - len(out)} of {len(frame)} printed figures may lie inside"]
    said += [
        f"{row.arm} {row.figure} {row.published:.4g} at epoch {row.epoch} lies outside" for row in out.itertuples()
    ]
    legend = "points: printed, with their rounding; band: 95 % prediction interval for one run, a cross lies outside"
    return _titled(_together(grid, len(figures)), f"Printed by {sources}, and ours", legend, said)


def overview(comparison: Comparison) -> ChartType:
    """All charts that there is something for, one below the other."""
    kinds = [learning_curves, arms, differences, dose_response, gap, published]
    if comparison.metric.name == "gap":
        kinds.remove(gap)  # the learning curves are it
    charts = [chart for kind in kinds if (chart := kind(comparison)) is not None]
    page = _together(charts, 1).resolve_scale(shape="independent")
    title = alt.Title(f"dropexp: {comparison.what}", fontSize=20, offset=20)
    described: ChartType = page.properties(title=title, description=" ".join(str(c.description) for c in charts))
    return described


def save(chart: ChartType, path: Path) -> None:
    """Write a picture or, as .html, a page that needs no network. Raises ChartError for another suffix."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ChartError(f"{path} names no kind of chart; the name ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ChartError(f"there is no folder {path.parent} to write {path.name} to; make it first")
    spec, config = chart.to_dict(), theme(dark=False) | {"background": "white"}
    if suffix == ".png":
        content = vl_convert.vegalite_to_png(spec, config=config, scale=2)
    elif suffix == ".svg":
        content = vl_convert.vegalite_to_svg(spec, config=config).encode()
    elif suffix == ".pdf":
        content = vl_convert.vegalite_to_pdf(spec, config=config)
    else:
        menu = {"export": True, "source": False, "compiled": False, "editor": False}
        figures = json.dumps([spec, {"config": config, "actions": menu}]).replace("<", "\\u003c")  # a label </script>
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        content = (_PAGE % {"script": script, "figures": figures}).encode()
    write_whole(path, content)


def _by_epoch(comparison: Comparison, metric: Metric) -> ChartType:
    """Mean ± SD over seeds by epoch; an arm that has no use for the key is in every panel, to compare with."""
    (title, factor, digits), doses = _said(metric), _doses(comparison)
    curves = comparison.curves if len(comparison.curves) else pd.DataFrame(columns=["arm", "epoch", metric.name])
    curves = curves[["arm", "epoch"]].assign(value=curves[metric.name].astype(float) * factor)
    seeds = curves[np.isfinite(curves["value"])].groupby(["arm", "epoch"], sort=False)["value"]
    rows = seeds.agg(n="count", mean="mean", sd="std").reset_index()
    rows["low"], rows["high"] = rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]
    rows["series"] = rows["arm"].map(_series(comparison))
    rows["epochs"] = rows.groupby("arm")["epoch"].transform("size")
    epochs = max(rows["epoch"], default=1)
    aside = np.linspace(-0.2, 0.2, len(rows) + 2)[1:-1] if epochs == 1 else 0.0  # or points would hide each other
    rows["place"] = rows["epoch"] + aside
    last = rows.groupby("arm", sort=False).tail(1).assign(label=lambda rows: rows["series"])
    values = list(dict.fromkeys(dose for dose in doses.values() if dose is not None)) or [None]
    domain = _domain(rows["mean"], rows["low"], rows["high"], pd.Series([0.0] * (metric.name == "gap"), dtype=float))
    (color, shape, dash), x, y = _looks(comparison), _epochs("place", epochs), _axis(alt.Y, title, domain)
    zero = alt.Chart(_data(pd.DataFrame({"zero": [0.0]}))).mark_rule(strokeDash=[4, 3]).encode(y("zero"))
    panels: list[ChartType] = []
    for value in values:
        shown = [arm for arm, dose in doses.items() if dose in (value, None)]
        own, ends = rows[rows["arm"].isin(shown)], last[last["arm"].isin(shown)]
        size = (WIDTH if len(values) == 1 else 250, max(280, LINE * len(ends)))
        base, tips = alt.Chart(_data(own)).encode(x, opacity=_lit(1)), _tips("arm", "epoch", "mean", "sd", "n")
        lone = alt.Chart(_data(own[own["epochs"] == 1])).encode(x, opacity=_lit(1))
        dots = own if own["epoch"].max() <= 10 else ends
        points = alt.Chart(_data(dots)).encode(x, opacity=_lit(1), tooltip=tips)
        band = base.mark_area().encode(y("low"), alt.Y2("high"), color, opacity=_lit(0.18 if len(ends) < 7 else 0.05))
        panel = alt.layer(
            band.add_params(_picked()),
            base.mark_line(strokeWidth=2, cursor="pointer").encode(y("mean"), color, dash, tooltip=_tips("arm")),
            points.mark_point(filled=True, size=40, cursor="pointer").encode(y("mean"), color, shape),
            lone.mark_rule().encode(y("low"), alt.Y2("high"), color),
            *([zero] if metric.name == "gap" else []),
            *_labels(ends, y, color, domain, size, x),
        ).properties(width=size[0], height=size[1])
        panels.append(panel if value is None else panel.properties(title=f"{comparison.by} = {text(value)}"))
    chart = panels[0] if values == [None] else _together(panels, 2 if len(panels) == 4 else 3)
    said = [f"{row.arm} {row.mean:.{digits}f} at epoch {row.epoch}" for row in last.itertuples()]
    legend = "mean over seeds; band: ± one standard deviation of the seeds" if len(rows) else "no run has such figures"
    return _titled(chart, f"{metric.title} by epoch", legend, said)


def _labels(
    ends: pd.DataFrame, y: Channel, color: Any, domain: list[float], size: tuple[int, int], start: Any
) -> list[alt.Chart]:
    """The names of lines, right of the plot and none on another, each with a thin line from the end of its own."""
    if ends.empty:
        return []
    ends = ends.sort_values("mean", ignore_index=True)
    space = LINE * (domain[1] - domain[0]) / size[1]
    blocks: list[tuple[float, int]] = []  # isotonic regression: the nearest places in that order, a line apart
    for place in ends["mean"] - space * ends.index:
        blocks.append((place, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    places = np.repeat([place for place, _ in blocks], [n for _, n in blocks])
    ends["at"] = np.clip(places, domain[0], max(domain[0], domain[1] - space * (len(ends) - 1))) + space * ends.index
    base, name = alt.Chart(_data(ends)).encode(opacity=_lit(1)), alt.Text("label", type="nominal")
    # Without a tooltip a layer takes no clicks.
    leads = base.mark_rule(strokeDash=[1, 2]).encode(
        y("mean"), alt.Y2("at"), color, x=start, x2=alt.value(size[0] + 16)
    )
    words = base.mark_text(align="left", baseline="middle", limit=260, cursor="pointer")
    return [leads, words.encode(y("at"), name, x=alt.value(size[0] + 20), tooltip=_tips("arm", "mean", "n"))]


def _runs(comparison: Comparison) -> pd.DataFrame:
    """A row per run whose figure is known."""
    runs, name = comparison.runs, comparison.metric.name
    if runs.empty:
        return pd.DataFrame(columns=["arm", "series", "seed", "epoch", "value"]).astype({"value": float})
    runs = runs[["arm", "series", "seed", "epoch"]].assign(
        value=runs[name].replace([math.inf, -math.inf], math.nan) * _said(comparison.metric)[1]
    )
    return runs.dropna(subset="value", ignore_index=True)


def _means(comparison: Comparison, runs: pd.DataFrame) -> pd.DataFrame:
    """A row per arm: mean, 95 % interval of the mean and SD, and the same in words."""
    rows, digits = comparison.arms[["arm", "series", "diverged"]].copy(), _said(comparison.metric)[2]
    groups = [runs["value"][runs["arm"] == arm].to_numpy(dtype=float) for arm in rows["arm"]]
    # A paired difference to nothing: Student's interval of the mean.
    rows[["n", "mean", "low", "high"]] = [astuple(paired_difference(own, 0 * own)) for own in groups]
    rows["n"], rows["sd"] = rows["n"].astype(int), [spread(own).sd for own in groups]
    known = [f"{row.mean:.{digits}f} ± {row.sd:.{digits}f}, n = {row.n}" for row in rows.itertuples()]
    said = [words.replace(" ± nan", "") if len(own) else "no figures" for words, own in zip(known, groups, strict=True)]
    lost = rows["diverged"].map(lambda n: f", {n} diverged" if n else "")
    return rows.assign(said=pd.Series(said, rows.index) + lost)


def _series(comparison: Comparison) -> dict[str, str]:
    return dict(zip(comparison.arms["arm"], comparison.arms["series"], strict=True))


def _doses(comparison: Comparison) -> dict[str, Any]:
    """By arm the value of the key that arms go by, a number or a text; None for an arm that has no use for it."""

    def dose(value: Any) -> Any:
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas makes NaN of None among numbers
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (int(value) if value == int(value) else value) if number else text(value)

    return dict(zip(comparison.arms["arm"], map(dose, comparison.arms["by"]), strict=True))


def _dose_axis(by: str, doses: list[Any], height: int) -> tuple[alt.X, Callable[[Any, float], float], list[alt.Chart]]:
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
        alt.Chart(_data(names))
        .mark_text(limit=140)
        .encode(x, alt.Text("name", type="nominal"), y=alt.value(height + 14))
    )
    return (
        x,
        lambda dose, aside: at[dose] * math.exp(aside * step) if log else at[dose] + aside * step,
        [words] * (not number),
    )


def _looks(comparison: Comparison) -> tuple[Any, Any, Any]:
    """Colour, shape and dash by series, the same in every chart."""
    names = list(dict.fromkeys(comparison.arms["series"]))

    def look(kind: Any, values: list[Any]) -> Any:
        scale = alt.Scale(domain=names, range=[values[i % len(values)] for i in range(len(names))])
        return kind("series", type="nominal", legend=None, scale=scale)

    return look(alt.Color, COLORS), look(alt.Shape, SHAPES), look(alt.StrokeDash, DASHES)


def _together(charts: list[ChartType], columns: int) -> alt.ConcatChart:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Automatically deduplicated")  # a click in one chart is meant for all
        return alt.concat(*charts, columns=columns, spacing=30)


def _picked() -> alt.Parameter:
    return alt.selection_point(name=PICKED, fields=["series"], on="click")


def _lit(opacity: float) -> Any:
    """`opacity`, but faint while another series is picked."""
    return {"condition": {"param": PICKED, "value": opacity}, "value": opacity / 8}


def _tips(*fields: str) -> list[alt.Tooltip]:
    figures = {"value", "mean", "sd", "low", "high", "difference", "p_holm", "published", "rounding"}
    number: dict[str, Any] = {"type": "quantitative", "format": ".5~g"}
    return [alt.Tooltip(field, **(number if field in figures else {"type": "nominal"})) for field in fields]


def _row(field: str, count: int) -> alt.Y:
    axis = alt.Axis(values=list(range(count + 1)), labels=False, ticks=False, domain=False)
    return alt.Y(field, type="quantitative", title=None, scale=alt.Scale(domain=[count, 0], nice=False), axis=axis)


def _named(base: alt.Chart, name: str, count: int) -> list[alt.Chart]:
    """Names left and figures right of the rows. An axis would write the names into an expression."""
    left = base.mark_text(align="right", limit=360, cursor="pointer").encode(alt.Text(name, type="nominal"))
    right = base.mark_text(align="left", cursor="pointer").encode(alt.Text("said", type="nominal"))
    middle = _row("middle", count)
    return [left.encode(middle, x=alt.value(-10)), right.encode(middle, x=alt.value(WIDTH + 10))]


def _epochs(field: str, last: int) -> alt.X:
    scale = alt.Scale(domain=[1, int(last)] if last > 1 else [0.5, 1.5], nice=False)
    ticks: dict[str, Any] = {"values": list(range(1, int(last) + 1))} if last <= 12 else {"tickMinStep": 1}
    return alt.X(field, type="quantitative", title="epoch", scale=scale, axis=alt.Axis(format="d", **ticks))


def _axis(channel: Any, title: str, domain: list[float]) -> Channel:
    """The channel of a field; layers that share an axis say the same of it."""
    scale, axis = alt.Scale(domain=domain, nice=False, zero=False), alt.Axis(tickCount=7)
    return lambda field: channel(field, type="quantitative", title=title, scale=scale, axis=axis)


def _domain(*columns: pd.Series[float]) -> list[float]:
    values = pd.concat(columns).to_numpy(dtype=float)
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return [low - pad, high + pad]


def _data(frame: pd.DataFrame) -> alt.InlineData:
    """As plain values of six digits; what is not known is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        return None if value is pd.NA else value

    return alt.InlineData([{str(k): plain(value) for k, value in row.items()} for row in frame.to_dict("records")])


def _titled(chart: ChartType, title: str, legend: str, figures: list[str]) -> ChartType:
    """With a title, what the marks mean, and both with the figures as a description for who cannot see it."""
    more = [f"and {len(figures) - 8} more"] if len(figures) > 8 else []
    title = title[:1].upper() + title[1:]
    description = f"{title} ({legend}): {'; '.join(figures[:8] + more) or 'no figures'}."
    return chart.properties(title=alt.Title(title, subtitle=legend), description=description)


def _said(metric: Metric) -> tuple[str, int, int]:
    """A title with the unit, how many of that unit there are to ours, and decimals."""
    if metric.name == "gap":
        return "train accuracy − test accuracy (points)", 100, 2
    unit, digits = {"points": ("fraction", 4), "nats": ("cross entropy, nats", 4), "s": ("s", 3)}[metric.unit]
    return f"{metric.title} ({unit})", 1, digits
