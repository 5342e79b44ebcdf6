"""What a run is evaluated on, and after which epochs: `eval_test` and `eval_every` change no weight."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from helpers.training import train_run, train_stack
from helpers.weights import same, saved
from torch import Tensor
from unit.training.test_active_run import CPU

from dropexp.config.fields import PROBES
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder
from dropexp.training import checkpoint, probes, trainees
from dropexp.training.events import Event
from dropexp.training.table_columns import columns_of

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = {"hidden": [32, 16], "batch_size": 64, "init": "torch", "lr": 0.1, "epochs": 6, "validation_size": 50}
KINDS: dict[str, dict[str, Any]] = {
    "alone": {"variant": "scratch", **IMAGES, "probes": ["weight_norms"]},
    "stack": {"variant": "scratch", **IMAGES, "probes": ["weight_norms"]},
    "nn": {"variant": "nn", **IMAGES, "momentum": 0.9},
    "regression": {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "epochs": 6, "validation_size": 10},
}


def training(kind: str, folder: Path, data: Data, **keys: Any) -> Generator[Event]:
    run, to = PlannedRun("study", None, "cell", Config.model_validate(KINDS[kind] | keys)), RunFolder(folder)
    return train_stack([run], [to], data, CPU) if kind == "stack" else train_run(run, to, data, CPU)


def trained(kind: str, folder: Path, data: Data, **keys: Any) -> pd.DataFrame:
    """Train a run of this kind, and return its epochs.csv without the column `seconds`."""
    list(training(kind, folder, data, **keys))
    return pd.read_csv(folder / "epochs.csv").drop(columns="seconds")


def network_of(folder: Path) -> dict[str, Any]:
    """Return the state in the checkpoint, without what is kept of single evaluations."""
    return {part: state for part, state in saved(folder).items() if part not in ("best", "predictions")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_can_leave_the_test_set_alone(kind: str, tmp_path: Path, data: Data) -> None:
    nothing = cast(Tensor, None)
    without = trained(kind, tmp_path / "without", replace(data, X_test=nothing, y_test=nothing), eval_test=False)
    usual = trained(kind, tmp_path / "usual", data)
    of_test = [name for name in usual.columns if name.startswith("test_")]
    assert of_test and not [name for name in without.columns if name.startswith("test_")]
    pd.testing.assert_frame_equal(without, usual.drop(columns=of_test))
    assert same(network_of(tmp_path / "without"), network_of(tmp_path / "usual"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [1, 4, 6, 100])
def test_figures_of_epochs_without_an_evaluation_are_empty_and_all_others_are_equal(
    kind: str, every: int, tmp_path: Path, data: Data
) -> None:
    every_epoch = ("w_norm", "lr") if kind == "regression" else ("train_loss", "train_acc", "lr")
    usual = trained(kind, tmp_path / "usual", data)
    some = trained(kind, tmp_path / "some", data, eval_every=every)
    skipped = [epoch for epoch in range(1, 7) if epoch % every and epoch != 6]
    of_evaluations = [name for name in usual.columns if name not in ("epoch", *every_epoch)]
    expected = usual.set_index("epoch")
    expected.loc[skipped, of_evaluations] = math.nan
    pd.testing.assert_frame_equal(some.set_index("epoch"), expected, check_exact=True)
    assert same(network_of(tmp_path / "some"), network_of(tmp_path / "usual"))
    table = RunFolder(tmp_path / "some").read_info().table or {}
    assert [i + 1 for i, loss in enumerate(table["test_loss"]) if loss is None] == skipped


def test_skipped_epochs_run_no_evaluation_or_probe(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def logits(network: object, X: Tensor) -> Tensor:
        calls.append("evaluate")
        return X.new_zeros(len(X), 10)

    def measure(*arguments: object) -> dict[str, float]:
        calls.append("probe")
        return {}

    monkeypatch.setattr(trainees, "logits", logits)
    monkeypatch.setattr(probes, "measure", measure)
    trained("alone", tmp_path, data, eval_every=4)
    assert calls == ["evaluate", "evaluate", "evaluate", "probe"] * 2  # test, training, validation


@pytest.mark.parametrize("after", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["alone", "stack", "regression"])
def test_an_interrupted_run_resumes_to_the_same_table(
    kind: str, after: int, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SHARE", 1e9)
    whole = trained(kind, tmp_path / "whole", data, eval_every=4)
    events = training(kind, tmp_path / "parts", data, eval_every=4)
    for _ in range(after):
        next(events)
    events.close()
    assert RunFolder(tmp_path / "parts").read_info().epoch == after
    pd.testing.assert_frame_equal(trained(kind, tmp_path / "parts", data, eval_every=4), whole)


def test_patience_counts_epochs_and_is_checked_after_evaluations(tmp_path: Path, data: Data) -> None:
    keys = {"train_size": 100, "validation_size": 100, "epochs": 40, "lr": 0.5, "eval_every": 3}
    accs = trained("alone", tmp_path / "all", data, **keys).set_index("epoch")["val_acc"].dropna()
    epochs = accs.index.tolist()
    ages = [epoch - epochs[accs.loc[:epoch].to_numpy().argmax()] for epoch in epochs]
    for patience in (3, 4, 9):
        end = next(epoch for epoch, age in zip(epochs, ages, strict=True) if age >= patience)
        stopped = trained("alone", tmp_path / str(patience), data, **keys, early_stopping=patience)
        assert len(stopped) == end < 40
        assert RunFolder(tmp_path / str(patience)).read_info().status == "done"


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
@pytest.mark.parametrize("hidden", [[8], [8, 6, 4]])
def test_a_table_has_the_columns_that_its_config_defines(
    variant: str, hidden: list[int], tmp_path: Path, data: Data
) -> None:
    every = [*PROBES, {"mc": 2}]
    keys = {"variant": variant, "hidden": hidden, "drop_probs": [0.5] * len(hidden), "probes": every, "epochs": 1}
    config = Config.model_validate(IMAGES | keys)
    columns = columns_of(config)
    table = trained("alone", tmp_path, data, **keys)
    assert [*table.columns] == [name for name in columns if name != "seconds"]
    assert table.notna().all(axis=None)
