"""Which arm each arm is compared with, and which tasks can be compared."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.comparisons import mentions, row_of, write_decays
from helpers.fake_runs import write_arm, write_regression, write_run

from dropexp.analysis.arms import Arm, group_arms
from dropexp.analysis.baselines import baselines_of
from dropexp.analysis.comparison import compare
from dropexp.errors import ComparisonError
from dropexp.runs.record import read_runs


def test_the_baseline_is_the_arm_without_dropout_that_has_the_same_settings(tmp_path: Path) -> None:
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


def test_a_key_that_runs_of_an_earlier_version_lack_has_its_default_there(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        write_arm(tmp_path, variant, [0.8, 0.8])  # without the key `optimizer`
        write_arm(tmp_path, variant, [0.8, 0.8], optimizer="adamw")
    differences = compare(runs_dir=tmp_path).differences
    assert dict(zip(differences["arm"], differences["baseline"], strict=True)) == {
        "nn,optimizer=sgd": "none,optimizer=sgd",
        "nn,optimizer=adamw": "none,optimizer=adamw",
    }


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


def test_a_baseline_can_be_chosen_by_label(shared_study: Path) -> None:
    differences = compare(runs_dir=shared_study, baseline="scratch").differences
    assert list(differences["arm"]) == ["none", "nn"]
    assert set(differences["baseline"]) == {"scratch"}


def test_a_baseline_can_be_chosen_by_the_title_that_a_config_gives_it(shared_study: Path) -> None:
    arms = group_arms(read_runs((), shared_study)).value
    titles = {arm.label: f"the {arm.label} network" for arm in arms}
    found = baselines_of(arms, "the scratch network", titles).value
    assert {base.label for base in found.values()} == {"scratch"}


def test_an_unknown_baseline_lists_the_labels(shared_study: Path) -> None:
    with pytest.raises(ComparisonError, match=r"'dense'.*none, nn, scratch"):
        compare(runs_dir=shared_study, baseline="dense")


def test_arms_that_are_all_without_dropout_have_no_differences_and_a_note(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.1)
    write_arm(tmp_path, "none", [0.8, 0.8], lr=0.5)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert mentions(comparison.notes, "all 2 arms are without dropout", "baseline")


def test_an_arm_without_a_matched_baseline_among_several_candidates_has_none(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 7)
    write_arm(tmp_path, "none", [0.8] * 7, lr=0.1)
    write_arm(tmp_path, "nn", [0.6] * 7, lr=1.0)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert mentions(comparison.notes, "no arm without dropout has the settings of nn", "--baseline ARM")


def test_an_unfinished_matched_baseline_is_noted_when_another_arm_is_used(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.9] * 7)
    write_arm(tmp_path, "none", [0.8] * 7, lr=0.1, status="interrupted")
    write_arm(tmp_path, "nn", [0.8] * 7, lr=0.1)
    comparison = compare(runs_dir=tmp_path)
    assert mentions(comparison.findings, "also differs from none in lr (0.1, 0.5)")
    assert mentions(comparison.notes, "none,lr=0.1: seed 0 interrupted")


def test_a_thousand_matched_baselines_are_found_in_seconds(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    (first,) = read_runs((), tmp_path)
    assert first.info is not None
    arms = []
    for i in range(1000):
        for variant in ("none", "nn"):
            settings = {"variant": variant, "lr": i / 1000}
            info = first.info.model_copy(update={"settings": settings, "config": first.config | settings})
            own = replace(first, info=info)
            arms.append(Arm(f"{variant},lr={i}", variant, own, {}, ()))
    began = time.process_time()
    found = baselines_of(arms, None, {}).value
    assert time.process_time() - began < 2  # comparing all pairs would be a million comparisons
    assert len(found) == 1000
    assert all(label.replace("nn", "none") == base.label for label, base in found.items())


# linear regression


def test_a_regression_is_compared_in_test_loss_with_the_arm_without_weight_decay(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.005, 0.0, 4.0)
    write_decays(tmp_path, 0.0, 4.0, variant="nn")
    comparison = compare(runs_dir=tmp_path)
    assert comparison.what == "test loss after 3 epochs"
    assert {(row["arm"], row["baseline"]) for row in comparison.differences.to_dict("records")} == {
        ("nn,weight_decay=4.0", "nn,weight_decay=0.0"),
        ("scratch,weight_decay=0.005", "scratch,weight_decay=0.0"),
        ("scratch,weight_decay=4.0", "scratch,weight_decay=0.0"),
    }
    assert row_of(comparison.differences, "scratch,weight_decay=4.0")["verdict"] == "BETTER"
    assert not mentions(comparison.findings, "differs from")  # only in what is studied
    assert not mentions(comparison.findings, "nats")


def test_an_l1_penalty_is_compared_with_the_arm_without_a_penalty(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.0)
    write_decays(tmp_path, 0.0, l1=0.1)
    write_decays(tmp_path, 4.0, lr=0.01)
    comparison = compare(runs_dir=tmp_path)
    plain = "scratch,l1=0.0,lr=0.003,weight_decay=0.0"
    assert set(comparison.differences["baseline"]) == {plain}
    assert mentions(comparison.findings, f"also differs from {plain} in lr (0.01, 0.003).")


def test_a_regression_without_an_undecayed_arm_needs_a_chosen_baseline(tmp_path: Path) -> None:
    write_decays(tmp_path, 0.005, 4.0)
    comparison = compare(runs_dir=tmp_path)
    assert comparison.differences.empty
    assert "weight-decay: no arm without weight decay; choose a baseline with --baseline ARM" in comparison.notes
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
    assert compare(runs_dir=study, filter={"task": "linear-regression"}).metric.name == "test_loss"
    assert compare(runs_dir=study, filter={"task": "fashion-mnist"}).metric.name == "test_acc"  # the default task
    assert compare("dropout", study).metric.name == "test_acc"


def test_the_best_epoch_of_a_regression_has_the_lowest_loss(tmp_path: Path) -> None:
    write_regression(tmp_path, test_loss=[3.0, 1.0, 2.0], validation=True)
    comparison = compare(runs_dir=tmp_path, at="best-val")
    assert list(comparison.runs["epoch"]) == [2]
    assert comparison.what == "test loss at the epoch of best validation loss"


def test_an_unused_candidate_for_the_baseline_is_noted(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.7, 0.7], arm="none")
    write_arm(tmp_path, "none", [0.7, 0.7], arm="decay", weight_decay=0.1)
    write_arm(tmp_path, "nn", [0.8, 0.8], arm="dropout")
    note = "decay without dropout is compared with no arm; --baseline ARM compares every arm with that one"
    assert mentions(compare(runs_dir=tmp_path).notes, note)
    assert not mentions(compare(runs_dir=tmp_path, baseline="none").notes, note)
    write_arm(tmp_path, "nn", [0.8, 0.8], arm="both", weight_decay=0.1)  # whose baseline is decay
    assert not mentions(compare(runs_dir=tmp_path).notes, note)
