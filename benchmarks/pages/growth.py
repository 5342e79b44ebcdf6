"""The results of benchmarks/growth.py: a chart and a table per sweep in docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType

from dropexp.report.charts.by_name import save
from dropexp.report.charts.data import domain_of
from dropexp.report.charts.style import (
    COLORS,
    DASHES,
    GREY,
    WIDTH,
    ValueAxis,
    click_selection,
    data_of,
    grid,
    highlight,
    line_ends,
    line_labels,
    titled,
)
from dropexp.report.charts.sweep_axis import sweep_axis
from pages import markdown

CHARTS = {  # by swept parameter: the file and the axis
    "width": ("growth-width.svg", "width of both hidden layers"),
    "depth": ("growth-depth.svg", "hidden layers of 256"),
    "batch_size": ("growth-batch.svg", "batch size"),
    "train_size": ("growth-train-size.svg", "training images"),
}
STEP, MATMUL, LIMIT = "step", "its matrix products alone", "FLOPs at the limit"
PEAK, ALL = "measured", "all accounted for"
STYLES = {  # by series: color and dash; the last three are keys of "accounted_mb"
    STEP: (COLORS[1], DASHES[0]),
    MATMUL: (COLORS[0], DASHES[1]),
    LIMIT: (GREY, DASHES[2]),
    PEAK: (COLORS[1], DASHES[0]),
    ALL: (GREY, DASHES[2]),
    "data": (COLORS[2], DASHES[1]),
    "parameters, gradients": (COLORS[3], DASHES[3]),
    "buffers": (COLORS[0], DASHES[4]),
}


def swept(results: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the points of a sweep, smallest first: those whose other parameters are the book's."""
    book = results["book"]
    points = [point for point in results["points"] if all(point[name] == book[name] for name in book if name != key)]
    return sorted(points, key=lambda point: int(point[key]))


def limits(point: dict[str, Any]) -> list[float]:
    """Return the seconds that an epoch's FLOPs take at the rate of one large matrix product, in each round."""
    return [point["flops"] / rate for rate in point["rate"]]


def ratios(point: dict[str, Any], name: str) -> list[float]:
    """Return seconds divided by the limit, in each round."""
    return [seconds / limit for seconds, limit in zip(point[name], limits(point), strict=True)]


def best_ratio(point: dict[str, Any], name: str) -> float:
    """Return seconds divided by the limit, both from their fastest rounds, which may be different rounds."""
    return float(min(point[name])) / min(limits(point))


def table(results: dict[str, Any], key: str) -> str:
    """Return the table of a sweep in Markdown."""
    header = [key, "step, s/epoch", "matrix products, s", "limit, s", "ps/FLOP", "step / limit", "range"]
    header += ["matrix products / limit", "peak MB", "accounted MB"]
    lines = []
    for point in swept(results, key):
        scaled = "" if point["rows"] == point["train_size"] else "\\*"
        step, matmul, limit = min(point["step"]), min(point["matmul"]), min(limits(point))
        cells = [str(point[key]), f"{step:.3g}{scaled}", f"{matmul:.3g}{scaled}", f"{limit:.3g}"]
        cells += [f"{1e12 * step / point['flops']:.2f}", f"**{best_ratio(point, 'step'):.2f}**"]
        cells += [markdown.span(ratios(point, "step"), 2), f"{best_ratio(point, 'matmul'):.2f}"]
        cells += ["–" if point["peak_mb"] is None else f"{point['peak_mb']:.0f}"]
        lines.append([*cells, f"{sum(point['accounted_mb'].values()):.0f}"])
    return markdown.table(header, lines)


