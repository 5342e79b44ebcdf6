"""The reference implementation computes what autograd computes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers.autograd import copies, fixed_noises, generator, problem, reference, worst_error

from dropexp.nets.from_scratch import MLP, init_params, softmax
from dropexp.nets.noise import Inverted, Noise
from dropexp.nets.sgd import SGD, Layer


def mlp(layers: list[Layer], noises: list[Noise | None], sgd: SGD | None = None, output_relu: bool = False) -> MLP:
    return MLP(copies(layers), noises, generator(), sgd or SGD(), output_relu=output_relu)


@pytest.mark.parametrize("sizes", [[784, 256, 256, 10], [20, 7, 10], [30, 16, 8, 12, 5, 10]])
@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_loss_and_gradients_equal_autograd_in_float64(sizes: list[int], output_relu: bool, noisy: bool) -> None:
    layers, X, y, xi = problem(sizes, 32, dtype=torch.float64)
    xi = xi if noisy else []
    expected = reference(layers, X, y, xi, output_relu)
    net = mlp(layers, fixed_noises(xi), output_relu=output_relu)
    result = net.forward(X, generator())
    assert worst_error(net.backward(y, result), expected.grads) < 1e-12
    loss = -softmax(result.O)[torch.arange(32), y].log().mean()
    assert abs(loss - expected.loss) < 1e-12


def test_steps_equal_those_of_torch_sgd() -> None:
    layers, X, y, xi = problem([20, 16, 8, 10], 32, dtype=torch.float64)
    sgd = SGD(momentum=0.9, weight_decay=0.01, divisor=4)
    net = mlp(layers, fixed_noises(xi), sgd)
    leaves = copies(layers)
    groups: list[dict[str, Any]] = [
        {"params": [W for W, _ in leaves], "weight_decay": 0.01},
        {"params": [b for _, b in leaves]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.3 / 4, momentum=0.9)
    for _ in range(3):  # momentum matters from the second step on
        for (W, b), (dW, db) in zip(leaves, reference(leaves, X, y, xi).grads, strict=True):
            W.grad, b.grad = dW, db
        optimizer.step()
        net.step(X, y, 0.3)
    assert worst_error(net.layers, leaves) < 1e-12


def test_the_books_own_sgd_divides_by_the_batch_size_once_more() -> None:
    layers, X, y, _ = problem([20, 8, 10], 96, dtype=torch.float64)
    book, mean = mlp(layers, [], SGD(divisor=256)), mlp(layers, [])
    book.step(X, y, 100.0)  # by 256 for a last batch of 96 rows too
    mean.step(X, y, 100 / 256)
    assert worst_error(book.layers, mean.layers) < 1e-15


def test_softmax_does_not_overflow() -> None:
    assert torch.equal(softmax(torch.tensor([[1e4, 0.0]])), torch.tensor([[1.0, 0.0]]))


def test_evaluation_has_no_noise_unless_noise_at_eval_is_set() -> None:
    layers, X, _, _ = problem([20, 16, 10], 8)
    clean = MLP(layers, [None, Inverted(0.5)], generator(), SGD())
    assert torch.equal(clean.logits(X), clean.logits(X))
    noisy = MLP(layers, [None, Inverted(0.5)], generator(), SGD(), noise_at_eval=True)
    assert not torch.equal(noisy.logits(X), noisy.logits(X))


@pytest.mark.parametrize("bias", ["zeros", "normal", "torch"])
def test_initial_parameters_have_the_requested_distribution(bias: str) -> None:
    layers = init_params([784, 256, 10], generator(), "normal", 0.01, bias)
    W, b = layers[0]
    assert W.std().item() == pytest.approx(0.01, rel=0.01) and abs(W.mean().item()) < 1e-4
    spread = {"zeros": 0.0, "normal": 0.01, "torch": 1 / math.sqrt(3 * 784)}[bias]
    assert b.std().item() == pytest.approx(spread, rel=0.15)
    W, _ = init_params([784, 256, 10], generator(), "torch")[0]
    assert W.abs().max().item() == pytest.approx(1 / 28, rel=0.001)  # 1/√784, the bound of nn.Linear


def test_initial_weights_do_not_depend_on_the_initialisation_of_biases() -> None:
    zeros, drawn = (init_params([8, 4, 2], generator(), bias=bias) for bias in ("zeros", "torch"))
    assert all(torch.equal(W, V) for (W, _), (V, _) in zip(zeros, drawn, strict=True))
