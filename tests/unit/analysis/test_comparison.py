import csv
import io
import json
import math
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.fake_runs import publish, write_arm, write_regression, write_run

from dropexp.analysis import verdicts
from dropexp.analysis.arms import Arm, load_runs
from dropexp.analysis.baselines import baselines_of
from dropexp.analysis.comparison import compare
from dropexp.analysis.requirement import require
from dropexp.analysis.sentences import sentence
from dropexp.errors import ComparisonError, NoRuns
from dropexp.runs.folder import EPOCHS, RUN
from dropexp.runs.metrics import METRICS
from dropexp.runs.record import read_runs


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """none, nn and scratch over three seeds, one diverged run more of nn and one unfinished of scratch."""
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84])
    write_arm(tmp_path, "nn", [0.81, 0.84, 0.87])
    write_arm(tmp_path, "scratch", [0.79, 0.80, 0.81])
    write_run(tmp_path, "nn", 3, status="diverged", why="the loss is nan in epoch 2")
    write_run(tmp_path, "scratch", 3, status="interrupted")
    return tmp_path


def arm(frame: pd.DataFrame, label: str) -> dict[str, Any]:
    (row,) = frame[frame["arm"] == label].to_dict("records")
    return {str(name): value for name, value in row.items()}


def labels(runs_dir: Path, *names: str) -> list[str]:
    return list(compare(names, runs_dir).arms["arm"])


def said(notes: list[str], *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in notes)


# arms


def test_an_arm_has_mean_and_sample_sd_over_its_seeds(study: Path) -> None:
    nn = arm(compare(runs_dir=study).arms, "nn")
    assert nn["n"] == 3
    assert nn["test_acc"] == pytest.approx(0.84)
    assert nn["sd"] == pytest.approx(0.03)
    assert nn["clean_train_acc"] == pytest.approx(0.87)
    assert nn["gap"] == pytest.approx(0.03)
    assert nn["curve"] == pytest.approx([0.74, 0.84])


def test_seconds_are_the_median_of_each_run_s_median_after_its_first_epoch(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, test_acc=[0.5, 0.6, 0.7], seconds=[9.0, 1.0, 2.0])
    write_run(tmp_path, seed=1, test_acc=[0.5, 0.6, 0.7], seconds=[9.0, 3.0, 7.0])
    assert arm(compare(runs_dir=tmp_path).arms, "nn")["seconds"] == 3.25


def test_seconds_of_a_single_epoch_are_that_epoch_s(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[0.5], seconds=[9.0])
    assert arm(compare(runs_dir=tmp_path).arms, "nn")["seconds"] == 9.0


def test_a_run_without_eval_mode_train_accuracy_has_no_gap(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.9], eval_train=False)
    nn = arm(compare(runs_dir=tmp_path).arms, "nn")
    assert math.isnan(nn["gap"])
    assert nn["test_acc"] == pytest.approx(0.85)


def test_an_empty_cell_is_a_figure_not_known(tmp_path: Path) -> None:
    table = write_run(tmp_path, test_acc=[0.7, 0.8]).path / EPOCHS
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header + ",val_acc", *(row + "," for row in rows)]) + "\n")
    assert math.isnan(arm(compare(runs_dir=tmp_path).arms, "nn")["val_acc"])


def test_a_diverged_run_is_counted_and_named_and_gives_no_figures(study: Path) -> None:
    comparison = compare(runs_dir=study)
    assert arm(comparison.arms, "nn")["diverged"] == 1
    assert said(comparison.notes, "nn", "seed 3", "diverged", "the loss is nan in epoch 2")


def test_an_arm_whose_runs_all_diverged_stays_in_the_table(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    write_run(tmp_path, "nn", status="diverged")
    nn = arm(compare(runs_dir=tmp_path).arms, "nn")
    assert (nn["n"], nn["diverged"]) == (0, 1)
    assert math.isnan(nn["test_acc"])


@pytest.mark.parametrize("status", ["interrupted", "failed", "running"])
def test_an_unfinished_run_is_left_out_and_named(tmp_path: Path, status: str) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8])
    write_run(tmp_path, "nn", 2, 0.1, status=status)
    comparison = compare(runs_dir=tmp_path)
    assert arm(comparison.arms, "nn")["n"] == 2
    # nobody trains the run that says running
    assert said(comparison.notes, "nn: seed 2", "interrupted" if status == "running" else status, "left out")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1, "status": "done"}', '{"schema": 99}', "\x00"])
def test_a_broken_run_folder_is_named_and_skipped(study: Path, content: str) -> None:
    broken = study / "dropout" / "broken"
    broken.mkdir()
    (broken / RUN).write_text(content)
    comparison = compare(runs_dir=study)
    assert list(comparison.arms["n"]) == [3, 3, 3]
    assert said(comparison.notes, "left out", str(broken / RUN))
    runs = load_runs(runs_dir=study)
    assert list(runs[runs["status"] == "broken"]["path"]) == [str(broken)]


@pytest.mark.parametrize("table", [None, "epoch,test_acc\n1,0.7\n", "epoch,test_acc\n1,0.7\n2,oops\n"])
def test_a_done_run_whose_table_is_damaged_is_named_and_skipped(tmp_path: Path, table: str | None) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8])
    path = write_run(tmp_path, "nn", 2, 0.1).path / EPOCHS
    path.unlink() if table is None else path.write_text(table)
    comparison = compare(runs_dir=tmp_path)
    assert arm(comparison.arms, "nn")["n"] == 2
    assert said(comparison.notes, "nn: seed 2 left out", str(path.parent))


