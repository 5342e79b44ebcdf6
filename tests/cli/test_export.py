"""`dropexp export`: runs reach TensorBoard and MLflow."""

from __future__ import annotations

import shutil

import pytest
from helpers.fake_runs import write_run
from helpers.in_process import InProcess


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own
@pytest.mark.parametrize(("target", "out"), [("tensorboard", "tensorboard"), ("mlflow", "sqlite:///mlflow.db")])
def test_runs_are_exported_and_those_left_out_are_named(target: str, out: str, own_study: InProcess) -> None:
    corrupted = write_run(own_study.folder / "runs", "none", 99)
    (corrupted.path / "run.json").write_text("{")
    done = own_study("export", "--to", target)
    assert done.stdout == f"{out}\n"
    assert "32 runs exported" in done.stderr
    assert corrupted.path.name in done.stderr
    assert (own_study.folder / out.removeprefix("sqlite:///")).exists()
    assert "no longer" not in done.stderr
    gone = next(own_study.folder.glob("runs/dropout/variant=none,seed=7-*"))
    shutil.rmtree(gone)
    again = own_study("export", "dropout", "--to", target).stderr
    (note,) = [line for line in again.splitlines() if line.startswith("note:")]
    assert "1 runs in " in note and f"no longer exist here: {gone.name};" in note
