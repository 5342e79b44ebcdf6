"""Comparisons of studies with searches: tested runs alone, the selected settings and the budget curve."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.comparisons import mentions, row_of
from helpers.tuned import SHARED, TUNED, write_tuned

from dropexp.analysis.arms import group_arms
from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.search_results import ArmSearches, budget_curve, tuning_of
from dropexp.config.planned_run import PlannedRun
from dropexp.errors import NoRuns
from dropexp.runs.record import read_runs
from dropexp.runs.search_records import SearchRecord
from dropexp.runs.study_file import read_searches, write_searches


def figure(planned: PlannedRun) -> float:
    """Return an accuracy that depends on the arm, the repeat and the trial; the second trial is the best one."""
    assert planned.tuning is not None
    trial = {0: 0.5, 1: 0.7, 2: 0.6}.get(planned.tuning.trial, 0.4)
    return round(trial + 0.1 * (planned.arm == "units") + planned.tuning.repeat / 100, 4)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a completely trained study. Only read it."""
    folder = tmp_path_factory.mktemp("tuned")
    write_tuned(folder, acc=figure)
    return folder


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """A copy of the same study, which the test may change."""
    return Path(shutil.copytree(shared, tmp_path / "copy"))


@pytest.fixture(scope="module")
def compared(shared: Path) -> Comparison:
    return compare("tuned", shared / "runs")


# Which runs are compared


def test_trials_are_hidden_and_arms_are_paired_by_repeat(compared: Comparison) -> None:
    assert [*compared.arms["arm"]] == ["none", "units"]
    assert [*compared.runs["seed"]] == [1000, 1001, 1000, 1001]
    assert [*compared.arms["mean"]] == pytest.approx([0.705, 0.805])
    difference = row_of(compared.differences, "units")
    assert (difference["baseline"], difference["pairs"]) == ("none", 2)
    assert difference["difference"] == pytest.approx(0.1)
    assert not mentions(compared.notes, "left out") and not mentions(compared.notes, "not defined by")


def test_a_repeat_that_one_arm_lacks_is_not_a_pair(folder: Path) -> None:
    (path,) = folder.glob("runs/tuned/arm=none,selected=1,seed=1001-*")
    shutil.rmtree(path)
    comparison = compare("tuned", folder / "runs")
    assert row_of(comparison.differences, "units")["pairs"] == 1
    by_config = compare(config=folder / "tuned.yaml", runs_dir=folder / "runs")
    assert mentions(by_config.notes, "tuned: 1 of 4 runs is missing")


def test_a_comparison_needs_no_trials(compared: Comparison, folder: Path) -> None:
    for path in folder.glob("runs/tuned/*trial=*"):
        shutil.rmtree(path)
    without = compare("tuned", folder / "runs")
    assert without.to_json() == compared.to_json()
    assert [*without.tuning.trials["val_acc"]] == [*compared.tuning.trials["val_acc"]]


def test_the_config_compares_the_same_runs_as_the_name(compared: Comparison, shared: Path) -> None:
    by_config = compare(config=shared / "tuned.yaml", runs_dir=shared / "runs")
    assert by_config.differences.equals(compared.differences)
    assert [*by_config.runs["path"]] == [*compared.runs["path"]]


def test_a_study_with_only_trials_has_nothing_to_compare(tmp_path: Path) -> None:
    write_tuned(tmp_path, stages=1)
    with pytest.raises(NoRuns, match=r"tuned: only trials are trained; `dropexp train -c FILE` selects the best"):
        compare("tuned", tmp_path / "runs")


@pytest.mark.parametrize("order", ["kept last", "kept first"])
def test_tested_runs_of_an_earlier_selection_are_left_out_with_a_note(order: str, folder: Path) -> None:
    """Whichever of two tested runs of an arm and repeat is read first."""
    better = 3 if order == "kept last" else 4
    write_tuned(folder, TUNED.replace("trials: 3", "trials: 5"), lambda planned: _best(planned, better))
    if order == "kept first":
        for path in folder.glob("runs/tuned/*selected=4*"):
            path.rename(path.with_name(path.name.replace("arm=", "a-renamed-arm=")))
    comparison = compare("tuned", folder / "runs")
    assert mentions(
        comparison.notes, "tuned: 4 tested runs are left out: study.json selects other settings, or none yet"
    )
    assert [*comparison.arms["n"]] == [2, 2] and [*comparison.arms["mean"]] == pytest.approx([0.9, 0.9])
    assert {*comparison.tuning.selected["trial"]} == {better} and {*comparison.tuning.selected["trials"]} == {5}


def _best(planned: PlannedRun, trial: int) -> float:
    return 0.9 if planned.tuning and planned.tuning.trial == trial else 0.3


