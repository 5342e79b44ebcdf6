"""How training time and memory grow with width, depth, batch size and training-set size.

    python benchmarks/growth.py [--visits 5] [--quick]

Each shape of the network has a process of its own. It times, in turn, the steps of `scratch` as `dropexp train` takes
them, their matrix products alone (in the same buffers) and one large matrix product, whose rate is the limit. Every
measurement does about the same arithmetic: a short epoch is repeated, and of a long one some steps are taken and scaled
to an epoch. All shapes are visited several times and the fastest round counts, because other programs on a shared
machine only ever make it slower. Needs an idle machine: two threads that compete for a busy core take ten times as
long. --quick measures the two smallest points of each sweep, briefly, and writes nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from machine import about
from storage import data_root, save_results

from dropexp.config.schema import Config
from dropexp.config.tasks import NUM_INPUTS, NUM_OUTPUTS, NUM_TRAIN_IMAGES
from dropexp.data.fashion_mnist import load, split
from dropexp.nets import matmul
from dropexp.nets.fused import FusedMLP
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.trainees import train_epoch

LR = 0.01  # small enough that no shape diverges
FLOPS = 7e10  # of one measurement, about those of an epoch of the book's network
MIN_STEPS = 3  # of one measurement
ROUNDS = 2  # of a visit, after a warm-up
SIDE, TRIES = 2048, 3  # of the large matrix product; the fastest of TRIES counts
SWEEPS = {  # the values of each field of Shape
    "width": [2**i for i in range(8, 14)],
    "depth": [2**i for i in range(6)],
    "batch_size": [32, 64, 128, 256, 512, 1024, 4096, 16384, NUM_TRAIN_IMAGES],
    "train_size": [1000, 2000, 5000, 10_000, 20_000, 40_000, NUM_TRAIN_IMAGES],
}


@dataclass(frozen=True)
class Shape:
    """The network and data of one point of a sweep. The defaults are the book's and belong to every sweep."""

    width: int = 256
    depth: int = 2
    batch_size: int = 256
    train_size: int = NUM_TRAIN_IMAGES

    @property
    def config(self) -> Config:
        hidden, drop_probs = [self.width] * self.depth, [0.2, *[0.5] * (self.depth - 1)]
        keys = {"variant": "scratch", "batch_size": self.batch_size, "hidden": hidden, "drop_probs": drop_probs}
        return Config.model_validate({**keys, "init": "torch"})  # with N(0, 0.01²) a deep network does not learn

    @property
    def sizes(self) -> list[int]:
        return [NUM_INPUTS, *self.config.hidden, NUM_OUTPUTS]

    def flops(self, rows: int) -> int:
        """Return the FLOPs of the matrix products: forward, weight gradients, and input gradients but the first."""
        return 2 * rows * (3 * sum(n * m for n, m in pairwise(self.sizes)) - NUM_INPUTS * self.width)

    def sample(self, flops: float = FLOPS) -> tuple[int, int]:
        """Return how many rows one measurement of about `flops` trains on, and how often."""
        rows = self.train_size
        if self.flops(rows) > 2 * flops:
            rows = min(rows, self.batch_size * max(MIN_STEPS, round(flops / self.flops(self.batch_size))))
        return rows, max(1, round(flops / self.flops(rows)))

    def memory(self, rows: int) -> dict[str, float]:
        """Return the MB that an epoch of so many rows allocates at the same time, by purpose."""
        n, hidden, row = min(self.batch_size, self.train_size), self.width * self.depth, 4 * NUM_INPUTS + 8
        layers = sum(4 * (n * m + m) for n, m in pairwise(self.sizes))
        batch_rows = n + rows % n  # the last batch is smaller and has its own buffers
        # A, H, mask bits and D of hidden layers; O, D and Y; the batch itself; random bits, 16 per unit
        buffers = 4 * batch_rows * (4 * hidden + 3 * NUM_OUTPUTS) + n * (row + 2 * self.width)
        copied = self.train_size if self.train_size < NUM_TRAIN_IMAGES else 0  # a subset is copied from the mapped file
        outputs = rows * (4 * NUM_OUTPUTS + 8 + 8)  # with order and labels
        data = row * (NUM_TRAIN_IMAGES + 10_000 + copied) + outputs
        return {"data": data / 1e6, "parameters, gradients": 2 * layers / 1e6, "buffers": buffers / 1e6}

    def facts(self, rows: int) -> dict[str, Any]:
        """Return the shape, the FLOPs of an epoch, and the memory of an epoch of so many rows."""
        return {**asdict(self), "flops": self.flops(self.train_size), "accounted_mb": self.memory(rows)}


