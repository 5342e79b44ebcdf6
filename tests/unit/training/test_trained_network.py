"""The network that `evaluate` loads: of the last epoch, or of the best validation epoch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.recovery import interrupt, planned, train

from dropexp.config.tasks import CLASSES
from dropexp.data.fashion_mnist import Data
from dropexp.errors import RunError
from dropexp.files import add_checksum
from dropexp.runs.epochs_table import best_epoch, rows_of
from dropexp.runs.folder import RunFolder
from dropexp.training import trainees
from dropexp.training.trained_network import At, Trained, load_trained

pytestmark = pytest.mark.usefixtures("checkpoint_each_epoch")

# Validation accuracy is best some epochs before the end.
EARLIER: dict[str, Any] = {"epochs": 8, "validation_size": 100, "train_size": 100, "lr": 0.5}


def figures(folder: Path, epoch: int) -> tuple[float, float]:
    row = rows_of(RunFolder(folder).read_table())[epoch - 1]
    return row["test_loss"], row["test_acc"]


def evaluated(found: Trained, data: Data) -> tuple[float, float]:
    return trainees.evaluate(found.network, data.X_test, data.y_test)


def best_of(folder: Path) -> int:
    return best_epoch(RunFolder(folder).read_table()) or 0


def without_best(folder: Path) -> None:
    """Rewrite checkpoint.pt as an earlier version wrote it."""
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    del content["best"], content["predictions"]
    file = io.BytesIO()
    torch.save(content, file)
    (folder / "checkpoint.pt").write_bytes(add_checksum(file.getvalue()))


@pytest.mark.parametrize("variant", ["scratch", "nn"])
def test_best_val_has_the_network_and_the_predictions_of_the_best_validation_epoch(
    variant: str, tmp_path: Path, data: Data
) -> None:
    train(tmp_path, data, planned(variant=variant, **EARLIER))
    best = best_of(tmp_path)
    epochs: dict[At, int] = {"last": 8, "best-val": best}
    assert best < 8
    for at, epoch in epochs.items():
        found = load_trained(RunFolder(tmp_path), at)
        assert found.epoch == epoch and evaluated(found, data) == pytest.approx(figures(tmp_path, epoch), rel=1e-5)
        assert found.kept is not None and found.kept.correct.mean() == pytest.approx(figures(tmp_path, epoch)[1])


def test_the_last_epoch_has_a_remark_if_an_earlier_one_is_better(tmp_path: Path, data: Data) -> None:
    train(tmp_path, data, planned(**EARLIER))
    best = best_of(tmp_path)
    better = f"the validation accuracy was best after epoch {best} of 8: "
    assert load_trained(RunFolder(tmp_path)).remarks == [f"{better}--at best-val evaluates its network"]
    assert load_trained(RunFolder(tmp_path), "best-val").remarks == []
    without_best(tmp_path)
    assert load_trained(RunFolder(tmp_path)).remarks == [f"{better}its network is not kept"]


def test_an_interrupted_run_is_evaluated_at_its_best_epoch_so_far(tmp_path: Path, data: Data) -> None:
    interrupt(tmp_path, data, 2, planned(**EARLIER))
    found = load_trained(RunFolder(tmp_path), "best-val")
    best = best_of(tmp_path)
    assert found.epoch == best and evaluated(found, data) == pytest.approx(figures(tmp_path, best), rel=1e-5)


def test_without_a_best_network_the_reason_is_given(tmp_path: Path, data: Data) -> None:
    train(tmp_path / "unsplit", data)
    with pytest.raises(RunError, match="no validation rows to choose an epoch by; set validation_size"):
        load_trained(RunFolder(tmp_path / "unsplit"), "best-val")
    train(tmp_path / "old", data, planned(**EARLIER))
    without_best(tmp_path / "old")
    with pytest.raises(RunError, match=r"has not kept the network of its best validation epoch; .*--force"):
        load_trained(RunFolder(tmp_path / "old"), "best-val")


def test_the_classes_are_named_as_torchvision_names_them() -> None:
    from torchvision.datasets import FashionMNIST

    assert list(CLASSES) == FashionMNIST.classes
