"""The interface of a network that the training loop can train."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Network(Protocol):
    """A classifier with its noise and its optimiser.

    X (n, num_inputs) are rows of inputs, y (n,) their labels. A generator passed to a method samples the noise of that
    call; without one the call runs in evaluation mode.
    """

    noise_at_eval: bool  # `logits` without a generator samples noise too, from the generator of the training

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch and return the outputs (n, num_outputs) of its forward pass, with dropout active.

        `progress` is the completed fraction of the training, for schedules of drop probabilities.
        """
        ...

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs (n, num_outputs)."""
        ...

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Return the outputs (n, num_hiddens) of each hidden layer, as the next layer reads them."""
        ...

    def weights(self) -> list[Tensor]:
        """Return W (num_inputs, num_outputs) of each layer."""
        ...

    def state(self) -> dict[str, Any]:
        """Return parameters and optimiser state, for a checkpoint."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned."""
        ...
