"""The weight-decay study: the models from scratch and in torch.nn agree, and penalties have the intended effect."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.autograd import generator
from helpers.training import fit_regression
from torch import Tensor
from torch.nn.functional import mse_loss

from dropexp.nets.linreg import (
    Concise,
    Model,
    RegressionData,
    Scratch,
    decay,
    generate_data,
    init_params,
    squared_loss,
)
from dropexp.training.loop import EpochRecord

pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., Model]
MODELS = pytest.mark.parametrize("make", [Scratch, Concise])
PENALTIES = pytest.mark.parametrize(("weight_decay", "l1"), [(0.0, 0.0), (4.0, 0.0), (0.0, 0.1), (0.5, 0.1)])


def model(make: Make, *penalties: float, dtype: torch.dtype = torch.float32) -> Model:
    w, b = init_params(generator(1))
    return make(w.to(dtype), b.to(dtype), *penalties)


def trained(net: Model, rows: RegressionData | None = None, **options: Any) -> Iterator[EpochRecord]:
    rows = rows or generate_data(generator())
    arguments: dict[str, Any] = {"lr": 0.003, "batch_size": 1, "epochs": 5, "order": generator(2)} | options
    return fit_regression(net, rows, **arguments)


def batch(n: int) -> tuple[Tensor, Tensor]:
    X, y = generate_data(generator(), num_train=n).train
    return X.double(), y.double()


# The data


def test_features_are_uniform_and_the_noise_is_normal_with_the_documented_spread() -> None:
    X, y = generate_data(generator(), num_train=10_000).train
    assert (*X.shape, *y.shape) == (10_000, 200, 10_000, 1)
    assert X.dtype == y.dtype == torch.float32
    assert ((X >= 0) & (X < 1)).all()
    assert X.mean().item() == pytest.approx(0.5, abs=5 / math.sqrt(12 * X.numel()))
    assert X.var().item() == pytest.approx(1 / 12, rel=0.005)
    noise = y.double() - 0.01 * X.double().sum(dim=1, keepdim=True) - 0.05
    assert noise.mean().item() == pytest.approx(0, abs=5 * 0.01 / 100)
    assert noise.std().item() == pytest.approx(0.01, rel=5 / math.sqrt(2 * 10_000))


def test_there_are_20_training_rows_and_100_test_rows() -> None:
    rows = generate_data(generator())
    assert [len(part) for part in (*rows.train, *rows.test)] == [20, 20, 100, 100]
    assert rows.validation is None


def test_validation_rows_do_not_change_other_rows() -> None:
    without, with_validation = generate_data(generator()), generate_data(generator(), num_val=30)
    assert with_validation.validation is not None
    assert [len(part) for part in with_validation.validation] == [30, 30]
    for one, other in zip(
        (*without.train, *without.test), (*with_validation.train, *with_validation.test), strict=True
    ):
        assert torch.equal(one, other)


def test_test_rows_do_not_depend_on_the_number_of_training_rows() -> None:
    assert torch.equal(generate_data(generator(), num_train=5).test[0], generate_data(generator()).test[0])


def test_initial_weights_are_standard_normal_and_the_bias_is_0() -> None:
    w = torch.cat([init_params(generator(seed))[0] for seed in range(50)], dim=1)
    assert w.shape == (200, 50)
    assert w.mean().item() == pytest.approx(0, abs=0.05)
    assert w.std().item() == pytest.approx(1, rel=0.05)
    assert torch.equal(init_params(generator())[1], torch.zeros(1))


# The step


@PENALTIES
@pytest.mark.parametrize("n", [1, 8])
def test_gradients_equal_autograd_in_float64(weight_decay: float, l1: float, n: int) -> None:
    X, y = batch(n)
    w, b = (parameter.double() for parameter in init_params(generator(1)))
    net = Scratch(w, b, weight_decay, l1)
    found = net.gradients(X, net.predict(X), y)
    leaves = w.clone().requires_grad_(), b.clone().requires_grad_()
    loss = ((X @ leaves[0] + leaves[1] - y) ** 2 / 2).mean()
    objective = loss + weight_decay * (leaves[0] ** 2).sum() / 2 + l1 * leaves[0].abs().sum()
    for gradient, expected in zip(found, torch.autograd.grad(objective, leaves), strict=True):
        assert (gradient - expected).abs().max() < 1e-12 * expected.abs().max()


@PENALTIES
@pytest.mark.parametrize("batch_size", [1, 8])
def test_both_models_train_equally(weight_decay: float, l1: float, batch_size: int) -> None:
    nets = [model(make, weight_decay, l1) for make in (Scratch, Concise)]
    paths = [list(trained(net, batch_size=batch_size)) for net in nets]
    assert (nets[0].w - nets[1].w).abs().max() < 1e-6
    for one, other in zip(*paths, strict=True):
        assert one.w_norm == pytest.approx(other.w_norm, rel=1e-6)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-5)


@MODELS
def test_a_step_returns_the_outputs_before_the_update(make: Make) -> None:
    X, y = generate_data(generator()).train
    net = model(make)
    before = net.predict(X)
    assert torch.equal(net.step(X, y, 0.003), before)
    assert not torch.equal(net.predict(X), before)


@MODELS
def test_penalties_do_not_apply_to_the_bias(make: Make) -> None:
    X, y = torch.zeros(1, 200), torch.zeros(1, 1)  # all features are 0, so only penalties and the bias have gradients
    net = make(torch.ones(200, 1), torch.ones(1), 4.0, 0.5)
    net.step(X, y, 0.1)
    assert net.predict(X).item() == pytest.approx(1 - 0.1)  # b ← b − η·(b − y)
    assert net.w.flatten().tolist() == pytest.approx([1 - 0.1 * 4 - 0.1 * 0.5] * 200)


# Weight decay in closed form


@MODELS
@pytest.mark.parametrize("n", [1, 4])
def test_a_penalty_in_the_loss_equals_weight_decay_in_closed_form(make: Make, n: int) -> None:
    X, y = batch(n)
    net = model(make, 4.0, dtype=torch.float64)
    w = net.w.clone()
    gradient = X.T @ (net.predict(X) - y)
    net.step(X, y, 0.003)
    assert (net.w - decay(w, gradient, 0.003, 4.0, n)).abs().max() < 1e-12


def test_the_printed_formula_is_equal_for_one_row() -> None:
    w, gradient = torch.randn(200, 1, generator=generator()), torch.randn(200, 1, generator=generator(1))
    assert torch.equal(decay(w, gradient, 0.003, 4.0, 1, printed=True), decay(w, gradient, 0.003, 4.0, 1))


@MODELS
def test_the_printed_formula_decays_a_quarter_as_much_for_4_rows(make: Make) -> None:
    X, y = batch(4)
    penalised, free = model(make, 4.0, dtype=torch.float64), model(make, dtype=torch.float64)
    w = free.w.clone()
    printed = decay(w, X.T @ (free.predict(X) - y), 0.003, 4.0, 4, printed=True)
    penalised.step(X, y, 0.003)
    free.step(X, y, 0.003)
    assert (free.w - printed - 0.003 * 4.0 / 4 * w).abs().max() < 1e-12
    assert ((free.w - penalised.w) - 4 * (free.w - printed)).abs().max() < 1e-12


@MODELS
def test_weight_decay_keeps_weights_small_and_reduces_overfitting(make: Make) -> None:
    weak, strong = (list(trained(model(make, weight_decay), epochs=100))[-1] for weight_decay in (0.005, 4.0))
    assert weak.row()["train_loss"] < 0.01 < 1 < weak.row()["test_loss"]
    assert weak.row()["w_norm"] > 10
    assert strong.row()["test_loss"] < 0.01
    assert strong.row()["w_norm"] < 0.15


# Training


def test_the_loss_of_a_row_is_half_the_squared_error() -> None:
    assert squared_loss(torch.tensor([[3.0], [1.0]]), torch.tensor([[0.0], [1.0]])).tolist() == [[4.5], [0.0]]


@MODELS
def test_records_describe_the_end_of_the_epoch_without_penalties(make: Make) -> None:
    rows = generate_data(generator(), num_val=30)
    assert rows.validation
    net = model(make, 4.0)
    for epoch, record in enumerate(trained(net, rows), start=1):
        assert list(record.row()) == ["epoch", "train_loss", "val_loss", "test_loss", "w_norm", "lr", "seconds"]
        assert (record.epoch, record.lr) == (epoch, 0.003)
        expected = [mse_loss(net.predict(X), y).item() / 2 for X, y in (rows.train, rows.validation, rows.test)]
        assert [record.train_loss, record.val_loss, record.test_loss] == pytest.approx(expected, rel=1e-6)
        assert record.w_norm == pytest.approx(math.sqrt((net.w**2).sum().item()))
        assert record.seconds > 0


def test_without_validation_rows_there_is_no_validation_loss() -> None:
    assert [record.val_loss for record in trained(model(Scratch), epochs=2)] == [None, None]


@MODELS
def test_training_stops_after_the_first_loss_that_is_not_finite(make: Make) -> None:
    records = list(trained(model(make), lr=10.0, epochs=1000))
    assert len(records) < 1000
    assert not records[-1].finite
    assert all(record.finite for record in records[:-1])


@MODELS
def test_a_resumed_training_equals_an_uninterrupted_one(make: Make) -> None:
    def figures(records: Iterable[EpochRecord]) -> list[EpochRecord]:
        return [replace(record, seconds=0.0) for record in records]

    whole = model(make, 0.5, 0.1)
    uninterrupted = figures(trained(whole, epochs=6, batch_size=3))

    broken, order = model(make, 0.5, 0.1), generator(2)
    first = figures(trained(broken, epochs=2, batch_size=3, order=order))
    file = io.BytesIO()
    torch.save({"model": broken.state(), "order": order.get_state()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    resumed = make(torch.zeros(200, 1), torch.ones(1), 0.5, 0.1)
    resumed.load(saved["model"])
    order = generator(99)
    order.set_state(saved["order"])
    rest = figures(trained(resumed, epochs=6, batch_size=3, order=order, done=2))
    assert first + rest == uninterrupted
    assert torch.equal(resumed.w, whole.w)


@MODELS
def test_training_does_not_advance_torchs_default_generator(make: Make) -> None:
    before = torch.get_rng_state()
    list(trained(model(make), epochs=1))
    assert torch.equal(torch.get_rng_state(), before)
