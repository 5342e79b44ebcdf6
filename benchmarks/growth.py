"""How training grows with width, depth, batch and training set: seconds per epoch, time per FLOP, memory.

    python benchmarks/growth.py [--rounds 4] [--quick | --from docs/growth.json]

Of each shape of the network a process of its own times, in turn, the steps of `scratch` as `dropexp train` takes them,
their matrix products alone (in the same buffers) and one large product, whose rate is the limit. Every turn does
about the same arithmetic: a shorter epoch is repeated, of a longer one some steps are taken and scaled to an epoch.
Writes growth.json, a chart per sweep and what stands between the markers of performance.md, all in docs/; --quick
takes the two smallest points of each sweep, with short turns, and writes into a temporary folder; --from draws a
growth.json again. Wants a machine that does nothing else: two threads that wait for a busy core take ten times as long.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peers.machine import about
from peers.page import markdown, span

from dropexp import products
from dropexp.config import Config
from dropexp.data import load, split
from dropexp.fetch import fetch, find
from dropexp.fit import train_epoch
from dropexp.fused import MLP
from dropexp.products import ONEDNN, PLAIN
from dropexp.streams import stream
from dropexp.variants import NUM_INPUTS, NUM_OUTPUTS, NUM_TRAIN, build

if TYPE_CHECKING:  # a measuring process draws nothing
    import pandas as pd
    from altair.typing import ChartType

DOCS = Path(__file__).parent.parent / "docs"
JSON, PAGE, BEGIN, END = "growth.json", "performance.md", "<!-- growth:begin -->", "<!-- growth:end -->"
LR = 0.01  # so that no shape diverges: only time counts
TURN = 7e10  # FLOPs of a turn, about: those of an epoch of the book's network
STEPS = 3  # of a turn, at least
SIDE, TRIES = 2048, 3  # the large product, and of how many the best counts: the limit is asked for
SWEEPS: dict[str, tuple[str, str, list[int]]] = {  # by the field of Shape: the chart's file, the axis, the values
    "width": ("growth-width.svg", "width of both hidden layers", [2**i for i in range(8, 14)]),
    "depth": ("growth-depth.svg", "hidden layers of 256", [2**i for i in range(6)]),
    "batch_size": ("growth-batch.svg", "batch size", [32, 64, 128, 256, 512, 1024, 4096, 16384, NUM_TRAIN]),
    "train_size": ("growth-train-size.svg", "training images", [1000, 2000, 5000, 10_000, 20_000, 40_000, NUM_TRAIN]),
}
STEP, PRODUCTS, LIMIT = "step", "its products alone", "FLOPs at the limit"
PEAK, ALL, DATA, LAYERS, BUFFERS = "measured", "all accounted for", "data", "parameters, gradients", "buffers"


@dataclass(frozen=True)
class Shape:
    """What a point of a sweep trains; the defaults are the book's, and lie in every sweep."""

    width: int = 256
    depth: int = 2
    batch_size: int = 256
    train_size: int = NUM_TRAIN

    @property
    def config(self) -> Config:
        hidden, drop_probs = [self.width] * self.depth, [0.2, *[0.5] * (self.depth - 1)]
        keys = {"hidden": hidden, "drop_probs": drop_probs, "init": "torch"}  # by N(0, 0.01²) a deep network is dead
        return Config.model_validate({"variant": "scratch", "batch_size": self.batch_size, **keys})

    @property
    def sizes(self) -> list[int]:
        return [NUM_INPUTS, *self.config.hidden, NUM_OUTPUTS]

    def flops(self, rows: int) -> int:
        """Of the products for so many rows: forward, weight gradient and, but for the first layer, input gradient."""
        return 2 * rows * (3 * sum(n * m for n, m in pairwise(self.sizes)) - NUM_INPUTS * self.width)

    def turn(self, flops: float = TURN) -> tuple[int, int]:
        """The rows that are trained on in a turn of about so many FLOPs, and how many times."""
        rows = self.train_size
        if self.flops(rows) > 2 * flops:
            rows = min(rows, self.batch_size * max(STEPS, round(flops / self.flops(self.batch_size))))
        return rows, max(1, round(flops / self.flops(rows)))

    def memory(self, rows: int) -> dict[str, float]:
        """MB of what is known to be held at once by a turn of so many rows, by what it is for."""
        n, hidden, row = min(self.batch_size, self.train_size), self.width * self.depth, 4 * NUM_INPUTS + 8
        layers = sum(4 * (n * m + m) for n, m in pairwise(self.sizes))
        batch_rows = n + rows % n  # the last is smaller, and has buffers of its own
        # A, H, ξ and D of hidden layers; O, D and Y; the batch itself; random bits, 16 to a unit
        buffers = 4 * batch_rows * (4 * hidden + 3 * NUM_OUTPUTS) + n * (row + 2 * self.width)
        copied = self.train_size if self.train_size < NUM_TRAIN else 0  # a part is drawn out of the mapped file
        outputs = rows * (2 * 4 * NUM_OUTPUTS + 8 + 8)  # kept, joined; order, labels
        data = row * (NUM_TRAIN + 10_000 + copied) + outputs
        return {DATA: data / 1e6, LAYERS: 2 * layers / 1e6, BUFFERS: buffers / 1e6}


