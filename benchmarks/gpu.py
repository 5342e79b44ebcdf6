"""Time training on one GPU, and check that it computes the same as the reference implementation.

    python benchmarks/gpu.py

Needs a CUDA device and Fashion-MNIST, and takes some minutes, mostly for the single runs that a stack is compared with.
Exits with 1 if a check fails, and with 2 if there is no CUDA device.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from pages.gpu import line
from storage import ROOT, data_root, save_results
from torch import Tensor

from dropexp import load_config, train
from dropexp.analysis.stats import tost_p
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data, load
from dropexp.nets import cuda_graph, from_scratch, torch_nn
from dropexp.nets.network_interface import Network
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.stacked import Stack
from dropexp.training import build
from dropexp.training.loop import fit
from dropexp.training.rng import stream
from dropexp.training.trainees import NetworkTrainee, StackTrainee

STUDY = ROOT / "configs" / "dropout.yaml"
MANY = 30  # runs in a stack
EPOCHS = 8  # of a timing; the first two, which capture graphs, are ignored
SEEDS = 30  # of the compared runs
NN_SEEDS = 10  # of the compared runs of nn, which are equal bit for bit
GRADIENT = 2e-6  # bound on max|error| / max|gradient|, float32 against float64; TF32 would give 1e-3
LARGE_LR = 1024.0  # so large that the step can be recovered from the change of the parameters
CAPTURED = 1e-5  # bound on max|difference| / max|value| of outputs and parameters
MARGIN = 0.003  # of equivalence, in test accuracy

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@dataclass
class Report:
    """The rows of the table. Each is printed when it is added."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def timing(self, what: str, value: float, unit: str, target: float | None = None) -> None:
        self._add({"what": what, "value": value, "unit": unit, "bound": target, "passed": None})

    def check(self, what: str, value: float, bound: float) -> None:
        self._add({"what": what, "value": value, "unit": "", "bound": bound, "passed": value <= bound})

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        print(line(row), flush=True)