def test_a_run_found_twice_counts_once(tmp_path: Path) -> None:
    write_arm(tmp_path / "here", "nn", [0.8, 0.82])
    write_run(tmp_path / "here", "nn", 2, status="diverged")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    paths = [str(tmp_path / "here" / "dropout"), str(tmp_path / "there" / "dropout")]
    nn = arm(compare([*paths, "dropout"], tmp_path / "here").arms, "nn")
    assert (nn["n"], nn["diverged"]) == (2, 1)
    assert len(load_runs(paths, tmp_path)) == 3


def test_of_two_copies_the_finished_one_counts(tmp_path: Path) -> None:
    for place, status in (("a", "interrupted"), ("b", "done"), ("c", "interrupted")):
        write_run(tmp_path / place, "nn", status=status)
    paths = [str(tmp_path / place) for place in "abc"]
    assert arm(compare(paths, tmp_path).arms, "nn")["n"] == 1


def test_nothing_at_all_says_how_to_get_something(tmp_path: Path) -> None:
    with pytest.raises(NoRuns, match="dropexp train -c"):
        compare(runs_dir=tmp_path / "missing")
    write_run(tmp_path)
    with pytest.raises(NoRuns, match=r"'typo'.*dropout.*dropexp train -c"):
        load_runs("typo", tmp_path)


def test_nothing_finished_names_what_there_is(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 4, status="interrupted")
    with pytest.raises(NoRuns, match=r"no run is finished.*dropexp train -c(.|\n)*seed 4 interrupted"):
        compare(runs_dir=tmp_path)


# labels


def test_a_lone_setting_of_a_variant_needs_no_more_than_its_name(study: Path) -> None:
    assert labels(study) == ["none", "nn", "scratch"]


