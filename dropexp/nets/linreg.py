"""The weight-decay study: linear regression with ten times as many features as rows, from scratch and in torch.nn.

Dive into Deep Learning, section 3.7 (3.12 in the Chinese PyTorch edition), in its order and symbols: data, parameters,
loss, training step. With so few rows the model overfits; a penalty on the weights, but not on the bias, reduces this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

NUM_INPUTS = 200
TRAIN_ROWS, TEST_ROWS = 20, 100
TRUE_W, TRUE_B, NOISE_STD = 0.01, 0.05, 0.01  # every feature has the same weight

Rows = tuple[Tensor, Tensor]  # X (n, num_inputs), y (n, 1)


@dataclass(frozen=True)
class RegressionData:
    """The rows for training and test, and for validation if there are any."""

    train: Rows
    test: Rows
    validation: Rows | None


def generate_data(
    generator: torch.Generator, num_train: int = TRAIN_ROWS, num_val: int = 0, num_test: int = TEST_ROWS
) -> RegressionData:
    """Sample rows with x_i ~ U(0, 1) and y = Σ 0.01·x_i + 0.05 + ε, ε ~ N(0, 0.01²), float32 on the CPU.

    The order is test, training, validation: the test rows do not depend on the number of training rows, and neither of
    the two depends on the number of validation rows.
    """

    def draw(n: int) -> Rows:
        X = torch.rand(n, NUM_INPUTS, generator=generator)
        noise = torch.empty(n, 1).normal_(0, NOISE_STD, generator=generator)
        return X, TRUE_W * X.sum(dim=1, keepdim=True) + TRUE_B + noise

    test, train = draw(num_test), draw(num_train)
    return RegressionData(train, test, draw(num_val) if num_val else None)


def init_params(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return w (num_inputs, 1) ~ N(0, 1) and b (1,) = 0, float32 on the CPU."""
    return torch.randn(NUM_INPUTS, 1, generator=generator), torch.zeros(1)


def squared_loss(o: Tensor, y: Tensor) -> Tensor:
    """Return (ŷ − y)²/2 of each row, for outputs o = ŷ and labels y, both (n, 1)."""
    return (o - y) ** 2 / 2


def decay(
    w: Tensor, gradient: Tensor, lr: float, weight_decay: float, batch_size: int, *, printed: bool = False
) -> Tensor:
    """Return w after one step with weight decay: (1 − ηλ)·w − (η/|B|)·Σ∂ℓ, with `gradient` = Σ∂ℓ.

    This is a step of plain SGD on the mean loss + λ‖w‖²/2, and of `torch.optim.SGD(weight_decay=λ)`. With `printed` the
    factor is 1 − ηλ/|B|, as the book's Chinese PyTorch edition prints it (3.12.1; later editions print the form above):
    equal for |B| = 1, otherwise a decay that is |B| times weaker.
    """
    shrink = lr * weight_decay / batch_size if printed else lr * weight_decay
    return (1 - shrink) * w - lr / batch_size * gradient


class Model(Protocol):
    """A linear regression model: `step` trains on a batch, `predict` evaluates."""

    @property
    def w(self) -> Tensor: ...

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor: ...

    def predict(self, X: Tensor) -> Tensor: ...

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...


class Scratch:
    """The model from scratch. The objective is the mean of (ŷ − y)²/2 over the batch + weight_decay/2·‖w‖² + l1·‖w‖₁.

    `w` (num_inputs, 1) and `b` (1,) are the parameters; they are updated in place.
    """

    def __init__(self, w: Tensor, b: Tensor, weight_decay: float = 0.0, l1: float = 0.0) -> None:
        self.w, self.b = w, b
        self.weight_decay = weight_decay
        self.l1 = l1

    def gradients(self, X: Tensor, o: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the objective with respect to w and b, for the outputs o = ŷ of the batch X, y."""
        d = (o - y) / len(y)  # ∂l/∂ŷ
        dw = X.T @ d
        if self.weight_decay:
            dw = dw + self.weight_decay * self.w
        if self.l1:
            dw = dw + self.l1 * self.w.sign()
        return dw, d.sum(dim=0)

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """Train on one batch, X (n, num_inputs) and y (n, 1), and return the outputs (n, 1) before the update."""
        o = self.predict(X)
        dw, db = self.gradients(X, o, y)
        self.w -= lr * dw
        self.b -= lr * db
        return o

    def predict(self, X: Tensor) -> Tensor:
        """Return the outputs ŷ (n, 1) for X (n, num_inputs)."""
        return X @ self.w + self.b

    def state(self) -> dict[str, Tensor]:
        """Return the parameters w and b: the tensors, not copies."""
        return {"w": self.w, "b": self.b}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore a state."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name].view_as(tensor))  # view_as raises for another shape, which copy_ would broadcast


class Concise:
    """The same model as an `nn.Linear` with `torch.optim.SGD`, whose `weight_decay` applies to the weights only.

    The optimiser has no L1 penalty, so the loss includes it. `w` and `b` are the initial parameters, in the
    layout of `Scratch`; they are copied.
    """

    def __init__(self, w: Tensor, b: Tensor, weight_decay: float = 0.0, l1: float = 0.0) -> None:
        # skip_init: the initialisation of nn.Linear would advance torch's default generator
        self.net: nn.Linear = nn.utils.skip_init(nn.Linear, len(w), 1, device=w.device, dtype=w.dtype)
        with torch.no_grad():
            self.net.weight.copy_(w.T)
            self.net.bias.copy_(b)
        self.loss = nn.MSELoss()
        self.l1 = l1
        groups: list[dict[str, Any]] = [
            {"params": [self.net.weight], "weight_decay": weight_decay},
            {"params": [self.net.bias]},
        ]
        self.optimizer = torch.optim.SGD(groups)

    @property
    def w(self) -> Tensor:
        return self.net.weight.detach().T

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """Train on one batch, X (n, num_inputs) and y (n, 1), and return the outputs (n, 1) before the update."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        o: Tensor = self.net(X)
        loss = self.loss(o, y) / 2
        if self.l1:
            loss = loss + self.l1 * self.net.weight.abs().sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return o.detach()

    @torch.no_grad()
    def predict(self, X: Tensor) -> Tensor:
        """Return the outputs ŷ (n, 1) for X (n, num_inputs)."""
        o: Tensor = self.net(X)
        return o

    def state(self) -> dict[str, Any]:
        """Return the parameters under torch's names. Without momentum the optimiser has no state."""
        return {"net": self.net.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.net.load_state_dict(state["net"])
