"""What one GPU does with this package, measured and proved: the table of docs/performance.md, in one run.

    python benchmarks/gpu.py

Needs a CUDA device and Fashion-MNIST; takes some minutes, most of them for the lone runs that the stack is held
against. Prints what it finds, writes it to docs/performance-gpu.json and between the markers of
docs/performance.md. Exits with 1 if a proof fails, with 2 if there is no CUDA device.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from dropexp import load_config, train
from dropexp.analysis.stats import tost_p
from dropexp.config.schema import Config
from dropexp.data.download import fetch, find
from dropexp.data.fashion_mnist import Data, load
from dropexp.nets import cuda_graph, scratch, torch_nn
from dropexp.nets.base import Network
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.stacked import Stack
from dropexp.training.build import build, reference_mlp
from dropexp.training.loop import fit, fit_stack
from dropexp.training.rng import stream

HERE = Path(__file__).parent
DOCS, JSON, STUDY = (
    HERE.parent / "docs" / "performance.md",
    HERE.parent / "docs" / "performance-gpu.json",
    HERE.parent / "configs" / "dropout.yaml",
)
BEGIN, END = "<!-- gpu:begin -->", "<!-- gpu:end -->"

MANY = 30  # runs side by side
EPOCHS = 8  # of a timing; the first two, with the captures, are left out
SEEDS = 30  # of the trainings that are compared
NN_SEEDS = 10  # of nn's, which were equal bit for bit
GRADIENT = 2e-6  # max|error| / max|gradient|, float32 against float64; TF32 would give 1e-3
STEEP = 1024.0  # a learning rate at which parameters are next to nothing beside the step: it can be told from them
CAPTURED = 1e-5  # max|difference| / max|value| of outputs and parameters after these steps
MARGIN = 0.003  # in test accuracy: what counts as the same training

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@dataclass
class Findings:
    """Lines of the table, as they are found."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def timing(self, what: str, value: float, unit: str, wanted: float | None = None) -> None:
        self._add({"what": what, "value": value, "unit": unit, "wanted": wanted, "holds": None})

    def proof(self, what: str, value: float, bound: float) -> None:
        self._add({"what": what, "value": value, "unit": "", "wanted": bound, "holds": value <= bound})

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        print(_line(row), flush=True)


def main() -> int:
    if not torch.cuda.is_available():
        print("benchmarks/gpu.py needs a CUDA device and a torch built for it; here torch sees none", file=sys.stderr)
        return 2
    found, data = Findings(), load(find(None) or fetch()).to(GPU)
    time_epochs(found, data)
    time_study(found)
    with cuda_graph.ieee_products():
        prove_gradients(found, data)
        prove_captures(found, data)
        prove_drop_rates(found, data)
        prove_trainings(found, data)
    about = {
        "device": torch.cuda.get_device_name(GPU),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "date": time.strftime("%Y-%m-%d"),
    }
    write(about, found.rows)
    failed = [row["what"] for row in found.rows if row["holds"] is False]
    print(f"failed: {'; '.join(failed)}" if failed else "every proof holds")
    return 1 if failed else 0


# What is measured


def config(**keys: Any) -> Config:
    return Config.model_validate({"variant": "scratch", "eval_train": False} | keys)


def stacked(configs: list[Config], data: Data) -> Stack:
    pages = [reference_mlp(one, stream(one.seed, "init"), stream(one.seed, "noise", GPU)) for one in configs]
    return Stack(pages, data.X_train, data.y_train, len(data.y_train), configs[0].batch_size)


def stack_records(configs: list[Config], data: Data, epochs: int) -> Iterator[list[Any]]:
    train_rows = torch.arange(len(data.y_train), device=GPU).expand(len(configs), -1)
    orders = [stream(one.seed, "order") for one in configs]
    test, lrs = (data.X_test, data.y_test), [one.lr for one in configs]
    return fit_stack(stacked(configs, data), train_rows, test, lrs=lrs, epochs=epochs, orders=orders, clean=False)


def lone_records(one: Config, network: Network, data: Data, epochs: int) -> Iterator[Any]:
    return fit(
        network,
        (data.X_train, data.y_train),
        (data.X_test, data.y_test),
        lr=one.lr,
        batch_size=one.batch_size,
        epochs=epochs,
        order=stream(one.seed, "order"),
        clean=False,
    )


def fresh(one: Config, device: torch.device) -> Network:
    return build(one, stream(one.seed, "init"), stream(one.seed, "noise", device))


