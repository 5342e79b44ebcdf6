"""The update from scratch equals torch.optim.Adam and AdamW; decoupled weight decay is not a penalty."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.autograd import generator

from dropexp.nets.adam import Adam
from dropexp.nets.sgd import Layer

pytestmark = pytest.mark.usefixtures("one_thread")


def layer(seed: int) -> Layer:
    g = generator(seed)
    return torch.randn(20, 8, generator=g, dtype=torch.float64), torch.randn(8, generator=g, dtype=torch.float64)


def stepped(adam: Adam, steps: int, lr: float = 0.1, scale: float = 1.0) -> Layer:
    """Return layer(0) after `steps` steps with the gradients layer(1), layer(2), … times `scale`."""
    W, b = layer(0)
    moments = adam.moments((W, b))
    for t in range(1, steps + 1):
        dW, db = layer(t)
        adam.update((W, b), (scale * dW, scale * db), moments, lr, hidden=True)
    return W, b


def by_torch(adam: Adam, steps: int, lr: float = 0.1) -> Layer:
    W, b = (parameter.requires_grad_() for parameter in layer(0))
    groups: list[dict[str, Any]] = [
        {"params": [W], "weight_decay": adam.weight_decay},
        {"params": [b], "weight_decay": 0},
    ]
    optimizer = (torch.optim.AdamW if adam.decoupled else torch.optim.Adam)(groups, lr=lr)
    for t in range(1, steps + 1):
        dW, db = layer(t)
        W.grad, b.grad = dW + adam.l1 * W.detach().sign(), db
        optimizer.step()
    return W.detach(), b.detach()


@pytest.mark.parametrize("steps", [1, 5, 50])
@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_steps_equal_those_of_torch(decoupled: bool, weight_decay: float, l1: float, steps: int) -> None:
    adam = Adam(weight_decay, decoupled, l1)
    for ours, theirs in zip(stepped(adam, steps), by_torch(adam, steps), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_first_step_is_lr_long_for_any_scale_of_the_gradient() -> None:
    for scale in (1.0, 1e3):
        for after, before in zip(stepped(Adam(), 1, lr=0.1, scale=scale), layer(0), strict=True):
            torch.testing.assert_close((after - before).abs(), torch.full_like(before, 0.1), rtol=1e-4, atol=0)


def test_without_weight_decay_adamw_is_adam_and_with_it_not() -> None:
    assert torch.equal(stepped(Adam(), 3)[0], stepped(Adam(decoupled=True), 3)[0])
    assert not torch.allclose(stepped(Adam(0.1), 3)[0], stepped(Adam(0.1, decoupled=True), 3)[0])


def test_adamw_shrinks_weights_by_lr_times_weight_decay_whatever_their_gradients() -> None:
    (W, _), (plain, _) = (stepped(Adam(weight_decay, decoupled=True), 1, lr=0.1) for weight_decay in (0.5, 0.0))
    torch.testing.assert_close(plain - W, 0.1 * 0.5 * layer(0)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adam", [Adam(0.1), Adam(0.1, decoupled=True), Adam(l1=0.1), Adam(max_norm=0.1)], ids=str)
def test_penalties_and_decay_apply_to_weights_but_not_to_biases(adam: Adam) -> None:
    (W, b), (W_plain, b_plain) = stepped(adam, 3), stepped(Adam(), 3)
    assert torch.equal(b, b_plain)
    assert W.norm() < W_plain.norm()


def test_after_a_step_no_hidden_unit_exceeds_max_norm() -> None:
    W, _ = stepped(Adam(max_norm=2.0), 5)
    assert W.norm(dim=0).max() <= 2.0 * (1 + 1e-12)
    assert stepped(Adam(), 5)[0].norm(dim=0).min() > 2.0  # all would exceed it