def panel(frame: pd.DataFrame, title: str, x: Any, height: int) -> ChartType:
    """Return lines of one unit against the swept parameter, with dots and ranges for measured series.

    The y axis is logarithmic: `line_labels` needs its values as logarithms.
    """
    frame = frame.assign(**{name: np.log10(frame[name]) for name in ("low", "mean", "high")})
    domain = domain_of(frame["low"], frame["high"])
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7) if domain[1] - domain[0] < 0.8 else (1, 2, 5)
    ticks = [float(e + np.log10(step)) for e in range(-6, 7) for step in steps]
    inside = [at for at in ticks if domain[0] <= at <= domain[1]]
    axis = alt.Axis(values=inside, labelExpr="format(pow(10, datum.value), '.2~r')")
    y = ValueAxis(alt.Y, title, domain, axis=axis)
    colors, dashes = (alt.Scale(domain=[*STYLES], range=[style[i] for style in STYLES.values()]) for i in (0, 1))
    color = alt.Color("series", type="nominal", legend=None, scale=colors)
    dash = alt.StrokeDash("series", type="nominal", legend=None, scale=dashes)
    lines = alt.Chart(data_of(frame)).encode(x, color, opacity=highlight(1))
    dots = alt.Chart(data_of(frame[frame["measured"]])).encode(x, color, opacity=highlight(1))
    return alt.layer(
        lines.mark_line(strokeWidth=2).encode(y("mean"), dash).add_params(click_selection()),
        dots.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high")),
        dots.mark_point(filled=True, size=60).encode(y("mean")),
        *line_labels(line_ends(frame), y, color, (WIDTH, height)),
    ).properties(width=WIDTH, height=height)


def chart(results: dict[str, Any], key: str) -> ChartType:
    """Return the chart of a sweep: seconds per epoch, the same divided by the limit, and memory where it is known."""

    def row(series: str, value: float, rounds: list[float] | None = None) -> dict[str, Any]:
        low, high = (min(rounds), max(rounds)) if rounds else (value, value)
        figures = {"mean": value, "low": low, "high": high}
        return {"x": point[key], "series": series, "measured": rounds is not None, **figures}

    points, axis, height = swept(results, key), CHARTS[key][1], 230
    seconds, relative, memory, figures = [], [], [], []
    for point in points:
        for name, series in (("step", STEP), ("matmul", MATMUL)):
            seconds.append(row(series, min(point[name]), point[name]))
            relative.append(row(series, best_ratio(point, name), ratios(point, name)))
        seconds.append(row(LIMIT, min(limits(point))))
        relative.append(row(LIMIT, 1.0))
        accounted = point["accounted_mb"]
        memory += [row(name, mb) for name, mb in (accounted | {ALL: sum(accounted.values())}).items()]
        if point["peak_mb"]:
            memory.append(row(PEAK, point["peak_mb"], []))
        figures.append(f"{point[key]}: {min(point['step']):.3g} s, {best_ratio(point, 'step'):.2f} × limit")
    titles = {"seconds per epoch": seconds, "time per FLOP, times the limit": relative}
    titles["MB above an idle process"] = memory
    x = sweep_axis(axis, [point[key] for point in points], (WIDTH, height)).channel
    panels = [panel(pd.DataFrame(rows), title, x, height) for title, rows in titles.items()]
    return titled(grid(panels, 1), f"Growth with {axis}", "fastest round, and range of all rounds", figures)


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write a chart per sweep."""
    for key, (file, _) in CHARTS.items():
        save(chart(results, key), folder / file)


def sections(results: dict[str, Any]) -> dict[str, str]:
    return {"growth": section(results)}


def section(results: dict[str, Any]) -> str:
    """Return how the results were measured, and a chart and a table per sweep."""
    about = results["about"]
    rates = [max(point["rate"]) / 1e9 for point in results["points"]]
    note = (
        f"The fastest of {results['rounds'] * results['visits']} rounds: all points were visited in turn, "
        f"{results['visits']} times; each visit is a process with {results['threads']} threads that measures "
        f"{results['rounds']} rounds after a warm-up. *range* covers all rounds. \\* marks a sample of steps scaled to "
        f"an epoch. *limit* is the time of the FLOPs at the rate of a {results['side']}³ float32 matrix product, "
        f"measured next to each point: {min(rates):.0f} to {max(rates):.0f} GFLOP/s. *peak MB* is the memory above a "
        "process that has imported torch and multiplied once; *accounted* are parameters, gradients, buffers and data, "
        "of which 220 MB are mapped from a file and shared by all processes. "
        f"Measured on {about['date']} on {about['cpu']}, load average before {about['load']}; {about['system']}; "
        f"torch {about['versions']['torch']}, matmul backend {results['backend']}."
    )
    parts = [f"![Growth with {axis}]({file})\n\n{table(results, key)}" for key, (file, axis) in CHARTS.items()]
    return "\n\n".join([note, *parts])