@contextmanager
def uncaptured() -> Iterator[None]:
    """Within it a stack's steps are launched one by one, and nothing beside them."""

    def launch(steps: Callable[[], None], device: torch.device) -> tuple[mock.Mock, None]:
        return mock.Mock(replay=steps), None

    with mock.patch.object(cuda_graph, "capture", launch), mock.patch.object(cuda_graph, "beside", nullcontext):
        yield


def milliseconds(seconds: Iterator[float]) -> float:
    return 1000 * statistics.median(list(seconds)[2:])


def time_epochs(found: Findings, data: Data) -> None:
    """An epoch: training and test evaluation, as in the column `seconds`."""
    for count, wanted in ((1, 20), (MANY, 80)):
        configs = [config(seed=seed) for seed in range(count)]
        what = "one scratch run" if count == 1 else f"{count} scratch runs stacked"
        torch.cuda.reset_peak_memory_stats()
        took = milliseconds(records[0].seconds * count for records in stack_records(configs, data, EPOCHS))
        found.timing(f"{what}, an epoch", took, "ms", wanted)
        found.timing(f"{what}, peak memory with the data", torch.cuda.max_memory_allocated() / 2**20, "MiB")
        with uncaptured():
            took = milliseconds(records[0].seconds * count for records in stack_records(configs, data, EPOCHS))
        found.timing(f"{what}, an epoch, uncaptured", took, "ms")
    one = config(variant="nn")
    for name, network in (("", fresh(one, GPU)), (", uncaptured", plain(one))):
        took = milliseconds(record.seconds for record in lone_records(one, network, data, EPOCHS))
        found.timing(f"one nn run, an epoch{name}", took, "ms")


def plain(one: Config) -> Network:
    """The torch.nn network of a config on the GPU, uncaptured."""
    with mock.patch.object(cuda_graph, "Network", torch_nn.Network):
        return fresh(one, GPU)


