"""The page of `growth.py`: a chart and a table per sweep, drawn from its results alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.page import markdown, span

if TYPE_CHECKING:  # a measuring process draws nothing
    import pandas as pd
    from altair.typing import ChartType

PAGE, BEGIN, END = "performance.md", "<!-- growth:begin -->", "<!-- growth:end -->"
CHARTS = {  # by what is swept: the file and the axis
    "width": ("growth-width.svg", "width of both hidden layers"),
    "depth": ("growth-depth.svg", "hidden layers of 256"),
    "batch_size": ("growth-batch.svg", "batch size"),
    "train_size": ("growth-train-size.svg", "training images"),
}
STEP, PRODUCTS, LIMIT = "step", "its products alone", "FLOPs at the limit"
PEAK, ALL, DATA, LAYERS, BUFFERS = "measured", "all accounted for", "data", "parameters, gradients", "buffers"


def swept(results: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The points of a sweep, smallest first: those that differ from the book's in nothing else."""
    book = results["book"]
    alike = [row for row in results["points"] if all(row[name] == book[name] for name in book if name != key)]
    return sorted(alike, key=lambda row: int(row[key]))


def limits(point: dict[str, Any]) -> list[float]:
    """Seconds that an epoch's FLOPs take at the limit, in each round."""
    return [point["flops"] / rate for rate in point["rate"]]


def over(point: dict[str, Any], name: str) -> list[float]:
    """Times the limit, in each round."""
    return [seconds / limit for seconds, limit in zip(point[name], limits(point), strict=True)]


def best(point: dict[str, Any], name: str) -> float:
    """Times the limit, by the quickest round of `name` and the quickest of the limit, which need not be one."""
    return float(min(point[name])) / min(limits(point))


def table(results: dict[str, Any], key: str) -> str:
    heads = [key, "step, s/epoch", "products, s", "limit, s", "ps/FLOP", "step / limit", "range"]
    heads += ["products / limit", "peak MB", "accounted MB"]
    lines = []
    for point in swept(results, key):
        scaled = "" if point["rows"] == point["train_size"] else "\\*"
        step, alone, limit = map(min, (point["step"], point["products"], limits(point)))
        cells = [str(point[key]), f"{step:.3g}{scaled}", f"{alone:.3g}{scaled}", f"{limit:.3g}"]
        cells += [f"{1e12 * step / point['flops']:.2f}", f"**{best(point, 'step'):.2f}**"]
        cells += [span(over(point, "step"), 2), f"{best(point, 'products'):.2f}"]
        cells += ["–" if point["peak_mb"] is None else f"{point['peak_mb']:.0f}"]
        lines.append([*cells, f"{sum(point['accounted_mb'].values()):.0f}"])
    return markdown(heads, lines)


def panel(frame: pd.DataFrame, title: str, x: Any, height: int) -> ChartType:
    """Lines of one unit against the shape, on a logarithmic axis; dots and ranges where something was measured."""
    import altair as alt
    import numpy as np

    from dropexp.report.chart_parts import COLORS, DASHES, GREY, WIDTH, data_of, domain_of, line_labels, lit, picked

    frame = frame.assign(**{name: np.log10(frame[name]) for name in ("low", "mean", "high")})  # for `line_labels`
    domain = domain_of(frame["low"], frame["high"])
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7) if domain[1] - domain[0] < 0.8 else (1, 2, 5)
    ticks = [float(e + np.log10(step)) for e in range(-6, 7) for step in steps]
    inside = [at for at in ticks if domain[0] <= at <= domain[1]]
    axis = alt.Axis(values=inside, labelExpr="format(pow(10, datum.value), '.2~r')")
    scale = alt.Scale(domain=domain, nice=False, zero=False)

    def y(field: str) -> Any:
        return alt.Y(field, type="quantitative", title=title, scale=scale, axis=axis)

    looks = {STEP: (COLORS[1], DASHES[0]), PRODUCTS: (COLORS[0], DASHES[1]), LIMIT: (GREY, DASHES[2])}
    looks |= {PEAK: looks[STEP], ALL: looks[LIMIT], DATA: (COLORS[2], DASHES[1])}
    looks |= {LAYERS: (COLORS[3], DASHES[3]), BUFFERS: (COLORS[0], DASHES[4])}
    colors, dashes = (alt.Scale(domain=[*looks], range=[look[i] for look in looks.values()]) for i in (0, 1))
    color = alt.Color("series", type="nominal", legend=None, scale=colors)
    dash = alt.StrokeDash("series", type="nominal", legend=None, scale=dashes)
    lines = alt.Chart(data_of(frame)).encode(x, color, opacity=lit(1))
    dots = alt.Chart(data_of(frame[frame["measured"]])).encode(x, color, opacity=lit(1))
    ends = frame.groupby("series", sort=False).tail(1).assign(label=lambda rows: rows["series"])
    return alt.layer(
        lines.mark_line(strokeWidth=2).encode(y("mean"), dash).add_params(picked()),
        dots.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high")),
        dots.mark_point(filled=True, size=60).encode(y("mean")),
        *line_labels(ends, y, color, domain, (WIDTH, height), alt.value(WIDTH)),
    ).properties(width=WIDTH, height=height)


