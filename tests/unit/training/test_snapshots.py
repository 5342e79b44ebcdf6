"""What a run keeps: predictions after its last and its best validation epoch, and the network of the latter."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.recovery import CPU, DONE, content_of, interrupt, planned, train
from helpers.training import train_stack
from helpers.weights import same, saved
from torch.nn import functional

from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.files import add_checksum
from dropexp.runs.folder import RunFolder
from dropexp.runs.predictions import Predictions, read_predictions
from dropexp.training import trainees
from dropexp.training.snapshots import predictions_of

pytestmark = pytest.mark.usefixtures("checkpoint_each_epoch")

# Validation accuracy is best some epochs before the end.
EARLIER: dict[str, Any] = {"epochs": 8, "validation_size": 100, "train_size": 100, "lr": 0.5}


def kept(folder: Path) -> dict[int, Predictions]:
    return read_predictions(folder, RunFolder(folder).read_info().predictions_sha256)


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "epochs.csv").set_index("epoch")


def best_of(folder: Path) -> int:
    val_accs = rows(folder)["val_acc"].to_numpy()
    return int(np.nanargmax(val_accs)) + 1


def check_figures(folder: Path) -> None:
    """Check that the predictions have the test figures of their epochs."""
    for epoch, predictions in kept(folder).items():
        row = rows(folder).loc[epoch]
        assert predictions.correct.mean() == pytest.approx(row["test_acc"], abs=1e-12)
        assert predictions.losses.mean(dtype=float) == pytest.approx(row["test_loss"], rel=1e-3)


def test_predictions_are_the_most_probable_class_its_probability_and_the_cross_entropy() -> None:
    O, y = torch.randn(50, 10), torch.arange(50) % 10
    found = predictions_of(O, y)
    p = O.double().softmax(dim=1)
    assert found.labels.tolist() == y.tolist() and found.classes.tolist() == p.argmax(dim=1).tolist()
    assert np.allclose(found.confidences, p.amax(dim=1), rtol=1e-3)
    assert np.allclose(found.losses, functional.cross_entropy(O.double(), y, reduction="none"), rtol=1e-3)


def test_predictions_are_rounded_as_by_torch_but_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc/cpuinfo, as in some containers, torch cannot convert to float16."""
    O, y = 40 * torch.randn(500, 10), torch.arange(500) % 10
    O[0, 1] = 1e6  # a loss beyond float16
    log_sum = O.logsumexp(dim=1)
    losses = (log_sum - O[torch.arange(500), y]).half().numpy()
    confidences = (O.amax(dim=1) - log_sum).exp().half().numpy()
    to = torch.Tensor.to

    def to_other(values: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        assert torch.float16 not in (*arguments, *options.values()), "Failed to initialize cpuinfo!"
        return to(values, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "to", to_other)
    monkeypatch.setattr(torch.Tensor, "half", None, raising=False)
    found = predictions_of(O, y)
    assert np.array_equal(found.losses, losses) and np.isinf(found.losses[0])
    assert np.array_equal(found.confidences, confidences)


def test_without_validation_the_predictions_of_the_last_epoch_are_kept(tmp_path: Path, data: Data) -> None:
    assert train(tmp_path, data)[0] == DONE
    assert list(kept(tmp_path)) == [3]
    assert kept(tmp_path)[3].labels.tolist() == data.y_test.tolist()
    check_figures(tmp_path)
    assert saved(tmp_path)["best"] is None


@pytest.mark.parametrize("variant", ["scratch", "nn", "none"])
def test_with_validation_the_predictions_of_the_best_epoch_are_kept(variant: str, tmp_path: Path, data: Data) -> None:
    train(tmp_path / "run", data, planned(variant=variant, **EARLIER))
    best = best_of(tmp_path / "run")
    assert best < 8 and list(kept(tmp_path / "run")) == [best, 8]
    check_figures(tmp_path / "run")
    train(tmp_path / "shorter", data, planned(variant=variant, **EARLIER | {"epochs": best}))
    found = saved(tmp_path / "run")["best"]
    assert found["epoch"] == best and same(found["network"], saved(tmp_path / "shorter")["network"])


def test_a_best_epoch_that_is_the_last_is_kept_once(tmp_path: Path, data: Data) -> None:
    train(tmp_path, data, planned(**EARLIER | {"epochs": 1}))
    assert list(kept(tmp_path)) == [1]
    assert saved(tmp_path)["best"]["epoch"] == 1


def test_early_stopping_keeps_the_epoch_that_it_stops_at(tmp_path: Path, data: Data) -> None:
    train(tmp_path, data, planned(**EARLIER | {"epochs": 40, "early_stopping": 2}))
    last = len(rows(tmp_path))
    assert last < 40 and list(kept(tmp_path)) == [last - 2, last]


@pytest.mark.parametrize("variant", ["scratch", "nn"])
def test_a_run_interrupted_anywhere_keeps_the_same_predictions(variant: str, tmp_path: Path, data: Data) -> None:
    run = planned(variant=variant, momentum=0.9, **EARLIER | {"lr": 0.1})
    train(tmp_path / "whole", data, run)
    best = best_of(tmp_path / "whole")
    for epochs in {1, best, best + 1, 7} & {*range(1, 8)}:
        folder = interrupt(tmp_path / str(epochs), data, epochs, run)
        assert not (folder / "predictions.npz").exists()
        assert train(folder, data, run)[0] == DONE
        whole, parts = (content_of(one)["predictions.npz"] for one in (tmp_path / "whole", folder))
        assert parts == whole and same(saved(folder), saved(tmp_path / "whole"))


def test_each_run_of_a_stack_keeps_its_own_predictions(tmp_path: Path, data: Data) -> None:
    runs = [planned(seed=seed, **EARLIER) for seed in range(3)]
    folders = [RunFolder(tmp_path / str(seed)) for seed in range(3)]
    list(train_stack(runs, folders, data, CPU))
    for folder in folders:
        check_figures(folder.path)
        assert set(kept(folder.path)) == {best_of(folder.path), 8}
        assert saved(folder.path)["best"]["epoch"] == best_of(folder.path)
    assert len({content_of(folder.path)["predictions.npz"] for folder in folders}) == 3


def test_the_test_images_are_evaluated_once_per_epoch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = []

    def counted(network: Any, X: torch.Tensor) -> torch.Tensor:
        evaluated.append(len(X))
        return logits(network, X)

    logits = trainees.logits
    monkeypatch.setattr(trainees, "logits", counted)
    train(tmp_path, data, planned(**EARLIER | {"eval_train": False}))
    assert evaluated == [len(data.y_test), 100] * 8


def test_a_run_that_diverges_keeps_no_predictions(tmp_path: Path, data: Data) -> None:
    ended, _, _ = train(tmp_path, data, planned(**EARLIER | {"lr": 1e30}))
    assert ended.status == "diverged" and kept(tmp_path) == {}
    assert not (tmp_path / "predictions.npz").exists()


def test_linear_regression_has_no_predictions(tmp_path: Path, data: Data) -> None:
    config = Config.model_validate({"task": "linear-regression", "variant": "scratch", "validation_size": 10})
    train(tmp_path, data, replace(planned(), config=config))
    assert kept(tmp_path) == {} and saved(tmp_path)["best"] is None


def test_a_checkpoint_of_a_version_that_kept_nothing_resumes(tmp_path: Path, data: Data) -> None:
    run = planned(**EARLIER)
    train(tmp_path / "whole", data, run)
    best = best_of(tmp_path / "whole")
    for epochs in (best, best - 1):
        folder = interrupt(tmp_path / str(epochs), data, epochs, run)
        content = torch.load(folder / "checkpoint.pt", weights_only=True)
        del content["best"], content["predictions"]
        file = io.BytesIO()
        torch.save(content, file)
        (folder / "checkpoint.pt").write_bytes(add_checksum(file.getvalue()))
        assert train(folder, data, run)[0] == DONE
        assert list(kept(folder)) == ([8] if epochs == best else [best, 8])
        assert (saved(folder)["best"] is None) == (epochs == best)


def test_without_test_figures_the_best_network_is_kept_and_no_predictions(tmp_path: Path, data: Data) -> None:
    train(tmp_path, data, planned(eval_test=False, **EARLIER))
    assert kept(tmp_path) == {} and not (tmp_path / "predictions.npz").exists()
    assert saved(tmp_path)["best"]["epoch"] == best_of(tmp_path)


def test_with_eval_every_the_best_epoch_is_an_evaluated_one(tmp_path: Path, data: Data) -> None:
    train(tmp_path, data, planned(eval_every=3, **EARLIER))
    best = best_of(tmp_path)
    assert best in (3, 6, 8) and set(kept(tmp_path)) == {best, 8}
    check_figures(tmp_path)
    assert saved(tmp_path)["best"]["epoch"] == best
