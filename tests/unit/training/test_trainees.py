"""What the loop trains: every row counts once, sums are divided once, and orders depend on their generators alone."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.training import fit_network, fit_regression
from torch import Tensor

from dropexp.nets import linreg
from dropexp.training.loop import EpochRecord
from dropexp.training.shuffle import ShuffleAhead
from dropexp.training.trainees import RegressionTrainee, evaluate, score, score_stack, train_epoch

CORRECT = 20.0  # an output far above the others: its loss is nearly 0


class Recorder:
    """A network that learns nothing and records its calls; each row's one feature is the row's number."""

    noise_at_eval = False

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.labels: dict[int, int] = {}
        self.rates: list[float] = []
        self.progress: list[float] = []
        self.evaluated: list[int] = []
        self.outputs = torch.zeros(0)

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        rows = [int(x) for x in X[:, 0]]
        self.batches.append(rows)
        self.labels |= dict(zip(rows, y.tolist(), strict=True))
        self.rates.append(lr)
        self.progress.append(progress)
        self.outputs = self.outputs.resize_(0).resize_(len(X), 10).zero_()  # the same memory in every step
        self.outputs[range(len(X)), X[:, 0].long() % 10] = CORRECT
        return self.outputs

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.evaluated.append(len(X))
        return torch.zeros(len(X), 10)

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        return []

    def weights(self) -> list[Tensor]:
        return []

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


def rows(n: int) -> tuple[Tensor, Tensor]:
    return torch.arange(n).float()[:, None], torch.arange(n) % 10


def order(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(network: Recorder, n: int = 352, test: int = 10, **options: Any) -> Iterator[EpochRecord]:
    arguments: dict[str, Any] = {"lr": 0.5, "batch_size": 256, "epochs": 1, "order": order()} | options
    return fit_network(network, rows(n), rows(test), **arguments)


# A network


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(352, 256, [256, 96]), (512, 256, [256, 256]), (100, 256, [100]), (5, 2, [2, 2, 1]), (3, 1, [1, 1, 1])],
)
def test_every_row_counts_once_including_the_smaller_last_batch(n: int, batch_size: int, sizes: list[int]) -> None:
    network = Recorder()
    loss, acc = train_epoch(network, *rows(n), 0.5, batch_size, order())
    assert [len(batch) for batch in network.batches] == sizes
    assert sorted(itertools.chain(*network.batches)) == list(range(n))
    assert network.labels == {row: row % 10 for row in range(n)}
    assert loss == pytest.approx(0, abs=1e-6)
    assert acc == 1.0


def test_the_last_row_weighs_as_much_as_the_first() -> None:
    X, y = rows(5)
    y[4] = 0  # of five rows one is wrong, in any batch
    loss, acc = train_epoch(Recorder(), X, y, 0.5, 4, order())
    assert acc == 0.8
    assert loss == pytest.approx(CORRECT / 5, rel=1e-6)


SMALL_BATCHES = """
import torch
from dropexp.config.schema import Config
from dropexp.nets import matmul
from dropexp.training import build
from dropexp.training.trainees import train_epoch

def own() -> int:  # kB
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])

order = torch.Generator().manual_seed(0)
network = build.network(Config.model_validate({"variant": "scratch"}), order, order)
X, y = torch.rand(30_000, 784), torch.arange(30_000) % 10
with matmul.using(matmul.best_backend()):
    train_epoch(network, X[:64], y[:64], 0.1, 32, order)
    before = own()
    train_epoch(network, X, y, 0.1, 32, order)
print((own() - before) / 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports a process's anonymous memory")
def test_an_epoch_of_small_batches_does_not_fragment_memory() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_BATCHES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20  # MB; it was 53 to 65 when each batch's outputs were kept


def test_batches_differ_between_epochs_and_seeds_and_depend_on_the_order_alone() -> None:
    def seen(seed: int, epochs: int) -> list[list[int]]:
        network = Recorder()
        list(trained(network, order=order(seed), epochs=epochs))
        return network.batches

    first, second = seen(0, 2)[:2], seen(0, 2)[2:]
    assert first != second
    assert first != [list(range(256)), list(range(256, 352))]
    assert seen(0, 1) == first
    assert seen(1, 1) != first


def test_training_leaves_the_rows_unchanged() -> None:
    X, y = rows(352)
    list(fit_network(Recorder(), (X, y), rows(10), lr=0.5, batch_size=256, epochs=2, order=order()))
    assert torch.equal(X, rows(352)[0])
    assert torch.equal(y, rows(352)[1])


def test_the_learning_rate_reaches_every_step() -> None:
    network = Recorder()
    list(trained(network, lr=0.125, epochs=2))
    assert network.rates == [0.125] * 4


def test_a_network_is_evaluated_only_on_the_parts_that_are_given() -> None:
    network = Recorder()
    (record,) = trained(network, clean=False)
    assert (record.clean_train_loss, record.val_loss) == (None, None)
    assert sum(network.evaluated) == 10  # the test rows alone
    (record,) = trained(network, validation=rows(20))
    assert record.clean_train_acc == 36 / 352 and (record.val_acc, record.test_acc) == (0.1, 0.1)
    assert record.train_acc == 1.0  # of the steps


@pytest.mark.parametrize("done", [0, 1])
def test_each_step_receives_the_progress_of_the_training(done: int) -> None:
    """Progress is counted in rows, so a smaller last batch counts less. Epochs of an earlier process count too."""
    network = Recorder()
    list(trained(network, n=400, epochs=2, batch_size=300, done=done))
    assert network.progress == [0.0, 0.375, 0.5, 0.875][2 * done :]


# The score


def test_the_score_is_the_mean_cross_entropy_and_the_accuracy() -> None:
    outputs = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(4)]])
    loss, acc = score(outputs, torch.tensor([0, 0, 0]))  # the probabilities of class 0: 1/2, 3/4, 1/5
    assert loss == pytest.approx(-math.log(1 / 2 * 3 / 4 * 1 / 5) / 3, rel=1e-6)
    assert acc == pytest.approx(2 / 3)


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_sums_are_divided_once_for_any_number_of_rows(n: int) -> None:
    outputs = torch.randn(n, 10, generator=order())
    y = torch.randint(10, (n,), generator=order(1))
    loss, acc = score(outputs, y)
    exact = -outputs.double().log_softmax(dim=1)[range(n), y].mean().item()
    assert loss == pytest.approx(exact, rel=1e-6)
    assert acc == (outputs.argmax(dim=1) == y).sum().item() / n