def test_settings_tell_apart_what_shares_a_variant(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    for lr in (10.0, 0.5, 2.0):
        write_run(tmp_path, "nn", lr=lr)
    assert labels(tmp_path) == ["none", "nn,lr=0.5", "nn,lr=2.0", "nn,lr=10.0"]


def test_a_default_is_shown_as_the_value_it_has(tmp_path: Path) -> None:
    write_run(tmp_path, "scratch")
    write_run(tmp_path, "scratch", mask="randn-2019")
    assert labels(tmp_path) == ["scratch,mask=rand", "scratch,mask=randn-2019"]


def test_a_label_names_each_key_that_differs(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", drop_probs=[0.2, 0.5], lr=0.1)
    write_run(tmp_path, "nn", drop_probs=[0.5, 0.5], lr=0.1)
    write_run(tmp_path, "nn", drop_probs=[0.5, 0.5], device="cuda", lr=0.1)
    assert labels(tmp_path) == [
        "nn,device=cpu,drop_probs=0.2-0.5",
        "nn,device=cpu,drop_probs=0.5-0.5",
        "nn,device=cuda,drop_probs=0.5-0.5",
    ]


def test_a_declared_arm_gives_the_label(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="narrow", hidden=[64, 64])
    write_run(tmp_path, "nn", arm="wide", hidden=[512, 512], lr=0.1)
    write_run(tmp_path, "none", arm="wide", hidden=[512, 512], lr=0.1)
    assert sorted(labels(tmp_path)) == ["narrow", "wide,variant=nn", "wide,variant=none"]


def test_arms_without_a_finished_run_leave_the_labels_of_the_others_as_they_are(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_run(tmp_path, "none", 0, status="interrupted", lr=0.1)
    write_run(tmp_path, "none", 0, status="interrupted", name="other", lr=0.2)
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.arms["arm"]) == ["none"]
    assert said(comparison.notes, "dropout/none,lr=0.1: seed 0 interrupted, left out")
    assert said(comparison.notes, "other/none: seed 0 interrupted, left out")
    write_arm(tmp_path, "none", [0.8], lr=0.1)
    assert labels(tmp_path) == ["none,lr=0.1", "none,lr=0.5"]
    write_arm(tmp_path, "none", [0.8], name="other", lr=0.2)
    assert labels(tmp_path) == ["dropout/none,lr=0.1", "dropout/none,lr=0.5", "other/none"]


def test_a_key_that_does_not_vary_is_named(tmp_path: Path) -> None:
    def note(key: str) -> list[str]:
        return [note for note in compare(runs_dir=tmp_path, by=key).notes if "does not vary" in note]

    every: dict[str, Any] = {"train_size": None, "validation_size": 0}
    write_arm(tmp_path, "none", [0.8], **every)
    assert note("drop_probs") == ["drop_probs does not vary: no arm uses it"]
    write_arm(tmp_path, "nn", [0.8], **every)
    for key, value in (("lr", "0.5"), ("drop_probs", "0.2-0.5"), ("train_size", "60000")):
        assert note(key) == [f"{key} does not vary: it is {value} in every arm that uses it"]
    write_arm(tmp_path, "nn", [0.8], **every | {"lr": 0.1, "validation_size": 1000, "drop_probs": [0.2, 0.2]})
    assert note("lr") == note("drop_probs") == note("train_size") == []


def test_an_unfinished_study_says_nothing_of_a_key_that_it_has_no_arm_for(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", status="interrupted")
    with pytest.raises(NoRuns, match="no run is finished") as error:
        compare(runs_dir=tmp_path, by="lr")
    assert "does not vary" not in str(error.value)


def test_arms_go_by_how_many_images_all_are(tmp_path: Path) -> None:
    for held_out in (0, 10_000, 30_000):
        write_arm(tmp_path, "nn", [0.8], train_size=None, validation_size=held_out)
    assert list(compare(runs_dir=tmp_path, by="train_size").arms["by"]) == [30_000, 50_000, 60_000]


def test_labels_of_several_studies_bear_the_study(tmp_path: Path) -> None:
    for name in ("a1", "a2"):
        write_arm(tmp_path, "none", [0.8, 0.8], name=name)
        write_arm(tmp_path, "nn", [0.8, 0.9], name=name)
    assert labels(tmp_path) == ["a1/none", "a1/nn", "a2/none", "a2/nn"]
    assert labels(tmp_path, "a2") == ["none", "nn"]
    assert list(compare(runs_dir=tmp_path).differences["baseline"]) == ["a1/none", "a2/none"]


# differences


def test_differences_are_paired_by_seed_with_a_t_interval(study: Path) -> None:
    nn = arm(compare(runs_dir=study).differences, "nn")
    assert (nn["baseline"], nn["pairs"]) == ("none", 3)
    assert nn["difference"] == pytest.approx(0.02)  # of .01, .02, .03, whose SD is .01
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (nn["low"], nn["high"]) == pytest.approx((0.02 - half, 0.02 + half))


def test_another_baseline_can_be_named(study: Path) -> None:
    differences = compare(runs_dir=study, baseline="scratch").differences
    assert list(differences["arm"]) == ["none", "nn"]
    assert set(differences["baseline"]) == {"scratch"}


def test_an_unknown_baseline_lists_the_labels(study: Path) -> None:
    with pytest.raises(ComparisonError, match=r"'dense'.*none, nn, scratch"):
        compare(runs_dir=study, baseline="dense")


def test_arms_without_dropout_alone_have_no_differences_and_a_note(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.5)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert said(comparison.notes, "all 2 arms are without dropout", "baseline")


def test_seeds_not_in_common_are_named(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.81, 0.82])
    write_arm(tmp_path, "nn", [0.84, 0.85, 0.86, 0.87], first_seed=1)
    comparison = compare(runs_dir=tmp_path)
    nn = arm(comparison.differences, "nn")
    assert nn["pairs"] == 2
    assert nn["difference"] == pytest.approx(0.03)
    assert said(comparison.notes, "nn - none", "only in nn", "seed 3, 4")
    assert said(comparison.notes, "nn - none", "only in none", "seed 0")


def test_one_run_is_not_a_result(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, 0.8)
    write_run(tmp_path, "nn", 0, 0.9)
    comparison = compare(runs_dir=tmp_path)
    nn = arm(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(0.1)
    assert math.isnan(nn["low"])
    assert math.isnan(arm(comparison.arms, "nn")["sd"])
    assert said(comparison.notes, "n = 1, no spread can be estimated: none, nn")
    assert said(comparison.findings, "nn against none", "n = 1, no spread can be estimated")


def test_arms_without_a_common_seed_have_no_difference(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0)
    write_run(tmp_path, "nn", 1)
    comparison = compare(runs_dir=tmp_path)
    nn = arm(comparison.differences, "nn")
    assert nn["pairs"] == 0
    assert math.isnan(nn["difference"])
    assert said(comparison.findings, "nn against none", "no seed in common")


# requirements


def test_a_requirement_that_holds_says_nothing(study: Path) -> None:
    comparison = compare(runs_dir=study)
    assert require(comparison, "scratch.test_acc >= 0.79") is None
    assert require(comparison, " scratch.test_loss<=1 ") is None
    assert require(comparison, "scratch.gap < .05") is None
    assert require(comparison, "none.seconds > 1e-3") is None


def test_a_requirement_that_fails_names_arm_and_figure(study: Path) -> None:
    fault = require(compare(runs_dir=study), "scratch.test_acc >= 0.83")
    assert fault == "scratch.test_acc is 0.8000 (mean of 3), not >= 0.83"


def test_rounding_never_contradicts_the_sentence(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.82999)
    assert require(compare(runs_dir=tmp_path), "nn.test_acc >= 0.83") == (
        "nn.test_acc is 0.82999 (mean of 1), not >= 0.83"
    )


def test_an_arm_s_label_may_hold_dots_and_commas(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", test_acc=0.8, lr=0.1, drop_probs=[0.2, 0.5])
    write_run(tmp_path, "nn", test_acc=0.7, lr=0.5, drop_probs=[0.2, 0.5])
    comparison = compare(runs_dir=tmp_path)
    assert require(comparison, "nn,lr=0.1.test_acc >= 0.75") is None
    assert require(comparison, "nn,lr=0.5.test_acc >= 0.75") is not None


def test_an_arm_with_a_diverged_run_meets_no_requirement(study: Path) -> None:
    fault = require(compare(runs_dir=study), "nn.test_acc > 0")
    assert fault is not None
    assert fault.startswith("nn meets no requirement: 1 of its runs diverged")


def test_a_figure_that_is_not_known_meets_no_requirement(study: Path) -> None:
    assert require(compare(runs_dir=study), "none.val_acc >= 0") == ("none.val_acc is unknown: no run has this figure")


@pytest.mark.parametrize(
    "requirement",
    [" " * 50_000 + "x", "a." * 50_000, "nn.test_acc >= " + "1" * 50_000 + "x"],
    ids=["blank", "dots", "1"],
)
def test_a_requirement_of_any_length_is_read_at_once(study: Path, requirement: str) -> None:
    comparison = compare(runs_dir=study)
    began = time.process_time()
    with pytest.raises(ComparisonError):
        require(comparison, requirement)
    assert time.process_time() - began < 1


def test_an_epoch_of_thousands_of_digits_is_none(study: Path) -> None:
    with pytest.raises(ComparisonError, match="unknown epoch '9999"):
        compare(runs_dir=study, at="9" * 5000)


@pytest.mark.parametrize(
    ("requirement", "allowed"),
    [
        ("nn.test_acc", ">= <= > <"),
        ("nn.test_acc == 0.8", ">= <= > <"),
        ("nn.test_acc >= high", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= .", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= 83 %", "ARM.METRIC OP NUMBER"),
        ("test_acc >= 0.83", "ARM.METRIC OP NUMBER"),
        ("__import__('os').getcwd() >= 0", "ARM.METRIC OP NUMBER"),
        ("dense.test_acc >= 0.83", "none, nn, scratch"),
        ("nn.accuracy >= 0.83", ", ".join(METRICS)),
    ],
)
def test_a_requirement_that_makes_no_sense_says_what_does(study: Path, requirement: str, allowed: str) -> None:
    with pytest.raises(ComparisonError) as error:
        require(compare(runs_dir=study), requirement)
    assert requirement in str(error.value).replace("\\'", "'")
    assert allowed in str(error.value)


# formats


def test_json_has_every_figure_in_full_and_null_for_what_is_not_known(study: Path) -> None:
    publish(study, arm="nn", test_acc=[0.75])
    comparison = compare(runs_dir=study)
    content = json.loads(comparison.to_json(), parse_constant=pytest.fail)
    assert content["schema"] == 1
    columns = ["arm", "series", "study", "by", "n", "diverged", "mean", "sd", *METRICS, "curve"]
    assert [list(row) for row in content["arms"]] == [columns] * 3
    assert content["arms"][1]["test_acc"] == arm(comparison.arms, "nn")["test_acc"]
    assert content["arms"][1]["val_acc"] is None
    assert content["differences"][0]["pairs"] == 3
    assert content["published"][0]["inside"] is True
    assert content["notes"] == comparison.notes


def test_csv_has_a_row_per_arm_with_its_difference(study: Path) -> None:
    comparison = compare(runs_dir=study)
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert [row["arm"] for row in rows] == ["none", "nn", "scratch"]
    assert [float(row["test_acc"]) for row in rows] == list(comparison.arms["test_acc"])
    assert [row["pairs"] for row in rows] == ["", "3", "3"]
    assert [float(row["low"]) for row in rows[1:]] == list(comparison.differences["low"])
    assert len(pd.read_csv(io.StringIO(comparison.to_csv()))) == 3


def test_formats_do_without_differences(tmp_path: Path) -> None:
    write_run(tmp_path, "nn")
    comparison = compare(runs_dir=tmp_path)
    assert json.loads(comparison.to_json())["differences"] == []
    assert len(pd.read_csv(io.StringIO(comparison.to_csv()))) == 1


# what is compared


def test_any_metric_can_be_compared_and_less_loss_is_better(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86])
    write_arm(tmp_path, "nn", [0.85, 0.86, 0.87, 0.88, 0.89, 0.90, 0.915])
    comparison = compare(runs_dir=tmp_path, metric="test_loss")
    nn = arm(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(-2 * (0.05 * 6 + 0.055) / 7)  # fake runs lose 2.1 - 2·accuracy
    assert nn["verdict"] == "BETTER"
    assert nn["wins"] == 1
    assert "test loss after 2 epochs" in nn["sentence"]
    assert arm(comparison.arms, "nn")["mean"] == arm(comparison.arms, "nn")["test_loss"]
    assert arm(comparison.arms, "nn")["curve"][-1] == arm(comparison.arms, "nn")["test_loss"]


def test_a_verdict_takes_the_margin_that_is_asked_for(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8 + i / 1000 for i in range(8)])
    write_arm(tmp_path, "nn", [0.81 + i / 990 for i in range(8)])
    assert list(compare(runs_dir=tmp_path).differences["verdict"]) == ["BETTER"]
    assert list(compare(runs_dir=tmp_path, margin=0.02).differences["verdict"]) == ["EQUIVALENT"]


def test_figures_are_those_of_the_epoch_that_is_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.9, 0.7])
    write_run(tmp_path, "none", 1, [0.6, 0.7])
    by_epoch = compare(runs_dir=tmp_path, at=3)
    assert (by_epoch.arms["mean"][0], by_epoch.arms["n"][0]) == (0.7, 1)
    assert said(by_epoch.notes, "none: seed 1 left out", "2 epochs, not 3")
    assert compare(runs_dir=tmp_path).arms["mean"][0] == pytest.approx(0.7)
    best = compare(runs_dir=tmp_path, at="best-test")
    assert best.arms["mean"][0] == pytest.approx(0.8)
    assert list(best.runs["epoch"]) == [2, 2]
    assert "optimistic" in best.what
    assert said(best.notes, "optimistic")


def test_the_best_epoch_by_validation_needs_validation_rows(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.9, 0.7])
    with pytest.raises(ComparisonError, match=r"no run has figures at best-val(.|\n)*validation_size"):
        compare(runs_dir=tmp_path, at="best-val")
    run = write_run(tmp_path, "nn", 0, [0.5, 0.9, 0.7])
    table = run.path / EPOCHS
    header, *rows = table.read_text().splitlines()
    accuracies = ("0.7", "0.6", "0.8")
    lines = [f"{header},val_acc", *(f"{row},{acc}" for row, acc in zip(rows, accuracies, strict=True))]
    table.write_text("\n".join(lines) + "\n")
    assert list(compare(runs_dir=tmp_path, at="best-val").runs["epoch"]) == [3]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metric": "accuracy"}, "unknown metric 'accuracy'; the metrics are: test_acc"),
        ({"at": "best"}, "unknown epoch 'best'; allowed: last"),
        ({"at": 0}, "unknown epoch 0"),
        ({"by": "speed"}, "no run has a key 'speed'"),
        ({"by": "seed"}, "cannot be ordered by seed"),
        ({"margin": 0}, "margin"),
    ],
)
def test_what_is_not_there_cannot_be_compared(asked: dict[str, Any], said: str, study: Path) -> None:
    with pytest.raises(ComparisonError, match=said):
        compare(runs_dir=study, **asked)


