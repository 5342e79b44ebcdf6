"""The textbook page computes what autograd computes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers.autograd import injected, problem, reference, worst_error

from dropexp.nets.noise import Inverted, Noise
from dropexp.nets.scratch import MLP, init_params, softmax
from dropexp.nets.sgd import SGD, Layer

GENERATOR = torch.Generator()


def page(layers: list[Layer], noises: list[Noise | None], sgd: SGD | None = None, output_relu: bool = False) -> MLP:
    copies = [(W.clone(), b.clone()) for W, b in layers]
    return MLP(copies, noises, GENERATOR, sgd or SGD(), output_relu=output_relu)


@pytest.mark.parametrize("sizes", [[784, 256, 256, 10], [20, 7, 10], [30, 16, 8, 12, 5, 10]])
@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_gradients_are_autograds_in_float64(sizes: list[int], output_relu: bool, noisy: bool) -> None:
    layers, X, y, xi = problem(sizes, 32, dtype=torch.float64)
    xi = xi if noisy else []
    expected = reference(layers, X, y, xi, output_relu)
    net = page(layers, injected(xi), output_relu=output_relu)
    computed, O = net.forward(X, GENERATOR)
    grads = net.backward(y, computed, O)
    assert worst_error(grads, expected.grads) < 1e-12
    loss = -softmax(O)[torch.arange(32), y].log().mean()
    assert abs(loss - expected.loss) < 1e-12


def test_one_step_is_the_update_of_torchs_sgd() -> None:
    layers, X, y, xi = problem([20, 16, 8, 10], 32, dtype=torch.float64)
    sgd = SGD(momentum=0.9, weight_decay=0.01, divisor=4)
    net = page(layers, injected(xi), sgd)
    leaves = [(W.clone(), b.clone()) for W, b in layers]
    flat: list[dict[str, Any]] = [
        {"params": [W for W, _ in leaves], "weight_decay": 0.01},
        {"params": [b for _, b in leaves]},
    ]
    optimizer = torch.optim.SGD(flat, lr=0.3 / 4, momentum=0.9)
    for _ in range(3):  # the second step is the first to feel momentum
        for (W, b), (dW, db) in zip(leaves, reference(leaves, X, y, xi).grads, strict=True):
            W.grad, b.grad = dW, db
        optimizer.step()
        net.step(X, y, 0.3)
    assert worst_error(net.layers, leaves) < 1e-12


def test_the_books_own_sgd_divides_by_the_batch_size_once_more() -> None:
    layers, X, y, _ = problem([20, 8, 10], 96, dtype=torch.float64)
    book, mean = page(layers, [], SGD(divisor=256)), page(layers, [])
    book.step(X, y, 100.0)  # 256 for a last batch of 96 rows too
    mean.step(X, y, 100 / 256)
    assert worst_error(book.layers, mean.layers) < 1e-15


def test_softmax_survives_large_outputs() -> None:
    assert torch.equal(softmax(torch.tensor([[1e4, 0.0]])), torch.tensor([[1.0, 0.0]]))


def test_no_noise_in_eval_mode_unless_it_is_asked_for() -> None:
    layers, X, _, _ = problem([20, 16, 10], 8)
    generator = torch.Generator().manual_seed(0)
    clean = MLP(layers, [None, Inverted(0.5)], generator, SGD())
    assert torch.equal(clean.logits(X), clean.logits(X))
    noisy = MLP(layers, [None, Inverted(0.5)], generator, SGD(), noise_at_eval=True)
    assert not torch.equal(noisy.logits(X), noisy.logits(X))


@pytest.mark.parametrize("bias", ["zeros", "normal", "torch"])
def test_initial_parameters_have_the_asked_for_distribution(bias: str) -> None:
    layers = init_params([784, 256, 10], torch.Generator().manual_seed(0), "normal", 0.01, bias)
    W, b = layers[0]
    assert W.std().item() == pytest.approx(0.01, rel=0.01) and abs(W.mean().item()) < 1e-4
    spread = {"zeros": 0.0, "normal": 0.01, "torch": 1 / math.sqrt(3 * 784)}[bias]
    assert b.std().item() == pytest.approx(spread, rel=0.15)
    W, _ = init_params([784, 256, 10], torch.Generator().manual_seed(0), "torch")[0]
    assert W.abs().max().item() == pytest.approx(1 / 28, rel=0.001)  # 1/√784, the bound of nn.Linear


def test_weights_do_not_depend_on_how_biases_are_drawn() -> None:
    zeros, drawn = (init_params([8, 4, 2], torch.Generator().manual_seed(0), bias=bias) for bias in ("zeros", "torch"))
    assert all(torch.equal(W, V) for (W, _), (V, _) in zip(zeros, drawn, strict=True))