def chart(results: dict[str, Any], key: str) -> ChartType:
    """A sweep: seconds per epoch, the same over the limit, and memory if it is known."""
    import pandas as pd

    from dropexp.report.chart_parts import dose_axis, titled, together

    def row(series: str, value: float, rounds: list[float] | None = None) -> dict[str, Any]:
        low, high = (min(rounds), max(rounds)) if rounds else (value, value)
        figures = {"mean": value, "low": low, "high": high}
        return {"place": point[key], "series": series, "measured": rounds is not None, **figures}

    points, axis, height = swept(results, key), CHARTS[key][1], 230
    frames: dict[str, list[dict[str, Any]]] = {"seconds per epoch": [], "time per FLOP, times the limit": []}
    seconds, ratios = frames.values()
    memory, said = [], []
    for point in points:
        for name, series in (("step", STEP), ("products", PRODUCTS)):
            seconds.append(row(series, min(point[name]), point[name]))
            ratios.append(row(series, best(point, name), over(point, name)))
        seconds.append(row(LIMIT, min(limits(point))))
        ratios.append(row(LIMIT, 1.0))
        held = point["accounted_mb"]
        memory += [row(name, mb) for name, mb in (held | {ALL: sum(held.values())}).items()]
        memory += [row(PEAK, point["peak_mb"], [])] if point["peak_mb"] else []
        said.append(f"{point[key]}: {min(point['step']):.3g} s, {best(point, 'step'):.2f} × limit")
    frames["MB above an idle process"] = memory
    x = dose_axis(axis, [point[key] for point in points], height)[0]
    panels = [panel(pd.DataFrame(rows), title, x, height) for title, rows in frames.items()]
    return titled(together(panels, 1), f"Growth with {axis}", "the quickest round, and the range of all", said)


def section(results: dict[str, Any]) -> str:
    """What stands in the page: a chart and a table per sweep, and what they were taken with."""
    taken, points = results["about"], results["points"]
    rates = [max(point["rate"]) / 1e9 for point in points]
    note = (
        f"The quickest of {results['rounds'] * results['visits']} rounds: all points were visited in turn, "
        f"{results['visits']} times over; a visit of a point is a process with {results['threads']} threads, "
        f"of {results['rounds']} rounds after one that warms up. *range* is that of all rounds, \\* a sample of steps "
        "scaled to an epoch. "
        f"*limit* is the time of the products' FLOPs at the rate of a {results['side']}³ float32 product, taken beside "
        f"each point: {min(rates):.0f} to {max(rates):.0f} GFLOP/s. *peak MB* is above a process that has "
        "imported torch and multiplied; *accounted* are parameters, gradients, buffers and data, 220 MB of which are "
        f"mapped from a file and shared by all processes. Taken on {taken['date']} on {taken['cpu']}, load average "
        f"before it {taken['load']}; {taken['system']}; torch {taken['versions']['torch']}, matrix products: "
        f"{results['route']}."
    )
    parts = [f"![Growth with {axis}]({file})\n\n{table(results, key)}" for key, (file, axis) in CHARTS.items()]
    return "\n\n".join([note, *parts])


def write(results: dict[str, Any], folder: Path) -> None:
    """The charts into the folder, and the section into its page if that has the markers."""
    from dropexp.report.charts import save

    for key, (file, _) in CHARTS.items():
        save(chart(results, key), folder / file)
    page = folder / PAGE
    before, begin, rest = (page.read_text(encoding="utf-8") if page.exists() else "").partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        page.write_text(f"{before}{BEGIN}\n{section(results)}\n{END}{after}", encoding="utf-8")
    print(section(results), f"\nwritten to {folder}")
