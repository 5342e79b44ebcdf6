"""Paired differences between arms, and the caveats of their verdicts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.comparisons import mentions, row_of
from helpers.fake_runs import change, write_arm, write_regression, write_run

from dropexp.analysis.comparison import Comparison, compare


def test_differences_are_paired_by_seed_with_a_t_interval(compared: Comparison) -> None:
    nn = row_of(compared.differences, "nn")
    assert (nn["baseline"], nn["pairs"]) == ("none", 3)
    assert nn["difference"] == pytest.approx(0.02)  # of .01, .02, .03, whose SD is .01
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (nn["low"], nn["high"]) == pytest.approx((0.02 - half, 0.02 + half))


def test_unpaired_seeds_are_noted(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.81, 0.82])
    write_arm(tmp_path, "nn", [0.84, 0.85, 0.86, 0.87], first_seed=1)
    comparison = compare(runs_dir=tmp_path)
    nn = row_of(comparison.differences, "nn")
    assert nn["pairs"] == 2
    assert nn["difference"] == pytest.approx(0.03)
    assert mentions(comparison.notes, "nn - none", "only in nn", "seed 3, 4")
    assert mentions(comparison.notes, "nn - none", "only in none", "seed 0")


def test_a_single_pair_has_no_interval_and_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, 0.8)
    write_run(tmp_path, "nn", 0, 0.9)
    comparison = compare(runs_dir=tmp_path)
    nn = row_of(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(0.1)
    assert math.isnan(nn["low"])
    assert math.isnan(row_of(comparison.arms, "nn")["sd"])
    assert mentions(comparison.notes, "n = 1, no spread can be estimated: none, nn")
    assert mentions(comparison.findings, "nn against none", "n = 1, no spread can be estimated")


def test_arms_without_a_common_seed_have_no_difference(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0)
    write_run(tmp_path, "nn", 1)
    comparison = compare(runs_dir=tmp_path)
    nn = row_of(comparison.differences, "nn")
    assert nn["pairs"] == 0
    assert math.isnan(nn["difference"])
    assert mentions(comparison.findings, "nn against none", "no seed in common")


def test_runs_without_the_metric_are_not_paired(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    *_, last = write_arm(tmp_path, "nn", [0.8, 0.81, 0.82])
    change(last, table={k: v for k, v in last.read_table().items() if k != "clean_train_acc"})
    gap = compare(runs_dir=tmp_path, metric="gap")
    assert list(gap.differences["pairs"]) == [2]


def test_any_metric_can_be_compared_and_less_loss_is_better(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86])
    write_arm(tmp_path, "nn", [0.85, 0.86, 0.87, 0.88, 0.89, 0.90, 0.915])
    comparison = compare(runs_dir=tmp_path, metric="test_loss")
    nn = row_of(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(-2 * (0.05 * 6 + 0.055) / 7)  # fake runs lose 2.1 - 2·accuracy
    assert nn["verdict"] == "BETTER"
    assert nn["wins"] == 1
    assert "test loss after 2 epochs" in nn["sentence"]
    assert row_of(comparison.arms, "nn")["mean"] == row_of(comparison.arms, "nn")["test_loss"]
    assert row_of(comparison.arms, "nn")["curve"][-1] == row_of(comparison.arms, "nn")["test_loss"]


def test_the_margin_decides_the_verdict(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8 + i / 1000 for i in range(8)])
    write_arm(tmp_path, "nn", [0.81 + i / 990 for i in range(8)])
    assert list(compare(runs_dir=tmp_path).differences["verdict"]) == ["BETTER"]
    assert list(compare(runs_dir=tmp_path, margin=0.02).differences["verdict"]) == ["NEGLIGIBLE"]


@pytest.mark.parametrize(
    ("metric", "difference", "verdict"),
    [("h1_zero", 0.1, "HIGHER"), ("mc_acc", 0.01, "BETTER"), ("ece", 0.01, "WORSE"), ("odd", 0.0, "EQUIVALENT")],
)
def test_a_column_of_a_probe_can_be_compared(probed: Path, metric: str, difference: float, verdict: str) -> None:
    comparison = compare(runs_dir=probed, metric=metric)
    nn = row_of(comparison.differences, "nn")
    assert nn["difference"] == pytest.approx(difference)
    assert nn["verdict"] == verdict
    last = comparison.arms["mean"][1]
    assert row_of(comparison.arms, "nn")["curve"] == pytest.approx([2 * last, last])


# caveats


def test_a_sentence_names_the_other_settings_that_differ_from_the_baseline(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8] * 7)
    write_arm(tmp_path, "nn", [0.6 + i / 1000 for i in range(7)], lr=1.0)
    (sentence,) = compare(runs_dir=tmp_path).findings
    assert sentence.endswith("nn also differs from none in lr (1.0, 0.5).")


def test_many_caveats_are_counted_with_what_the_task_studies(tmp_path: Path) -> None:
    rates = (0.01, 0.02, 0.04, 0.08)
    write_arm(tmp_path / "dropout", "none", [0.8, 0.81])
    write_regression(tmp_path / "decay")
    for lr in rates:
        write_arm(tmp_path / "dropout", "nn", [0.8, 0.81], lr=lr)
        write_regression(tmp_path / "decay", weight_decay=4.0, lr=lr)
    for name, studied in (("dropout", "dropout"), ("decay", "weight decay")):
        notes = compare(runs_dir=tmp_path / name).notes
        assert mentions(notes, f"4 arms differ from their baselines in more than {studied}: see the settings")


def test_a_verdict_hides_no_diverged_run(tmp_path: Path) -> None:
    """Half of the runs diverged, and the others are better."""
    write_arm(tmp_path, "none", [0.8 + i / 1000 for i in range(16)])
    write_arm(tmp_path, "nn", [0.9 + i / 990 for i in range(8)])
    write_arm(tmp_path, "nn", [0.1] * 8, first_seed=8, status="diverged")
    comparison = compare(runs_dir=tmp_path)
    nn = row_of(comparison.differences, "nn")
    assert (nn["verdict"], nn["pairs"]) == ("INCONCLUSIVE", 8)
    assert nn["p_holm"] < 0.05
    assert mentions(comparison.findings, "seeds 8, 9, 10, 11, 12, 13, 14, 15 of nn diverged; a verdict never")


def test_a_run_at_chance_level_makes_the_verdict_inconclusive(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.9 + i / 1000 for i in range(8)])
    write_arm(tmp_path, "nn", [0.8 + i / 990 for i in range(7)])
    write_run(tmp_path, "nn", 7, 0.11)
    for metric in ("test_acc", "test_loss", "gap"):
        comparison = compare(runs_dir=tmp_path, metric=metric)
        assert row_of(comparison.differences, "nn")["verdict"] == "INCONCLUSIVE"
        assert mentions(comparison.findings, "INCONCLUSIVE: seed 7 of nn is at chance level (11.00 %); a verdict")
        assert mentions(comparison.notes, "nn: seed 7 is at chance level (11.00 %)")


def test_the_generalisation_gap_has_no_better_direction(tmp_path: Path) -> None:
    """A network that learns nothing has a generalisation gap of zero."""
    for variant, gap in (("none", 0.1), ("nn", 0.0)):
        for run in write_arm(tmp_path, variant, [0.8 + i / 1000 for i in range(8)]):
            table = run.read_table()
            clean = [acc + gap for acc in table["test_acc"] if acc is not None]
            change(run, table=table | {"clean_train_acc": clean})
    assert list(compare(runs_dir=tmp_path, metric="gap").differences["verdict"]) == ["LOWER"]


def test_an_arm_whose_runs_all_diverged_has_no_difference_and_the_reason(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_arm(tmp_path, "nn", [0.1, 0.1], status="diverged")
    assert mentions(compare(runs_dir=tmp_path).findings, "seeds 0, 1 of nn diverged", "(no run of nn is done)")
