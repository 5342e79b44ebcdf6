"""Charts of kept predictions: confusion matrices, accuracy by class, reliability diagrams."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType
from numpy.typing import NDArray

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.reliability import reliability as reliability_of
from dropexp.config.tasks import CLASSES
from dropexp.report.charts.data import domain_of
from dropexp.report.charts.style import (
    AUTO,
    COLORS,
    GREY,
    WIDTH,
    Size,
    ValueAxis,
    click_selection,
    data_of,
    grid,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    titled,
    tooltips,
)
from dropexp.report.kept_predictions import Kept, kept_of
from dropexp.report.origin_of_runs import compared_runs
from dropexp.report.shorten import short_names
from dropexp.report.tables.classes import mean_confusion

CELL = 24  # pixels of a cell of a confusion matrix
MAX_MATRICES = 6  # confusion matrices that are drawn
MIN_SHARE = 0.001  # the share of predictions from which a bin is drawn: an accuracy of a few is luck


def _kept(comparison: Comparison) -> Kept:
    return {arm: kept for arm, kept in kept_of(compared_runs(comparison)).items() if kept}


def confusion(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw the confusion matrix of each arm, up to six; None if no arm has kept its predictions."""
    kept = _kept(comparison)
    if not kept:
        return None
    shown = dict(list(kept.items())[:MAX_MATRICES])
    panels, figures, names, count = [], [], short_names(shown, 30), len(CLASSES)
    for arm, predictions in shown.items():
        shares = mean_confusion(predictions)
        panels.append(_matrix(names[arm], shares, size.within(CELL * count, CELL * count, count, count)))
        wrong = np.where(np.eye(len(CLASSES), dtype=bool), 0, np.nan_to_num(shares))
        i, j = (int(one) for one in np.unravel_index(wrong.argmax(), wrong.shape))
        figures.append(f"{arm} takes {wrong[i, j]:.1%} of {CLASSES[i]} for {CLASSES[j]}")
    legend = "% of the test images of a class (row) that are predicted to be of a class (column), mean over seeds"
    if len(kept) > MAX_MATRICES:
        legend += f"; the first {MAX_MATRICES} of {len(kept)} arms"
    return titled(grid(panels, 2 if len(panels) in (2, 4) else 3), "Confusion matrices", legend, figures)


def _matrix(arm: str, shares: NDArray[np.float64], size: tuple[int, int]) -> ChartType:
    names = list(CLASSES)
    cells = [
        {"class": names[i], "predicted": names[j], "share": 100 * float(shares[i, j])}
        for i in range(len(names))
        for j in range(len(names))
    ]
    frame = pd.DataFrame(cells).dropna()
    frame["shown"] = [f"{share:.0f}" if share > 0.5 else "" for share in frame["share"]]
    frame["depth"] = 0.75 * (frame["share"] / 100) ** 0.5
    x = alt.X("predicted", type="nominal", sort=names, title="predicted", axis=alt.Axis(labelAngle=-45, grid=False))
    y = alt.Y("class", type="nominal", sort=names, title=None, axis=alt.Axis(grid=False))
    base = alt.Chart(data_of(frame)).encode(x, y, tooltip=tooltips("class", "predicted", "share"))
    opacity = alt.Opacity("depth", type="quantitative", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, 1]))
    return alt.layer(
        base.mark_rect(color=COLORS[0], stroke=GREY, strokeWidth=0.3).encode(opacity),
        base.mark_text(fontSize=10).encode(alt.Text("shown", type="nominal")),
    ).properties(width=size[0], height=size[1], title=arm)