def test_a_filter_keeps_the_runs_whose_keys_say_so(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8, 0.8])
    assert list(compare(runs_dir=tmp_path, where={"lr": 0.1}).arms["arm"]) == ["none", "nn"]
    assert list(load_runs(runs_dir=tmp_path, where={"variant": "nn", "seed": 1})["lr"]) == [0.1, 0.5]
    with pytest.raises(NoRuns, match=r"no run has lr=1; lr is 0.1 or 0.5"):
        compare(runs_dir=tmp_path, where={"lr": 1})
    with pytest.raises(NoRuns, match="no run has a key 'rate' to filter by; there are: arm, batch_size"):
        compare(runs_dir=tmp_path, where={"rate": 1})


def test_an_arm_s_baseline_is_the_one_without_dropout_that_shares_its_settings(tmp_path: Path) -> None:
    for train_size in (1000, 10000):
        write_arm(tmp_path, "none", [0.7, 0.7], train_size=train_size)
        write_arm(tmp_path, "nn", [0.8, 0.8], train_size=train_size)
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_arm(tmp_path, "nn", [0.8, 0.8])
    differences = compare(runs_dir=tmp_path).differences
    assert dict(zip(differences["arm"], differences["baseline"], strict=True)) == {
        "nn,train_size=1000": "none,train_size=1000",
        "nn,train_size=10000": "none,train_size=10000",
        "nn,train_size=all": "none,train_size=all",
    }


