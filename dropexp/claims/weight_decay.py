"""Claims about weight decay: a penalty in the loss, a factor on the weights, and what torch's optimisers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dropexp.claims import small_nets
from dropexp.claims.claim import Finding, equality
from dropexp.nets import linreg

LR, LAMBDA, STEPS, BATCH_SIZE = 0.05, 0.5, 5, 8
COMPARED = "weights after a few steps"

Decay = Callable[[Tensor, Tensor, float, float, int], Tensor]  # of w, Σ∂ℓ, η, λ, |B|, like linreg.decay


def printed(w: Tensor, gradient: Tensor, lr: float, weight_decay: float, batch_size: int) -> Tensor:
    """Return w after the printed step, w ← (1 − ηλ/|B|)·w − (η/|B|)·Σ∂ℓ."""
    return linreg.decay(w, gradient, lr, weight_decay, batch_size, printed=True)


def printed_is_penalty(formula: Decay = printed) -> Iterator[Finding]:
    """Compare the weights after a few steps of the formula and after steps on the mean loss + λ‖w‖²/2, by autograd."""
    for batch_size in (1, BATCH_SIZE):
        penalty = by_torch(torch.optim.SGD, batch_size, in_loss=LAMBDA)
        yield equality(f"|B| = {batch_size}", distance(by_formula(formula, batch_size), penalty), COMPARED)


def decay_is_penalty(formula: Decay = linreg.decay) -> Iterator[Finding]:
    """Compare the factor 1 − ηλ, and the decay of torch's SGD and AdamW, with the same penalty in the loss."""
    penalty = by_torch(torch.optim.SGD, BATCH_SIZE, in_loss=LAMBDA)
    yield equality("the factor 1 − ηλ", distance(by_formula(formula, BATCH_SIZE), penalty), COMPARED)
    decayed = by_torch(torch.optim.SGD, BATCH_SIZE, weight_decay=LAMBDA)
    yield equality("torch's SGD", distance(decayed, penalty), COMPARED)
    adam = by_torch(torch.optim.Adam, BATCH_SIZE, in_loss=LAMBDA)
    yield equality("Adam", distance(by_torch(torch.optim.AdamW, BATCH_SIZE, weight_decay=LAMBDA), adam), COMPARED)


def by_torch(
    kind: Callable[..., torch.optim.Optimizer], batch_size: int, in_loss: float = 0.0, **options: float
) -> Tensor:
    """Return the weights after a few steps of this optimiser, with `in_loss`·‖w‖²/2 added to the loss."""
    w, batches = problem(batch_size)
    w.requires_grad_()
    optimizer = kind([w], lr=LR, **options)
    for X, y in batches:
        optimizer.zero_grad()
        (linreg.squared_loss(X @ w, y).mean() + in_loss / 2 * (w**2).sum()).backward()
        optimizer.step()
    return w.detach()


def by_formula(decay: Decay, batch_size: int) -> Tensor:
    """Return the weights after a few steps of the formula."""
    w, batches = problem(batch_size)
    for X, y in batches:
        gradient = X.T @ (X @ w - y)  # Σ∂ℓ over the batch's rows
        w = decay(w, gradient, LR, LAMBDA, batch_size)
    return w


def problem(batch_size: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Return initial weights, and a batch X (|B|, n), y (|B|, 1) for each step."""
    g = small_nets.generator()
    n = 10
    w = torch.randn(n, 1, generator=g, dtype=torch.float64)
    X = torch.randn(STEPS, batch_size, n, generator=g, dtype=torch.float64)
    y = torch.randn(STEPS, batch_size, 1, generator=g, dtype=torch.float64)
    return w, list(zip(X, y, strict=True))


def distance(w: Tensor, expected: Tensor) -> float:
    """Return the distance relative to the norm of the expected weights."""
    return float((w - expected).norm() / expected.norm())
