"""Charts of a comparison: one function each, `overview` for all of them, `save` for a file.

The charts by epoch are in `epoch_charts`. `chart_data` computes the figures. They enter a
chart as plain data under fixed column names: a label may have any character, and Altair's limit on rows does not apply.
`chart_parts` has axes, colours and labels; text and axes have the colours of its themes.
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
from dropexp.report.budget_chart import budget
from dropexp.report.chart_data import (
    arm_means,
    difference_rows,
    difference_scale,
    domain_of,
    run_values,
    scale_of,
    swept_values,
)
from dropexp.report.chart_parts import (
    GREY,
    LINE,
    WIDTH,
    ValueAxis,
    click_selection,
    data_of,
    grid,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    row_axis,
    row_labels,
    sweep_axis,
    theme,
    titled,
    tooltips,
    vega,
)
from dropexp.report.epoch_charts import gap, learning_curves, published, usual_curves
from dropexp.runs.record import text

SUFFIXES = (".png", ".svg", ".pdf", ".html")
ARM_FIELDS = ("arm", "mean", "sd", "low", "high", "n", "diverged")
RUN_FIELDS = ("arm", "seed", "epoch", "value")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dropexp</title><style>body { background: white }</style>
<script>%(script)s</script></head><body><div id="chart"></div>
<script>vegaEmbed("#chart", ...%(figures)s);</script></body></html>
"""


def arms(comparison: Comparison) -> ChartType:
    """Draw the metric per arm: a dot per seed, below the dots their mean and its 95 % interval."""
    dots = run_values(comparison)
    rows = arm_means(comparison, dots)
    rows["middle"] = np.arange(len(rows)) + 0.5
    rows["row"] = rows["middle"] + 0.3
    rank = dots.groupby("arm")["value"].rank(method="first")
    middle = dots["arm"].map(dict(zip(rows["arm"], rows["middle"], strict=True)))
    dots["row"] = middle - 0.4 + 0.55 * (rank * 0.618 % 1)  # steps of the golden ratio separate dots of similar value

    looks = looks_of(comparison.arms["series"])
    domain = domain_of(dots["value"], rows["low"], rows["high"])
    x = ValueAxis(alt.X, scale_of(comparison.metric).title, domain)
    y = row_axis("row", len(rows))
    base = alt.Chart(data_of(rows)).encode(opacity=highlight(1), tooltip=tooltips(*ARM_FIELDS))
    points = alt.Chart(data_of(dots)).encode(x("value"), y, opacity=highlight(0.65), tooltip=tooltips(*RUN_FIELDS))
    chart = alt.layer(
        points.mark_point(filled=True, size=36, cursor="pointer")
        .encode(looks.color, looks.shape)
        .add_params(click_selection()),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, looks.color),
        base.mark_tick(thickness=3, size=LINE, orient="vertical").encode(x("mean"), y, looks.color),
        *row_labels(base, "arm", len(rows)),
    ).properties(width=WIDTH, height=46 * len(rows))
    figures = (rows["arm"] + " " + rows["figures"]).tolist()
    legend = "a dot per seed; below: mean and its 95 % interval; right: mean ± standard deviation"
    return titled(chart, f"{comparison.what}, by arm", legend, figures)


def differences(comparison: Comparison) -> ChartType | None:
    """Draw each arm minus its baseline, paired by seed: 95 % interval, margin and verdict; None without baselines."""
    if comparison.differences.empty:
        return None
    rows = difference_rows(comparison)
    rows["middle"] = np.arange(len(rows)) + 0.5
    scale, metric = difference_scale(comparison.metric), comparison.metric
    margin = comparison.margin * scale.factor
    ends = pd.Series([-margin, margin, 0.0])
    band = pd.DataFrame([ends.to_list()], columns=["low", "high", "zero"])

    looks = looks_of(comparison.arms["series"])
    domain = domain_of(ends, rows["difference"], rows["low"], rows["high"])
    x = ValueAxis(alt.X, scale.title, domain)
    y = row_axis("middle", len(rows))
    fields = ("arm", "baseline", "pairs", "difference", "low", "high", "p_holm", "verdict")
    base = alt.Chart(data_of(rows)).encode(opacity=highlight(1), tooltip=tooltips(*fields))
    margins = alt.Chart(data_of(band))
    chart = alt.layer(
        margins.mark_rect(color=GREY, opacity=0.18).encode(x("low"), alt.X2("high")),
        margins.mark_rule(strokeDash=[4, 3]).encode(x("zero")),
        base.mark_rule(strokeWidth=2.5).encode(x("low"), alt.X2("high"), y, looks.color).add_params(click_selection()),
        base.mark_point(filled=True, size=90, cursor="pointer").encode(x("difference"), y, looks.color, looks.shape),
        *row_labels(base, "name", len(rows)),
    ).properties(width=WIDTH, height=36 * len(rows))
    better = {True: "higher is better", False: "lower is better", None: "neither side is better"}
    within = f"±{margin:g} {metric.unit.differences}".rstrip()
    legend = f"paired by seed, with 95 % interval; grey: within {within}; {better[metric.higher_is_better]}"
    figures = (rows["name"] + ": " + rows["figures"]).tolist()
    return titled(chart, f"Differences in {comparison.what}", legend, figures)