def measure(root: Path, shape: Shape, rounds: int, flops: float, results: Connection) -> None:
    """Send one point's seconds per epoch and FLOP/s in each round after a warm-up, and its peak memory."""
    backend = matmul.best_backend()
    before = peak_mb()
    part = shape.train_size if shape.train_size < NUM_TRAIN_IMAGES else None
    data = split(load(root), part, 0, stream(0, "split"))
    network, order = build.network(shape.config, stream(0, "init"), stream(0, "noise")), stream(0, "order")
    assert isinstance(network, FusedMLP)
    rows, times = shape.sample(flops)
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
        with matmul.using(backend):
            began = time.perf_counter()
            for _ in range(times):
                work()
            return (time.perf_counter() - began) / times

    steps = partial(train_epoch, network, X, y, LR, shape.batch_size, order)
    seconds(steps, 1)
    after = peak_mb()
    large = partial(torch.mm, torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), out=torch.empty(SIDE, SIDE))
    figures: dict[str, list[float]] = {name: [] for name in ("step", "matmul", "rate")}
    for _ in range(rounds + 1):
        figures["step"].append(seconds(steps, times) * shape.train_size / rows)
        figures["matmul"].append(seconds(multiply, times) * shape.train_size / rows)
        figures["rate"].append(2 * SIDE**3 / min(seconds(large, 1) for _ in range(TRIES)))
    measured = {name: values[1:] for name, values in figures.items()}
    memory = None if before is None or after is None else after - before
    results.send({**shape.facts(rows), "rows": rows, "times": times, **measured, "peak_mb": memory})


def peak_mb() -> float | None:
    """Return the peak memory of this process in MB, or None where it is unknown."""
    if sys.platform == "linux":  # ru_maxrss would include the process that forked this one
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return None


def measure_in_process(root: Path, shape: Shape, rounds: int, flops: float) -> dict[str, Any]:
    """Return one point's figures from a new process, so that its peak memory covers this point only."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe()
    process = spawn.Process(target=measure, args=(root, shape, rounds, flops, sender))
    process.start()
    sender.close()
    try:
        point: dict[str, Any] = receiver.recv()
    except EOFError:
        sys.exit(f"{shape} could not be measured")  # the process has printed why
    finally:
        process.join()
    return point


def merged(before: dict[str, Any] | None, point: dict[str, Any]) -> dict[str, Any]:
    """Return a point's figures with the rounds of earlier visits and of this one."""
    if before is None:
        return point
    rounds = {name: [*before[name], *point[name]] for name in ("step", "matmul", "rate")}
    peak_mb = max((mb for mb in (before["peak_mb"], point["peak_mb"]) if mb is not None), default=None)
    return {**point, **rounds, "peak_mb": peak_mb}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--visits", type=int, default=5, help="how often all points are measured in turn")
    parser.add_argument("--quick", action="store_true", help="two points of each sweep, once; writes nothing")
    options = parser.parse_args()
    if options.visits < 1:
        parser.error("--visits is a whole number from 1")
    root = data_root()
    load(root)  # writes the decoded data, which the processes of the points map
    visits, rounds, flops, points_each = options.visits, ROUNDS, FLOPS, None
    if options.quick:
        visits, rounds, flops, points_each = 1, 1, FLOPS / 20, 2
    shapes = dict.fromkeys([Shape(), *(Shape(**{key: v}) for key in SWEEPS for v in SWEEPS[key][:points_each])])
    results = {"about": about(), "threads": torch.get_num_threads(), "backend": matmul.best_backend(), "rounds": rounds}
    results |= {"side": SIDE, "book": asdict(Shape())}
    points: dict[Shape, dict[str, Any]] = {}
    for visit in range(1, visits + 1):
        for shape in shapes:
            points[shape] = merged(points.get(shape), measure_in_process(root, shape, rounds, flops))
            print(f"visit {visit} of {visits}: {shape}", file=sys.stderr)
        results |= {"visits": visit, "points": list(points.values())}
        if not options.quick:
            save_results("growth", results)
    from pages.growth import section  # after measuring: a process of a point imports this module, but needs no charts

    print(section(results))


if __name__ == "__main__":
    main()