def classes(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw the accuracy of each class, a line per arm, the hardest class first; None without kept predictions."""
    kept = _kept(comparison)
    if not kept:
        return None
    shares = {arm: 100 * np.diag(mean_confusion(predictions)) for arm, predictions in kept.items()}
    order = np.argsort(np.nanmean(list(shares.values()), axis=0), kind="stable")
    frame = pd.DataFrame(
        [
            {"arm": arm, "series": arm, "class": CLASSES[i], "x": x, "mean": own[i], "n": len(kept[arm])}
            for arm, own in shares.items()
            for x, i in enumerate(order.tolist())
        ]
    ).dropna()
    labels = ", ".join(f"'{CLASSES[i]}'" for i in order.tolist())
    x = alt.X(
        "x",
        type="quantitative",
        title=None,
        scale=alt.Scale(domain=[0, len(CLASSES) - 1], nice=False),
        axis=alt.Axis(
            values=list(range(len(CLASSES))),
            labelExpr=f"[{labels}][datum.value]",
            labelAngle=-45,
            labelOverlap=False,  # there is room for them
        ),
    )
    y = ValueAxis(alt.Y, "test accuracy (%)", domain_of(frame["mean"]))
    chart = _lines(frame, x, y, comparison, size, ("arm", "class", "mean", "n"), columns=len(CLASSES))
    figures = [f"{arm} {CLASSES[i]} {own[i]:.1f} %" for arm, own in shares.items() for i in (order[0], order[-1])]
    return titled(chart, "Test accuracy by class", "mean over seeds; the hardest class first", figures)


def reliability(comparison: Comparison, size: Size = AUTO) -> ChartType | None:
    """Draw accuracy by confidence, a line per arm; None without kept predictions."""
    kept = _kept(comparison)
    if not kept:
        return None
    bins = {arm: reliability_of(predictions) for arm, predictions in kept.items()}
    frame = pd.DataFrame(
        [
            {"arm": arm, "series": arm, "x": 100 * one.confidence, "mean": 100 * one.accuracy, "n": len(kept[arm])}
            | {"share": 100 * one.share}
            for arm, own in bins.items()
            for one in own
            if one.share >= MIN_SHARE
        ]
    )
    low = min(float(frame["x"].min()), float(frame["mean"].min())) - 2
    scale = alt.Scale(domain=[low, 100], nice=False)
    x = alt.X("x", type="quantitative", title="confidence (%)", scale=scale, axis=alt.Axis(tickCount=7))
    y = ValueAxis(alt.Y, "accuracy (%)", [low, 100])
    ends = pd.DataFrame({"x": [low, 100.0], "mean": [low, 100.0]})
    diagonal = alt.Chart(data_of(ends)).mark_line(strokeDash=[4, 3], color=GREY).encode(x, y("mean"))
    chart = _lines(frame, x, y, comparison, size, ("arm", "x", "mean", "share"), diagonal)
    figures = [
        f"{arm} is right in {own[-1].accuracy:.1%} of its most confident predictions ({own[-1].confidence:.1%})"
        for arm, own in bins.items()
    ]
    legend = (
        f"predictions of all seeds in bins of confidence, without bins of less than {MIN_SHARE:.1%} of them; on the "
        "dashed line confidence equals accuracy"
    )
    return titled(chart, "Reliability", legend, figures)


def _lines(
    frame: pd.DataFrame,
    x: alt.X,
    y: ValueAxis,
    comparison: Comparison,
    size: Size,
    fields: tuple[str, ...],
    *below: alt.Chart,
    columns: int = 0,
) -> ChartType:
    """Draw a line per arm with a point per row, and its name on the right; `below` are layers behind them."""
    looks, ends = looks_of(comparison.arms["arm"]), line_ends(frame, by="arm")
    plot = size.within(WIDTH, 280, len(ends), columns)
    base = alt.Chart(data_of(frame)).encode(x, opacity=highlight(1))
    return alt.layer(
        *below,
        base.mark_line(strokeWidth=1.5).encode(y("mean"), looks.color, looks.dash).add_params(click_selection()),
        base.mark_point(filled=True, size=30, cursor="pointer").encode(
            y("mean"), looks.color, looks.shape, tooltip=tooltips(*fields)
        ),
        *line_labels(ends, y, looks.color, plot, x),
    ).properties(width=plot[0], height=plot[1])
