"""A source's printed figures beside ours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fake_runs import publish, write_arm, write_regression, write_run
from helpers.printing import printed
from scipy import integrate, stats

from dropexp.analysis.comparison import compare
from dropexp.analysis.likelihood import log_likelihood
from dropexp.report.html import page
from dropexp.runs.study_file import write_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84])
    write_arm(tmp_path, "nn", [0.81, 0.84, 0.87])
    write_arm(tmp_path, "scratch", [0.79, 0.80, 0.81])
    return tmp_path


def said(notes: list[str], *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in notes)


# published figures


def test_published_figures_stand_beside_ours_epoch_by_epoch(study: Path) -> None:
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


def test_a_published_figure_outside_the_interval_is_said_to_be(study: Path) -> None:
    publish(study, arm="scratch", test_acc=[0.70, 0.86])  # ours .8 ± .01: the interval ends below .85
    published = compare(runs_dir=study).published
    assert list(published["inside"]) == [True, False]
    lines = printed(compare(runs_dir=study)).splitlines()
    verdicts = [line.split()[-1] for line in lines if line.startswith("test accuracy ")]
    assert verdicts == ["yes", "no"]


@pytest.mark.parametrize(("printed", "inside"), [(0.0016, True), (0.0015, False)])
def test_a_published_figure_may_lie_anywhere_within_its_rounding(tmp_path: Path, printed: float, inside: bool) -> None:
    """0.0016 × 256 was anything from 0.3968 to 0.4224, 0.0015 × 256 at most 0.3968; ours is 0.4, without a spread."""
    for seed in (0, 1):
        write_run(tmp_path, "nn", seed, [0.8])
    publish(tmp_path, loss=[printed], loss_scale=256)
    first = compare(runs_dir=tmp_path).published.iloc[0]
    assert first["mean"] == pytest.approx(0.4)
    assert first["rounding"] == pytest.approx(0.0128)
    assert first["inside"] == inside


def test_trailing_zeros_do_not_make_a_figure_less_exact(tmp_path: Path) -> None:
    """0.0020 is read as 0.002; the figures printed beside it tell that it had four decimals."""
    write_arm(tmp_path, "nn", [0.8, 0.8])
    publish(tmp_path, loss=[0.0023, 0.002], loss_scale=1)
    assert list(compare(runs_dir=tmp_path).published["rounding"]) == pytest.approx([0.00005, 0.00005])


def test_published_figures_that_name_no_arm_stand_beside_every_arm(study: Path) -> None:
    publish(study, test_acc=[0.7, 0.8])
    assert list(compare(runs_dir=study).published["arm"].unique()) == ["none", "nn", "scratch"]


def test_published_figures_follow_their_arm_into_longer_labels(tmp_path: Path) -> None:
    for lr in (0.1, 0.5):
        write_arm(tmp_path, "nn", [0.8, 0.81], arm="rand", lr=lr)
    publish(tmp_path, arm=["rand", "randn-2019"], train_acc=[0.7])
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.published["arm"]) == ["rand,lr=0.1", "rand,lr=0.5"]
    assert said(comparison.notes, "published", "'randn-2019'", "no finished run")


def test_published_figures_of_an_arm_without_a_finished_run_are_noted(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    write_run(tmp_path, "nn", status="diverged")
    publish(tmp_path, arm="nn", test_acc=[0.7])
    comparison = compare(runs_dir=tmp_path)
    assert comparison.published.empty
    assert said(comparison.notes, "published", "'nn'", "no finished run")


def test_published_epochs_beyond_ours_and_single_runs_claim_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[0.7, 0.8])
    publish(tmp_path, test_acc=[0.7, 0.8, 0.9])
    published = compare(runs_dir=tmp_path).published
    assert list(published["n"]) == [1, 1, 0]
    assert published["inside"].isna().all()
    assert printed(compare(runs_dir=tmp_path))


@pytest.mark.parametrize(("norm", "inside"), [(12.12, True), (13.5, False)])
def test_a_figure_that_a_source_gives_once_stands_beside_our_last(tmp_path: Path, norm: float, inside: bool) -> None:
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
    assert said(comparison.notes, "dropout: no run has the published w_norm")


# which arm they fit


def many(mean: float, sd: float, n: int = 20, seed: int = 0) -> list[float]:
    """n values with just this mean and SD."""
    z = np.random.default_rng(seed).normal(size=n)
    return [float(value) for value in mean + sd * (z - z.mean()) / z.std(ddof=1)]


def test_a_likelihood_is_the_predictive_t_density_integrated_over_the_rounding() -> None:
    runs = np.array([many(0.8, 0.01), many(0.9, 0.02, seed=1)]).T
    values, halves = np.array([0.81, 0.93]), np.array([0.005, 0.0005])
    by_hand = 0.0
    for k in range(2):
        density = stats.t(19, runs[:, k].mean(), runs[:, k].std(ddof=1) * np.sqrt(1 + 1 / 20)).pdf
        by_hand += np.log(integrate.quad(density, values[k] - halves[k], values[k] + halves[k])[0])
    assert log_likelihood(values, halves, [runs]) == pytest.approx([by_hand])


def test_a_likelihood_far_out_and_of_equal_runs_is_finite() -> None:
    equal = np.full((20, 1), 0.8)
    for value in (0.8, 0.1):
        assert np.isfinite(log_likelihood(np.array([value]), np.array([0.0005]), [equal])).all()
    far = log_likelihood(np.array([1e6]), np.array([0.0005]), [np.array([many(0.8, 0.001)]).T])
    assert np.isfinite(far).all()


def test_the_printed_figures_are_given_to_the_arm_they_fit(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", many(0.80, 0.01), arm="new")
    write_arm(tmp_path, "scratch", many(0.84, 0.01, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, test_acc=[0.74, 0.84])  # the fake runs' first epoch is 0.1 below their last
    comparison = compare(runs_dir=tmp_path, likelihood=True)
    best, second = comparison.fits.to_dict("records")
    assert (best["arm"], second["arm"]) == ("old", "new")
    assert best["log_likelihood"] - second["log_likelihood"] == pytest.approx(12, abs=4)  # (4 SD)²/2 twice, t's tails
    assert best["figures"] == 2
    assert best["right"] >= 19
    assert second["right"] >= 19
    assert any("fit old best" in finding for finding in comparison.findings)
    assert f"{best['right']} of {best['given']}" in printed(compare(runs_dir=tmp_path, likelihood=True))


def test_arms_that_do_not_differ_are_not_told_apart(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", many(0.80, 0.01), arm="new")
    write_arm(tmp_path, "scratch", many(0.80, 0.01, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, test_acc=[0.7, 0.8])
    fits = compare(runs_dir=tmp_path, likelihood=True).fits
    assert abs(fits["log_likelihood"][0] - fits["log_likelihood"][1]) < 1
    assert fits["right"].sum() < 30  # of 40: no better than a coin


def test_the_rounding_of_the_print_counts(tmp_path: Path) -> None:
    # 0.0016 × 256 is anything from 0.397 to 0.422, several SDs of either arm
    write_arm(tmp_path, "scratch", many(0.7975, 0.001), arm="new")
    write_arm(tmp_path, "scratch", many(0.7925, 0.001, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, loss=[0.0024, 0.0016], loss_scale=256)
    fits = compare(runs_dir=tmp_path, likelihood=True).fits
    assert abs(fits["log_likelihood"][0] - fits["log_likelihood"][1]) < 0.2


def test_a_likelihood_wants_twenty_runs_of_two_arms(study: Path) -> None:
    publish(study, test_acc=[0.75])
    comparison = compare(runs_dir=study, likelihood=True)
    assert comparison.fits.empty
    assert any("needs 20 runs per arm; none has 3, nn has 3, scratch has 3" in note for note in comparison.notes)
    publish(study, arm="nn", test_acc=[0.75])
    assert any("needs at least two arms" in note for note in compare(runs_dir=study, likelihood=True).notes)


def test_no_likelihood_is_taken_unless_asked_for(study: Path) -> None:
    publish(study, test_acc=[0.75])
    assert compare(runs_dir=study).fits.empty
    assert not any("likelihood" in note for note in compare(runs_dir=study).notes)


@pytest.mark.parametrize(
    "published",
    [[1], "x", {"test_acc": 0.8}, {"loss": ["x"]}, {"loss": [math.inf]}, {"arm": 5}, {"w_norm": [1]}, {"x": 1}],
)
def test_published_figures_that_are_damaged_are_left_out_and_named(study: Path, published: Any) -> None:
    write_study(study, "dropout", {"published": published})
    comparison = compare(runs_dir=study)
    assert comparison.published.empty
    assert said(comparison.notes, str(study / "dropout" / "study.json"), "is corrupted")
    page(comparison)  # which has them in its configs