def test_tested_runs_of_a_space_that_was_edited_are_not_runs_of_the_new_one(folder: Path) -> None:
    write_tuned(folder, TUNED.replace("[0.005, 0.5]", "[0.005, 0.6]"), lambda planned: _best(planned, 2))
    assert mentions(compare("tuned", folder / "runs").notes, "tuned: 4 of 8 runs are not defined by")
    comparison = compare(config=folder / "tuned.yaml", runs_dir=folder / "runs")
    assert [*comparison.arms["n"]] == [2, 2] and [*comparison.arms["mean"]] == pytest.approx([0.9, 0.9])


def test_without_study_json_tested_runs_are_compared_alone(folder: Path) -> None:
    (folder / "runs" / "tuned" / "study.json").unlink()
    comparison = compare("tuned", folder / "runs")
    assert [*comparison.arms["n"]] == [2, 2]
    assert comparison.tuning.selected.empty and comparison.tuning.budget.empty


def test_a_study_without_a_search_has_no_tuning(study: Path) -> None:
    tuning = compare(runs_dir=study).tuning
    assert tuning.selected.empty and tuning.trials.empty and tuning.budget.empty


# What is known of the searches


def test_the_selected_settings_of_each_repeat_are_known(compared: Comparison, shared: Path) -> None:
    selected = compared.tuning.selected
    assert [*selected["arm"]] == ["none", "none", "units", "units"] and [*selected["repeat"]] == [0, 1, 0, 1]
    assert {*selected["trial"]} == {1} and {*selected["trials"]} == {3}
    assert [*selected["val_acc"]] == pytest.approx([0.7, 0.71, 0.8, 0.81])
    records = {(one.arm, one.repeat): one for one in read_searches(shared / "runs" / "tuned").values()}
    for row in selected.to_dict("records"):
        values = records[row["arm"], row["repeat"]].trials[1].values
        assert {key: [*row[key]] if isinstance(row[key], tuple) else row[key] for key in values} == values
    assert selected["drop_probs"].isna().tolist() == [True, True, False, False]


def test_every_trial_has_a_row(compared: Comparison) -> None:
    trials = compared.tuning.trials
    assert len(trials) == 12 and trials["selected"].sum() == 4
    first = trials[(trials["arm"] == "none") & (trials["repeat"] == 0)]
    assert [*first["trial"]] == [0, 1, 2] and [*first["val_acc"]] == pytest.approx([0.5, 0.7, 0.6])
    assert "(" not in compared.trials_csv()  # lists are as in a config


def test_selected_settings_and_trials_are_grouped_by_a_list(compared: Comparison) -> None:
    assert len(compared.tuning.selected.groupby("drop_probs")) == 2
    assert len(compared.tuning.trials.groupby("drop_probs")) == 6


# The budget curve


LR = {"log": [0.01, 1.0]}


def search(repeat: int, accs: list[float | None], lr: float = 0.1, space: Any = LR) -> SearchRecord:
    """Return a search of lr whose trials have these validation accuracies, and all the same lr."""
    best = max(range(len(accs)), key=lambda index: accs[index] or 0)
    trials = [{"values": {"lr": lr}, "val_acc": acc} for acc in accs]
    content: dict[str, Any] = {"id": "0", "arm_digest": "1", "device": "cpu", "arm": None, "cell": {}, "fixed": {}}
    return SearchRecord.model_validate(
        {
            **content,
            "space": {"lr": space},
            "repeat": repeat,
            "trials": trials,
            "num_trials": len(trials),
            "selected": best,
        }
    )


def test_the_budget_curve_is_the_mean_of_the_best_accuracy_so_far() -> None:
    curve = budget_curve(ArmSearches("none", [search(0, [0.5, 0.4, 0.8]), search(1, [0.3, 0.6, 0.6])]))
    assert [row["trials"] for row in curve] == [1, 2, 3]
    assert [row["mean"] for row in curve] == pytest.approx([0.4, 0.55, 0.7])
    assert {(row["arm"], row["n"]) for row in curve} == {("none", 2)}


def test_the_band_of_the_budget_curve_covers_the_repeats() -> None:
    two = budget_curve(ArmSearches("none", [search(0, [0.5, 0.8]), search(1, [0.3, 0.8])]))
    assert (two[0]["low"], two[0]["high"]) == pytest.approx((0.3, 0.5))  # each in a quarter of the resamples
    assert (two[1]["low"], two[1]["high"]) == pytest.approx((0.8, 0.8))
    (one,) = budget_curve(ArmSearches("none", [search(0, [0.5])]))
    assert np.isnan(one["low"]) and np.isnan(one["high"]) and one["mean"] == 0.5


def test_a_diverged_trial_counts_as_accuracy_0_in_the_budget_curve() -> None:
    curve = budget_curve(ArmSearches("none", [search(0, [None, 0.6]), search(1, [0.4, None])]))
    assert [row["mean"] for row in curve] == pytest.approx([0.2, 0.5])


def test_the_budget_curve_ends_at_the_least_number_of_trials_of_a_repeat() -> None:
    curve = budget_curve(ArmSearches("none", [search(0, [0.5, 0.6]), search(1, [0.3])]))
    assert [row["mean"] for row in curve] == pytest.approx([0.4])


