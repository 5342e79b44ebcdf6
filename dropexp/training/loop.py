"""The training loop: a generator of one record per epoch. It writes nothing and shows nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from dropexp.nets import cuda_graph, matmul
from dropexp.nets.base import Network
from dropexp.nets.schedules import LR_SCHEDULES, LrSchedule
from dropexp.nets.stacked import Stack

EVAL_ROWS = 1000  # rows to a pass without training: enough for full speed, few enough to stay in the cache
SCORE_ROWS = 10_000  # rows to a sum of losses: so few that torch does not part it among threads


@dataclass(frozen=True)
class EpochRecord:
    """One row of epochs.csv; losses are mean cross entropies, accuracies fractions, `seconds` wall time.

    `train_*` are running figures, taken with the noise on while the parameters change, as the book prints them;
    `clean_train_*` are taken in eval mode at the end of the epoch. None: not asked for, or no such rows.
    """

    epoch: int
    train_loss: float
    train_acc: float
    clean_train_loss: float | None
    clean_train_acc: float | None
    val_loss: float | None
    val_acc: float | None
    test_loss: float
    test_acc: float
    lr: float
    seconds: float  # training and test evaluation; neither the clean pass nor files

    @property
    def finite(self) -> bool:
        losses = (self.train_loss, self.clean_train_loss, self.val_loss, self.test_loss)
        return all(loss is None or math.isfinite(loss) for loss in losses)


Rows = tuple[Tensor, Tensor]  # X (n, num_inputs), y (n,)


def fit(
    network: Network,
    train: Rows,
    test: Rows,
    *,
    lr: float,
    batch_size: int,
    epochs: int,
    order: torch.Generator,
    lr_schedule: LrSchedule = LR_SCHEDULES["constant"],
    validation: Rows | None = None,
    clean: bool = True,
    done: int = 0,
    route: str = matmul.PLAIN,
) -> Iterator[EpochRecord]:
    """Train up to `epochs` epochs, `done` of them before, and yield a record after each.

    `order` shuffles the rows, `lr_schedule` scales lr epoch by epoch; `clean` adds the pass over the training rows in
    eval mode. Every row counts once per epoch, the smaller last batch included. Stops after a record whose loss is not
    finite. `route` says how a CPU multiplies matrices meanwhile.
    """
    X, y = train
    for epoch in range(done + 1, epochs + 1):
        lr_now = lr * lr_schedule(epoch, epochs)
        with matmul.using(route), cuda_graph.ieee_matmul():
            began = time.perf_counter()
            train_loss, train_acc = train_epoch(network, X, y, lr_now, batch_size, order, epoch, epochs)
            test_loss, test_acc = evaluate(network, *test)
            seconds = time.perf_counter() - began
            clean_loss, clean_acc = evaluate(network, X, y) if clean else (None, None)
            val_loss, val_acc = evaluate(network, *validation) if validation else (None, None)
        record = EpochRecord(
            epoch,
            train_loss,
            train_acc,
            clean_loss,
            clean_acc,
            val_loss,
            val_acc,
            test_loss,
            test_acc,
            lr_now,
            seconds,
        )
        yield record
        if not record.finite:
            return


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
    """One step per batch of the shuffled rows; returns the mean loss and accuracy of the noisy passes.

    `epoch`, counted from 1, of so many `epochs` tells a schedule of drop probabilities how far the training is.
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
            outputs = O.new_empty(len(X), O.shape[1])  # batches of 32 kept one by one left holes of 126 MB
        outputs[start : start + len(rows)] = O
    return score(outputs, labels)


