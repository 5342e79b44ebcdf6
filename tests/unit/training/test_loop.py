"""The loop: what each epoch calls and records, where it starts and stops, and what it leaves unchanged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from helpers.training import fit_network
from torch import Tensor

from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS
from dropexp.nets import matmul
from dropexp.nets.network_interface import Network
from dropexp.training import build
from dropexp.training.loop import EpochRecord, Part, Score, Trainee, fit

FIGURES = {
    "train": [Score(0.3, 0.7), Score(0.4, 0.6)],
    "validation": [Score(0.5, 0.5), Score(0.6, 0.4)],
    "test": [Score(0.7, 0.3), Score(0.8, 0.2)],
}


class Recorder(Trainee):
    """Two runs that learn nothing, and record what the loop calls."""

    def __init__(self, running: Sequence[Score] = (Score(0.1, 0.9), Score(0.2, 0.8)), **parts: list[Score]) -> None:
        self.running = list(running)
        self.parts: dict[str, list[Score]] = {**FIGURES, **parts}
        self.calls: list[Any] = []

    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        self.calls.append((*lrs, epoch, epochs))
        return self.running

    def evaluate(self, part: Part) -> list[Score]:
        self.calls.append(part)
        return self.parts[part]

    def finish_epoch(self) -> None:
        self.calls.append("finish")


class Diverging(Recorder):
    """The first run diverges in epoch 2, the second in epoch 3; afterwards the losses are finite again."""

    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        super().train_epoch(lrs, epoch, epochs)
        return [Score(math.nan if epoch == run + 2 else 0.5, 0.5) for run in range(2)]


def trained(trainee: Trainee, epochs: int = 1, **options: Any) -> Iterator[list[EpochRecord]]:
    return fit(trainee, lrs=[0.5, 0.25], epochs=epochs, **options)


def order(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Records


def test_a_record_has_the_columns_of_the_table_in_order() -> None:
    columns = [field.name for field in dataclasses.fields(EpochRecord)]
    images = ["train_acc", "clean_train_loss", "clean_train_acc", "val_acc", "test_acc"]
    assert columns[:3] == ["epoch", "train_loss", "train_acc"] and columns[-2:] == ["lr", "seconds"]
    assert [name for name in columns if name != "w_norm"] == [
        *("epoch", "train_loss", "train_acc", "clean_train_loss", "clean_train_acc", "val_loss", "val_acc"),
        *("test_loss", "test_acc", "lr", "seconds"),
    ]
    assert [name for name in columns if name not in images] == [
        *("epoch", "train_loss", "val_loss", "test_loss", "w_norm", "lr", "seconds"),
    ]


def test_each_run_gets_its_own_running_clean_validation_and_test_figures() -> None:
    ((first, second),) = trained(Recorder())
    assert (first.train_loss, first.train_acc, second.train_loss, second.train_acc) == (0.1, 0.9, 0.2, 0.8)
    assert (first.clean_train_loss, first.clean_train_acc, second.clean_train_loss) == (0.3, 0.7, 0.4)
    assert (first.val_loss, first.val_acc, second.val_loss) == (0.5, 0.5, 0.6)
    assert (first.test_loss, first.test_acc, second.test_loss) == (0.7, 0.3, 0.8)
    assert (first.lr, second.lr, first.epoch) == (0.5, 0.25, 1)
    assert first.seconds == second.seconds > 0


def test_a_row_has_no_columns_for_figures_that_were_not_measured() -> None:
    ((record, _),) = trained(Recorder(train=[], validation=[]))
    assert (record.clean_train_loss, record.clean_train_acc, record.val_loss, record.val_acc) == (None,) * 4
    assert list(record.row()) == ["epoch", "train_loss", "train_acc", "test_loss", "test_acc", "lr", "seconds"]


def test_without_running_figures_the_training_figures_are_those_of_the_evaluation() -> None:
    class Regression(Recorder):
        def w_norms(self) -> list[float]:
            return [3.0, 4.0]

    ((record, _),) = trained(Regression(running=[], train=[Score(0.3)] * 2, validation=[], test=[Score(0.7)] * 2))
    assert list(record.row()) == ["epoch", "train_loss", "test_loss", "w_norm", "lr", "seconds"]
    assert (record.train_loss, record.test_loss, record.w_norm) == (0.3, 0.7, 3.0)


def test_the_learning_rates_are_scaled_by_the_schedule() -> None:
    trainee = Recorder()
    records = list(trained(trainee, epochs=2, lr_schedule=lambda epoch, epochs: epoch / epochs))
    assert [[record.lr for record in pair] for pair in records] == [[0.25, 0.125], [0.5, 0.25]]
    assert [call for call in trainee.calls if isinstance(call, tuple)] == [(0.25, 0.125, 1, 2), (0.5, 0.25, 2, 2)]


@pytest.mark.parametrize("column", ["train_loss", "clean_train_loss", "val_loss", "test_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_any_loss_can_diverge(column: str, value: float) -> None:
    ((record, _),) = trained(Recorder())
    assert record.finite
    changed: dict[str, Any] = {column: value}
    assert not dataclasses.replace(record, **changed).finite


# Epochs


def test_an_epoch_trains_then_evaluates_then_finishes_before_its_records_are_yielded() -> None:
    trainee = Recorder()
    records = trained(trainee, epochs=2)
    assert trainee.calls == []
    next(records)
    assert trainee.calls == [(0.5, 0.25, 1, 2), "test", "train", "validation", "finish"]


@pytest.mark.parametrize(("done", "expected"), [(0, [1, 2, 3]), (2, [3]), (3, []), (5, [])])
def test_epochs_that_are_done_are_not_trained_again(done: int, expected: list[int]) -> None:
    assert [record.epoch for record, _ in trained(Recorder(), epochs=3, done=done)] == expected


def test_the_loop_stops_when_every_run_has_diverged_once() -> None:
    records = list(trained(Diverging(), epochs=5))
    assert [[record.finite for record in pair] for pair in records] == [[True, True], [False, True], [True, False]]


# What the loop leaves unchanged


def real(variant: str) -> Network:
    keys = {"variant": variant, "hidden": [32], "drop_probs": [0.5], "init": "torch", "lr": 0.1}
    return build.network(Config.model_validate(keys), order(1), order(2))


def real_rows(n: int) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 10
    return torch.rand(n, 784, generator=order(3)) + (torch.arange(784) % 10 == y[:, None]), y


def real_fit(
    network: Network, backend: str, seed: int = 0, *, batch_size: int = 64, epochs: int = 3
) -> Iterator[EpochRecord]:
    options: dict[str, Any] = {"lr": 0.1, "batch_size": batch_size, "epochs": epochs, "backend": backend}
    return fit_network(network, real_rows(352), real_rows(100), order=order(seed), **options)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
@pytest.mark.parametrize("backend", [matmul.PLAIN, matmul.ONEDNN])
def test_torchs_generator_and_matmul_setting_are_unchanged_between_epochs(variant: str, backend: str) -> None:
    def setting() -> object:
        return getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", None)

    network = real(variant)
    before = torch.get_rng_state(), setting()
    for _ in real_fit(network, backend):
        assert torch.equal(torch.get_rng_state(), before[0])
        assert setting() == before[1]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert setting() == before[1]


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_a_real_network_learns(variant: str) -> None:
    records = list(real_fit(real(variant), matmul.best_backend()))
    assert records[-1].row()["test_loss"] < records[0].row()["test_loss"]
    assert records[-1].row()["test_acc"] > 0.5


ON_UNITS = sorted(set(VARIANTS) - {"dropconnect-per-example"})  # see test_dropconnect.py
REGULARISED = {
    **{"input_drop_prob": 0.1, "input_noise_std": 0.1, "label_smoothing": 0.1, "lr_schedule": "cosine"},
    **{"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3, "l1": 1e-5, "max_norm": 1.0},
}


@pytest.mark.parametrize(
    "keys",
    [
        *({"variant": variant, "placement": on, **REGULARISED} for variant in ON_UNITS for on in ("after", "before")),
        *({"variant": variant, "optimizer": "adamw", "weight_decay": 0.1} for variant in ("none", "nn")),
    ],
    ids=str,
)
def test_a_training_has_the_same_bits_on_one_thread_and_on_two(keys: dict[str, Any]) -> None:
    keys = {"hidden": [256, 64], "init": "torch", "lr": 0.1, **keys}
    before, ends = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            network = build.network(Config.model_validate(keys), order(1), order(2))
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
