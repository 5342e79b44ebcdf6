"""The loop: every row counts once, sums are divided once, and nothing but the network changes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from dropexp.config.schema import Config
from dropexp.config.variants import VARIANTS
from dropexp.nets import matmul
from dropexp.nets.base import Network
from dropexp.training.build import build
from dropexp.training.loop import EpochRecord, evaluate, fit, score, train_epoch

CORRECT = 20.0  # an output far above the others: its loss is nearly 0


class Witness:
    """A network that learns nothing and remembers what it was shown; each row's one feature is its number."""

    noise_at_eval = False

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.labels: dict[int, int] = {}
        self.rates: list[float] = []
        self.done: list[float] = []
        self.evaluated: list[int] = []
        self.outputs = torch.zeros(0)

    def step(self, X: Tensor, y: Tensor, lr: float, done: float = 0.0) -> Tensor:
        rows = [int(x) for x in X[:, 0]]
        self.batches.append(rows)
        self.labels |= dict(zip(rows, y.tolist(), strict=True))
        self.rates.append(lr)
        self.done.append(done)
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


class Diverging(Witness):
    """Its outputs are not finite from the second epoch on."""

    def step(self, X: Tensor, y: Tensor, lr: float, done: float = 0.0) -> Tensor:
        outputs = super().step(X, y, lr)
        return outputs if len(self.batches) == 1 else outputs * math.nan


def rows(n: int) -> tuple[Tensor, Tensor]:
    return torch.arange(n).float()[:, None], torch.arange(n) % 10


def order(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(network: Network, n: int = 352, test: int = 10, **options: Any) -> Iterator[EpochRecord]:
    arguments: dict[str, Any] = {"lr": 0.5, "batch_size": 256, "epochs": 1, "order": order()} | options
    return fit(network, rows(n), rows(test), **arguments)


# One epoch


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(352, 256, [256, 96]), (512, 256, [256, 256]), (100, 256, [100]), (5, 2, [2, 2, 1]), (3, 1, [1, 1, 1])],
)
def test_every_row_counts_once_the_smaller_last_batch_included(n: int, batch_size: int, sizes: list[int]) -> None:
    network = Witness()
    loss, acc = train_epoch(network, *rows(n), 0.5, batch_size, order())
    assert [len(batch) for batch in network.batches] == sizes
    assert sorted(itertools.chain(*network.batches)) == list(range(n))
    assert network.labels == {row: row % 10 for row in range(n)}
    assert loss == pytest.approx(0, abs=1e-6)
    assert acc == 1.0


def test_the_last_row_weighs_as_much_as_the_first() -> None:
    X, y = rows(5)
    y[4] = 0  # of five rows one is wrong, in whichever batch it comes
    loss, acc = train_epoch(Witness(), X, y, 0.5, 4, order())
    assert acc == 0.8
    assert loss == pytest.approx(CORRECT / 5, rel=1e-6)