def time_study(found: Findings) -> None:
    """The README's study, as its command trains it: the column `seconds` summed, and all the time it took."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = list(train(load_config(STUDY), runs_dir=folder, device="cuda"))
        found.timing("the README's study, training", sum(row["seconds"] for row in rows), "s", 3)
        found.timing("the README's study, with clean passes and files", time.perf_counter() - began, "s")


# What is proved


def prove_gradients(found: Findings, data: Data) -> None:
    """One step of every run of a stack against the page in float64, under the noise that the stack drew."""
    configs = [config(seed=seed, init="torch", drop_probs=[0.02 * seed, 0.5]) for seed in range(MANY)]
    stack = stacked(configs, data)
    before = [parameters(stack, r) for r in range(MANY)]
    rows = torch.randint(len(data.y_train), (MANY, 256), generator=torch.Generator().manual_seed(0)).to(GPU)
    stack.train_epoch(rows, [STEEP] * MANY)
    worst = 0.0
    for r, batch in enumerate(rows):
        noises = [None if xi is None else Given(xi[r, 0].double()) for xi in stack.noise.xi]
        alone = scratch.MLP(before[r], noises, torch.Generator(GPU), SGD())
        computed, O = alone.forward(data.X_train[batch].double(), alone.generator)
        exact = alone.backward(data.y_train[batch], computed, O)
        for was, now, true in zip(before[r], parameters(stack, r), exact, strict=True):
            worst = max(worst, *(error((w - v) / STEEP, g) for w, v, g in zip(was, now, true, strict=True)))
    found.proof(f"gradients of {MANY} stacked runs against the lone page in float64, worst error", worst, GRADIENT)


def parameters(stack: Stack, r: int) -> list[Layer]:
    return [(W[r].double(), b[r, 0].double()) for W, b in stack.layers]


@dataclass(frozen=True)
class Given:
    """A noise that was drawn before."""

    xi: Tensor
    p = 0.5
    at_eval = 1.0

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.xi


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).abs().max() / exact.abs().max())


def prove_captures(found: Findings, data: Data) -> None:
    """Steps captured against the same launched one by one, from equal states, streams and batches."""
    for momentum in (0.0, 0.9):
        keys = {"init": "torch", "lr": 0.1, "momentum": momentum}
        configs = [config(seed=seed, **keys) for seed in range(MANY)]
        for rows in (256, 96, 608):  # a whole batch, the smaller last one, and two with it
            batches = (torch.arange(MANY * rows, device=GPU) % len(data.y_train)).view(MANY, rows)
            one, other = stacked(configs, data), stacked(configs, data)
            outputs = one.train_epoch(batches, [0.1] * MANY)
            with uncaptured():
                expected = other.train_epoch(batches, [0.1] * MANY)
            worst = max(error(outputs, expected.double()), error(one.theta, other.theta.double()))
            found.proof(f"captured steps of {rows} rows, momentum {momentum}, worst difference", worst, CAPTURED)
        nn = config(variant="nn", **keys)
        ours, eager = fresh(nn, GPU), plain(nn)
        X, y = data.X_train[:256], data.y_train[:256]
        worst = max(error(ours.step(X, y, 0.1), eager.step(X, y, 0.1).double()) for _ in range(3))
        a, b = copy.deepcopy(ours.state()["net"]), eager.state()["net"]
        worst = max([worst, *(error(a[name], b[name].double()) for name in a)])
        found.proof(f"three captured steps of nn, momentum {momentum}, worst difference", worst, CAPTURED)


def prove_drop_rates(found: Findings, data: Data) -> None:
    """Each run of a stack drops at its own rate, to within five standard deviations."""
    configs = [config(seed=seed, drop_probs=[seed / (MANY - 1), 0.5]) for seed in range(MANY)]
    stack = stacked(configs, data)
    stack.noise.draw([0.0] * stack.steps)
    worst = 0.0
    for r, one in enumerate(configs):
        for xi, p in zip(stack.noise.xi[1:], one.drop_probs, strict=True):
            assert xi is not None
            sd = (p * (1 - p) / xi[r].numel()) ** 0.5 + 1 / 131072
            worst = max(worst, abs(float((xi[r] == 0).double().mean()) - p) / sd)
    found.proof(f"drop rates of {MANY} runs, worst deviation in standard deviations", worst, 5)


def prove_trainings(found: Findings, data: Data) -> None:
    """Test accuracy after five epochs over seeds: equivalent by two one-sided tests, p the larger of the two."""
    keys: dict[str, Any] = {"init": "torch", "lr": 0.1}
    configs = [config(seed=seed, **keys) for seed in range(SEEDS)]
    *_, last = stack_records(configs, data, 5)
    ours = [record.test_acc for record in last]
    pages = [config(seed=seed, fused=False, **keys) for seed in range(SEEDS)]
    alone = [final(lone_records(one, fresh(one, GPU), data, 5)) for one in pages]
    compare(found, "stack against the lone page on the GPU", ours, alone)
    on_cpu, threads = data.to(CPU), torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:  # a run on each core
        alone = list(pool.map(lambda one: final(lone_records(one, fresh(one, CPU), on_cpu, 5)), configs))
    torch.set_num_threads(threads)
    compare(found, "stack against lone runs on the CPU", ours, alone)
    nns = [config(variant="nn", seed=seed, **keys) for seed in range(NN_SEEDS)]
    both = [[final(lone_records(one, make(one), data, 5)) for one in nns] for make in (lambda c: fresh(c, GPU), plain)]
    compare(found, "nn captured against uncaptured", *both)


def final(records: Iterator[Any]) -> float:
    *_, last = records
    return float(last.test_acc)


def compare(found: Findings, what: str, a: list[float], b: list[float]) -> None:
    differences = [x - y for x, y in zip(a, b, strict=True)]
    print(f"{what}: mean difference {statistics.mean(differences):+.5f}, sd {statistics.stdev(differences):.5f}")
    found.proof(f"{what}, {len(a)} seeds within ±{MARGIN}, p of TOST", tost_p(differences, MARGIN), 0.05)


# What is written


def _line(row: dict[str, Any]) -> str:
    wanted = "" if row["wanted"] is None else f"≤ {row['wanted']:g} {row['unit']}".rstrip()
    holds = {True: "yes", False: "NO", None: ""}[row["holds"]]
    return f"| {row['what']} | {row['value']:.3g} {row['unit']} | {wanted} | {holds} |"


def write(about: dict[str, str], rows: list[dict[str, Any]]) -> None:
    JSON.write_text(json.dumps({**about, "rows": rows}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [f"{about['device']}, torch {about['torch']}, CUDA {about['cuda']}, {about['date']}:", ""]
    lines += ["| What | Found | Wanted | Proved |", "|---|--:|--:|---|", *map(_line, rows)]
    head, rest = DOCS.read_text(encoding="utf-8").split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    DOCS.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