def test_the_curve_of_each_arm_is_in_the_comparison(compared: Comparison) -> None:
    budget = compared.tuning.budget
    assert [*budget["mean"]] == pytest.approx([0.505, 0.705, 0.705, 0.605, 0.805, 0.805])
    assert [*budget["arm"]] == ["none"] * 3 + ["units"] * 3


# Notes


Edges = Callable[[list[float], dict[str, list[float]]], list[str]]


@pytest.fixture
def edges(shared: Path) -> Edges:
    """The notes on the arm "units", titled "dropout", if its repeats select these values of lr, in this space."""
    runs = [run for run in read_runs("tuned", shared / "runs") if run.tuning and run.tuning.role == "tested"]
    arm = next(arm for arm in group_arms(runs).value if arm.label == "units")

    def notes(lrs: list[float], space: dict[str, list[float]]) -> list[str]:
        own = [search(repeat, [0.5], lr, space) for repeat, lr in enumerate(lrs)]
        ours = [one.model_copy(update={"arm_digest": arm.first.arm_digest}) for one in own]
        return tuning_of([arm], {"tuned": {(str(one.repeat), "cpu"): one for one in ours}}, {"units": "dropout"}).notes

    return notes


@pytest.mark.parametrize(("lr", "near"), [(0.01, "0.01"), (0.012, "0.01"), (0.1, None), (0.9, "1.0"), (1.0, "1.0")])
def test_a_selected_value_at_the_edge_of_its_range_is_noted(lr: float, near: str | None, edges: Edges) -> None:
    what = "dropout: selected values are near an end of their range, and a wider one may have better ones"
    assert edges([lr, 0.2], LR) == ([] if near is None else [f"{what}: lr (1 of 2 near {near})"])


def test_a_value_near_0_and_a_choice_are_not_at_an_edge(edges: Edges) -> None:
    """No range is wider than one from 0, and choices have no order."""
    assert edges([0.0, 0.5], {"uniform": [0.0, 1.0]}) == []
    assert len(edges([0.0, 1.0], {"uniform": [0.0, 1.0]})) == 1
    assert edges([0.1, 0.3], {"choice": [0.1, 0.2, 0.3]}) == []


def test_arms_with_different_budgets_are_noted(folder: Path) -> None:
    write_tuned(folder, TUNED.replace("trials: 3", "trials: 4").replace("  none: {variant: none}\n", ""), figure)
    comparison = compare("tuned", folder / "runs")
    assert mentions(comparison.notes, "units has 4 trials per repeat, none has 3")
    budget = comparison.tuning.budget
    assert [*budget["trials"]] == [1, 2, 3, 1, 2, 3, 4]


def test_arms_that_select_the_same_settings_share_a_run_that_counts_for_both(tmp_path: Path) -> None:
    write_tuned(tmp_path, SHARED, acc=lambda planned: 1 - planned.config.lr)  # lr 0.1 is better
    assert len(list(tmp_path.glob("runs/tuned/*selected=*"))) == 2
    for comparison in (
        compare("tuned", tmp_path / "runs", "none"),
        compare(config=tmp_path / "tuned.yaml", runs_dir=tmp_path / "runs", baseline="none"),
    ):
        assert {*comparison.arms["arm"]} == {"none", "slow"}
        assert [*comparison.arms["n"]] == [2, 2]
        assert mentions(comparison.notes, "share a tested run, seed 1001: they selected the same settings")
        assert not mentions(comparison.notes, "missing")


def test_a_config_counts_tested_runs_of_an_earlier_selection_as_missing(folder: Path) -> None:
    study = folder / "runs" / "tuned"
    one = next(one for one in read_searches(study).values() if (one.arm, one.repeat) == ("none", 1))
    better = one.trials[0].model_copy(update={"val_acc": 0.99})
    (study / "study.json").unlink()
    write_searches(study, [one.model_copy(update={"trials": [better, *one.trials[1:]], "selected": 0})])
    notes = compare(config=folder / "tuned.yaml", runs_dir=folder / "runs").notes
    assert mentions(notes, "1 tested run is left out:") and mentions(notes, "1 of 4 runs is missing")


def test_a_config_with_fewer_trials_compares_its_own_selection(folder: Path) -> None:
    before = compare(config=folder / "tuned.yaml", runs_dir=folder / "runs")
    write_tuned(folder, TUNED.replace("trials: 3", "trials: 5"), lambda planned: _best(planned, 4))
    (folder / "tuned.yaml").write_text(TUNED)
    again = compare(config=folder / "tuned.yaml", runs_dir=folder / "runs")
    assert again.tuning.selected.equals(before.tuning.selected)
    assert {*again.tuning.selected["trial"]} == {1} and {*again.tuning.selected["trials"]} == {3}
    assert json.loads(again.to_json())["arms"] == json.loads(before.to_json())["arms"]
    assert not mentions(again.notes, "missing")
