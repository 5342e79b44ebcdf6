"""`compare`: its options, and what a comparison contains."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.comparisons import mentions, row_of
from helpers.fake_runs import change, publish, write_arm, write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.listing import load_runs
from dropexp.analysis.requirement import require
from dropexp.errors import ComparisonError, NoRuns
from dropexp.runs.metrics import METRICS


def test_without_runs_the_error_names_the_command_that_trains_them(tmp_path: Path) -> None:
    with pytest.raises(NoRuns, match="dropexp train CONFIG"):
        compare(runs_dir=tmp_path / "missing")
    write_run(tmp_path)
    with pytest.raises(NoRuns, match=r"'typo'.*dropout.*dropexp train CONFIG"):
        load_runs("typo", tmp_path)


def test_without_finished_runs_the_error_names_the_unfinished_ones(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 4, status="interrupted")
    with pytest.raises(NoRuns, match=r"no run is finished.*`dropexp train` command(.|\n)*seed 4 interrupted"):
        compare(runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"metric": "accuracy"}, r"unknown metric 'accuracy' \(did you mean 'test_acc'\?\); the metrics are: test_acc"),
        ({"at": "best"}, r"unknown epoch 'best' \(did you mean 'best-val'\?\); allowed: last"),
        ({"at": 0}, "unknown epoch 0"),
        ({"by": "speed"}, "no run has a key 'speed'"),
        ({"by": "seed"}, "cannot be ordered by seed"),
        ({"margin": 0}, "margin"),
    ],
)
def test_an_unknown_metric_epoch_key_or_margin_is_an_error(
    query: dict[str, Any], message: str, shared_study: Path
) -> None:
    with pytest.raises(ComparisonError, match=message):
        compare(runs_dir=shared_study, **query)


def test_an_epoch_of_thousands_of_digits_is_an_error(shared_study: Path) -> None:
    with pytest.raises(ComparisonError, match="unknown epoch '9999"):
        compare(runs_dir=shared_study, at="9" * 5000)


@pytest.mark.parametrize("margin", [0.0, -1.0, 1e-12, math.inf, math.nan])
def test_a_margin_out_of_range_is_an_error(margin: float, shared_study: Path) -> None:
    with pytest.raises(ComparisonError, match="the margin is"):
        compare(runs_dir=shared_study, margin=margin)


def test_the_error_for_a_metric_that_was_not_measured_names_the_setting_for_it(shared_study: Path) -> None:
    with pytest.raises(ComparisonError, match="no run has a validation accuracy; set validation_size"):
        compare(runs_dir=shared_study, metric="val_acc")


def test_the_error_for_an_unknown_metric_lists_those_that_the_runs_have(probed: Path) -> None:
    with pytest.raises(ComparisonError) as error:
        compare(runs_dir=probed, metric="h2_zero")
    assert str(error.value).endswith("clean_train_loss, gap, seconds, h1_zero, mc_acc, ece, odd")  # and no val_acc


def test_without_test_figures_validation_accuracies_are_compared(tmp_path: Path) -> None:
    for variant, accs in (("none", [0.80, 0.81, 0.82]), ("nn", [0.84, 0.85, 0.86])):
        write_arm(tmp_path, variant, accs, eval_test=False)
    compared = compare(runs_dir=tmp_path)
    assert compared.metric is compared.usual is METRICS["val_acc"]
    assert row_of(compared.differences, "nn")["difference"] == pytest.approx(0.04)
    assert compared.what == "validation accuracy after 2 epochs"
    assert require(compared, "nn.val_acc >= 0.85") is None
    assert compare(runs_dir=tmp_path, at="best-val").arms["mean"].notna().all()
    with pytest.raises(ComparisonError, match="no test accuracy to choose the epoch by; set eval_test"):
        compare(runs_dir=tmp_path, at="best-test")
    write_arm(tmp_path, "scratch", [0.7])  # a run with test figures
    assert compare(runs_dir=tmp_path).metric is METRICS["test_acc"]


def test_without_test_and_validation_figures_the_error_lists_the_others(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        run = write_run(tmp_path, variant)
        table = run.read_info().table or {}
        change(run, table={name: column for name, column in table.items() if not name.startswith("test_")})
    with pytest.raises(ComparisonError) as error:
        compare(runs_dir=tmp_path)
    metrics = "train_acc, train_loss, clean_train_acc, clean_train_loss, seconds"
    assert str(error.value) == f"no run has a test accuracy or validation figures; choose a metric: {metrics}"
    assert compare(runs_dir=tmp_path, metric="train_acc").arms["mean"].notna().all()


# epochs and filters


def test_at_chooses_the_epoch_that_is_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.9, 0.7])
    write_run(tmp_path, "none", 1, [0.6, 0.7])
    by_epoch = compare(runs_dir=tmp_path, at=3)
    assert (by_epoch.arms["mean"][0], by_epoch.arms["n"][0]) == (0.7, 1)
    assert mentions(by_epoch.notes, "none: seed 1 left out", "2 epochs, not 3")
    assert compare(runs_dir=tmp_path).arms["mean"][0] == pytest.approx(0.7)
    best = compare(runs_dir=tmp_path, at="best-test")
    assert best.arms["mean"][0] == pytest.approx(0.8)
    assert list(best.runs["epoch"]) == [2, 2]
    assert "optimistic" in best.what
    assert mentions(best.notes, "optimistic")


def test_only_epochs_with_an_evaluation_can_be_compared(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, "none", seed, [0.5, 0.6, 0.9, 0.7, 0.8], eval_every=2)
    assert compare(runs_dir=tmp_path).arms["mean"][0] == 0.8
    assert compare(runs_dir=tmp_path, at=2).arms["mean"][0] == 0.6
    assert compare(runs_dir=tmp_path, at=3, metric="train_acc").arms["mean"][0] == pytest.approx(0.89)
    assert list(compare(runs_dir=tmp_path, at="best-test").runs["epoch"]) == [5, 5]  # 0.9 was not measured
    with pytest.raises(ComparisonError, match="at this epoch; it was measured at epochs 2, 4, 5"):
        compare(runs_dir=tmp_path, at=3)
    write_run(tmp_path, "nn", 0, [0.5] * 5)
    mixed = compare(runs_dir=tmp_path, at=3)
    assert mentions(mixed.notes, "none: no test accuracy for seed 0, 1")
    assert json.loads(mixed.to_json())["arms"][0]["curve"] == [None, 0.6, None, 0.7, 0.8]


def test_the_best_validation_epoch_needs_a_validation_split(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.5, 0.9, 0.7])
    with pytest.raises(ComparisonError, match=r"no run has figures at best-val(.|\n)*validation_size"):
        compare(runs_dir=tmp_path, at="best-val")
    run = write_run(tmp_path, "nn", 0, [0.5, 0.9, 0.7])
    change(run, table=run.read_table() | {"val_acc": [0.7, 0.6, 0.8]})
    assert list(compare(runs_dir=tmp_path, at="best-val").runs["epoch"]) == [3]


def test_a_filter_keeps_runs_with_these_values(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8, 0.8])
    assert list(compare(runs_dir=tmp_path, filter={"lr": 0.1}).arms["arm"]) == ["none", "nn"]
    assert list(load_runs(runs_dir=tmp_path, filter={"variant": "nn", "seed": 1})["lr"]) == [0.1, 0.5]
    with pytest.raises(NoRuns, match=r"no run has lr=1; lr is 0.1 or 0.5"):
        compare(runs_dir=tmp_path, filter={"lr": 1})
    with pytest.raises(NoRuns, match=r"no run has variant=nnn; variant is nn or none \(did you mean 'nn'\?\)"):
        compare(runs_dir=tmp_path, filter={"variant": "nnn"})
    with pytest.raises(NoRuns, match=r"no run has a key 'learning_rate' to filter by \(did you mean 'lr'\?\)"):
        compare(runs_dir=tmp_path, filter={"learning_rate": 1})
    with pytest.raises(NoRuns, match=r"no run has a key 'variants' to filter by \(did you mean 'variant'\?\)"):
        compare(runs_dir=tmp_path, filter={"variants": 1})
    with pytest.raises(NoRuns, match="no run has a key 'xyzzy' to filter by; the keys are: arm, batch_size"):
        compare(runs_dir=tmp_path, filter={"xyzzy": 1})


@pytest.mark.parametrize("word", [None, "all", "All"])
def test_a_filter_takes_the_word_of_a_default(word: str | None, tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8], train_size=None)
    write_arm(tmp_path, "none", [0.8, 0.8], train_size=1000)
    (arm,) = compare(runs_dir=tmp_path, filter={"train_size": word}).arms["arm"]
    assert compare(runs_dir=tmp_path, filter={"train_size": 1000}).arms["arm"].tolist() == [arm]
    assert load_runs(runs_dir=tmp_path, filter={"train_size": word})["train_size"].isna().all()


def test_a_filter_distinguishes_true_from_1_and_keeps_runs_that_do_not_use_the_key(shared_study: Path) -> None:
    with pytest.raises(NoRuns, match="no run has eval_train=1; eval_train is true"):
        compare(runs_dir=shared_study, filter={"eval_train": 1})
    for value in ([0.2, 0.5], "0.2-0.5"):  # as YAML and as folder names have it
        assert list(compare(runs_dir=shared_study, filter={"drop_probs": value}).arms["arm"]) == [
            "none",
            "nn",
            "scratch",
        ]


# settings that differ


def test_only_settings_that_differ_are_listed(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8], lr=0.1)
    write_arm(tmp_path, "nn", [0.8])
    settings = compare(runs_dir=tmp_path).settings
    assert list(settings.columns) == ["arm", "lr", "variant"]
    assert list(settings["lr"]) == [0.1, 0.1, 0.5]


def test_null_is_a_value_of_a_setting(tmp_path: Path) -> None:
    accs = [0.8, 0.81, 0.82]
    write_arm(tmp_path, "none", accs, max_norm=None, early_stopping=None)
    write_arm(tmp_path, "scratch", accs, max_norm=1.0, early_stopping=None)
    write_arm(tmp_path, "nn", accs, max_norm=None, early_stopping=5)
    comparison = compare(runs_dir=tmp_path)
    assert [*comparison.settings["max_norm"]] == ["none", "none", 1.0]
    assert mentions(comparison.findings, "scratch also differs from none in max_norm (1.0, none).")
    assert mentions(comparison.findings, "nn also differs from none in early_stopping (5, none).")
    for wanted, arms in ((1.0, ["scratch"]), ("none", ["none", "nn"]), (None, ["none", "nn"])):
        assert [*compare(runs_dir=tmp_path, filter={"max_norm": wanted}).arms["arm"]] == arms


def test_drop_epochs_is_a_setting_only_of_schedules_that_end(tmp_path: Path) -> None:
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


# formats


def test_json_has_full_precision_and_null_for_unknown_figures(study: Path) -> None:
    publish(study, arm="nn", test_acc=[0.75])
    comparison = compare(runs_dir=study)
    content = json.loads(comparison.to_json(), parse_constant=pytest.fail)
    assert content["schema"] == 1
    columns = ["arm", "series", "study", "by", "n", "diverged", "mean", "sd", *METRICS, "curve"]
    assert [list(row) for row in content["arms"]] == [columns] * 3
    assert content["arms"][1]["test_acc"] == row_of(comparison.arms, "nn")["test_acc"]
    assert content["arms"][1]["val_acc"] is None
    assert content["differences"][0]["pairs"] == 3
    assert content["published"][0]["inside"] is True
    assert content["notes"] == comparison.notes


def test_csv_has_a_row_per_arm_with_its_difference(compared: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(compared.to_csv())))
    assert [row["arm"] for row in rows] == ["none", "nn", "scratch"]
    assert [float(row["test_acc"]) for row in rows] == list(compared.arms["test_acc"])
    assert [row["pairs"] for row in rows] == ["", "3", "3"]
    assert [float(row["low"]) for row in rows[1:]] == list(compared.differences["low"])
    assert len(pd.read_csv(io.StringIO(compared.to_csv()))) == 3


def test_csv_and_json_without_differences(tmp_path: Path) -> None:
    write_run(tmp_path, "nn")
    comparison = compare(runs_dir=tmp_path)
    assert json.loads(comparison.to_json())["differences"] == []
    assert len(pd.read_csv(io.StringIO(comparison.to_csv()))) == 1


def test_every_table_has_the_columns_of_probes(probed: Path) -> None:
    assert load_runs("dropout", probed)["ece"].notna().all()
    comparison = compare(runs_dir=probed)
    assert list(comparison.arms)[-5:] == ["h1_zero", "mc_acc", "ece", "odd", "curve"]
    assert comparison.curves["h1_zero"].notna().all() and comparison.runs["mc_acc"].notna().all()
    assert require(comparison, "nn.h1_zero <= 0.6") is None
    assert require(comparison, "none.h1_zero >= 0.6") == "none.h1_zero is 0.4030 (mean of 7), not >= 0.6"


def test_comparing_imports_neither_torch_nor_rich_nor_scipy_stats() -> None:
    code = (
        "import sys, dropexp.analysis.comparison; "
        "print([name for name in ('torch', 'rich', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_found_however_their_letters_are_composed(tmp_path: Path) -> None:
    for arm, lr in (("été", 0.1), ("hiver", 0.2)):
        write_arm(tmp_path, "nn", [0.8, 0.81], name="année", arm=arm, lr=lr)
    decomposed = unicodedata.normalize("NFD", "année")
    found = compare(decomposed, tmp_path, unicodedata.normalize("NFD", "été"), filter={"variant": "nn"})
    assert list(found.differences["baseline"]) == ["été"]
    assert require(found, unicodedata.normalize("NFD", "été.test_acc >= 0.1")) is None