def test_arms_go_by_a_swept_key(tmp_path: Path) -> None:
    for p in ([0.5, 0.5], [0.2, 0.2]):
        write_arm(tmp_path, "nn", [0.8, 0.8], drop_probs=p)
    write_arm(tmp_path, "none", [0.7, 0.7])
    arms = compare(runs_dir=tmp_path, by="drop_probs").arms
    assert list(arms["arm"]) == ["none", "nn,drop_probs=0.2-0.2", "nn,drop_probs=0.5-0.5"]
    assert list(arms["series"]) == ["none", "nn", "nn"]
    assert list(arms["by"]) == [None, [0.2, 0.2], [0.5, 0.5]]  # none has no use for it


def test_settings_that_differ_are_listed_and_no_others(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8])
    settings = compare(runs_dir=tmp_path).settings
    assert list(settings.columns) == ["arm", "lr", "variant"]
    assert list(settings["lr"]) == [0.1, 0.1, 0.5]


def test_a_key_that_is_null_is_a_setting_and_not_without_use(tmp_path: Path) -> None:
    accs = [0.8, 0.81, 0.82]
    write_arm(tmp_path, "none", accs, max_norm=None, early_stopping=None)
    write_arm(tmp_path, "scratch", accs, max_norm=1.0, early_stopping=None)
    write_arm(tmp_path, "nn", accs, max_norm=None, early_stopping=5)
    comparison = compare(runs_dir=tmp_path)
    assert [*comparison.settings["max_norm"]] == ["none", "none", 1.0]
    assert said(comparison.findings, "scratch also differs from none in max_norm (1.0, none).")
    assert said(comparison.findings, "nn also differs from none in early_stopping (5, none).")
    for wanted, arms in ((1.0, ["scratch"]), ("none", ["none", "nn"]), (None, ["none", "nn"])):
        assert [*compare(runs_dir=tmp_path, where={"max_norm": wanted}).arms["arm"]] == arms


def test_when_the_noise_ends_is_a_setting_of_schedules_that_end_only(tmp_path: Path) -> None:
    accs = [0.8, 0.81, 0.82]
    write_arm(tmp_path, "none", accs, drop_epochs=None)
    write_arm(tmp_path, "scratch", accs, drop_schedule="constant", drop_epochs=None)
    for name, epochs in (("half", None), ("one", 1)):
        write_arm(tmp_path, "scratch", accs, arm=name, drop_schedule="early", drop_epochs=epochs)
    settings = compare(runs_dir=tmp_path).settings
    assert dict(zip(settings["arm"], settings["drop_epochs"], strict=True)) == {
        "none": None,
        "half": "half",
        "one": 1,
        "scratch": None,
    }


