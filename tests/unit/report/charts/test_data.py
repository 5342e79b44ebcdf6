"""The figures of charts: means, intervals, units and texts."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from helpers.fake_runs import write_regression, write_run
from helpers.studies import rising

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.stats import paired_difference
from dropexp.report.charts.data import (
    arm_means,
    coverage_rows,
    difference_rows,
    domain_of,
    epoch_means,
    needs_log_axis,
    run_values,
    swept,
)


def test_epoch_means_have_the_mean_and_sd_over_the_seeds(two_arms: Comparison) -> None:
    rows, truncated = epoch_means(two_arms, two_arms.metric)
    assert len(rows) == 10 and not truncated
    last = rows[(rows["arm"] == "none") & (rows["epoch"] == 5)].iloc[0]
    values = [rising(0.82 + shift)[-1] for shift in (0.0, 0.01, -0.01, 0.005)]
    mean = sum(values) / 4
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
    assert last["n"] == 4
    assert [last["mean"], last["sd"]] == pytest.approx([100 * mean, 100 * sd])
    assert [last["low"], last["high"]] == pytest.approx([100 * (mean - sd), 100 * (mean + sd)])


def test_epoch_means_end_with_the_shortest_run_of_an_arm(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "nn", 1, [0.5, 0.6, 0.7, 0.9, 0.95])
    comparison = compare((), tmp_path)
    rows, truncated = epoch_means(comparison, comparison.metric)
    assert list(rows["epoch"]) == [1, 2, 3]
    assert truncated


def test_arm_means_have_the_t_interval_of_the_mean(two_arms: Comparison) -> None:
    runs = run_values(two_arms)
    values = runs["value"][runs["arm"] == "nn"].tolist()
    assert len(values) == 4
    expected = paired_difference(values, [0.0] * 4)
    nn = arm_means(two_arms, runs).set_index("arm").loc["nn"]
    assert [nn["mean"], nn["low"], nn["high"]] == pytest.approx([expected.mean, expected.low, expected.high])
    assert nn["figures"].endswith(", n = 4")


def test_an_arm_without_figures_shows_how_many_runs_diverged(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, 0.8)
    for seed in range(2):
        write_run(tmp_path, "nn", seed, status="diverged")
    comparison = compare((), tmp_path)
    none, nn = arm_means(comparison, run_values(comparison)).to_dict("records")
    assert nn["figures"] == "no figures, 2 diverged"
    assert none["figures"] == "80.00, n = 1"
    assert math.isnan(none["low"])


def test_differences_of_accuracies_are_in_points(two_arms: Comparison) -> None:
    (row,) = difference_rows(two_arms).to_dict("records")
    (expected,) = two_arms.differences.to_dict("records")
    for name in ("difference", "low", "high"):
        assert row[name] == pytest.approx(100 * expected[name])
    assert row["name"] == "nn − none"
    assert row["figures"].startswith(f"{expected['verdict']} +")


def test_the_generalisation_gap_is_in_points(two_arms: Comparison) -> None:
    rows, _ = epoch_means(two_arms, two_arms.metrics["gap"])
    assert rows["mean"].tolist() == pytest.approx([3.0] * 10)


def test_published_figures_have_the_ends_of_their_rounding_and_whether_ours_cover_them(two_arms: Comparison) -> None:
    rows = coverage_rows(two_arms)
    assert len(rows) == 10
    assert (rows["least"] < rows["published"]).all() and (rows["published"] < rows["most"]).all()
    outside = rows[rows["coverage"] == "outside"]
    assert ("test_acc", 5) in set(zip(outside["figure"], outside["epoch"], strict=True))


@pytest.mark.parametrize(
    ("study", "by", "values"),
    [
        ("lr", "lr", [0.001, 0.001, 0.01, 0.01, 0.5, 0.5]),
        ("batch", "batch_size", [64, 128]),
        ("drop", "drop_probs", [None, 0.2, 0.5]),
    ],
)
def test_swept_values_are_numbers_or_texts(sweeps: Path, study: str, by: str, values: list[object]) -> None:
    assert list(swept(compare(study, sweeps, by=by)).values.values()) == values


@pytest.mark.parametrize(("first", "needed"), [(20.1, True), (19.9, False)])
def test_losses_that_differ_by_a_factor_above_twenty_need_a_logarithmic_axis(
    tmp_path: Path, first: float, needed: bool
) -> None:
    write_regression(tmp_path, test_loss=[first, 1.0])
    comparison = compare((), tmp_path)
    rows, _ = epoch_means(comparison, comparison.metric)
    assert needs_log_axis(comparison.metric, rows["mean"]) is needed
    assert not needs_log_axis(comparison.metrics["w_norm"], pd.Series([1.0, 100.0]))  # no loss


def test_a_domain_covers_all_finite_values_with_a_margin() -> None:
    assert domain_of(pd.Series([1.0, math.nan]), pd.Series([3.0, math.inf])) == pytest.approx([0.9, 3.1])
    assert domain_of(pd.Series([2.0])) == pytest.approx([1.9, 2.1])
    assert domain_of(pd.Series([float("nan")])) == pytest.approx([-0.05, 1.05])
    low, high = domain_of(pd.Series([1.0, 100.0]), log=True)
    assert 0 < low < 1 and high > 100
