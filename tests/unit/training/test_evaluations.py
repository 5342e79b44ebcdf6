"""What a run is evaluated on: `eval_test`. It changes no weight and no other figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from helpers.training import train_run, train_stack
from helpers.weights import same, saved
from torch import Tensor
from unit.training.test_run import CPU

from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = {"hidden": [32, 16], "batch_size": 64, "init": "torch", "lr": 0.1, "epochs": 6, "validation_size": 50}
KINDS: dict[str, dict[str, Any]] = {
    "alone": {"variant": "scratch", **IMAGES, "probes": ["weight_norms"]},
    "stack": {"variant": "scratch", **IMAGES, "probes": ["weight_norms"]},
    "nn": {"variant": "nn", **IMAGES, "momentum": 0.9},
    "regression": {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "epochs": 6, "validation_size": 10},
}


def trained(kind: str, folder: Path, data: Data, **keys: Any) -> pd.DataFrame:
    """Train a run of this kind, and return its epochs.csv without the column `seconds`."""
    run, to = PlannedRun("study", None, "cell", Config.model_validate(KINDS[kind] | keys)), RunFolder(folder)
    list(train_stack([run], [to], data, CPU) if kind == "stack" else train_run(run, to, data, CPU))
    return pd.read_csv(folder / "epochs.csv").drop(columns="seconds")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_can_leave_the_test_set_alone(kind: str, tmp_path: Path, data: Data) -> None:
    nothing = cast(Tensor, None)
    without = trained(kind, tmp_path / "without", replace(data, X_test=nothing, y_test=nothing), eval_test=False)
    usual = trained(kind, tmp_path / "usual", data)
    of_test = [name for name in usual.columns if name.startswith("test_")]
    assert of_test and not [name for name in without.columns if name.startswith("test_")]
    pd.testing.assert_frame_equal(without, usual.drop(columns=of_test))
    assert same(saved(tmp_path / "without"), saved(tmp_path / "usual"))