def test_a_metric_that_some_runs_lack_is_paired_on_the_others(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    *_, last = write_arm(tmp_path, "nn", [0.8, 0.81, 0.82])
    table = pd.read_csv(last.path / EPOCHS)
    table.assign(clean_train_acc=None).to_csv(last.path / EPOCHS, index=False, lineterminator="\n")
    gap = compare(runs_dir=tmp_path, metric="gap")
    assert list(gap.differences["pairs"]) == [2]


def test_a_verdict_names_what_else_differs_from_the_baseline(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 7)
    write_arm(tmp_path, "nn", [0.6 + i / 1000 for i in range(7)], lr=1.0)
    (sentence,) = compare(runs_dir=tmp_path).findings
    assert sentence.endswith("nn also differs from none in lr (1.0, 0.5).")


def test_an_arm_without_a_twin_among_several_has_no_baseline(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 7)
    write_arm(tmp_path, "none", [0.8] * 7, lr=0.1)
    write_arm(tmp_path, "nn", [0.6] * 7, lr=1.0)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert said(comparison.notes, "no arm without dropout has the settings of nn", "--baseline ARM")


def test_a_twin_that_is_not_finished_is_not_replaced_in_silence(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.9] * 7)
    write_arm(tmp_path, "none", [0.8] * 7, lr=0.1, status="interrupted")
    write_arm(tmp_path, "nn", [0.8] * 7, lr=0.1)
    comparison = compare(runs_dir=tmp_path)
    assert said(comparison.findings, "also differs from none in lr (0.1, 0.5)")
    assert said(comparison.notes, "none,lr=0.1: seed 0 interrupted")


def test_a_thousand_arms_find_their_twins_in_seconds(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    (first,) = read_runs((), tmp_path)
    arms = []
    for i in range(1000):
        for variant in ("none", "nn"):
            settings = {"variant": variant, "lr": i / 1000}
            own = replace(first, variant=variant, settings=settings, config={**first.config, **settings})
            arms.append(Arm(f"{variant},lr={i}", variant, own, {}, 0))
    began = time.process_time()
    found = baselines_of(arms, None).value
    assert time.process_time() - began < 2  # each beside each would be a million comparisons
    assert len(found) == 1000
    assert all(label.replace("nn", "none") == base.label for label, base in found.items())


def test_published_figures_that_are_not_there_are_missed_only_when_asked_for(study: Path) -> None:
    assert said(compare(runs_dir=study, likelihood=True).notes, "no study has published figures")
    assert not said(compare(runs_dir=study).notes, "published")


def test_arms_that_read_alike_stay_apart(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.8, 0.8])
    write_arm(tmp_path, "nn", [0.1, 0.2, 0.3], train_size=60000)
    arms = compare(runs_dir=tmp_path).arms
    assert list(arms["n"]) == [3, 3]
    assert list(arms["arm"]) == ["nn,train_size=60000", "nn,train_size=all"]


def test_a_verdict_says_that_runs_diverged(study: Path) -> None:
    assert said(
        compare(runs_dir=study).findings, "nn against none", "Excluded, because they diverged: 1 of 4 runs of nn."
    )


