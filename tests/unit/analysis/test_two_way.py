"""The interval over seeds and test images: its formula, its coverage, and which predictions it takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fake_runs import write_arm, write_predictions
from numpy.typing import NDArray
from scipy import stats

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.frames import records
from dropexp.analysis.two_way import half_width


def drawn(rng: np.random.Generator, S: int, I: int, seed_sd: float, image_sd: float) -> NDArray[np.float64]:
    """Return values with a mean of 0, a seed effect, an image effect, and a residual with an SD of 1."""
    return seed_sd * rng.normal(size=(S, 1)) + image_sd * rng.normal(size=(1, I)) + rng.normal(size=(S, I))


def over_seeds(d: NDArray[Any]) -> float:
    """Return half the width of the t-interval over the means of the seeds."""
    return float(stats.t.ppf(0.975, len(d) - 1) * stats.sem(d.mean(axis=1)))


def test_the_variance_is_that_of_the_moment_estimator() -> None:
    S, I = 4, 50
    d = drawn(np.random.default_rng(0), S, I, 0.05, 1.0)
    rows, columns, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    seeds, images = I * rows.var(ddof=1), S * columns.var(ddof=1)
    residual = float(np.sum((d - rows[:, None] - columns + mean) ** 2)) / ((S - 1) * (I - 1))
    variance = seeds + images - residual
    df = variance**2 / (seeds**2 / (S - 1) + images**2 / (I - 1) + residual**2 / ((S - 1) * (I - 1)))
    assert variance > seeds
    assert half_width(d) == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(variance / (S * I)))


def test_if_all_seeds_agree_the_interval_is_that_over_images() -> None:
    d = np.tile(np.random.default_rng(0).normal(size=200), (5, 1))
    assert half_width(d) == pytest.approx(stats.t.ppf(0.975, 199) * stats.sem(d[0]))


@pytest.mark.parametrize("image_sd", [0.0, 0.3])
def test_the_interval_is_never_narrower_than_that_over_seeds(image_sd: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        d = drawn(rng, 2, 100, 0.2, image_sd)
        assert half_width(d) >= over_seeds(d) - 1e-12


@pytest.mark.parametrize("image_sd", [0.0, 1.0])
def test_the_interval_has_its_nominal_coverage(image_sd: float) -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(1000):
        d = drawn(rng, 5, 200, 0.05, image_sd)
        hits.append(abs(d.mean()) <= half_width(d))
    assert 0.93 <= np.mean(hits) <= 0.975


def test_the_interval_is_unknown_for_one_seed_and_for_values_that_are_not_finite() -> None:
    assert math.isnan(half_width(np.ones((1, 10))))
    assert math.isnan(half_width(np.full((3, 10), np.inf)))
    assert half_width(np.zeros((3, 10), np.int8)) == 0


def write_study(runs_dir: Path, *epochs: int, **more: Any) -> None:
    """Write none and nn over three seeds; their predictions of 50 images have the accuracies of the tables."""
    for variant, accs in (("none", [0.80, 0.82, 0.84]), ("nn", [0.86, 0.86, 0.90])):
        for seed, run in enumerate(write_arm(runs_dir, variant, accs, probed={"val_acc": 0.4, "val_loss": 1.0})):
            write_predictions(run, *epochs, correct=accs[seed], seed=seed + len(variant), **more)


def interval(comparison: Comparison) -> tuple[float, float]:
    (row,) = records(comparison.differences)
    return row["images_low"], row["images_high"]


def test_a_comparison_gives_the_interval_of_the_accuracies_over_seeds_and_images(tmp_path: Path) -> None:
    write_study(tmp_path, 1, 2)
    images = np.arange(50)
    d = np.array([(images < 50 * ours) * 1 - (images < 50 * base) for ours, base in ((0.86, 0.8), (0.86, 0.82))])
    d = np.vstack([d, (images < 45) * 1 - (images < 42)])
    low, high = interval(compare("dropout", tmp_path))
    assert (low + high) / 2 == pytest.approx(0.16 / 3) and (high - low) / 2 == pytest.approx(half_width(d))
    for at in ("best-val", 1):  # epoch 1
        assert interval(compare("dropout", tmp_path, at=at)) == pytest.approx((low, high))


def test_losses_have_an_interval_and_figures_of_other_rows_do_not(tmp_path: Path) -> None:
    write_study(tmp_path, 2)
    (row,) = records(compare("dropout", tmp_path, metric="test_loss").differences)
    assert row["kept"] and row["images_low"] < row["difference"] < row["images_high"]
    for metric in ("train_acc", "gap", "val_acc", "seconds"):
        assert not compare("dropout", tmp_path, metric=metric).differences["kept"].any()


@pytest.mark.parametrize("lost", ["of one run", "of the epoch", "of the images"])
def test_without_the_predictions_of_every_run_there_is_no_interval(lost: str, tmp_path: Path) -> None:
    write_study(tmp_path, 1 if lost == "of the epoch" else 2)
    run = write_arm(tmp_path, "nn", [0.86], first_seed=1)[0]
    if lost == "of the images":
        write_predictions(run, 2, images=60)
    comparison = compare("dropout", tmp_path)
    assert np.isnan(interval(comparison)).all() and not comparison.differences["kept"].any()
    assert comparison.differences["pairs"].tolist() == [3] and comparison.differences["low"].notna().all()


def test_a_corrupted_file_is_named(tmp_path: Path) -> None:
    write_study(tmp_path, 2)
    path = sorted(tmp_path.glob("dropout/*/predictions.npz"))[0]
    path.write_bytes(path.read_bytes()[:-9])
    comparison = compare("dropout", tmp_path)
    assert not comparison.differences["kept"].any()
    assert [note for note in comparison.notes if f"{path} is corrupted" in note and "repairs it" in note]


def test_a_difference_that_other_images_may_not_show_is_noted(tmp_path: Path) -> None:
    for seed in range(3):
        for variant, acc in (("none", 0.8), ("nn", 0.82 + seed / 1000)):
            (run,) = write_arm(tmp_path, variant, [acc], first_seed=seed)
            write_predictions(run, 2, correct=acc)
    comparison = compare("dropout", tmp_path)
    (row,) = records(comparison.differences)
    assert row["low"] > 0 > row["images_low"]
    assert any(note.startswith("nn - none: the interval over seeds excludes 0, but not") for note in comparison.notes)