def measure(root: Path, shape: Shape, rounds: int, flops: float, answer: Connection) -> None:
    """Send one point's figures: seconds per epoch and FLOP/s in each round, after one that warms up, and memory."""
    best, route = products.route(), products.route(shape.batch_size)
    before = peak_mb()
    part = shape.train_size if shape.train_size < NUM_TRAIN else None
    data = split(load(root), part, 0, stream(0, "split"))
    network, order = build(shape.config, stream(0, "init"), stream(0, "noise")), stream(0, "order")
    assert isinstance(network, MLP)
    rows, times = shape.turn(flops)
    X, y = data.X_train[:rows], data.y_train[:rows]

    def multiply() -> None:
        for rows in X.split(shape.batch_size):
            buffer = network.buffers[len(rows)]
            inputs, D = [rows, *buffer.H], buffer.D
            for H, (W, _), out in zip(inputs, network.layers, [*buffer.A, buffer.O], strict=True):
                torch.mm(H, W, out=out)
            for i in reversed(range(len(D))):
                torch.mm(D[i].T, inputs[i], out=network.grads[i][0].T)
                if i > 0:
                    torch.mm(D[i], network.layers[i][0].T, out=D[i - 1])

    def seconds(work: Callable[[], object], route: str, times: int) -> float:
        with products.using(route):
            began = time.perf_counter()
            for _ in range(times):
                work()
            return (time.perf_counter() - began) / times

    steps = partial(train_epoch, network, X, y, LR, shape.batch_size, order)
    seconds(steps, route, 1)
    after = peak_mb()
    large = partial(torch.mm, torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), out=torch.empty(SIDE, SIDE))
    figures: dict[str, list[float]] = {name: [] for name in ("step", "products", "rate", "route_rate")}
    for _ in range(rounds + 1):
        figures["step"].append(seconds(steps, route, times) * shape.train_size / rows)
        figures["products"].append(seconds(multiply, route, times) * shape.train_size / rows)
        rates = {way: 2 * SIDE**3 / min(seconds(large, way, 1) for _ in range(TRIES)) for way in (best, route)}
        figures["rate"].append(max(rates.values()))
        figures["route_rate"].append(rates[route])
    taken = {name: values[1:] for name, values in figures.items()}
    memory = None if before is None or after is None else after - before
    answer.send({**asdict(shape), "route": route, "rows": rows, "times": times, **taken, "peak_mb": memory})


def peak_mb() -> float | None:
    """The most memory that this process has had, in MB; None where it is not known."""
    if sys.platform == "linux":  # ru_maxrss would count the process that this one was forked from
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return None


def measured(root: Path, shape: Shape, rounds: int, flops: float) -> dict[str, Any]:
    """A point's figures from a process of its own, so that the peak is its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=measure, args=(root, shape, rounds, flops, theirs))
    process.start()
    theirs.close()
    try:
        point: dict[str, Any] = ours.recv()
    except EOFError:
        sys.exit(f"{shape} could not be measured")  # the process has said why
    finally:
        process.join()
    return point


def shape_of(point: dict[str, Any]) -> Shape:
    return Shape(**{field.name: point[field.name] for field in fields(Shape)})


def swept(results: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The points of a sweep, smallest first: those that differ from the book's in nothing else."""
    book = asdict(Shape())
    alike = [row for row in results["points"] if all(row[name] == book[name] for name in book if name != key)]
    return sorted(alike, key=lambda row: int(row[key]))


