"""Arms: their figures, and the runs that are left out."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions, row_of
from helpers.fake_runs import change, publish, write_arm, write_raw, write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.listing import load_runs
from dropexp.errors import NoRuns
from dropexp.runs.folder import EPOCHS, RUN

SCHEMA_1 = Path(__file__).parents[2] / "schema-1" / "runs"

# figures


def test_an_arm_has_mean_and_sample_sd_over_its_seeds(compared: Comparison) -> None:
    nn = row_of(compared.arms, "nn")
    assert nn["n"] == 3
    assert nn["test_acc"] == pytest.approx(0.84)
    assert nn["sd"] == pytest.approx(0.03)
    assert nn["clean_train_acc"] == pytest.approx(0.87)
    assert nn["gap"] == pytest.approx(0.03)
    assert nn["curve"] == pytest.approx([0.74, 0.84])


def test_seconds_are_the_median_of_each_run_s_median_after_its_first_epoch(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, test_acc=[0.5, 0.6, 0.7], seconds=[9.0, 1.0, 2.0])
    write_run(tmp_path, seed=1, test_acc=[0.5, 0.6, 0.7], seconds=[9.0, 3.0, 7.0])
    assert row_of(compare(runs_dir=tmp_path).arms, "nn")["seconds"] == 3.25


def test_seconds_of_a_single_epoch_include_it(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[0.5], seconds=[9.0])
    assert row_of(compare(runs_dir=tmp_path).arms, "nn")["seconds"] == 9.0


def test_a_run_without_clean_train_accuracy_has_no_generalisation_gap(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.9], eval_train=False)
    nn = row_of(compare(runs_dir=tmp_path).arms, "nn")
    assert math.isnan(nn["gap"])
    assert nn["test_acc"] == pytest.approx(0.85)


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_an_arm_s_mean_is_over_the_runs_that_have_the_figure(figure: float, tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    *_, last = write_arm(tmp_path, "nn", [0.8, 0.82, 0.9])
    change(last, table=last.read_table() | {"test_acc": [figure, figure]})
    comparison = compare(runs_dir=tmp_path)
    nn = row_of(comparison.arms, "nn")
    assert (nn["n"], nn["mean"]) == (3, pytest.approx(0.81))
    assert row_of(comparison.differences, "nn")["pairs"] == 2
    assert mentions(comparison.notes, "nn: no test accuracy for seed 2")


def test_an_arm_without_a_probe_lacks_only_its_figures(probed: Path) -> None:
    write_arm(probed, "scratch", [0.8, 0.81])
    comparison = compare(runs_dir=probed, metric="h1_zero")
    assert math.isnan(row_of(comparison.arms, "scratch")["h1_zero"])
    assert row_of(comparison.arms, "scratch")["test_acc"] == pytest.approx(0.805)
    assert mentions(comparison.notes, "scratch: no share of zeros in h1 for seed 0, 1")


def test_all_images_and_their_number_are_different_settings(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8, 0.8])
    write_arm(tmp_path, "nn", [0.1, 0.2, 0.3], train_size=60000)
    arms = compare(runs_dir=tmp_path).arms
    assert list(arms["n"]) == [3, 3]
    assert list(arms["arm"]) == ["nn,train_size=60000", "nn,train_size=all"]


# runs that are left out


def test_a_diverged_run_is_counted_and_noted_and_excluded_from_means(compared: Comparison) -> None:
    assert row_of(compared.arms, "nn")["diverged"] == 1
    assert mentions(compared.notes, "nn", "seed 3", "diverged", "the loss is nan in epoch 2")


def test_an_arm_whose_runs_all_diverged_stays_in_the_table(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    write_run(tmp_path, "nn", status="diverged")
    nn = row_of(compare(runs_dir=tmp_path).arms, "nn")
    assert (nn["n"], nn["diverged"]) == (0, 1)
    assert math.isnan(nn["test_acc"])


@pytest.mark.parametrize("status", ["interrupted", "failed", "running"])
def test_an_unfinished_run_is_left_out_and_noted(tmp_path: Path, status: str) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8])
    write_run(tmp_path, "nn", 2, 0.1, status=status)
    comparison = compare(runs_dir=tmp_path)
    assert row_of(comparison.arms, "nn")["n"] == 2
    # a run with the status running is interrupted if no process has locked it
    assert mentions(comparison.notes, "nn: seed 2", "interrupted" if status == "running" else status, "left out")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1, "status": "done"}', '{"schema": 99}', "\x00"])
def test_an_unreadable_run_folder_is_left_out_and_noted(study: Path, content: str) -> None:
    unreadable = study / "dropout" / "unreadable"
    unreadable.mkdir()
    (unreadable / RUN).write_text(content)
    comparison = compare(runs_dir=study)
    assert list(comparison.arms["n"]) == [3, 3, 3]
    assert mentions(comparison.notes, "left out", str(unreadable / RUN))
    runs = load_runs(runs_dir=study)
    status = "unreadable" if "99" in content else "corrupted"
    assert list(runs[runs["status"] == status]["path"]) == [str(unreadable)]


@pytest.mark.parametrize("table", [None, "epoch,test_acc\n1,0.7\n", "epoch,test_acc\n1,0.7\n2,oops\n"])
def test_the_table_of_a_run_is_in_its_run_json(tmp_path: Path, table: str | None) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8])
    path = write_run(tmp_path, "nn", 2, 0.8).path / EPOCHS
    path.unlink() if table is None else path.write_text(table)
    assert row_of(compare(runs_dir=tmp_path).arms, "nn")["n"] == 3


@pytest.mark.parametrize("table", [None, "epoch,test_loss\n1,0.7\n", "epoch,test_loss\n1,0.7\n2,oops\n3,0.1\n"])
def test_a_run_of_schema_1_with_a_corrupted_table_is_left_out_and_noted(tmp_path: Path, table: str | None) -> None:
    shutil.copytree(SCHEMA_1, tmp_path, dirs_exist_ok=True)
    where = {"arm": "lines"}
    assert list(compare(runs_dir=tmp_path, filter=where).arms["n"]) == [1]
    path = next(tmp_path.glob("*/arm=lines*")) / EPOCHS
    path.unlink() if table is None else path.write_text(table)
    with pytest.raises(NoRuns, match=r"seed 0 left out: .*epochs\.csv is corrupted"):
        compare(runs_dir=tmp_path, filter=where)


INVALID: list[dict[str, Any]] = [
    *({"name": 7}, {"name": "../../outside"}, {"arm": 5}, {"hash": None}),
    {"config": {"variant": "nn", "seed": -3}},
]


@pytest.mark.parametrize("fields", INVALID)
def test_a_run_with_invalid_fields_is_left_out_and_noted(fields: dict[str, Any], study: Path) -> None:
    run = write_run(study, "nn", 9)
    write_raw(run, **fields)
    comparison = compare(runs_dir=study)
    assert list(comparison.arms["n"]) == [3, 3, 3]
    assert mentions(comparison.notes, "left out", run.path.name, "corrupted")


def test_a_run_folder_without_run_json_is_noted(study: Path) -> None:
    run = write_run(study, "nn", 9)
    (run.path / RUN).unlink()
    assert mentions(compare(runs_dir=study).notes, "left out", run.path.name, "run.json is missing")


def test_runs_left_out_for_one_reason_share_a_note(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 4)
    write_run(tmp_path, "none", 4, [0.5, 0.6, 0.7])
    notes = compare(runs_dir=tmp_path, at=3).notes
    assert mentions(notes, "none: seeds 0, 1, 2, 3 left out: trained for 2 epochs, not 3")


def test_a_run_found_twice_counts_once(tmp_path: Path) -> None:
    write_arm(tmp_path / "here", "nn", [0.8, 0.82])
    write_run(tmp_path / "here", "nn", 2, status="diverged")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    paths = [str(tmp_path / "here" / "dropout"), str(tmp_path / "there" / "dropout")]
    nn = row_of(compare([*paths, "dropout"], tmp_path / "here").arms, "nn")
    assert (nn["n"], nn["diverged"]) == (2, 1)
    assert len(load_runs(paths, tmp_path)) == 3


def test_of_two_copies_the_finished_one_counts(tmp_path: Path) -> None:
    for folder, status in (("a", "interrupted"), ("b", "done"), ("c", "interrupted")):
        write_run(tmp_path / folder, "nn", status=status)
    paths = [str(tmp_path / folder) for folder in "abc"]
    assert row_of(compare(paths, tmp_path).arms, "nn")["n"] == 1


def test_a_duplicate_run_folder_is_left_out_and_noted(tmp_path: Path) -> None:
    write_arm(tmp_path / "runs", "nn", [0.8, 0.81])
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    comparison = compare([str(tmp_path / "runs" / "dropout"), str(tmp_path / "copy" / "dropout")], tmp_path)
    assert row_of(comparison.arms, "nn")["n"] == 2
    assert mentions(comparison.notes, "left out", "copy", "is the same run as")


# runs of different lengths


def test_means_by_epoch_end_at_the_last_epoch_that_all_runs_have(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "none", 1, [0.6, 0.7, 0.8, 0.9, 0.95])
    write_arm(tmp_path, "nn", [0.8, 0.8])
    publish(tmp_path, arm="none", test_acc=[0.5, 0.6, 0.7, 0.8])
    comparison = compare(runs_dir=tmp_path)
    assert row_of(comparison.arms, "none")["curve"] == pytest.approx([0.55, 0.65, 0.75])
    assert mentions(comparison.notes, "none: its runs have 3 to 5 epochs", "end at epoch 3")
    assert not mentions(comparison.notes, "nn: its runs")
    assert list(comparison.published["n"]) == [2, 2, 2, 0]


def test_the_last_epoch_is_each_run_s_own(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        write_run(tmp_path, variant, 0, [0.5, 0.6, 0.7])
        write_run(tmp_path, variant, 1, [0.6, 0.7, 0.8, 0.9])
    comparison = compare(runs_dir=tmp_path)
    assert comparison.what == "test accuracy at the last epoch of each run"
    assert row_of(comparison.arms, "nn")["mean"] == pytest.approx(0.8)
    assert list(comparison.runs["epoch"]) == [3, 4, 3, 4]
    assert row_of(comparison.differences, "nn")["pairs"] == 2
    fourth = compare(runs_dir=tmp_path, at=4)
    assert list(fourth.arms["n"]) == [1, 1]
    assert mentions(fourth.notes, "nn: seed 0 left out", "3 epochs, not 4")


# listing runs


def test_load_runs_has_a_row_per_run_with_config_and_last_figures(shared_study: Path) -> None:
    runs = load_runs(runs_dir=shared_study)
    assert len(runs) == 11
    row = runs[(runs["label"] == "nn") & (runs["seed"] == 1)].iloc[0]
    assert (row["name"], row["status"], row["epoch"], row["lr"]) == ("dropout", "done", 2, 0.5)
    assert row["drop_probs"] == (0.2, 0.5)  # a tuple: groupby takes no lists
    assert row["test_acc"] == pytest.approx(0.84)
    assert row["gap"] == pytest.approx(0.03)


def test_unreadable_folders_alone_are_listed(tmp_path: Path) -> None:
    (tmp_path / "dropout" / "corrupted").mkdir(parents=True)
    (tmp_path / "dropout" / "corrupted" / RUN).write_text("{")
    assert list(load_runs(runs_dir=tmp_path)["status"]) == ["corrupted"]
    with pytest.raises(NoRuns, match=r"run\.json is corrupted"):
        compare(runs_dir=tmp_path)
