"""Published figures beside ours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import declare, publish, write_arm, write_regression, write_run
from helpers.printing import printed

from dropexp.analysis.comparison import compare
from dropexp.report.page.page import page


def test_published_figures_are_set_beside_ours_epoch_by_epoch(study: Path) -> None:
    publish(study, arm="nn", source="a book", loss=[0.002, 0.00125], loss_scale=256, test_acc=[0.75, 0.98])
    published = compare(runs_dir=study).published
    assert set(published["arm"]) == {"nn"}
    assert list(published["figure"]) == ["train_loss", "train_loss", "test_acc", "test_acc"]
    last_loss, last_acc = published.iloc[1], published.iloc[3]
    assert last_loss["published"] == pytest.approx(0.32)  # 0.00125 a row, of 256 rows
    assert last_loss["mean"] == pytest.approx(2 - 2 * 0.84)
    half = 4.302652729911275 * 0.03 * math.sqrt(4 / 3)
    assert (last_acc["low"], last_acc["high"]) == pytest.approx((0.84 - half, 0.84 + half))
    assert (last_acc["n"], last_acc["source"]) == (3, "a book")
    assert list(published["inside"]) == [True, True, True, True]


def test_a_published_figure_outside_the_interval_is_marked(study: Path) -> None:
    publish(study, arm="scratch", test_acc=[0.70, 0.86])  # ours .8 ± .01: the interval ends below .85
    published = compare(runs_dir=study).published
    assert list(published["inside"]) == [True, False]
    lines = printed(compare(runs_dir=study)).splitlines()
    verdicts = [line.split()[-1] for line in lines if line.startswith("test accuracy, % ")]
    assert verdicts == ["yes", "no"]


@pytest.mark.parametrize(("printed", "inside"), [(0.0016, True), (0.0015, False)])
def test_a_published_figure_can_be_anywhere_within_its_rounding(tmp_path: Path, printed: float, inside: bool) -> None:
    """0.0016 × 256 is from 0.3968 to 0.4224, 0.0015 × 256 is at most 0.3968; ours is 0.4, without spread."""
    for seed in (0, 1):
        write_run(tmp_path, "nn", seed, [0.8])
    publish(tmp_path, loss=[printed], loss_scale=256)
    first = compare(runs_dir=tmp_path).published.iloc[0]
    assert first["mean"] == pytest.approx(0.4)
    assert first["rounding"] == pytest.approx(0.0128)
    assert first["inside"] == inside


def test_trailing_zeros_do_not_make_a_figure_less_precise(tmp_path: Path) -> None:
    """0.0020 is parsed as 0.002; the other figures show that it had four decimals."""
    write_arm(tmp_path, "nn", [0.8, 0.8])
    publish(tmp_path, loss=[0.0023, 0.002], loss_scale=1)
    assert list(compare(runs_dir=tmp_path).published["rounding"]) == pytest.approx([0.00005, 0.00005])


def test_published_figures_without_an_arm_are_compared_with_every_arm(study: Path) -> None:
    publish(study, test_acc=[0.7, 0.8])
    assert list(compare(runs_dir=study).published["arm"].unique()) == ["none", "nn", "scratch"]


def test_published_figures_are_compared_with_every_arm_of_the_declared_name(tmp_path: Path) -> None:
    for lr in (0.1, 0.5):
        write_arm(tmp_path, "nn", [0.8, 0.81], arm="rand", lr=lr)
    publish(tmp_path, arm=["rand", "randn-2019"], train_acc=[0.7])
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.published["arm"]) == ["rand,lr=0.1", "rand,lr=0.5"]
    assert mentions(comparison.notes, "published", "'randn-2019'", "no finished run")


def test_published_figures_of_an_arm_without_a_finished_run_are_noted(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    write_run(tmp_path, "nn", status="diverged")
    publish(tmp_path, arm="nn", test_acc=[0.7])
    comparison = compare(runs_dir=tmp_path)
    assert comparison.published.empty
    assert mentions(comparison.notes, "published", "'nn'", "no finished run")


def test_epochs_beyond_ours_and_single_runs_have_no_interval(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[0.7, 0.8])
    publish(tmp_path, test_acc=[0.7, 0.8, 0.9])
    published = compare(runs_dir=tmp_path).published
    assert list(published["n"]) == [1, 1, 0]
    assert published["inside"].isna().all()
    assert printed(compare(runs_dir=tmp_path))


def test_published_figures_are_compared_at_epochs_with_an_evaluation(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed, test_acc=[0.7, 0.8 + seed / 100, 0.9], eval_every=2)
    publish(tmp_path, test_acc=[0.7, 0.8, 0.9], train_acc=[0.69])
    published = compare(runs_dir=tmp_path).published
    assert [(row["figure"], row["epoch"], row["n"]) for row in published.to_dict("records")] == [
        *(("train_acc", 1, 3), ("test_acc", 1, 0), ("test_acc", 2, 3), ("test_acc", 3, 3)),
    ]
    assert published["inside"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize(("norm", "inside"), [(12.12, True), (13.5, False)])
def test_a_figure_that_a_source_gives_once_is_compared_with_our_last(tmp_path: Path, norm: float, inside: bool) -> None:
    for seed, last in enumerate((11.9, 12.0, 12.1, 12.2)):
        write_regression(tmp_path, seed=seed, test_loss=[4.0, (last / 10) ** 2])
    publish(tmp_path, "weight-decay", w_norm={"scratch": norm, "elsewhere": 1.0}, source="a blog")
    (row,) = compare(runs_dir=tmp_path).published.to_dict("records")
    assert (row["figure"], row["epoch"], row["n"], row["inside"]) == ("w_norm", 2, 4, inside)
    assert row["mean"] == pytest.approx(12.05)
    assert row["rounding"] == pytest.approx(0.005 if norm == 12.12 else 0.05)
    line = next(line for line in printed(compare(runs_dir=tmp_path)).splitlines() if line.startswith("norm of w  "))
    assert line.split()[-1] == ("yes" if inside else "no")


def test_a_published_figure_that_no_run_has_is_noted(study: Path) -> None:
    publish(study, test_acc=[0.7], w_norm={"nn": 12.12})
    comparison = compare(runs_dir=study)
    assert set(comparison.published["figure"]) == {"test_acc"}
    assert mentions(comparison.notes, "dropout: no run has the published w_norm")


@pytest.mark.parametrize(
    "published",
    [[1], "x", {"test_acc": 0.8}, {"loss": ["x"]}, {"loss": [math.inf]}, {"arm": 5}, {"w_norm": [1]}, {"x": 1}],
)
def test_corrupted_published_figures_are_left_out_and_noted(study: Path, published: Any) -> None:
    declare(study, "dropout", {"published": published})
    comparison = compare(runs_dir=study)
    assert comparison.published.empty
    assert mentions(comparison.notes, str(study / "dropout" / "study.json"), "is corrupted")
    page(comparison)  # whose recipe has the published figures


def test_missing_published_figures_are_noted_only_when_requested(study: Path) -> None:
    assert mentions(compare(runs_dir=study, published=True).notes, "no study has published figures")
    assert not mentions(compare(runs_dir=study).notes, "published")