def main() -> int:
    if not torch.cuda.is_available():
        print("benchmarks/gpu.py needs a CUDA device and a torch built for it; torch sees none here", file=sys.stderr)
        return 2
    report, data = Report(), load(data_root()).to(GPU)
    time_epochs(report, data)
    time_study(report)
    with cuda_graph.ieee_matmul():
        check_gradients(report, data)
        check_captures(report, data)
        check_drop_rates(report, data)
        check_trainings(report, data)
    about = {
        "device": torch.cuda.get_device_name(GPU),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "date": time.strftime("%Y-%m-%d"),
    }
    save_results("gpu", {**about, "rows": report.rows})
    failed = [row["what"] for row in report.rows if row["passed"] is False]
    print(f"failed: {'; '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


# Timings


def config(**keys: Any) -> Config:
    return Config.model_validate({"variant": "scratch", "eval_train": False} | keys)


def stacked(configs: list[Config], data: Data) -> Stack:
    networks = [build.reference_mlp(one, stream(one.seed, "init"), stream(one.seed, "noise", GPU)) for one in configs]
    return Stack(networks, data.X_train, data.y_train, len(data.y_train), configs[0].batch_size)


def stack_records(configs: list[Config], data: Data, epochs: int) -> Iterator[list[Any]]:
    train_rows = torch.arange(len(data.y_train), device=GPU).expand(len(configs), -1)
    orders = [stream(one.seed, "order") for one in configs]
    stack, test = stacked(configs, data), (data.X_test, data.y_test)
    trainee = StackTrainee(stack, train_rows, test, orders=orders, clean=False)
    return fit(trainee, lrs=[one.lr for one in configs], epochs=epochs)


def single_records(one: Config, network: Network, data: Data, epochs: int) -> Iterator[Any]:
    train, test = (data.X_train, data.y_train), (data.X_test, data.y_test)
    order = stream(one.seed, "order")
    trainee = NetworkTrainee(network, train, {"test": test}, batch_size=one.batch_size, order=order)
    return (record for (record,) in fit(trainee, lrs=[one.lr], epochs=epochs))


def fresh(one: Config, device: torch.device) -> Network:
    return build.network(one, stream(one.seed, "init"), stream(one.seed, "noise", device))


@contextmanager
def uncaptured() -> Iterator[None]:
    """Launch the steps of a stack one by one on one stream, instead of replaying CUDA graphs."""

    def launch(steps: Callable[[], None], device: torch.device) -> tuple[mock.Mock, None]:
        return mock.Mock(replay=steps), None

    with mock.patch.object(cuda_graph, "capture", launch), mock.patch.object(cuda_graph, "side_stream", nullcontext):
        yield


def milliseconds(seconds: Iterator[float]) -> float:
    """Return the median time of an epoch, without the first two."""
    return 1000 * statistics.median(list(seconds)[2:])


def time_epochs(report: Report, data: Data) -> None:
    """Time an epoch: training and test evaluation, as in the column `seconds`."""
    for count, target in ((1, 20), (MANY, 80)):
        configs = [config(seed=seed) for seed in range(count)]
        what = "one scratch run" if count == 1 else f"{count} scratch runs stacked"
        torch.cuda.reset_peak_memory_stats()
        epoch = milliseconds(records[0].seconds * count for records in stack_records(configs, data, EPOCHS))
        report.timing(f"{what}, an epoch", epoch, "ms", target)
        report.timing(f"{what}, peak memory with the data", torch.cuda.max_memory_allocated() / 2**20, "MiB")
        with uncaptured():
            epoch = milliseconds(records[0].seconds * count for records in stack_records(configs, data, EPOCHS))
        report.timing(f"{what}, an epoch, uncaptured", epoch, "ms")
    one = config(variant="nn")
    for name, network in (("", fresh(one, GPU)), (", uncaptured", plain(one))):
        epoch = milliseconds(record.seconds for record in single_records(one, network, data, EPOCHS))
        report.timing(f"one nn run, an epoch{name}", epoch, "ms")


def plain(one: Config) -> Network:
    """Return the torch.nn network of a config on the GPU, without CUDA graphs."""
    with mock.patch.object(cuda_graph, "GraphedMLP", torch_nn.TorchMLP):
        return fresh(one, GPU)


def time_study(report: Report) -> None:
    """Time five seeds of the README's study: the sum of the column `seconds`, and the wall time of the command."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        rows = list(train(load_config(STUDY, seeds="0..4"), runs_dir=folder, device="cuda"))
        report.timing("the README's study with five seeds, training", sum(row["seconds"] for row in rows), "s", 3)
        report.timing(
            "the README's study with five seeds, with evaluation of the training set and files",
            time.perf_counter() - start,
            "s",
        )


# Checks


def check_gradients(report: Report, data: Data) -> None:
    """Compare one step of every run of a stack with the reference implementation in float64, with equal noise."""
    configs = [config(seed=seed, init="torch", drop_probs=[0.02 * seed, 0.5]) for seed in range(MANY)]
    stack = stacked(configs, data)
    before = [parameters(stack, r) for r in range(MANY)]
    rows = torch.randint(len(data.y_train), (MANY, 256), generator=torch.Generator().manual_seed(0)).to(GPU)
    stack.train_epoch(rows, [LARGE_LR] * MANY)
    worst = 0.0
    for r, batch in enumerate(rows):
        noises = [None if xi is None else FixedNoise(xi[r, 0].double()) for xi in stack.noise.xi]
        network = from_scratch.MLP(before[r], noises, torch.Generator(GPU), SGD())
        result = network.forward(data.X_train[batch].double(), network.generator)
        exact = network.backward(data.y_train[batch], result)
        for was, now, true in zip(before[r], parameters(stack, r), exact, strict=True):
            worst = max(worst, *(error((w - v) / LARGE_LR, g) for w, v, g in zip(was, now, true, strict=True)))
    report.check(
        f"gradients of {MANY} stacked runs against the reference implementation in float64, worst error",
        worst,
        GRADIENT,
    )


def parameters(stack: Stack, r: int) -> list[Layer]:
    return [(W[r].double(), b[r, 0].double()) for W, b in stack.layers]


@dataclass(frozen=True)
class FixedNoise:
    """A noise with a given sample."""

    xi: Tensor
    p = 0.5
    at_eval = 1.0

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.xi


def error(value: Tensor, exact: Tensor) -> float:
    """Return max|error| / max|exact|."""
    return float((value.double() - exact).abs().max() / exact.abs().max())


def check_captures(report: Report, data: Data) -> None:
    """Compare captured steps with the same steps launched one by one, from equal states, streams and batches."""
    for momentum in (0.0, 0.9):
        keys = {"init": "torch", "lr": 0.1, "momentum": momentum}
        configs = [config(seed=seed, **keys) for seed in range(MANY)]
        for rows in (256, 96, 608):  # a full batch, the smaller last one, and two full ones with it
            batches = (torch.arange(MANY * rows, device=GPU) % len(data.y_train)).view(MANY, rows)
            one, other = stacked(configs, data), stacked(configs, data)
            outputs = one.train_epoch(batches, [0.1] * MANY)
            with uncaptured():
                expected = other.train_epoch(batches, [0.1] * MANY)
            worst = max(error(outputs, expected.double()), error(one.theta, other.theta.double()))
            report.check(f"captured steps of {rows} rows, momentum {momentum}, worst difference", worst, CAPTURED)
        nn = config(variant="nn", **keys)
        ours, eager = fresh(nn, GPU), plain(nn)
        X, y = data.X_train[:256], data.y_train[:256]
        worst = max(error(ours.step(X, y, 0.1), eager.step(X, y, 0.1).double()) for _ in range(3))
        a, b = copy.deepcopy(ours.state()["net"]), eager.state()["net"]
        worst = max([worst, *(error(a[name], b[name].double()) for name in a)])
        report.check(f"three captured steps of nn, momentum {momentum}, worst difference", worst, CAPTURED)


def check_drop_rates(report: Report, data: Data) -> None:
    """Check that each run of a stack drops at its own rate, to within five standard deviations."""
    configs = [config(seed=seed, drop_probs=[seed / (MANY - 1), 0.5]) for seed in range(MANY)]
    stack = stacked(configs, data)
    stack.noise.draw([0.0] * stack.steps)
    worst = 0.0
    for r, one in enumerate(configs):
        for xi, p in zip(stack.noise.xi[1:], one.drop_probs, strict=True):
            assert xi is not None
            sd = (p * (1 - p) / xi[r].numel()) ** 0.5 + 1 / 131072  # p is rounded to a multiple of 1/65536
            worst = max(worst, abs(float((xi[r] == 0).double().mean()) - p) / sd)
    report.check(f"drop rates of {MANY} runs, worst deviation in standard deviations", worst, 5)


def check_trainings(report: Report, data: Data) -> None:
    """Check that test accuracies after five epochs are equivalent over seeds, by two one-sided tests."""
    keys: dict[str, Any] = {"init": "torch", "lr": 0.1}
    configs = [config(seed=seed, **keys) for seed in range(SEEDS)]
    *_, last = stack_records(configs, data, 5)
    stack_accs = [record.test_acc for record in last]
    reference = [config(seed=seed, fused=False, **keys) for seed in range(SEEDS)]
    accs = [final(single_records(one, fresh(one, GPU), data, 5)) for one in reference]
    compare(report, "stack against the reference implementation on the GPU", stack_accs, accs)
    on_cpu, threads = data.to(CPU), torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:  # one run per core
        accs = list(pool.map(lambda one: final(single_records(one, fresh(one, CPU), on_cpu, 5)), configs))
    torch.set_num_threads(threads)
    compare(report, "stack against single runs on the CPU", stack_accs, accs)
    nns = [config(variant="nn", seed=seed, **keys) for seed in range(NN_SEEDS)]
    both = [
        [final(single_records(one, make(one), data, 5)) for one in nns] for make in (lambda c: fresh(c, GPU), plain)
    ]
    compare(report, "nn captured against uncaptured", *both)


def final(records: Iterator[Any]) -> float:
    *_, last = records
    return float(last.test_acc)


def compare(report: Report, what: str, a: list[float], b: list[float]) -> None:
    differences = [x - y for x, y in zip(a, b, strict=True)]
    print(f"{what}: mean difference {statistics.mean(differences):+.5f}, sd {statistics.stdev(differences):.5f}")
    report.check(f"{what}, {len(a)} seeds within ±{MARGIN}, p of TOST", tost_p(differences, MARGIN), 0.05)


if __name__ == "__main__":
    sys.exit(main())
