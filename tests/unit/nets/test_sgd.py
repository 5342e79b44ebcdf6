"""The update from scratch equals torch.optim.SGD, and max_norm limits the norms of weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dropexp.nets.sgd import SGD, Layer, limit_column_norms

pytestmark = pytest.mark.usefixtures("one_thread")


def layer(seed: int, num_inputs: int = 20, num_outputs: int = 8) -> Layer:
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(num_inputs, num_outputs, generator=g, dtype=torch.float64)
    return W, torch.randn(num_outputs, generator=g, dtype=torch.float64)


def stepped(sgd: SGD, steps: int, lr: float = 0.3) -> Layer:
    """Return layer(0) after `steps` steps with the gradients layer(1), layer(2), …"""
    W, b = layer(0)
    moments = sgd.moments((W, b))
    for t in range(1, steps + 1):
        sgd.update((W, b), layer(t), moments, lr, hidden=True)
    return W, b


def by_torch(sgd: SGD, steps: int, lr: float = 0.3) -> Layer:
    W, b = (parameter.requires_grad_() for parameter in layer(0))
    groups: list[dict[str, Any]] = [{"params": [W], "weight_decay": sgd.weight_decay}, {"params": [b]}]
    optimizer = torch.optim.SGD(groups, lr=lr / sgd.divisor, momentum=sgd.momentum, nesterov=sgd.nesterov)
    for t in range(1, steps + 1):
        dW, db = layer(t)
        W.grad, b.grad = dW + sgd.l1 * W.detach().sign(), db
        optimizer.step()
    return W.detach(), b.detach()


@pytest.mark.parametrize("divisor", [1, 256])
@pytest.mark.parametrize(("weight_decay", "l1"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.1, 0.1)])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_five_steps_equal_those_of_torch(
    momentum: float, nesterov: bool, weight_decay: float, l1: float, divisor: int
) -> None:
    sgd = SGD(momentum, weight_decay, divisor, nesterov, l1)
    for ours, theirs in zip(stepped(sgd, 5), by_torch(sgd, 5), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_nesterov_differs_from_plain_momentum() -> None:
    plain, ahead = (stepped(SGD(0.9, nesterov=nesterov), 2)[0] for nesterov in (False, True))
    assert not torch.allclose(plain, ahead)


@pytest.mark.parametrize("sgd", [SGD(weight_decay=0.1), SGD(l1=0.1), SGD(max_norm=0.1)], ids=str)
def test_penalties_apply_to_weights_but_not_to_biases(sgd: SGD) -> None:
    (W, b), (W_plain, b_plain) = stepped(sgd, 3), stepped(SGD(), 3)
    assert torch.equal(b, b_plain)
    assert W.norm() < W_plain.norm()


def test_penalties_add_the_gradients_of_the_squared_and_absolute_norms() -> None:
    W, b = layer(0)
    leaf = W.clone().requires_grad_()
    (0.1 / 2 * (leaf**2).sum() + 0.2 * leaf.abs().sum()).backward()
    assert leaf.grad is not None
    expected = W - 0.3 * leaf.grad
    SGD(weight_decay=0.1, l1=0.2).update((W, b), (torch.zeros_like(W), torch.zeros_like(b)), {}, 0.3, hidden=True)
    torch.testing.assert_close(W, expected, rtol=1e-12, atol=1e-12)


def test_without_momentum_there_are_no_velocities() -> None:
    assert SGD().moments(layer(0)) == {}
    velocity = SGD(momentum=0.9).moments(layer(0))
    assert {name: (tuple(v.shape), v.any().item()) for name, v in velocity.items()} == {
        "vW": ((20, 8), False),
        "vb": ((8,), False),
    }


# max_norm


def norms(W: Tensor) -> Tensor:
    """Return the norm of the incoming weights of each unit."""
    result: Tensor = W.norm(dim=-2)
    return result


@pytest.mark.parametrize("steps", [1, 5])
def test_after_a_step_no_hidden_unit_exceeds_max_norm(steps: int) -> None:
    W, _ = stepped(SGD(max_norm=2.0), steps)
    assert norms(W).max() <= 2.0 * (1 + 1e-12)
    assert norms(stepped(SGD(), steps)[0]).min() > 2.0  # all would exceed it


def test_max_norm_does_not_apply_to_output_units() -> None:
    W, b = layer(0)
    same = W.clone()
    SGD(max_norm=2.0).update((W, b), (torch.zeros_like(W), torch.zeros_like(b)), {}, 0.3, hidden=False)
    assert torch.equal(W, same)


def test_only_weights_over_max_norm_are_rescaled() -> None:
    W = layer(0)[0] * torch.tensor([0.1, 10, 0, 1, 1, 1, 1, 1])
    before, limit = W.clone(), float(norms(W)[3])
    limit_column_norms(W, limit)
    assert norms(W)[1] == pytest.approx(limit)
    torch.testing.assert_close(W[:, 1] / W[:, 1].norm(), before[:, 1] / before[:, 1].norm())  # the same direction
    assert torch.equal(W[:, [0, 2, 3]], before[:, [0, 2, 3]])  # including one at the limit and one of zeros


def test_max_norm_equals_torch_renorm_for_each_run_of_a_stack() -> None:
    W = torch.stack([layer(0)[0], 0.1 * layer(1)[0]])
    expected = torch.stack([torch.renorm(one, 2, 1, 3.0) for one in W])
    limit_column_norms(W, 3.0)
    torch.testing.assert_close(W, expected, rtol=1e-6, atol=0)  # torch divides by norm + 1e-7