def sweep(comparison: Comparison) -> ChartType | None:
    """Draw the metric against the swept parameter; None without one, or if no arm uses it."""
    swept = {arm: value for arm, value in swept_values(comparison).items() if value is not None}
    if not swept:
        return None
    dots = run_values(comparison)
    means = arm_means(comparison, dots)
    domain = domain_of(dots["value"], means["low"], means["high"])
    y = ValueAxis(alt.Y, scale_of(comparison.metric).title, domain)
    height = 300
    axis = sweep_axis(str(comparison.by), list(dict.fromkeys(swept.values())), height)

    series = list(dict.fromkeys(means["series"][means["arm"].isin(swept)]))

    def placed(rows: pd.DataFrame, shift: float) -> pd.DataFrame:
        """Return the rows of arms that use the parameter, with series side by side around each value."""
        rows = rows[rows["arm"].isin(swept)].copy()
        shifts = [(series.index(name) + 0.5 + shift) / len(series) - 0.5 for name in rows["series"]]
        rows["parameter"] = [text(swept[arm]) for arm in rows["arm"]]
        rows["x"] = [axis.position(swept[arm], shift) for arm, shift in zip(rows["arm"], shifts, strict=True)]
        return rows

    rows = placed(means, 0.0)
    unused = means[~means["arm"].isin(swept)].dropna(subset="mean")
    unused["label"] = unused["arm"] + f" (no {comparison.by})"
    ends = line_ends(rows.dropna(subset="mean"))

    looks = looks_of(comparison.arms["series"])
    base = alt.Chart(data_of(rows)).encode(
        axis.channel, opacity=highlight(1), tooltip=tooltips("parameter", *ARM_FIELDS)
    )
    points = alt.Chart(data_of(placed(dots, 0.3))).encode(
        axis.channel, opacity=highlight(0.5), tooltip=tooltips("parameter", *RUN_FIELDS)
    )
    rules = alt.Chart(data_of(unused)).encode(opacity=highlight(1), tooltip=tooltips(*ARM_FIELDS))
    chart = alt.layer(
        rules.mark_rule(strokeWidth=1.5).encode(y("mean"), looks.color, looks.dash),
        points.mark_point(filled=True, size=22, cursor="pointer")
        .encode(y("value"), looks.color, looks.shape)
        .add_params(click_selection()),
        base.mark_line(strokeWidth=2).encode(y("mean"), looks.color, looks.dash),
        base.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high"), looks.color),
        base.mark_point(filled=True, size=80, cursor="pointer").encode(y("mean"), looks.color, looks.shape),
        *line_labels(pd.concat([ends, unused]), y, looks.color, (WIDTH, height)),
        *axis.labels,
    ).properties(width=WIDTH, height=height)
    figures = (means["arm"] + " " + means["figures"]).tolist()
    legend = "a dot per seed; mean and its 95 % interval"
    return titled(chart, f"{comparison.what}, by {comparison.by}", legend, figures)


def overview(comparison: Comparison) -> ChartType:
    """Draw every chart that the comparison has data for, one below the other."""
    kinds = [learning_curves, arms, differences, sweep, budget, usual_curves, gap, published]
    if comparison.metric.name == "gap":
        kinds.remove(gap)  # the learning curves show it
    charts = [chart for kind in kinds if (chart := kind(comparison)) is not None]
    title = alt.Title(f"dropexp: {comparison.what}", fontSize=20, offset=20)
    page: ChartType = grid(charts, 1).resolve_scale(shape="independent")
    return page.properties(title=title, description=" ".join(str(chart.description) for chart in charts))


def save(chart: ChartType, path: Path) -> None:
    """Write a picture or, as .html, a page that needs no network, and create its folder.

    Raises ChartError for another suffix.
    """
    suffix = suffix_of(path)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def suffix_of(path: Path) -> str:
    """Return the suffix of a chart's file. Raises ChartError for one that no chart can be written as."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ChartError(f"{path}: unknown kind of chart {suffix!r}; allowed: {', '.join(SUFFIXES)}")
    return suffix
