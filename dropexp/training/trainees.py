"""What the loop trains: a network, a stack of networks, or a linear regression model, each with its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dropexp.nets import linreg
from dropexp.nets.network_interface import Network
from dropexp.nets.stacked import Stack
from dropexp.training.loop import Part, Score, Trainee
from dropexp.training.shuffle import ShuffleAhead

EVAL_ROWS = 1000  # rows per pass in evaluation mode: enough for full speed, few enough to stay in the cache
SCORE_ROWS = 10_000  # rows per sum of losses: few enough that torch does not split the sum among threads

Rows = tuple[Tensor, Tensor]  # X (n, num_inputs), y (n,); in linear regression y (n, 1)


class NetworkTrainee(Trainee):
    """A single network. `order` shuffles the training rows; `evaluated` are the rows of each part to evaluate on."""

    def __init__(
        self,
        network: Network,
        train: Rows,
        evaluated: Mapping[Part, Rows],
        *,
        batch_size: int,
        order: torch.Generator,
    ) -> None:
        self.network, self.rows, self.evaluated = network, train, evaluated
        self.batch_size, self.order = batch_size, order
        self.outputs_on_test: Tensor | None = None

    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        self.outputs_on_test = None
        return [Score(*train_epoch(self.network, *self.rows, lrs[0], self.batch_size, self.order, epoch, epochs))]

    def evaluate(self, part: Part) -> list[Score]:
        if part not in self.evaluated:
            return []
        X, y = self.evaluated[part]
        outputs = logits(self.network, X)
        if part == "test":
            self.outputs_on_test = outputs
        return [Score(*score(outputs, y))]

    def test_outputs(self, r: int) -> Tensor | None:
        return self.outputs_on_test

    def finish_epoch(self) -> None:
        pass  # the parameters are the network's own


class RegressionTrainee(Trainee):
    """A linear regression model. It has no running figures, and is evaluated on the training rows in their place.

    Without `test` it is not evaluated on the test rows.
    """

    def __init__(
        self,
        model: linreg.Model,
        data: linreg.RegressionData,
        *,
        batch_size: int,
        order: torch.Generator,
        test: bool = True,
    ) -> None:
        self.model, self.data = model, data
        self.batch_size, self.order = batch_size, order
        self.evaluated = {"train": data.train, "validation": data.validation, "test": data.test if test else None}

    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        """Take one step per batch of the shuffled rows; the last batch may be smaller."""
        X, y = self.data.train
        shuffled = torch.randperm(len(X), generator=self.order).to(X.device)
        batches = zip(X[shuffled].split(self.batch_size), y[shuffled].split(self.batch_size), strict=True)
        for X_batch, y_batch in batches:
            self.model.step(X_batch, y_batch, lrs[0])
        return []

    def evaluate(self, part: Part) -> list[Score]:
        rows = self.evaluated[part]
        if rows is None:
            return []
        X, y = rows
        return [Score(linreg.squared_loss(self.model.predict(X), y).double().mean().item())]

    def finish_epoch(self) -> None:
        pass  # the parameters are the model's own

    def w_norms(self) -> list[float]:
        return [self.model.w.norm().item()]


class StackTrainee(Trainee):
    """R networks that train as a stack, each on its own rows: `train` (R, n) are indices into the stack's X and y.

    `validation` are such indices (R, n) and the labels of these rows (R, n), without label noise. `orders` shuffle the
    rows of each run; `test` is the same for all runs, or None. With `clean` the runs are evaluated on their training
    rows.
    """

    def __init__(
        self,
        stack: Stack,
        train: Tensor,
        test: Rows | None,
        *,
        orders: Sequence[torch.Generator],
        validation: Rows | None = None,
        clean: bool = True,
    ) -> None:
        self.stack, self.rows, self.test = stack, train, test
        self.evaluated = {"train": (train, stack.y.gather(1, train)) if clean else None, "validation": validation}
        self.shuffle = ShuffleAhead(orders, train.shape[1], pin_memory=train.is_cuda)
        self.outputs_on_test: Tensor | None = None

    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        self.outputs_on_test = None
        shuffled = self.shuffle.next(last=epoch == epochs)
        rows = self.rows.gather(1, shuffled.to(self.rows.device, non_blocking=True))
        return score_stack(self.stack.train_epoch(rows, lrs, epoch, epochs), self.stack.y.gather(1, rows))

    def evaluate(self, part: Part) -> list[Score]:
        if part == "test":
            if self.test is None:
                return []
            X, y = self.test
            self.outputs_on_test = stack_logits(self.stack, X)
            return score_stack(self.outputs_on_test, y)
        evaluated = self.evaluated[part]
        if evaluated is None:
            return []
        rows, y = evaluated
        return score_stack(stack_logits(self.stack, self.stack.X, rows), y)

    def test_outputs(self, r: int) -> Tensor | None:
        return None if self.outputs_on_test is None else self.outputs_on_test[r]

    def finish_epoch(self) -> None:
        self.stack.write_back()

    def close(self) -> None:
        self.shuffle.close()


def train_epoch(
    network: Network,
    X: Tensor,
    y: Tensor,
    lr: float,
    batch_size: int,
    order: torch.Generator,
    epoch: int = 1,
    epochs: int = 1,
) -> tuple[float, float]:
    """Take one step per batch of the shuffled rows X (n, num_inputs), y (n,), the smaller last batch included.

    Return the running mean cross entropy and accuracy: of the outputs with dropout active, before each update.
    `epoch`, counted from 1, and `epochs` determine the progress for schedules of drop probabilities.
    """
    shuffled = torch.randperm(len(X), generator=order).to(X.device)
    labels = y[shuffled]
    X_batch = X[:batch_size].clone()
    for start, rows in zip(range(0, len(X), batch_size), shuffled.split(batch_size), strict=True):
        X_rows = X_batch[: len(rows)]
        torch.index_select(X, 0, rows, out=X_rows)
        progress = (epoch - 1 + start / len(X)) / epochs
        O = network.step(X_rows, labels[start : start + len(rows)], lr, progress)
        if start == 0:
            outputs = O.new_empty(len(X), O.shape[1])  # batches of 32, kept one by one, fragmented the memory by 126 MB
        outputs[start : start + len(rows)] = O
    return score(outputs, labels)


def evaluate(network: Network, X: Tensor, y: Tensor) -> tuple[float, float]:
    """Return mean cross entropy and accuracy on X (n, num_inputs), y (n,) in evaluation mode."""
    return score(logits(network, X), y)


def logits(network: Network, X: Tensor) -> Tensor:
    """Return the outputs (n, num_outputs) for X (n, num_inputs) in evaluation mode."""
    return torch.cat([network.logits(rows) for rows in X.split(EVAL_ROWS)])


def score(outputs: Tensor, y: Tensor) -> tuple[float, float]:
    """Return mean cross entropy and accuracy of outputs (n, num_outputs) against labels y (n,).

    The result does not depend on the number of threads.
    """
    outputs, y = outputs.cpu(), y.cpu()
    loss, correct = 0.0, 0
    for O, labels in zip(outputs.split(SCORE_ROWS), y.split(SCORE_ROWS), strict=True):
        losses = O.logsumexp(dim=1) - O.gather(1, labels.unsqueeze(1)).squeeze(1)  # twice as fast as F.cross_entropy
        loss += losses.double().sum().item()
        correct += int((O.argmax(dim=1) == labels).sum())
    return loss / len(y), correct / len(y)


def stack_logits(stack: Stack, X: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return the outputs (R, n, num_outputs) for all of X (n, num_inputs), or for each run's own `rows` (R, n) of X."""
    parts = X.split(stack.eval_rows) if rows is None else (X[part] for part in rows.split(stack.eval_rows, dim=1))
    return torch.cat([stack.logits(part) for part in parts], dim=1)


def score_stack(outputs: Tensor, y: Tensor) -> list[Score]:
    """Score each run, on the device: outputs (R, n, num_outputs), labels y (R, n), or (n,) for all runs."""
    y = y.expand(outputs.shape[:2])
    losses = outputs.logsumexp(dim=2) - outputs.gather(2, y.unsqueeze(2)).squeeze(2)
    sums, correct = losses.double().sum(dim=1).tolist(), (outputs.argmax(dim=2) == y).sum(dim=1).tolist()
    return [Score(loss / y.shape[1], hits / y.shape[1]) for loss, hits in zip(sums, correct, strict=True)]
