"""The kept results of trained studies: tables of their runs and comparisons."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import study_results
from helpers.fake_runs import write_arm
from storage import ROOT
from studies import STUDIES, Judged

from dropexp import load_config

STUDY = """name: small
matrix:
  variant: [none, nn]
  seed: 0..1
"""


def test_a_study_is_kept_as_a_row_per_run_and_a_row_per_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/small.yaml").write_text(STUDY)
    monkeypatch.setattr(study_results, "ROOT", tmp_path)
    monkeypatch.setitem(STUDIES, "small", [Judged(), Judged("test_loss", baseline="nn")])
    for variant, accuracies in (("none", [0.7, 0.72]), ("nn", [0.8, 0.84])):
        write_arm(tmp_path / "runs", variant, accuracies, name="small")
    study_results.keep("small", tmp_path / "runs", tmp_path / "kept")
    runs = pd.read_csv(tmp_path / "kept/small-runs.csv")
    assert sorted(runs["test_acc"]) == [0.7, 0.72, 0.8, 0.84]
    assert "epochs" not in runs  # the same for all
    arms = pd.read_csv(tmp_path / "kept/small.csv").set_index(["metric", "arm"])
    assert arms.loc[("test_acc", "nn"), "difference"] == pytest.approx(0.11)
    assert arms.loc[("test_loss", "none"), "baseline"] == "nn"


def test_interactions_are_kept_in_a_table_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/small.yaml").write_text(f"{STUDY}  train_size: [1000, 5000]\n")
    monkeypatch.setattr(study_results, "ROOT", tmp_path)
    monkeypatch.setitem(STUDIES, "small", [Judged(), Judged(interaction=("variant", "train_size"))])
    accuracies = {1000: {"none": [0.7, 0.72], "nn": [0.71, 0.73]}, 5000: {"none": [0.6, 0.62], "nn": [0.65, 0.67]}}
    for size, by_variant in accuracies.items():
        for variant, values in by_variant.items():
            write_arm(tmp_path / "runs", variant, values, name="small", train_size=size)
    study_results.keep("small", tmp_path / "runs", tmp_path / "kept")
    kept = pd.read_csv(tmp_path / "kept/small-interactions.csv")
    assert kept["difference"].tolist() == pytest.approx([0.05 - 0.01])
    assert "sentence" not in kept  # it may have a path of this machine


def test_a_study_without_runs_exits_with_the_command_that_trains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["study_results.py", "findings/tuned-1000", "--runs-dir", str(tmp_path)])
    training = rf"`dropexp train -c \S+/findings/tuned-1000\.yaml --runs-dir {tmp_path}` trains the missing runs$"
    with pytest.raises(SystemExit, match=training):
        study_results.main()


@pytest.mark.parametrize("path", STUDIES)
def test_kept_results_have_every_run_of_the_config(path: str) -> None:
    study = load_config(ROOT / "configs" / f"{path}.yaml")
    runs = pd.read_csv(study_results.FOLDER / f"{study.name}-runs.csv")
    assert set(runs["hash"]) >= {run.digest("cpu") for run in study.runs}