def test_each_run_of_a_stack_has_the_score_that_it_has_alone() -> None:
    outputs = torch.randn(3, 500, 10, generator=order())
    y = torch.randint(10, (3, 500), generator=order(1))
    for labels in (y, y[0]):
        for stacked, O, own in zip(score_stack(outputs, labels), outputs, labels.expand(3, -1), strict=True):
            loss, acc = score(O, own)
            assert stacked.loss == pytest.approx(loss, rel=1e-6)
            assert stacked.acc == acc


def test_an_evaluation_counts_every_row_once() -> None:
    network = Recorder()
    X, y = rows(2345)
    loss, acc = evaluate(network, X, y)
    assert sum(network.evaluated) == 2345
    assert loss == pytest.approx(math.log(10), rel=1e-6)
    assert acc == 235 / 2345  # of equal outputs the first class wins


def test_a_score_does_not_depend_on_the_number_of_threads() -> None:
    outputs = torch.randn(60_000, 10, generator=order())
    y = torch.randint(10, (60_000,), generator=order(1))
    before = torch.get_num_threads()
    scores = set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            scores.add(score(outputs, y))
    finally:
        torch.set_num_threads(before)
    assert len(scores) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_of_outputs_that_are_not_finite_is_not_finite(value: float) -> None:
    outputs = torch.zeros(2000, 10)
    outputs[1500] = value
    assert not math.isfinite(score(outputs, torch.zeros(2000, dtype=torch.int64))[0])


# The orders of a stack


def test_orders_sampled_ahead_do_not_advance_the_generators_until_they_are_used() -> None:
    expected = [[torch.randperm(50, generator=own) for _ in range(3)] for own in (order(0), order(1))]
    states = [order(0), order(1)]
    shuffle = ShuffleAhead(states, 50, pin_memory=False)
    for epoch in range(3):
        time.sleep(0.01)  # time to sample too far ahead
        for own, seed in zip(states, (0, 1), strict=True):
            alone = order(seed)
            for _ in range(epoch):
                torch.randperm(50, generator=alone)
            assert torch.equal(own.get_state(), alone.get_state())
        drawn = shuffle.next(last=epoch == 2)
        assert torch.equal(drawn, torch.stack([own[epoch] for own in expected]))


# Linear regression


class RegressionRecorder:
    """A model that learns nothing and records its batches; every output is 2 too large."""

    def __init__(self) -> None:
        self.w = torch.ones(1, 1)
        self.batches: list[list[int]] = []

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        assert torch.equal(X, y)
        self.batches.append([int(x) for x in X[:, 0]])
        return X

    def predict(self, X: Tensor) -> Tensor:
        return X + 2

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


def numbered(n: int) -> linreg.RegressionData:
    rows = torch.arange(1.0, n + 1)[:, None]
    return linreg.RegressionData(train=(rows, rows), test=(rows[:3], rows[:3]), validation=None)


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1] * 10), (4, [4, 4, 2]), (256, [10])])
def test_every_row_of_a_regression_counts_once_per_epoch(batch_size: int, sizes: list[int]) -> None:
    model = RegressionRecorder()
    list(fit_regression(model, numbered(10), lr=0.5, batch_size=batch_size, epochs=1, order=order()))
    assert [len(rows) for rows in model.batches] == sizes
    assert sorted(itertools.chain(*model.batches)) == list(range(1, 11))


def test_the_rows_of_a_regression_are_shuffled_by_the_order_alone() -> None:
    def seen(seed: int) -> list[list[int]]:
        model = RegressionRecorder()
        list(fit_regression(model, numbered(10), lr=0.5, batch_size=5, epochs=2, order=order(seed)))
        return model.batches

    assert seen(0) == seen(0) != seen(1)
    assert seen(0)[:2] != seen(0)[2:]


def test_the_loss_of_a_regression_is_the_mean_of_half_the_squared_errors() -> None:
    trainee = RegressionTrainee(RegressionRecorder(), numbered(10), batch_size=1, order=order())
    for part in ("train", "test"):
        (found,) = trainee.evaluate(part)
        assert (found.loss, found.acc) == (2.0, None)
    assert trainee.evaluate("validation") == []
