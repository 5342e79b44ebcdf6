"""The figures of a run that can be compared: what each is called, its unit and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MARGIN = 0.003  # the least difference that matters, unless another is asked for
Unit = Literal["points", "nats", "s"]  # points: of a fraction, whose hundredths they are


@dataclass(frozen=True)
class Metric:
    """A column of epochs.csv, or `gap`: clean_train_acc minus test_acc."""

    name: str
    title: str
    unit: Unit
    higher_is_better: bool


METRICS = {
    metric.name: metric
    for metric in (
        Metric("test_acc", "test accuracy", "points", True),
        Metric("test_loss", "test loss", "nats", False),
        Metric("train_acc", "running train accuracy", "points", True),
        Metric("train_loss", "running train loss", "nats", False),
        Metric("clean_train_acc", "train accuracy", "points", True),
        Metric("clean_train_loss", "train loss", "nats", False),
        Metric("val_acc", "validation accuracy", "points", True),
        Metric("val_loss", "validation loss", "nats", False),
        Metric("gap", "gap", "points", False),
        Metric("seconds", "seconds per epoch", "s", False),
    )
}
