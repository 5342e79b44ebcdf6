"""Early stopping: a run ends after `early_stopping` epochs (the patience) without a better validation accuracy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from helpers.training import table, train_run
from unit.training.test_active_run import CPU, planned, train

from dropexp.data.fashion_mnist import Data
from dropexp.runs.epochs_table import num_epochs
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import Status
from dropexp.training.events import Ended

pytestmark = pytest.mark.usefixtures("one_thread")

KEYS = {"variant": "scratch", "epochs": 40, "early_stopping": 3, "validation_size": 100, "train_size": 100, "lr": 0.5}


def epochs_since_best(folder: Path) -> list[int]:
    """Return, after each epoch, how many epochs ago the best validation accuracy was reached."""
    accs = list(pd.read_csv(folder / "epochs.csv")["val_acc"])
    return [n - 1 - accs[:n].index(max(accs[:n])) for n in range(1, len(accs) + 1)]


def test_a_run_ends_when_its_patience_is_exhausted(tmp_path: Path, data: Data) -> None:
    assert train(planned(**KEYS), tmp_path, data) == Ended(0, Status.DONE)
    ages = epochs_since_best(tmp_path)
    assert len(ages) < 40 and ages[-1] == 3 and max(ages[:-1]) < 3
    info = RunFolder(tmp_path).read_info()
    assert info.status == "done" and info.epoch == len(ages)


def test_an_interrupted_run_stops_at_the_same_epoch(tmp_path: Path, data: Data) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(planned(**KEYS), whole, data)
    rows = len(epochs_since_best(whole))
    for epochs in (2, rows - 1, rows):
        run = train_run(planned(**KEYS), RunFolder(parts), data, CPU)
        while num_epochs(RunFolder(parts).read_table()) < epochs:
            next(run)
        run.close()
    assert train(planned(**KEYS), parts, data) == Ended(0, Status.DONE)
    assert table(parts) == table(whole)


def test_without_early_stopping_all_epochs_are_trained(tmp_path: Path, data: Data) -> None:
    train(planned(**KEYS | {"early_stopping": None, "epochs": 12}), tmp_path, data)
    assert len(epochs_since_best(tmp_path)) == 12


@pytest.mark.parametrize("patience", [1, 5])
def test_more_patience_never_trains_fewer_epochs_and_changes_no_figure(
    patience: int, tmp_path: Path, data: Data
) -> None:
    train(planned(**KEYS), tmp_path / "3", data)
    train(planned(**KEYS | {"early_stopping": patience}), tmp_path / "other", data)
    short, long = sorted([table(tmp_path / "3"), table(tmp_path / "other")], key=len)
    assert long.startswith(short)
    assert (table(tmp_path / "3") == short) == (patience >= 3)
