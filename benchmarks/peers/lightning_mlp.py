"""Lightning: a LightningModule and DataLoaders over tensors in memory; no logging, checkpoints, progress or summary.

Batches are sampled as torch's documentation recommends for data that can be indexed by many rows at once. Figures are
summed in the module, because `self.log` takes longer than a step. A callback waits for the turns within one `fit`.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from peers.data import BATCH, EVAL_ROWS, LR, fashion_mnist
from peers.torch_net import mlp
from peers.turns import turns


class MLP(lightning.LightningModule):  # type: ignore[misc]  # Lightning is not installed where types are checked
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.reset()

    def reset(self) -> None:
        """Reset the sums."""
        self.total, self.correct, self.rows = torch.zeros(()), torch.zeros((), dtype=torch.int64), 0

    def shared_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        X, y = batch
        y_hat = self.net(X)
        loss = F.cross_entropy(y_hat, y)
        self.total += loss.detach() * len(y)
        self.correct += (y_hat.argmax(dim=1) == y).sum()
        self.rows += len(y)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return self.shared_step(batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.shared_step(batch)

    def figures(self) -> tuple[float, float]:
        return self.total.item() / self.rows, self.correct.item() / self.rows

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LR)


class Turns(lightning.Callback):  # type: ignore[misc]  # Lightning is not installed where types are checked
    """Wait for a turn before each epoch, and report its figures."""

    def __init__(self) -> None:
        self.turns = turns()
        self.turn = next(self.turns, None)

    def on_train_epoch_start(self, trainer: Any, module: MLP) -> None:
        module.reset()

    def on_validation_start(self, trainer: Any, module: MLP) -> None:
        assert self.turn
        self.turn.trained(*module.figures())
        module.reset()

    def on_validation_end(self, trainer: Any, module: MLP) -> None:
        assert self.turn
        self.turn.evaluated(*module.figures())

    def on_train_epoch_end(self, trainer: Any, module: MLP) -> None:
        self.turn = next(self.turns, None)
        trainer.should_stop = self.turn is None


def batches(X: Tensor, y: Tensor, rows: int, shuffle: bool) -> DataLoader[Any]:
    data = TensorDataset(X, y)
    order = RandomSampler(data) if shuffle else SequentialSampler(data)
    return DataLoader(data, sampler=BatchSampler(order, rows, drop_last=False), batch_size=None)


def main() -> None:
    X_train, y_train, X_test, y_test = map(torch.from_numpy, fashion_mnist())
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[Turns()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    train, test = batches(X_train, y_train, BATCH, True), batches(X_test, y_test, EVAL_ROWS, False)
    trainer.fit(MLP(), train, test)


if __name__ == "__main__":
    main()
