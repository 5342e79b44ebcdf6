"""Charts of arms: their figures, their differences, and the effect of a swept parameter.

`data.py` computes the figures. They enter a chart as plain data under fixed column names: a label may have any
character, and Altair's limit on rows does not apply. `style.py` has axes, colours and labels.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType

from dropexp.analysis.comparison import Comparison
from dropexp.report.charts.data import (
    arm_means,
    difference_rows,
    difference_scale,
    domain_of,
    run_values,
    scale_of,
    shared_baseline,
    swept,
)
from dropexp.report.charts.style import (
    AUTO,
    GREY,
    LINE,
    WIDTH,
    Size,
    ValueAxis,
    click_selection,
    data_of,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    row_axis,
    row_height,
    row_labels,
    titled,
    tooltips,
)
from dropexp.report.charts.sweep_axis import are_texts, sweep_axis
from dropexp.report.tables.differences import repetition

ARM_FIELDS = ("arm", "mean", "sd", "low", "high", "n", "diverged")
RUN_FIELDS = ("arm", "seed", "epoch", "value")


def arms(comparison: Comparison, size: Size = AUTO) -> ChartType:
    """Draw the metric per arm: a dot per run, below the dots their mean and its 95 % interval."""
    dots = run_values(comparison)
    rows = arm_means(comparison, dots)
    rows["middle"] = np.arange(len(rows)) + 0.5
    rows["row"] = rows["middle"] + 0.3
    rank = dots.groupby("arm")["value"].rank(method="first")
    middle = dots["arm"].map(dict(zip(rows["arm"], rows["middle"], strict=True)))
    dots["row"] = middle - 0.4 + 0.55 * (rank * 0.618 % 1)  # steps of the golden ratio separate dots of similar value

    width, height = size.within(WIDTH, row_height(len(rows), 46, 2 * LINE) * len(rows), len(rows))
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
        *row_labels(base, "arm", len(rows), width),
    ).properties(width=width, height=height)
    figures = (rows["arm"] + " " + rows["figures"]).tolist()
    legend = "a dot per run; below: mean and its 95 % interval; right: mean ± standard deviation"
    return titled(chart, f"{comparison.what}, by arm", legend, figures)


def differences(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw each arm minus its baseline, over pairs: 95 % interval, margin and verdict; None without baselines."""
    if comparison.differences.empty:
        return None
    rows = difference_rows(comparison)
    rows["middle"] = np.arange(len(rows)) + 0.5
    scale, metric = difference_scale(comparison.metric), comparison.metric
    margin = comparison.margin * scale.factor
    ends = pd.Series([-margin, margin, 0.0])
    band = pd.DataFrame([ends.to_list()], columns=["low", "high", "zero"])

    width, height = size.within(WIDTH, row_height(len(rows), 36, LINE) * len(rows), len(rows))
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
        *row_labels(base, "label", len(rows), width),
    ).properties(width=width, height=height)
    better = {True: "higher is better", False: "lower is better", None: "neither side is better"}
    within = f"±{margin:g} {metric.unit.differences}".rstrip()
    baseline = shared_baseline(comparison)
    minus = f"each arm minus {baseline}, " if baseline is not None else ""
    paired = f"{minus}paired by {repetition(comparison)}, with 95 % interval"
    legend = f"{paired}; grey: within {within}; {better[metric.higher_is_better]}"
    figures = (rows["name"] + ": " + rows["figures"]).tolist()
    return titled(chart, f"Differences in {comparison.what}", legend, figures)


def sweep(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw the metric against the swept parameter; None without one, or if no arm uses it."""
    parameter = swept(comparison)
    values = {arm: value for arm, value in parameter.values.items() if value is not None}
    if not values:
        return None
    on_axis = list(dict.fromkeys(values.values()))
    dots = run_values(comparison)
    means = arm_means(comparison, dots)
    domain = domain_of(dots["value"], means["low"], means["high"])
    y = ValueAxis(alt.Y, scale_of(comparison.metric).title, domain)
    known = means.dropna(subset="mean")
    uses = known["arm"].isin(values)
    lines = known["series"][uses].nunique() + int((~uses).sum())
    width, height = size.within(WIDTH, 300, lines, len(on_axis) if are_texts(on_axis) else 0)
    axis = sweep_axis(parameter.title, on_axis, (width, height))

    series = list(dict.fromkeys(means["series"][means["arm"].isin(values)]))

    def placed(rows: pd.DataFrame, shift: float) -> pd.DataFrame:
        """Return the rows of arms that use the parameter, with series side by side around each value."""
        rows = rows[rows["arm"].isin(values)].copy()
        shifts = [(series.index(name) + 0.5 + shift) / len(series) - 0.5 for name in rows["series"]]
        rows["parameter"] = [str(parameter.texts[arm]) for arm in rows["arm"]]
        rows["x"] = [axis.position(values[arm], shift) for arm, shift in zip(rows["arm"], shifts, strict=True)]
        return rows

    rows = placed(means, 0.0)
    unused = known[~uses].assign(label=lambda rows: rows["arm"] + f" (no {comparison.by})")
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
        *line_labels(pd.concat([ends, unused]), y, looks.color, (width, height)),
        *axis.labels,
    ).properties(width=width, height=height)
    figures = (means["arm"] + " " + means["figures"]).tolist()
    legend = "a dot per run; mean and its 95 % interval"
    return titled(chart, f"{comparison.what}, by {comparison.by}", legend, figures)