def test_an_arm_that_diverged_whole_has_no_difference_and_says_why(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_arm(tmp_path, "nn", [0.1, 0.1], status="diverged")
    assert said(compare(runs_dir=tmp_path).findings, "no run of nn is done", "diverged: 2 of 2 runs of nn")


def test_a_metric_that_no_run_has_is_an_error_that_says_how_to_have_it(study: Path) -> None:
    with pytest.raises(ComparisonError, match="no run has a validation accuracy; set validation_size"):
        compare(runs_dir=study, metric="val_acc")


@pytest.mark.parametrize("cell", ["", "nan", "inf"])
def test_a_figure_that_one_run_lacks_does_not_hide_the_others(cell: str, tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    *_, last = write_arm(tmp_path, "nn", [0.8, 0.82, 0.9])
    table = pd.read_csv(last.path / EPOCHS).astype(str)
    table.assign(test_acc=cell).to_csv(last.path / EPOCHS, index=False, lineterminator="\n")
    comparison = compare(runs_dir=tmp_path)
    nn = arm(comparison.arms, "nn")
    assert (nn["n"], nn["mean"]) == (3, pytest.approx(0.81))
    assert arm(comparison.differences, "nn")["pairs"] == 2
    assert said(comparison.notes, "nn: no test accuracy for seed 2")


def test_a_table_that_lacks_an_epoch_is_damaged(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0)
    run = write_run(tmp_path, "none", 1, [0.5, 0.6, 0.7])
    header, first, _, third = (run.path / EPOCHS).read_text().splitlines()
    (run.path / EPOCHS).write_text("\n".join([header, first, third]) + "\n")
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.arms["n"]) == [1]
    assert said(comparison.notes, "seed 1 left out", "does not have the epochs 1 to 3")


def test_runs_left_out_for_one_reason_are_named_in_one_line(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 4)
    write_run(tmp_path, "none", 4, [0.5, 0.6, 0.7])
    notes = compare(runs_dir=tmp_path, at=3).notes
    assert said(notes, "none: seeds 0, 1, 2, 3 left out: trained for 2 epochs, not 3")


def test_a_filter_takes_true_for_true_only_and_leaves_what_has_no_use_for_the_key(study: Path) -> None:
    with pytest.raises(NoRuns, match="no run has eval_train=1; eval_train is true"):
        compare(runs_dir=study, where={"eval_train": 1})
    for value in ([0.2, 0.5], "0.2-0.5"):  # as YAML and as labels have it
        assert labels(study) == list(compare(runs_dir=study, where={"drop_probs": value}).arms["arm"])


ODD: list[dict[str, Any]] = [
    *({"name": 7}, {"name": "../../outside"}, {"arm": 5}, {"hash": None}),
    {"config": {"variant": "nn", "seed": -3}},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_run_is_named_and_skipped(odd: dict[str, Any], study: Path) -> None:
    run = write_run(study, "nn", 9)
    run.write_info({**run.read_info(), **odd})
    comparison = compare(runs_dir=study)
    assert list(comparison.arms["n"]) == [3, 3, 3]
    assert said(comparison.notes, "left out", run.path.name, "damaged")


def test_a_run_folder_without_its_run_json_is_named(study: Path) -> None:
    run = write_run(study, "nn", 9)
    (run.path / RUN).unlink()
    assert said(compare(runs_dir=study).notes, "left out", run.path.name, "run.json is missing")


@pytest.mark.parametrize("margin", [0.0, -1.0, 1e-12, math.inf, math.nan])
def test_a_margin_is_a_number_that_something_can_reach(margin: float, study: Path) -> None:
    with pytest.raises(ComparisonError, match="the margin is"):
        compare(runs_dir=study, margin=margin)


def test_thousands_of_arms_are_judged_in_seconds() -> None:
    rng = np.random.default_rng(0)
    family = [
        verdicts.Pair(f"arm {i}", "none", rng.normal(0, 0.01, 5), "test accuracy", True, "points") for i in range(2000)
    ]
    began = time.process_time()
    judged = verdicts.judge(family, 0.003)
    assert time.process_time() - began < 6  # 10 s when Holm was taken anew for each rule of each arm
    assert "need at least 17 seeds" in sentence(judged[0])


# what probes measure


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    for variant, zeros in (("none", 0.4), ("nn", 0.5)):
        for seed in range(7):
            figures = {"h1_zero": zeros + seed / 1000, "mc_acc": 0.8 + zeros / 10, "ece": zeros / 10, "odd": 1.0}
            write_run(tmp_path, variant, seed, probed=figures)
    return tmp_path


@pytest.mark.parametrize(
    ("metric", "difference", "verdict"),
    [("h1_zero", 0.1, "HIGHER"), ("mc_acc", 0.01, "BETTER"), ("ece", 0.01, "WORSE"), ("odd", 0.0, "EQUIVALENT")],
)
def test_any_column_of_a_table_can_be_compared(probed: Path, metric: str, difference: float, verdict: str) -> None:
    comparison = compare(runs_dir=probed, metric=metric)
    nn = arm(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(difference)
    assert nn["verdict"] == verdict
    last = comparison.arms["mean"][1]
    assert arm(comparison.arms, "nn")["curve"] == pytest.approx([2 * last, last])


def test_what_probes_measured_is_in_every_table(probed: Path) -> None:
    assert load_runs("dropout", probed)["ece"].notna().all()
    comparison = compare(runs_dir=probed)
    assert list(comparison.arms)[-5:] == ["h1_zero", "mc_acc", "ece", "odd", "curve"]
    assert comparison.curves["h1_zero"].notna().all() and comparison.runs["mc_acc"].notna().all()
    assert require(comparison, "nn.h1_zero <= 0.6") is None
    assert require(comparison, "none.h1_zero >= 0.6") == "none.h1_zero is 0.4030 (mean of 7), not >= 0.6"


def test_an_arm_without_a_probe_lacks_its_figures_and_no_others(probed: Path) -> None:
    write_arm(probed, "scratch", [0.8, 0.81])
    comparison = compare(runs_dir=probed, metric="h1_zero")
    assert math.isnan(arm(comparison.arms, "scratch")["h1_zero"])
    assert arm(comparison.arms, "scratch")["test_acc"] == pytest.approx(0.805)
    assert said(comparison.notes, "scratch: no share of zeros in h1 for seed 0, 1")


def test_an_unknown_metric_is_answered_with_those_that_the_runs_have(probed: Path) -> None:
    with pytest.raises(ComparisonError) as error:
        compare(runs_dir=probed, metric="h2_zero")
    assert str(error.value).endswith("clean_train_loss, gap, seconds, h1_zero, mc_acc, ece, odd")  # and no val_acc


# linear regression


def write_decays(runs_dir: Path, *decays: float, variant: str = "scratch", **more: Any) -> None:
    for decay in decays:
        for seed in range(7):
            loss = (1 + seed / 100) / (1 + decay)
            write_regression(runs_dir, variant, seed, loss, weight_decay=decay, **more)


def test_a_regression_is_compared_by_its_test_loss_to_the_arm_without_weight_decay(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.005, 0.0, 4.0)
    write_decays(tmp_path, 0.0, 4.0, variant="nn")
    comparison = compare(runs_dir=tmp_path)
    assert comparison.what == "test loss after 3 epochs"
    assert {(row["arm"], row["baseline"]) for row in comparison.differences.to_dict("records")} == {
        ("nn,weight_decay=4.0", "nn,weight_decay=0.0"),
        ("scratch,weight_decay=0.005", "scratch,weight_decay=0.0"),
        ("scratch,weight_decay=4.0", "scratch,weight_decay=0.0"),
    }
    assert arm(comparison.differences, "scratch,weight_decay=4.0")["verdict"] == "BETTER"
    assert not said(comparison.findings, "differs from")  # in nothing but what is studied
    assert not said(comparison.findings, "nats")


def test_a_penalty_on_absolute_weights_is_compared_with_none_too(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.0)
    write_decays(tmp_path, 0.0, l1=0.1)
    write_decays(tmp_path, 4.0, lr=0.01)
    comparison = compare(runs_dir=tmp_path)
    assert set(comparison.differences["baseline"]) == {"scratch,l1=0.0,lr=0.003,weight_decay=0.0"}
    assert said(comparison.findings, "also differs from scratch,l1=0.0,lr=0.003,weight_decay=0.0 in lr (0.01, 0.003).")


def test_a_regression_whose_arms_all_decay_asks_for_a_baseline(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.005, 4.0)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert said(comparison.notes, "weight-decay: no arm without weight decay; choose a baseline with --baseline ARM")
    assert len(compare(runs_dir=tmp_path, baseline="scratch,weight_decay=0.005").differences) == 1


def test_a_regression_has_no_accuracies(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.0, 4.0)
    content = json.loads(compare(runs_dir=tmp_path).to_json(), parse_constant=pytest.fail)
    assert "test_acc" not in content["arms"][0]


def test_runs_of_two_tasks_are_not_compared(study: Path) -> None:
    write_decays(study, 0.0)
    with pytest.raises(ComparisonError) as error:
        compare(runs_dir=study)
    for part in ("fashion-mnist (dropout)", "linear-regression (weight-decay)", "--filter task=linear-regression"):
        assert part in str(error.value)
    assert compare(runs_dir=study, where={"task": "linear-regression"}).metric.name == "test_loss"
    assert compare(runs_dir=study, where={"task": "fashion-mnist"}).metric.name == "test_acc"  # older runs say no task
    assert compare("dropout", study).metric.name == "test_acc"


def test_the_best_epoch_of_a_regression_is_that_of_its_lowest_loss(tmp_path: Path) -> None:
    write_regression(tmp_path, test_loss=[3.0, 1.0, 2.0], validation=True)
    comparison = compare(runs_dir=tmp_path, at="best-val")
    assert list(comparison.runs["epoch"]) == [2]
    assert comparison.what == "test loss at the epoch of best validation loss"


# runs that stopped early


def test_means_by_epoch_go_as_far_as_all_runs_of_an_arm(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "none", 1, [0.6, 0.7, 0.8, 0.9, 0.95])
    write_arm(tmp_path, "nn", [0.8, 0.8])
    publish(tmp_path, arm="none", test_acc=[0.5, 0.6, 0.7, 0.8])
    comparison = compare(runs_dir=tmp_path)
    assert arm(comparison.arms, "none")["curve"] == pytest.approx([0.55, 0.65, 0.75])
    assert said(comparison.notes, "none: its runs have 3 to 5 epochs", "end at epoch 3")
    assert not said(comparison.notes, "nn: its runs")
    assert list(comparison.published["n"]) == [2, 2, 2, 0]


def test_the_last_epoch_is_each_run_s_own(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        write_run(tmp_path, variant, 0, [0.5, 0.6, 0.7])
        write_run(tmp_path, variant, 1, [0.6, 0.7, 0.8, 0.9])
    comparison = compare(runs_dir=tmp_path)
    assert comparison.what == "test accuracy at the last epoch of each run"
    assert arm(comparison.arms, "nn")["mean"] == pytest.approx(0.8)
    assert list(comparison.runs["epoch"]) == [3, 4, 3, 4]
    assert arm(comparison.differences, "nn")["pairs"] == 2
    fourth = compare(runs_dir=tmp_path, at=4)
    assert list(fourth.arms["n"]) == [1, 1]
    assert said(fourth.notes, "nn: seed 0 left out", "3 epochs, not 4")


# runs


def test_load_runs_has_a_row_per_run_with_config_and_last_figures(study: Path) -> None:
    runs = load_runs(runs_dir=study)
    assert len(runs) == 11
    row = runs[(runs["label"] == "nn") & (runs["seed"] == 1)].iloc[0]
    assert (row["name"], row["status"], row["epoch"], row["lr"]) == ("dropout", "done", 2, 0.5)
    assert row["drop_probs"] == [0.2, 0.5]
    assert row["test_acc"] == pytest.approx(0.84)
    assert row["gap"] == pytest.approx(0.03)


def test_broken_folders_alone_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "dropout" / "broken").mkdir(parents=True)
    (tmp_path / "dropout" / "broken" / RUN).write_text("{")
    assert list(load_runs(runs_dir=tmp_path)["status"]) == ["broken"]
    with pytest.raises(NoRuns, match=r"run\.json is damaged"):
        compare(runs_dir=tmp_path)


def test_comparing_loads_neither_torch_nor_rich_nor_pydantic_nor_scipy_stats() -> None:
    code = (
        "import sys, dropexp.analysis.comparison; "
        "print([name for name in ('torch', 'rich', 'pydantic', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_second_folder_of_the_same_run_is_named_and_left_out(tmp_path: Path) -> None:
    write_arm(tmp_path / "runs", "nn", [0.8, 0.81])
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    comparison = compare([str(tmp_path / "runs" / "dropout"), str(tmp_path / "copy" / "dropout")], tmp_path)
    assert arm(comparison.arms, "nn")["n"] == 2
    assert said(comparison.notes, "left out", "copy", "is the same run as")


def test_each_declared_arm_is_compared_with_its_own_runs_without_dropout(tmp_path: Path) -> None:
    for name, accuracies in (("wide", [0.8, 0.82]), ("narrow", [0.7, 0.72])):
        for variant, gain in (("none", 0.0), ("nn", 0.01)):
            write_arm(tmp_path, variant, [acc + gain for acc in accuracies], arm=name, hidden=[len(name)] * 2)
    differences = compare(runs_dir=tmp_path).differences
    assert {(row["arm"], row["baseline"]) for row in differences.to_dict("records")} == {
        ("wide,variant=nn", "wide,variant=none"),
        ("narrow,variant=nn", "narrow,variant=none"),
    }
    assert list(differences["difference"]) == pytest.approx([0.01, 0.01])
