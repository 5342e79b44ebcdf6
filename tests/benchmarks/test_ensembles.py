"""Groups of five runs whose predictions are averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ensembles
import pytest
from helpers.fake_runs import write_run

from dropexp import load_config
from dropexp.config.study import Study
from dropexp.errors import RunError
from dropexp.runs.record import read_runs
from dropexp.training.evaluate import RotationFigures

STUDY = """name: ensembles
train_size: 600
matrix:
  variant: [none, nn]
  seed: 0..5
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(STUDY)
    found = load_config(tmp_path / "study.yaml")
    for run in found.runs:
        write_run(tmp_path / "runs", run.config.variant, run.config.seed, name="ensembles", train_size=600)
    return found


def test_groups_have_neighbouring_seeds_of_one_variant(study: Study, tmp_path: Path) -> None:
    groups = ensembles.groups_of(study, read_runs("ensembles", tmp_path / "runs"), size=3)
    assert [*groups] == [(600, variant, group) for variant in ("nn", "none") for group in (0, 1)]
    assert [run.seed for run in groups[600, "none", 1]] == [3, 4, 5]


def test_a_run_that_is_missing_or_has_other_settings_is_an_error(study: Study, tmp_path: Path) -> None:
    runs = read_runs("ensembles", tmp_path / "runs")
    with pytest.raises(RunError, match=r"is not finished; `dropexp train -c .*ensembles\.yaml` trains it"):
        ensembles.groups_of(study, runs[1:], size=3)
    (tmp_path / "study.yaml").write_text(STUDY.replace("name", "lr: 0.1\nname"))
    with pytest.raises(RunError):
        ensembles.groups_of(load_config(tmp_path / "study.yaml"), runs, size=3)


def test_only_networks_with_dropout_have_a_row_of_monte_carlo() -> None:
    none = RotationFigures(0, acc=0.8, loss=0.5, ece=0.1, entropy=1)
    dropout = replace(none, mc_acc=0.7, mc_loss=0.4, mc_ece=0.2)
    assert [row["of"] for row in ensembles.rows_of(none, none)] == ["single", "ensemble"]
    rows = ensembles.rows_of(dropout, none)
    assert [(row["of"], row["acc"]) for row in rows] == [("single", 0.8), ("monte-carlo", 0.7), ("ensemble", 0.8)]
