"""How training grows with width, depth, batch and training set: seconds per epoch, time per FLOP, memory.

    python benchmarks/growth.py [--visits 5] [--quick | --from docs/growth.json]

Of each shape of the network a process of its own times, in turn, the steps of `scratch` as `dropexp train` takes them,
their matrix products alone (in the same buffers) and one large product, whose rate is the limit. Every turn does
about the same arithmetic: a shorter epoch is repeated, of a longer one some steps are taken and scaled to an epoch.
All shapes are visited several times over, and the quickest round counts: neighbours on a shared machine come and go by
the minute, and only ever make it slower. Writes growth.json, a chart per sweep and what stands between the markers of
performance.md, all in docs/; --quick takes the two smallest points of each sweep, with short turns, and writes into a
temporary folder; --from draws a growth.json again. Wants a machine that does nothing else: two threads that wait for a
busy core take ten times as long.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from growth_page import BUFFERS, DATA, LAYERS, write
from peers.machine import about

from dropexp.config.schema import Config
from dropexp.config.tasks import NUM_INPUTS, NUM_OUTPUTS, NUM_TRAIN
from dropexp.data.download import fetch, find
from dropexp.data.fashion_mnist import load, split
from dropexp.nets import matmul
from dropexp.nets.fused import MLP
from dropexp.training.build import build
from dropexp.training.loop import train_epoch
from dropexp.training.rng import stream

DOCS, JSON = Path(__file__).parent.parent / "docs", "growth.json"
LR = 0.01  # so that no shape diverges: only time counts
TURN = 7e10  # FLOPs of a turn, about: those of an epoch of the book's network
STEPS = 3  # of a turn, at least
ROUNDS = 2  # of a visit, after one that warms up
SIDE, TRIES = 2048, 3  # the large product, and of how many the best counts: the limit is asked for
SWEEPS = {  # the values of each field of Shape; how they are drawn is the page's
    "width": [2**i for i in range(8, 14)],
    "depth": [2**i for i in range(6)],
    "batch_size": [32, 64, 128, 256, 512, 1024, 4096, 16384, NUM_TRAIN],
    "train_size": [1000, 2000, 5000, 10_000, 20_000, 40_000, NUM_TRAIN],
}


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
        # A, H, a mask's decisions and D of hidden layers; O, D and Y; the batch itself; random bits, 16 to a unit
        buffers = 4 * batch_rows * (4 * hidden + 3 * NUM_OUTPUTS) + n * (row + 2 * self.width)
        copied = self.train_size if self.train_size < NUM_TRAIN else 0  # a part is drawn out of the mapped file
        outputs = rows * (4 * NUM_OUTPUTS + 8 + 8)  # with order and labels
        data = row * (NUM_TRAIN + 10_000 + copied) + outputs
        return {DATA: data / 1e6, LAYERS: 2 * layers / 1e6, BUFFERS: buffers / 1e6}

    def facts(self, rows: int) -> dict[str, Any]:
        """What a point's results say of its shape: FLOPs are an epoch's, memory that of a turn of so many rows."""
        return {**asdict(self), "flops": self.flops(self.train_size), "accounted_mb": self.memory(rows)}


def measure(root: Path, shape: Shape, rounds: int, flops: float, answer: Connection) -> None:
    """Send one point's figures: seconds per epoch and FLOP/s in each round, after one that warms up, and memory."""
    route = matmul.route()
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
            inputs, D = [rows, *(H for H in buffer.H[1:] if H is not None)], buffer.D
            for H, (W, _), out in zip(inputs, network.layers, [*buffer.A, buffer.O], strict=True):
                torch.mm(H, W, out=out)
            for i in reversed(range(len(D))):
                network._sum_over_rows(buffer.D_T[i], inputs[i], out=network.dW_T[i])
                if i > 0:
                    torch.mm(D[i], network.layers[i][0].T, out=D[i - 1])

    def seconds(work: Callable[[], object], times: int) -> float:
        with matmul.using(route):
            began = time.perf_counter()
            for _ in range(times):
                work()
            return (time.perf_counter() - began) / times

    steps = partial(train_epoch, network, X, y, LR, shape.batch_size, order)
    seconds(steps, 1)
    after = peak_mb()
    large = partial(torch.mm, torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), out=torch.empty(SIDE, SIDE))
    figures: dict[str, list[float]] = {name: [] for name in ("step", "products", "rate")}
    for _ in range(rounds + 1):
        figures["step"].append(seconds(steps, times) * shape.train_size / rows)
        figures["products"].append(seconds(multiply, times) * shape.train_size / rows)
        figures["rate"].append(2 * SIDE**3 / min(seconds(large, 1) for _ in range(TRIES)))
    taken = {name: values[1:] for name, values in figures.items()}
    memory = None if before is None or after is None else after - before
    answer.send({**shape.facts(rows), "rows": rows, "times": times, **taken, "peak_mb": memory})


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


def merged(before: dict[str, Any] | None, point: dict[str, Any]) -> dict[str, Any]:
    """A point's figures, the rounds of earlier visits and of this one together."""
    if before is None:
        return point
    rounds = {name: [*before[name], *point[name]] for name in ("step", "products", "rate")}
    peak_mb = max((mb for mb in (before["peak_mb"], point["peak_mb"]) if mb is not None), default=None)
    return {**point, **rounds, "peak_mb": peak_mb}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--visits", type=int, default=5, help="of each point, one after all others")
    parser.add_argument("--quick", action="store_true", help="two points of each sweep, once, a temporary folder")
    parser.add_argument("--from", dest="drawn", type=Path, metavar="JSON", help="draw these figures again, beside them")
    options = parser.parse_args()
    if options.visits < 1:
        parser.error("--visits is a whole number from 1")
    if options.drawn:
        write(json.loads(options.drawn.read_text(encoding="utf-8")), options.drawn.parent)
        return
    root = find(None) or fetch()
    load(root)  # decodes the data if no process has: the points' processes are to map it
    quick = (1, 1, TURN / 20, Path(tempfile.mkdtemp()))
    visits, rounds, flops, folder = quick if options.quick else (options.visits, ROUNDS, TURN, DOCS)
    values = {key: values[: 2 if options.quick else None] for key, values in SWEEPS.items()}
    shapes = dict.fromkeys([Shape(), *(Shape(**{key: value}) for key in values for value in values[key])])
    results = {"about": about(), "threads": torch.get_num_threads(), "route": matmul.route(), "rounds": rounds}
    results |= {"side": SIDE, "book": asdict(Shape())}
    points: dict[Shape, dict[str, Any]] = {}
    for visit in range(1, visits + 1):
        for shape in shapes:
            points[shape] = merged(points.get(shape), measured(root, shape, rounds, flops))
            print(f"visit {visit} of {visits}: {shape}", file=sys.stderr)
        results |= {"visits": visit, "points": list(points.values())}
        (folder / JSON).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write(results, folder)


if __name__ == "__main__":
    main()