SMALL_BATCHES = """
import torch
from dropexp.nets import matmul
from dropexp.config.schema import Config
from dropexp.training.loop import train_epoch
from dropexp.training.build import build

def own() -> int:  # kB
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])

order = torch.Generator().manual_seed(0)
network = build(Config.model_validate({"variant": "scratch"}), order, order)
X, y = torch.rand(60_000, 784), torch.arange(60_000) % 10
with matmul.using(matmul.best_backend()):
    train_epoch(network, X[:64], y[:64], 0.1, 32, order)
    before = own()
    train_epoch(network, X, y, 0.1, 32, order)
print((own() - before) / 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process has of its own")
def test_an_epoch_of_small_batches_leaves_no_holes_in_memory() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_BATCHES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40  # MB; outputs kept one by one left 107 to 130


def test_batches_differ_between_epochs_and_seeds_and_are_the_orders_alone() -> None:
    def seen(seed: int, epochs: int) -> list[list[int]]:
        network = Witness()
        list(trained(network, order=order(seed), epochs=epochs))
        return network.batches

    first, second = seen(0, 2)[:2], seen(0, 2)[2:]
    assert first != second
    assert first != [list(range(256)), list(range(256, 352))]
    assert seen(0, 1) == first
    assert seen(1, 1) != first


def test_training_leaves_the_rows_as_they_were() -> None:
    X, y = rows(352)
    list(fit(Witness(), (X, y), rows(10), lr=0.5, batch_size=256, epochs=2, order=order()))
    assert torch.equal(X, rows(352)[0])
    assert torch.equal(y, rows(352)[1])


# The score


def test_the_score_is_the_mean_cross_entropy_and_the_accuracy() -> None:
    outputs = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(4)]])
    loss, acc = score(outputs, torch.tensor([0, 0, 0]))  # the probabilities of class 0: 1/2, 3/4, 1/5
    assert loss == pytest.approx(-math.log(1 / 2 * 3 / 4 * 1 / 5) / 3, rel=1e-6)
    assert acc == pytest.approx(2 / 3)


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_sums_are_divided_once_whatever_the_parts(n: int) -> None:
    outputs = torch.randn(n, 10, generator=order())
    y = torch.randint(10, (n,), generator=order(1))
    loss, acc = score(outputs, y)
    exact = -outputs.double().log_softmax(dim=1)[range(n), y].mean().item()
    assert loss == pytest.approx(exact, rel=1e-6)
    assert acc == (outputs.argmax(dim=1) == y).sum().item() / n


def test_an_evaluation_counts_every_row_once() -> None:
    network = Witness()
    X, y = rows(2345)
    loss, acc = evaluate(network, X, y)
    assert sum(network.evaluated) == 2345
    assert loss == pytest.approx(math.log(10), rel=1e-6)
    assert acc == 235 / 2345  # the first class wins a draw


def test_a_score_does_not_depend_on_the_threads() -> None:
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


# Records


def test_a_record_is_a_row_of_the_table() -> None:
    assert [field.name for field in dataclasses.fields(EpochRecord)] == [
        "epoch",
        "train_loss",
        "train_acc",
        "clean_train_loss",
        "clean_train_acc",
        "val_loss",
        "val_acc",
        "test_loss",
        "test_acc",
        "lr",
        "seconds",
    ]


def test_a_record_tells_running_clean_validation_and_test_figures_apart() -> None:
    (record,) = trained(Witness(), validation=rows(20))
    assert record.train_loss == pytest.approx(0, abs=1e-6)  # what the noisy pass gave
    assert record.train_acc == 1.0
    assert record.clean_train_loss == pytest.approx(math.log(10), rel=1e-6)  # what the evaluation gives
    assert record.clean_train_acc == 36 / 352
    assert (record.val_acc, record.test_acc) == (0.1, 0.1)
    assert record.val_loss == pytest.approx(math.log(10), rel=1e-6)
    assert (record.epoch, record.lr) == (1, 0.5)
    assert record.seconds > 0


def test_what_was_not_asked_for_is_none_and_costs_nothing() -> None:
    network = Witness()
    (record,) = trained(network, clean=False)
    assert (record.clean_train_loss, record.clean_train_acc, record.val_loss, record.val_acc) == (None,) * 4
    assert sum(network.evaluated) == 10  # the test rows alone


def test_the_rate_is_the_one_given() -> None:
    network = Witness()
    records = list(trained(network, lr=0.125, epochs=2))
    assert set(network.rates) == {0.125}
    assert {record.lr for record in records} == {0.125}


def test_the_rate_of_an_epoch_is_what_the_schedule_makes_of_it() -> None:
    network = Witness()
    records = list(trained(network, epochs=3, lr_schedule=lambda epoch, epochs: epoch / epochs))
    assert [record.lr for record in records] == pytest.approx([0.5 / 3, 1 / 3, 0.5])
    assert network.rates == [record.lr for record in records for _ in range(2)]  # both batches of each epoch


@pytest.mark.parametrize("before", [0, 1])
def test_a_step_is_told_which_share_of_the_training_is_over(before: int) -> None:
    """By rows, so that a smaller last batch counts as what it is; epochs done before count as well."""
    network = Witness()
    list(trained(network, n=400, epochs=2, batch_size=300, done=before))
    assert network.done == [0.0, 0.375, 0.5, 0.875][2 * before :]


# Epochs


def test_records_come_one_by_one_as_the_epochs_end() -> None:
    network = Witness()
    records = trained(network, epochs=3)
    assert network.batches == []
    assert next(records).epoch == 1
    assert len(network.batches) == 2
    assert [record.epoch for record in records] == [2, 3]


@pytest.mark.parametrize(("done", "expected"), [(0, [1, 2, 3]), (2, [3]), (3, []), (5, [])])
def test_epochs_that_are_done_are_not_trained_again(done: int, expected: list[int]) -> None:
    assert [record.epoch for record in trained(Witness(), epochs=3, done=done)] == expected


def test_the_loop_stops_after_a_loss_that_is_not_finite() -> None:
    network = Diverging()
    records = list(trained(network, n=100, epochs=5))
    assert [record.epoch for record in records] == [1, 2]
    assert [record.finite for record in records] == [True, False]
    assert math.isnan(records[1].train_loss)
    assert len(network.batches) == 2


@pytest.mark.parametrize("column", ["train_loss", "clean_train_loss", "val_loss", "test_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_any_loss_can_diverge(column: str, value: float) -> None:
    fine = dataclasses.asdict(EpochRecord(1, 0.5, 0.5, None, None, None, None, 0.5, 0.5, 0.5, 1.0))
    assert EpochRecord(**fine).finite
    assert not EpochRecord(**(fine | {column: value})).finite


# What the loop leaves alone


def real(variant: str) -> Network:
    keys = {"variant": variant, "hidden": [32], "drop_probs": [0.5], "init": "torch", "lr": 0.1}
    return build(Config.model_validate(keys), order(1), order(2))


def real_rows(n: int) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 10
    return torch.rand(n, 784, generator=order(3)) + (torch.arange(784) % 10 == y[:, None]), y


def real_fit(
    network: Network, route: str, seed: int = 0, *, batch_size: int = 64, epochs: int = 3
) -> Iterator[EpochRecord]:
    train, test = real_rows(352), real_rows(100)
    return fit(network, train, test, lr=0.1, batch_size=batch_size, epochs=epochs, order=order(seed), route=route)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
@pytest.mark.parametrize("route", [matmul.PLAIN, matmul.ONEDNN])
def test_neither_torchs_generator_nor_its_products_are_changed_between_epochs(variant: str, route: str) -> None:
    def setting() -> object:
        return getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", None)

    network = real(variant)
    before = torch.get_rng_state(), setting()
    for _ in real_fit(network, route):
        assert torch.equal(torch.get_rng_state(), before[0])
        assert setting() == before[1]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert setting() == before[1]


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_a_real_network_learns(variant: str) -> None:
    records = list(real_fit(real(variant), matmul.best_backend()))
    assert records[-1].test_loss < records[0].test_loss
    assert records[-1].test_acc > 0.5


REGULARISED = {
    **{"input_drop_prob": 0.1, "input_noise_std": 0.1, "label_smoothing": 0.1, "lr_schedule": "cosine"},
    **{"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3, "l1": 1e-5, "max_norm": 1.0},
}


@pytest.mark.parametrize("placement", ["after", "before"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_regularised_training_has_the_same_bits_on_one_thread_and_on_two(variant: str, placement: str) -> None:
    keys = {"variant": variant, "hidden": [256, 64], "init": "torch", "placement": placement, **REGULARISED}
    before, ends = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            network = build(Config.model_validate(keys), order(1), order(2))
            ends.append(
                [figures(record) for record in real_fit(network, matmul.best_backend(), batch_size=256, epochs=2)]
            )
    finally:
        torch.set_num_threads(before)
    assert ends[0] == ends[1]


def figures(record: EpochRecord) -> EpochRecord:
    return dataclasses.replace(record, seconds=0.0)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_two_loops_in_turn_give_what_each_gives_alone(variant: str) -> None:
    alone = [[figures(r) for r in real_fit(real(variant), matmul.PLAIN, seed)] for seed in (0, 1)]
    both = zip(*(real_fit(real(variant), matmul.PLAIN, seed) for seed in (0, 1)), strict=True)
    assert [(figures(one), figures(other)) for one, other in both] == list(zip(*alone, strict=True))
    assert alone[0] != alone[1]
