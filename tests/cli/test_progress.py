"""The figures of an epoch as progress shows them."""

from __future__ import annotations

import pytest

from dropexp.cli.progress import figures
from dropexp.runs.table import Row

IMAGES: Row = {"train_loss": 0.51234, "train_acc": 0.8123, "val_acc": 0.8345, "test_acc": 0.8249}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (IMAGES, "loss 0.5123  train 0.812  val 0.835  test 0.825"),
        (IMAGES | {"val_acc": None, "test_acc": None}, "loss 0.5123  train 0.812"),
        ({"train_loss": 0.5, "train_acc": 0.8}, "loss 0.5000  train 0.800"),
        ({"train_loss": 2e30, "train_acc": 0.1}, "loss 2e+30  train 0.100"),
        ({"train_loss": 0.0123456, "test_loss": 1.5, "w_norm": 3.0}, "loss 0.01235  test 1.5"),
        ({"train_loss": None, "test_loss": None, "w_norm": 3.0}, ""),
    ],
)
def test_an_epoch_shows_the_figures_that_were_measured(row: Row, expected: str) -> None:
    assert figures({"epoch": 1, **row, "lr": 0.5, "seconds": 1.0}) == expected
