"""Charts of a comparison: curves, arms, differences, doses, a source's figures, one page of all; and their files.

All figures are worked out here and enter a chart as plain data under fixed column names. So a label may hold any
character, and Altair's limit on rows does not apply. The colours of text and axes are left to `theme`.
"""

from __future__ import annotations

import json
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.errors import ChartError
from dropexp.files import write_whole
from dropexp.report.chart_parts import (
    GREY,
    LINE,
    WIDTH,
    channel_of,
    data_of,
    domain_of,
    dose_axis,
    doses_of,
    epoch_channel,
    in_words,
    line_labels,
    lit,
    looks,
    means_of,
    picked,
    row_channel,
    row_labels,
    runs_of,
    series_of,
    shared_epochs,
    theme,
    titled,
    together,
    tooltips,
    vega,
)
from dropexp.runs.metrics import METRICS, UNITLESS, Metric, usual
from dropexp.runs.record import text

SPAN = 20  # losses further apart than so many times stand on a logarithmic axis
SUFFIXES = (".png", ".svg", ".pdf", ".html")
ARM, RUN = ("arm", "mean", "sd", "low", "high", "n", "diverged"), ("arm", "seed", "epoch", "value")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dropexp</title><style>body { background: white }</style>
<script>%(script)s</script></head><body><div id="chart"></div>
<script>vegaEmbed("#chart", ...%(figures)s);</script></body></html>
"""


def learning_curves(comparison: Comparison) -> ChartType:
    """The metric by epoch, a line per series; a panel per value of the key that arms go by."""
    return _by_epoch(comparison, comparison.metric)


def usual_curves(comparison: Comparison) -> ChartType | None:
    """What is usually compared, by epoch, beside a metric of probes, which says little alone; else None."""
    own = comparison.metrics[usual(comparison.metrics)]
    return _by_epoch(comparison, own) if comparison.metric.name not in METRICS else None


def gap(comparison: Comparison) -> ChartType | None:
    """How far train accuracy, taken without dropout, is above test accuracy, by epoch; None if it was not taken."""
    known = "gap" in comparison.curves and comparison.curves["gap"].notna().any()
    return _by_epoch(comparison, comparison.metrics["gap"]) if known else None


def arms(comparison: Comparison) -> ChartType:
    """The metric per arm: a dot per seed, below the dots their mean and its 95 % interval."""
    (color, shape, _), dots = looks(comparison), runs_of(comparison)
    rows = means_of(comparison, dots)
    rows["middle"] = np.arange(len(rows)) + 0.5
    rows["row"] = rows["middle"] + 0.3
    order = dots.groupby("arm")["value"].rank(method="first")
    # Steps of the golden ratio part the dots of like value.
    middle = dots["arm"].map(dict(zip(rows["arm"], rows["middle"], strict=True)))
    dots["row"] = middle - 0.4 + 0.55 * (order * 0.618 % 1)
    x = channel_of(alt.X, in_words(comparison.metric)[0], domain_of(dots["value"], rows["low"], rows["high"]))
    y = row_channel("row", len(rows))
    base = alt.Chart(data_of(rows)).encode(opacity=lit(1), tooltip=tooltips(*ARM))
    points = alt.Chart(data_of(dots)).encode(x("value"), y, opacity=lit(0.65), tooltip=tooltips(*RUN))
    chart = alt.layer(
        points.mark_point(filled=True, size=36, cursor="pointer").encode(color, shape).add_params(picked()),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, color),
        base.mark_tick(thickness=3, size=LINE, orient="vertical").encode(x("mean"), y, color),
        *row_labels(base, "arm", len(rows)),
    ).properties(width=WIDTH, height=46 * len(rows))
    said = (rows["arm"] + " " + rows["said"]).tolist()
    legend = "a dot per seed; below: mean and its 95 % interval; right: mean ± standard deviation"
    return titled(chart, f"{comparison.what}, by arm", legend, said)


def differences(comparison: Comparison) -> ChartType | None:
    """Each arm minus its baseline, paired by seed, with its 95 % interval, the margin and the verdict."""
    if comparison.differences.empty:
        return None
    (color, shape, _), metric = looks(comparison), comparison.metric
    unit = "" if metric.unit in UNITLESS else metric.unit
    factor, form = (100, ".2f") if unit == "points" else (1, ".4f" if unit else ".4g")
    fields = ("arm", "baseline", "pairs", "difference", "low", "high", "p_holm", "verdict")
    rows = comparison.differences[[*fields]].assign(series=lambda rows: rows["arm"].map(series_of(comparison)))
    rows[["difference", "low", "high"]] *= factor
    rows["name"], rows["middle"] = rows["arm"] + " − " + rows["baseline"], np.arange(len(rows)) + 0.5
    signed = f"{{:+z{form}}}".format
    said = [rows["verdict"], *(rows[column].map(signed) for column in ("difference", "low", "high"))]
    known = (said[0] + " " + said[1]).where(rows["difference"].notna(), said[0])
    rows["said"] = (known + " [" + said[2] + ", " + said[3] + "]").where(rows["low"].notna(), known)
    ends = {"low": -comparison.margin * factor, "high": comparison.margin * factor, "zero": 0.0}
    domain = domain_of(pd.Series(ends), rows["difference"], rows["low"], rows["high"])
    title = f"{metric.title} ({unit})" if unit else in_words(metric)[0]
    x = channel_of(alt.X, f"difference in {title}", domain)
    y = row_channel("middle", len(rows))
    base = alt.Chart(data_of(rows)).encode(opacity=lit(1), tooltip=tooltips(*fields))
    band = alt.Chart(data_of(pd.DataFrame([ends])))
    chart = alt.layer(
        band.mark_rect(color=GREY, opacity=0.18).encode(x("low"), alt.X2("high")),
        band.mark_rule(strokeDash=[4, 3]).encode(x("zero")),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, color).add_params(picked()),
        base.mark_point(filled=True, size=90, cursor="pointer").encode(x("difference"), y, color, shape),
        *row_labels(base, "name", len(rows)),
    ).properties(width=WIDTH, height=36 * len(rows))
    side = {True: "higher is better", False: "lower is better", None: "neither side is better"}
    band_of = f"±{ends['high']:g} {unit}".rstrip()
    legend = f"paired by seed, with 95 % interval; grey: within {band_of}; {side[metric.higher_is_better]}"
    return titled(chart, f"Differences in {comparison.what}", legend, (rows["name"] + ": " + rows["said"]).tolist())


def dose_response(comparison: Comparison) -> ChartType | None:
    """The metric against the key that arms go by; None without such a key, or if no arm has a value of it."""
    doses = {arm: dose for arm, dose in doses_of(comparison).items() if dose is not None}
    if not doses:
        return None
    (color, shape, dash), dots, by, height = looks(comparison), runs_of(comparison), comparison.by, 300
    every = means_of(comparison, dots)
    domain = domain_of(dots["value"], every["low"], every["high"])
    y = channel_of(alt.Y, in_words(comparison.metric)[0], domain)
    rows, dots = every[every["arm"].isin(doses)].copy(), dots[dots["arm"].isin(doses)].copy()
    names = list(dict.fromkeys(rows["series"]))
    x, place, ticks = dose_axis(str(by), list(dict.fromkeys(doses.values())), height)
    for frame, step in ((rows, 0.0), (dots, 0.3)):  # series stand side by side, and the dots of one beside its mean
        frame["dose"] = [text(doses[arm]) for arm in frame["arm"]]
        frame["aside"] = [(names.index(series) + step + 0.5) / len(names) - 0.5 for series in frame["series"]]
        frame["place"] = [place(doses[arm], aside) for arm, aside in zip(frame["arm"], frame["aside"], strict=True)]
    unused = every[~every["arm"].isin(doses)].dropna(subset="mean")
    unused["label"] = unused["arm"] + f" (no {by})"
    last = rows.dropna(subset="mean").groupby("series").tail(1).assign(label=lambda rows: rows["series"])
    base = alt.Chart(data_of(rows)).encode(x, opacity=lit(1), tooltip=tooltips("dose", *ARM))
    points = alt.Chart(data_of(dots)).encode(x, opacity=lit(0.5), tooltip=tooltips("dose", *RUN))
    rules = alt.Chart(data_of(unused)).encode(opacity=lit(1), tooltip=tooltips(*ARM))
    chart = alt.layer(
        rules.mark_rule(strokeWidth=1.5).encode(y("mean"), color, dash),
        points.mark_point(filled=True, size=22, cursor="pointer").encode(y("value"), color, shape).add_params(picked()),
        base.mark_line(strokeWidth=2).encode(y("mean"), color, dash),
        base.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high"), color),
        base.mark_point(filled=True, size=80, cursor="pointer").encode(y("mean"), color, shape),
        *line_labels(pd.concat([last, unused]), y, color, domain, (WIDTH, height), alt.value(WIDTH)),
        *ticks,
    ).properties(width=WIDTH, height=height)
    said = (every["arm"] + " " + every["said"]).tolist()
    return titled(chart, f"{comparison.what}, by {by}", "a dot per seed; mean and its 95 % interval", said)


def published(comparison: Comparison) -> ChartType | None:
    """A source's printed figures beside our means and 95 % prediction intervals, a row per arm; None without any."""
    if comparison.published.empty:
        return None
    frame = comparison.published.assign(series=lambda rows: rows["arm"].map(series_of(comparison)))
    frame["least"], frame["most"] = frame["published"] - frame["rounding"], frame["published"] + frame["rounding"]
    frame["place"] = [{True: "inside", False: "outside"}.get(inside, "not known") for inside in frame["inside"]]
    figures, (color, _, dash), grid = list(dict.fromkeys(frame["figure"])), looks(comparison), list[ChartType]()
    shapes = alt.Scale(domain=["inside", "outside", "not known"], range=["circle", "cross", "diamond"])
    shape = alt.Shape("place", type="nominal", scale=shapes, legend=None)
    tips = tooltips("arm", "epoch", "published", "rounding", "mean", "low", "high", "n", "place")
    for arm in dict.fromkeys(frame["arm"]):
        for figure in figures:
            every = frame[frame["figure"] == figure]
            own = every[every["arm"] == arm].drop(columns="source")
            shown = own if len(own) == 1 else every
            domain = domain_of(*(shown[column] for column in ("low", "high", "least", "most", "mean")))
            y = channel_of(alt.Y, in_words(comparison.metrics[figure])[0], domain)
            base = alt.Chart(data_of(own)).encode(epoch_channel("epoch", frame["epoch"].max()), tooltip=tips)
            once = [  # an area and a line of one epoch show nothing
                base.mark_rule(strokeWidth=8, opacity=0.25).encode(y("low"), alt.Y2("high"), color),
                base.mark_tick(thickness=2, size=16, orient="horizontal").encode(y("mean"), color),
            ]
            panel = alt.layer(
                *once * (len(own) == 1),
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
    return titled(together(grid, len(figures)), f"Printed by {sources}, and ours", legend, said)


def overview(comparison: Comparison) -> ChartType:
    """All charts that there is something for, one below the other."""
    kinds = [learning_curves, arms, differences, dose_response, usual_curves, gap, published]
    if comparison.metric.name == "gap":
        kinds.remove(gap)  # the learning curves are it
    charts = [chart for kind in kinds if (chart := kind(comparison)) is not None]
    page = together(charts, 1).resolve_scale(shape="independent")
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
        content = (_PAGE % {"script": vega(), "figures": figures}).encode()
    write_whole(path, content)


def _by_epoch(comparison: Comparison, metric: Metric) -> ChartType:
    """Mean ± SD over seeds by epoch; an arm that has no use for the key is in every panel, to compare with."""
    (title, factor, form), doses = in_words(metric), doses_of(comparison)
    curves = comparison.curves if len(comparison.curves) else pd.DataFrame(columns=["arm", "epoch", metric.name])
    curves, cut = shared_epochs(curves)
    curves = curves[["arm", "epoch"]].assign(value=curves[metric.name].astype(float) * factor)
    seeds = curves[np.isfinite(curves["value"])].groupby(["arm", "epoch"], sort=False)["value"]
    rows = seeds.agg(n="count", mean="mean", sd="std").reset_index()
    rows["low"], rows["high"] = rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]
    rows["series"] = rows["arm"].map(series_of(comparison))
    rows["epochs"] = rows.groupby("arm")["epoch"].transform("size")
    epochs = max(rows["epoch"], default=1)
    aside = np.linspace(-0.2, 0.2, len(rows) + 2)[1:-1] if epochs == 1 else 0.0  # or points would hide each other
    rows["place"] = rows["epoch"] + aside
    last = rows.groupby("arm", sort=False).tail(1).assign(label=lambda rows: rows["series"])
    values = list(dict.fromkeys(dose for dose in doses.values() if dose is not None)) or [None]
    least, most = rows["mean"].min(), rows["mean"].max()
    log = metric.name.endswith("_loss") and bool(0 < SPAN * least < most)
    if log:
        rows["low"] = rows["low"].clip(lower=least / 2)  # a band has no end where mean - SD is below 0
    zeros = pd.Series([0.0] * (metric.name == "gap"), dtype=float)
    domain = domain_of(rows["mean"], rows["low"], rows["high"], zeros, log=log)
    (color, shape, dash), x = looks(comparison), epoch_channel("place", epochs)
    y = channel_of(alt.Y, title, domain, log=log)
    zero = alt.Chart(data_of(pd.DataFrame({"zero": [0.0]}))).mark_rule(strokeDash=[4, 3]).encode(y("zero"))
    panels: list[ChartType] = []
    for value in values:
        shown = [arm for arm, dose in doses.items() if dose in (value, None)]
        own, ends = rows[rows["arm"].isin(shown)], last[last["arm"].isin(shown)]
        size = (WIDTH if len(values) == 1 else 250, max(280, LINE * len(ends)))
        base, tips = alt.Chart(data_of(own)).encode(x, opacity=lit(1)), tooltips("arm", "epoch", "mean", "sd", "n")
        lone = alt.Chart(data_of(own[own["epochs"] == 1])).encode(x, opacity=lit(1))
        dots = own if own["epoch"].max() <= 10 else ends
        points = alt.Chart(data_of(dots)).encode(x, opacity=lit(1), tooltip=tips)
        band = base.mark_area().encode(y("low"), alt.Y2("high"), color, opacity=lit(0.18 if len(ends) < 7 else 0.05))
        panel = alt.layer(
            band.add_params(picked()),
            base.mark_line(strokeWidth=2, cursor="pointer").encode(y("mean"), color, dash, tooltip=tooltips("arm")),
            points.mark_point(filled=True, size=40, cursor="pointer").encode(y("mean"), color, shape),
            lone.mark_rule().encode(y("low"), alt.Y2("high"), color),
            *([zero] if metric.name == "gap" else []),
            *line_labels(ends, y, color, domain, size, x, log=log),
        ).properties(width=size[0], height=size[1])
        panels.append(panel if value is None else panel.properties(title=f"{comparison.by} = {text(value)}"))
    chart = panels[0] if values == [None] else together(panels, 2 if len(panels) == 4 else 3)
    said = [f"{row.arm} {row.mean:{form}} at epoch {row.epoch}" for row in last.itertuples()]
    legend = "mean over seeds; band: ± one standard deviation of the seeds" if len(rows) else "no run has such figures"
    legend += "; an arm's line ends with the shortest of its runs" * cut
    return titled(chart, f"{metric.title} by epoch", legend, said)
