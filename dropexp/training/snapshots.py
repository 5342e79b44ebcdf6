"""What a run keeps of single epochs: its predictions for the test images, and the network of the best validation epoch.

Both are in checkpoint.pt. The test set is not evaluated again for them: the predictions are from the same outputs as
the test figures of the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dropexp.nets.network_interface import Network
from dropexp.runs.predictions import Predictions, encode


@dataclass(frozen=True)
class BestNetwork:
    """The state of the network after the best validation epoch so far."""

    epoch: int
    network: Any


class Kept:
    """The best network, and the predictions by epoch; `content`, if given, are the same predictions, encoded.

    They are encoded once: another version of numpy may write other bytes, which would not match run.json's checksum.
    """

    def __init__(
        self,
        best: BestNetwork | None = None,
        content: bytes | None = None,
        predictions: Mapping[int, Predictions] | None = None,
    ) -> None:
        self.best = best
        self._content = content
        self.predictions = dict(predictions or {})

    @property
    def content(self) -> bytes | None:
        """The content of predictions.npz; None if there are no predictions."""
        if self._content is None and self.predictions:
            self._content = encode(self.predictions)
        return self._content

    def keep_network(self, epoch: int, network: Network) -> None:
        """Keep a copy of the network after the best validation epoch so far; drop the earlier one's predictions."""
        if self.best:
            self.predictions.pop(self.best.epoch, None)
            self._content = None
        self.best = BestNetwork(epoch, deepcopy(network.state()))

    def keep_predictions(self, epoch: int, predictions: Predictions) -> None:
        self.predictions[epoch] = predictions
        self._content = None


def predictions_of(outputs: Tensor, y: Tensor) -> Predictions:
    """Return the predictions from outputs O (n, num_outputs) for images with labels y (n,)."""
    O, labels = outputs.detach().cpu().float(), y.cpu()
    log_sum = O.logsumexp(dim=1)
    losses = log_sum - O.gather(1, labels.unsqueeze(1)).squeeze(1)
    return Predictions(
        labels=labels.numpy().astype(np.uint8),
        classes=O.argmax(dim=1).numpy().astype(np.uint8),
        confidences=_float16((O.amax(dim=1) - log_sum).exp()),
        losses=_float16(losses),
    )


def _float16(values: Tensor) -> NDArray[np.float16]:
    """Round with numpy: the conversion of torch fails without /proc/cpuinfo."""
    with np.errstate(over="ignore"):  # to inf
        return values.numpy().astype(np.float16)
