"""Runs that diverged, are at chance level, have an exploding loss or still improve at their last epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import change, write_arm, write_regression, write_run

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import group_arms
from dropexp.analysis.comparison import compare
from dropexp.runs.record import read_runs


def broken(runs_dir: Path) -> list[str]:
    return broken_runs(*group_arms(read_runs((), runs_dir)).value)


def notes(runs_dir: Path, **query: Any) -> list[str]:
    return compare(runs_dir=runs_dir, **query).notes


def test_diverged_runs_and_runs_at_chance_level_are_broken(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.1, 0.8])
    write_arm(tmp_path, "nn", [0.8, 0.8, 0.8])
    write_run(tmp_path, "nn", 12, status="diverged")
    write_run(tmp_path, "nn", 7, status="diverged")
    assert broken(tmp_path) == ["seed 1 of none is at chance level (10.00 %)", "seeds 7, 12 of nn diverged"]


@pytest.mark.parametrize(("accuracies", "is_broken"), [([0.8, 0.11], True), ([0.8, 0.111], False), ([0.1, 0.8], False)])
def test_the_final_accuracy_decides_about_chance_level(
    accuracies: list[float], is_broken: bool, tmp_path: Path
) -> None:
    write_run(tmp_path, "nn", 0, accuracies)
    assert bool(broken(tmp_path)) == is_broken


def test_without_test_figures_the_validation_accuracy_counts(tmp_path: Path) -> None:
    run = write_run(tmp_path, "nn", 0, 0.8)
    table = {name: values for name, values in run.read_table().items() if not name.startswith("test")}
    change(run, table=table | {"val_acc": [0.8, 0.1]})
    assert broken(tmp_path) == ["seed 0 of nn is at chance level (10.00 %)"]


def test_a_regression_has_no_chance_level(tmp_path: Path) -> None:
    write_regression(tmp_path, test_loss=[2.0, 2.0])
    assert broken(tmp_path) == []


def test_a_loss_ten_times_that_of_guessing_is_noted_with_its_epoch(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.8)
    exploded = write_run(tmp_path, "nn", 1, 0.8)
    change(exploded, table=exploded.read_table() | {"train_loss": [1.2e8, 2.3]})
    high = write_run(tmp_path, "nn", 2, 0.8)
    change(high, table=high.read_table() | {"test_loss": [22.0, 1.0]})
    found = [note for note in notes(tmp_path) if "exploding" in note]
    assert found == ["nn: seed 1 has an exploding loss (1.2e+08 in epoch 1)"]


def test_a_loss_of_a_regression_explodes_relative_to_its_first_evaluation(tmp_path: Path) -> None:
    write_regression(tmp_path, seed=0, test_loss=[50.0, 400.0, 10.0])
    write_regression(tmp_path, seed=1, test_loss=[50.0, 600.0, 10.0])
    rare = write_regression(tmp_path, seed=2, test_loss=[1.0] * 4)  # evaluated every second epoch
    change(rare, table=rare.read_table() | {"train_loss": [None, 25.0, None, 255.0]})
    found = [note for note in notes(tmp_path) if "exploding" in note]
    assert found == ["scratch: seeds 1, 2 have an exploding loss (300 in epoch 2 with seed 1)"]


def test_runs_that_still_improve_by_more_than_the_margin_are_noted(tmp_path: Path) -> None:
    rising = [0.70 + 0.01 * epoch for epoch in range(10)]
    flat = [*rising[:6], 0.75, 0.751, 0.752, 0.753]  # the means of the last fifths are 0.7505 and 0.7525
    falling = [*rising[:9], 0.70]
    for seed, curve in enumerate((rising, flat, falling, rising)):
        write_run(tmp_path, "nn", seed, curve)
    assert mentions(notes(tmp_path), "nn: test accuracy still improves at the last epoch with seeds 0, 3")
    assert mentions(notes(tmp_path, metric="test_loss"), "nn: test loss still improves at the last epoch")
    assert mentions(
        notes(tmp_path, margin=0.001), "nn: test accuracy still improves at the last epoch with seeds 0, 1, 3"
    )
    assert not mentions(notes(tmp_path, margin=0.05), "still improves")


def test_other_epochs_few_epochs_and_metrics_without_a_direction_have_no_note_on_improvement(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.5, 0.6, 0.7, 0.8, 0.9])
    assert mentions(notes(tmp_path), "still improves")
    for query in ({"at": 5}, {"at": "best-test"}, {"metric": "gap"}, {"metric": "seconds"}):
        assert not mentions(notes(tmp_path, **query), "still improves")
    write_run(tmp_path, "none", 0, [0.5, 0.6, 0.7, 0.8], name="short")
    assert not mentions(compare("short", tmp_path).notes, "still improves")


def test_runs_of_an_arm_at_chance_level_or_with_an_exploding_loss_share_a_note(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8, 0.8])
    for seed, loss in enumerate([200.0, 990.0, 50.0]):
        run = write_run(tmp_path, "nn", seed, 0.09 + seed / 100)
        change(run, table=run.read_table() | {"train_loss": [2.0, loss]})
    found = [note for note in notes(tmp_path) if note.startswith("nn: seeds")]
    assert found == [
        "nn: seeds 0, 1, 2 are at chance level (9.00 to 11.00 %)",
        "nn: seeds 0, 1, 2 have an exploding loss (990 in epoch 2 with seed 1)",
    ]
