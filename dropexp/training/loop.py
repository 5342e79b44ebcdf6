"""The training loop: a generator that yields the records of each epoch. It does no I/O."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dropexp.nets import cuda_graph, matmul
from dropexp.nets.schedules import LR_SCHEDULES, LrSchedule

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Score:
    """Mean loss over rows, and the fraction of correct predictions (None in linear regression)."""

    loss: float
    acc: float | None = None


@dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch: a row of epochs.csv, in the order of its columns. None: it was not measured.

    Losses are means over all rows: cross entropy, or (ŷ − y)²/2 in linear regression, without penalties. `train_*` are
    running figures, taken with dropout active while the parameters change, as the book prints them; `clean_train_*` are
    taken in evaluation mode at the end of the epoch. Linear regression has no running figures: its `train_loss` is
    taken at the end of the epoch.
    """

    epoch: int
    train_loss: float | None
    train_acc: float | None
    clean_train_loss: float | None
    clean_train_acc: float | None
    val_loss: float | None
    val_acc: float | None
    test_loss: float | None
    test_acc: float | None
    w_norm: float | None  # ‖w‖₂, only in linear regression
    lr: float
    seconds: float  # wall time of training and test evaluation, divided by the number of runs that train together

    @property
    def finite(self) -> bool:
        """Whether all losses are finite; if not, the run has diverged."""
        losses = (self.train_loss, self.clean_train_loss, self.val_loss, self.test_loss)
        return all(loss is None or math.isfinite(loss) for loss in losses)

    def row(self) -> dict[str, float]:
        """Return what was measured, by column."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Trainee(ABC):
    """What the loop trains: one run with its data, or several side by side. Lists have one entry per run."""

    @abstractmethod
    def train_epoch(self, lrs: Sequence[float], epoch: int, epochs: int) -> list[Score]:
        """Train on every training row once; return the running figures, or an empty list if there are none.

        `epoch`, counted from 1, and `epochs` determine the progress for schedules of drop probabilities.
        """

    @abstractmethod
    def evaluate(self, part: Part) -> list[Score]:
        """Evaluate on these rows in evaluation mode; return an empty list if the runs are not evaluated on them."""

    @abstractmethod
    def finish_epoch(self) -> None:
        """Make the current parameters available to probes and checkpoints."""

    def test_outputs(self, r: int) -> Tensor | None:
        """Return the outputs (n, num_outputs) of run r on the test rows in this epoch, None without evaluation."""
        return None

    def w_norms(self) -> list[float]:
        """Return ‖w‖₂, or an empty list for networks, which have several layers."""
        return []

    def close(self) -> None:
        """Release what the training needed, such as threads."""
        return


def is_evaluated(epoch: int, epochs: int, every: int) -> bool:
    """Return whether the runs are evaluated after this epoch: after every `every` epochs, and after the last."""
    return epoch % every == 0 or epoch == epochs


def fit(
    trainee: Trainee,
    *,
    lrs: Sequence[float],
    epochs: int,
    lr_schedule: LrSchedule = LR_SCHEDULES["constant"],
    eval_every: int = 1,
    done: int = 0,
    backend: str = matmul.PLAIN,
) -> Iterator[list[EpochRecord]]:
    """Train the epochs after the first `done` ones. After each, yield one record per run.

    `lrs` are the learning rates of the runs, which `lr_schedule` scales epoch by epoch; `backend` is the matmul backend
    of a CPU. The runs are evaluated every `eval_every` epochs. Stops once every run has diverged, and closes the
    trainee at the end.
    """

    def evaluate(part: Part) -> list[Score]:
        return trainee.evaluate(part) if is_evaluated(epoch, epochs, eval_every) else []

    diverged = [False] * len(lrs)
    with closing(trainee):
        for epoch in range(done + 1, epochs + 1):
            lrs_now = [lr * lr_schedule(epoch, epochs) for lr in lrs]
            with matmul.using(backend), cuda_graph.ieee_matmul():
                start = time.perf_counter()
                running = trainee.train_epoch(lrs_now, epoch, epochs)
                test = evaluate("test")
                seconds = (time.perf_counter() - start) / len(lrs)
                train = evaluate("train")
                validation = evaluate("validation")
                w_norms = trainee.w_norms()
            trainee.finish_epoch()
            trained, clean = (running, train) if running else (train, [])
            records = [
                EpochRecord(
                    epoch=epoch,
                    train_loss=trained[r].loss if trained else None,
                    train_acc=trained[r].acc if trained else None,
                    clean_train_loss=clean[r].loss if clean else None,
                    clean_train_acc=clean[r].acc if clean else None,
                    val_loss=validation[r].loss if validation else None,
                    val_acc=validation[r].acc if validation else None,
                    test_loss=test[r].loss if test else None,
                    test_acc=test[r].acc if test else None,
                    w_norm=w_norms[r] if w_norms else None,
                    lr=lrs_now[r],
                    seconds=seconds,
                )
                for r in range(len(lrs))
            ]
            yield records
            diverged = [before or not record.finite for before, record in zip(diverged, records, strict=True)]
            if all(diverged):
                return
