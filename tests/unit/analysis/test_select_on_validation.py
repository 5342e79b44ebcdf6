"""`compare --select-on`: the settings of each arm, selected on validation rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import change, write_arm, write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.errors import ComparisonError
from dropexp.runs.epochs_table import to_csv
from dropexp.runs.folder import RunFolder


def write_setting(
    runs_dir: Path, variant: str, lr: float, test_acc: float, val_acc: float, seeds: int = 2, **more: Any
) -> None:
    """Write the runs of one setting, whose validation loss is half of its validation accuracy."""
    for seed in range(seeds):
        run = write_run(runs_dir, variant, seed, test_acc + seed / 1000, lr=lr, validation_size=100, **more)
        set_validation(run, val_acc + seed / 1000)


def set_validation(run: RunFolder, val_acc: float) -> None:
    columns = run.read_table()
    epochs = len(columns["test_acc"])
    columns |= {"val_acc": [val_acc] * epochs, "val_loss": [val_acc / 2] * epochs}
    change(run, table=columns, last={**run.read_info().last, "val_acc": val_acc, "val_loss": val_acc / 2})
    (run.path / "epochs.csv").write_bytes(to_csv(columns))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of none and nn with two learning rates each; the better one on validation is the worse one in the test."""
    runs_dir = tmp_path_factory.mktemp("settings")
    write_setting(runs_dir, "none", 0.1, test_acc=0.80, val_acc=0.85)
    write_setting(runs_dir, "none", 0.5, test_acc=0.90, val_acc=0.75)
    write_setting(runs_dir, "nn", 0.1, test_acc=0.88, val_acc=0.70)
    write_setting(runs_dir, "nn", 0.5, test_acc=0.82, val_acc=0.79)
    return runs_dir


def labels(comparison: Comparison) -> list[str]:
    return [*comparison.arms["arm"]]


def test_the_settings_with_the_best_mean_on_validation_rows_are_compared_alone(study: Path) -> None:
    comparison = compare(runs_dir=study, select_on="val_acc")
    assert [*comparison.arms["series"]] == labels(comparison)
    assert [(row["variant"], row["lr"]) for row in comparison.settings.to_dict("records")] == [
        ("none", 0.1),
        ("nn", 0.5),
    ]
    assert [*comparison.arms["mean"]] == pytest.approx([0.8005, 0.8205])
    assert len(comparison.differences) == 1 and comparison.options == ["--select-on=val_acc"]
    for label, base in zip(labels(comparison), ("none", "nn"), strict=True):
        note = f"dropout: {label} is selected from 2 settings of {base}, by mean validation accuracy"
        assert note in comparison.notes


def test_a_loss_is_selected_by_its_lowest_mean(study: Path) -> None:
    comparison = compare(runs_dir=study, select_on="val_loss")
    assert [*comparison.arms["mean"]] == pytest.approx([0.9005, 0.8805])


def test_declared_arms_are_selected_separately(tmp_path: Path) -> None:
    for arm in ("wide", "narrow"):
        for lr in (0.1, 0.5):
            write_setting(tmp_path, "nn", lr, 0.8, val_acc=lr, arm=arm, label_smoothing=0.1 * (arm == "wide"))
    notes = compare(runs_dir=tmp_path, select_on="val_acc").notes
    for arm in ("wide", "narrow"):
        assert mentions(notes, f"is selected from 2 settings of {arm}")


def test_settings_with_a_diverged_run_are_not_selected(tmp_path: Path) -> None:
    write_setting(tmp_path, "nn", 0.1, 0.8, val_acc=0.7)
    write_setting(tmp_path, "nn", 0.5, 0.9, val_acc=0.9)
    write_run(tmp_path, "nn", 2, lr=0.5, validation_size=100, status="diverged", why="the loss is not finite")
    comparison = compare(runs_dir=tmp_path, select_on="val_acc")
    assert [*comparison.arms["mean"]] == pytest.approx([0.8005])
    assert mentions(comparison.notes, "is selected from 2 settings of nn")


def test_settings_with_different_numbers_of_seeds_are_noted(tmp_path: Path) -> None:
    write_setting(tmp_path, "nn", 0.1, 0.8, val_acc=0.7, seeds=3)
    write_setting(tmp_path, "nn", 0.5, 0.8, val_acc=0.9)
    comparison = compare(runs_dir=tmp_path, select_on="val_acc")
    assert mentions(comparison.notes, "; they have different numbers of seeds")


def test_an_arm_without_figures_for_every_run_is_left_out_with_a_note(tmp_path: Path) -> None:
    write_setting(tmp_path, "none", 0.1, 0.8, val_acc=0.7)
    write_arm(tmp_path, "nn", [0.8, 0.9])
    comparison = compare(runs_dir=tmp_path, select_on="val_acc")
    assert len(comparison.arms) == 1
    assert mentions(
        comparison.notes, "dropout: no settings of nn are selected: none has validation accuracy for every run"
    )


@pytest.mark.parametrize("metric", ["test_acc", "xyzzy", "val", "odd"])
def test_settings_are_selected_on_validation_metrics_alone(metric: str, study: Path) -> None:
    similar = " (did you mean 'val_acc'?)" if metric == "val" else ""
    why = "settings are selected on a validation metric; the runs have val_acc and val_loss"
    with pytest.raises(ComparisonError) as error:
        compare(runs_dir=study, select_on=metric)
    assert str(error.value) == f"--select-on {metric}{similar}: {why}"


def test_runs_without_validation_rows_are_an_error(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.9])
    with pytest.raises(ComparisonError, match="the runs have none; set validation_size"):
        compare(runs_dir=tmp_path, select_on="val_acc")


def test_nothing_to_select_is_an_error(tmp_path: Path) -> None:
    write_setting(tmp_path, "nn", 0.1, 0.8, val_acc=0.7)
    write_run(tmp_path, "nn", 2, lr=0.1, validation_size=100, status="diverged", why="the loss is not finite")
    with pytest.raises(ComparisonError, match="no settings of nn are selected: none has validation accuracy"):
        compare(runs_dir=tmp_path, select_on="val_acc")