def evaluate(network: Network, X: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross entropy and accuracy of the network's eval-mode outputs for X (n, num_inputs), y (n,)."""
    outputs = torch.cat([network.logits(rows) for rows in X.split(EVAL_ROWS)])
    return score(outputs, y)


def score(outputs: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross entropy and accuracy of outputs (n, num_outputs) against labels y (n,).

    The result does not depend on the number of threads.
    """
    outputs, y = outputs.cpu(), y.cpu()
    loss, correct = 0.0, 0
    for O, labels in zip(outputs.split(SCORE_ROWS), y.split(SCORE_ROWS), strict=True):
        losses = O.logsumexp(dim=1) - O.gather(1, labels.unsqueeze(1)).squeeze(1)  # twice as fast as F.cross_entropy
        loss += losses.double().sum().item()
        correct += int((O.argmax(dim=1) == labels).sum())
    return loss / len(y), correct / len(y)


def fit_stack(
    stack: Stack,
    train: Tensor,
    test: Rows,
    *,
    lrs: Sequence[float],
    epochs: int,
    orders: Sequence[torch.Generator],
    lr_schedule: LrSchedule = LR_SCHEDULES["constant"],
    validation: Tensor | None = None,
    clean: bool = True,
    done: int = 0,
) -> Iterator[list[EpochRecord | None]]:
    """As `fit`, for all runs of a stack: a list of their records after each epoch, None for a run that has ended.

    `train` and `validation` are each run's rows of the stack's X, (R, n); `lrs` and `orders` are theirs too, and
    `lr_schedule` is for all. The others go on when a loss is not finite. A run's `seconds` are its share of the
    stack's: wall time / R.
    """
    R, num_rows = train.shape
    going = set(range(R))
    # Batch orders are drawn an epoch ahead, while a GPU trains, from copies: `orders` stay where checkpoints want them.
    # Each of the two buffers is copied to the GPU, which `score_stack` waits for, before it is drawn into again.
    shuffled = torch.empty(2, R, num_rows, dtype=torch.int64, pin_memory=train.is_cuda)
    ahead = [torch.Generator().set_state(order.get_state()) for order in orders]

    def shuffle(r: int, epoch: int) -> Tensor:
        torch.randperm(num_rows, generator=ahead[r], out=shuffled[epoch % 2, r])
        return ahead[r].get_state()

    threads = ThreadPoolExecutor(min(R, 8))  # more were slower on 16 cores
    drawn = threads.map(shuffle, range(R), [done + 1] * R)
    for epoch in range(done + 1, epochs + 1):
        lrs_now = [lr * lr_schedule(epoch, epochs) for lr in lrs]
        with cuda_graph.ieee_matmul():
            began = time.perf_counter()
            for order, state in zip(orders, drawn, strict=True):
                order.set_state(state)
            rows = train.gather(1, shuffled[epoch % 2].to(train.device, non_blocking=True))
            if epoch < epochs:
                drawn = threads.map(shuffle, range(R), [epoch + 1] * R)
            trained = score_stack(stack.train_epoch(rows, lrs_now, epoch, epochs), stack.y[rows])
            tested = evaluate_stack(stack, *test)
            seconds = (time.perf_counter() - began) / R
            cleaned = evaluate_stack(stack, stack.X, stack.y, train) if clean else None
            validated = None if validation is None else evaluate_stack(stack, stack.X, stack.y, validation)
        records = []
        for r in range(R):
            clean_loss, clean_acc = cleaned[r] if cleaned else (None, None)
            val_loss, val_acc = validated[r] if validated else (None, None)
            records.append(
                EpochRecord(
                    epoch,
                    *trained[r],
                    clean_loss,
                    clean_acc,
                    val_loss,
                    val_acc,
                    *tested[r],
                    lrs_now[r],
                    seconds,
                )
            )
        yield [record if r in going else None for r, record in enumerate(records)]
        going -= {r for r, record in enumerate(records) if not record.finite}
        if not going:
            return


def evaluate_stack(stack: Stack, X: Tensor, y: Tensor, rows: Tensor | None = None) -> list[tuple[float, float]]:
    """As `evaluate`, for each run: on all of X (n, num_inputs), y (n,), or on the run's own `rows` (R, m) of them."""
    if rows is None:
        return score_stack(torch.cat([stack.logits(part) for part in X.split(stack.eval_rows)], dim=1), y)
    outputs = [stack.logits(X[part]) for part in rows.split(stack.eval_rows, dim=1)]
    return score_stack(torch.cat(outputs, dim=1), y[rows])


def score_stack(outputs: Tensor, y: Tensor) -> list[tuple[float, float]]:
    """As `score`, for each run and where they lie: outputs (R, n, num_outputs), labels y (R, n) or (n,) for all."""
    y = y.expand(outputs.shape[:2])
    losses = outputs.logsumexp(dim=2) - outputs.gather(2, y.unsqueeze(2)).squeeze(2)
    sums, correct = losses.double().sum(dim=1).tolist(), (outputs.argmax(dim=2) == y).sum(dim=1).tolist()
    return [(loss / y.shape[1], right / y.shape[1]) for loss, right in zip(sums, correct, strict=True)]