def limits(point: dict[str, Any]) -> list[float]:
    """Seconds that an epoch's FLOPs take at the limit, in each round."""
    flops = shape_of(point).flops(point["train_size"])
    return [flops / rate for rate in point["rate"]]


def over(point: dict[str, Any], name: str) -> list[float]:
    """Times the limit, in each round: the machine's speed drifts for both alike."""
    return [seconds / limit for seconds, limit in zip(point[name], limits(point), strict=True)]


def table(results: dict[str, Any], key: str) -> str:
    heads = [key, "route", "step, s/epoch", "products, s", "limit, s", "ps/FLOP", "step / limit", "range"]
    heads += ["products / limit", "peak MB", "accounted MB"]
    lines = []
    for point in swept(results, key):
        shape, ratio = shape_of(point), over(point, "step")
        step, alone, limit = map(statistics.median, (point["step"], point["products"], limits(point)))
        scaled = "" if point["rows"] == shape.train_size else "\\*"
        cells = [str(point[key]), point["route"], f"{step:.3g}{scaled}", f"{alone:.3g}{scaled}", f"{limit:.3g}"]
        cells += [f"{1e12 * step / shape.flops(shape.train_size):.2f}", f"**{statistics.median(ratio):.2f}**"]
        cells += [span(ratio, 2), f"{statistics.median(over(point, 'products')):.2f}"]
        cells += [
            "–" if point["peak_mb"] is None else f"{point['peak_mb']:.0f}",
            f"{sum(shape.memory(point['rows']).values()):.0f}",
        ]
        lines.append(cells)
    return markdown(heads, lines)


def panel(frame: pd.DataFrame, title: str, x: Any, height: int) -> ChartType:
    """Lines of one unit against the shape, on a logarithmic axis; dots and ranges where something was measured."""
    import altair as alt
    import numpy as np

    from dropexp.drawing import COLORS, DASHES, GREY, WIDTH, data_of, domain_of, line_labels, lit, picked

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
    shapes = alt.Scale(domain=[ONEDNN, PLAIN], range=["circle", "square"])
    color = alt.Color("series", type="nominal", legend=None, scale=colors)
    dash = alt.StrokeDash("series", type="nominal", legend=None, scale=dashes)
    shape = alt.Shape("route", type="nominal", legend=None, scale=shapes)
    lines = alt.Chart(data_of(frame)).encode(x, color, opacity=lit(1))
    dots = alt.Chart(data_of(frame.dropna(subset="route"))).encode(x, color, opacity=lit(1))
    ends = frame.groupby("series", sort=False).tail(1).assign(label=lambda rows: rows["series"])
    return alt.layer(
        lines.mark_line(strokeWidth=2).encode(y("mean"), dash).add_params(picked()),
        dots.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high")),
        dots.mark_point(filled=True, size=60).encode(y("mean"), shape),
        *line_labels(ends, y, color, domain, (WIDTH, height), alt.value(WIDTH)),
    ).properties(width=WIDTH, height=height)


