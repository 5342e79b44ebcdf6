"""What the training loop needs of a network."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Network(Protocol):
    """What the loop trains."""

    noise_at_eval: bool  # whether `logits` draws noise in eval mode too, from the training's stream

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on a batch, with this share of the training done; returns the outputs of the noisy pass."""
        ...

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The outputs in eval mode, or with the noise on, drawn by `generator`."""
        ...

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """What each hidden layer passes on, without noise or with noise drawn by `generator`."""
        ...

    def weights(self) -> list[Tensor]:
        """W (num_inputs, num_outputs) of each layer."""
        ...

    def state(self) -> dict[str, Any]:
        """Parameters and optimiser, for a checkpoint."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        ...