def chart(results: dict[str, Any], key: str) -> ChartType:
    """A sweep: seconds per epoch, the same over the limit, and memory if it is known."""
    import pandas as pd

    from dropexp.drawing import dose_axis, titled, together

    def row(series: str, values: list[float], measured: bool = True) -> dict[str, Any]:
        figures = {"mean": statistics.median(values), "low": min(values), "high": max(values)}
        return {"place": point[key], "series": series, "route": point["route"] if measured else None, **figures}

    points, axis, height = swept(results, key), SWEEPS[key][1], 230
    frames: dict[str, list[dict[str, Any]]] = {"seconds per epoch": [], "time per FLOP, times the limit": []}
    seconds, ratios = frames.values()
    memory, said = [], []
    for point in points:
        ratio, held = over(point, "step"), shape_of(point).memory(point["rows"])
        seconds += [row(STEP, point["step"]), row(PRODUCTS, point["products"]), row(LIMIT, limits(point), False)]
        ratios += [row(STEP, ratio), row(PRODUCTS, over(point, "products")), row(LIMIT, [1.0], False)]
        memory += [row(name, [mb], False) for name, mb in (held | {ALL: sum(held.values())}).items()]
        memory += [row(PEAK, [point["peak_mb"]])] if point["peak_mb"] else []
        said.append(f"{point[key]}: {statistics.median(point['step']):.3g} s, {statistics.median(ratio):.2f} × limit")
    frames["MB above an idle process"] = memory
    x = dose_axis(axis, [point[key] for point in points], height)[0]
    panels = [panel(pd.DataFrame(rows), title, x, height) for title, rows in frames.items()]
    legend = "median and range of the rounds; circles: products by oneDNN, squares: torch's plain ones"
    return titled(together(panels, 1), f"Growth with {axis}", legend, said)


def section(results: dict[str, Any]) -> str:
    """What stands in the page: a chart and a table per sweep, and what they were taken with."""
    taken, points = results["about"], results["points"]
    rates = [rate / 1e9 for point in points for rate in point["rate"]]
    slower = [statistics.median(p["route_rate"]) / statistics.median(p["rate"]) for p in points if p["route"] == PLAIN]
    note = (
        f"Medians of {results['rounds']} rounds after one that warms up, each point in a process of its own with "
        f"{results['threads']} threads; *range* is that of the rounds, \\* a sample of steps scaled to an epoch. "
        f"*limit* is the time of the products' FLOPs at the rate of a {SIDE}³ float32 product on the faster route, "
        f"taken beside each point: {min(rates):.0f} to {max(rates):.0f} GFLOP/s. *peak MB* is above a process that has "
        "imported torch and multiplied; *accounted* are parameters, gradients, buffers and data, 220 MB of which are "
        "mapped from a file and shared by all processes. "
    )
    if slower:
        note += f"On the plain route the large product ran at {statistics.median(slower):.2f} times the limit's rate. "
    note += f"Taken on {taken['date']} on {taken['cpu']}, load average before it {taken['load']}; {taken['system']}; "
    note += f"torch {taken['versions']['torch']}."
    parts = [f"![Growth with {axis}]({file})\n\n{table(results, key)}" for key, (file, axis, _) in SWEEPS.items()]
    return "\n\n".join([note, *parts])


def write(results: dict[str, Any], folder: Path) -> None:
    """The charts into the folder, and the section into its page if that has the markers."""
    from dropexp.charts import save

    for key, (file, _, _) in SWEEPS.items():
        save(chart(results, key), folder / file)
    page = folder / PAGE
    before, begin, rest = (page.read_text(encoding="utf-8") if page.exists() else "").partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        page.write_text(f"{before}{BEGIN}\n{section(results)}\n{END}{after}", encoding="utf-8")
    print(section(results), f"\nwritten to {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4, help="of each point, after one that warms up")
    parser.add_argument("--quick", action="store_true", help="two points of each sweep, one round, a temporary folder")
    parser.add_argument("--from", dest="drawn", type=Path, metavar="JSON", help="draw these figures again, beside them")
    options = parser.parse_args()
    if options.drawn:
        write(json.loads(options.drawn.read_text(encoding="utf-8")), options.drawn.parent)
        return
    root = find(None) or fetch()
    load(root)  # decodes the data if no process has: the points' processes are to map it
    rounds, flops, folder = (1, TURN / 20, Path(tempfile.mkdtemp())) if options.quick else (options.rounds, TURN, DOCS)
    values = {key: values[: 2 if options.quick else None] for key, (_, _, values) in SWEEPS.items()}
    shapes = dict.fromkeys([Shape(), *(Shape(**{key: value}) for key in values for value in values[key])])
    results: dict[str, Any] = {"about": about(), "threads": torch.get_num_threads(), "rounds": rounds, "points": []}
    for done, shape in enumerate(shapes, start=1):
        results["points"].append(measured(root, shape, rounds, flops))
        print(f"{done} of {len(shapes)}: {shape}", file=sys.stderr)
    (folder / JSON).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write(results, folder)


if __name__ == "__main__":
    main()
