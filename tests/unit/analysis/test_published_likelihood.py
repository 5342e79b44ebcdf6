"""Which arm the published figures fit best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import publish, write_arm
from helpers.printing import printed
from scipy import integrate, stats

from dropexp.analysis.comparison import compare
from dropexp.analysis.published_likelihood import log_likelihood


def many(mean: float, sd: float, n: int = 20, seed: int = 0) -> list[float]:
    """Return n values with exactly this mean and SD."""
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


def test_the_likelihood_is_finite_far_from_the_runs_and_for_equal_runs() -> None:
    equal = np.full((20, 1), 0.8)
    for value in (0.8, 0.1):
        assert np.isfinite(log_likelihood(np.array([value]), np.array([0.0005]), [equal])).all()
    far = log_likelihood(np.array([1e6]), np.array([0.0005]), [np.array([many(0.8, 0.001)]).T])
    assert np.isfinite(far).all()


def test_the_published_figures_are_assigned_to_the_arm_that_they_fit(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", many(0.80, 0.01), arm="new")
    write_arm(tmp_path, "scratch", many(0.84, 0.01, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, test_acc=[0.74, 0.84])  # the fake runs' first epoch is 0.1 below their last
    comparison = compare(runs_dir=tmp_path, published=True)
    best, second = comparison.fits.to_dict("records")
    assert (best["arm"], second["arm"]) == ("old", "new")
    # two figures, each 4 SDs away: 2 · 4²/2 = 16 if they were normal; the tails of t are heavier
    assert best["log_likelihood"] - second["log_likelihood"] == pytest.approx(12, abs=4)
    assert best["figures"] == 2
    assert best["right"] >= 19
    assert second["right"] >= 19
    assert mentions(comparison.findings, "fit old best")
    assert f"{best['right']} of {best['given']}" in printed(compare(runs_dir=tmp_path, published=True))


def test_equal_arms_are_not_distinguished(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", many(0.80, 0.01), arm="new")
    write_arm(tmp_path, "scratch", many(0.80, 0.01, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, test_acc=[0.7, 0.8])
    fits = compare(runs_dir=tmp_path, published=True).fits
    assert abs(fits["log_likelihood"][0] - fits["log_likelihood"][1]) < 1
    assert fits["right"].sum() < 30  # of 40: no better than chance


def test_the_rounding_of_published_figures_limits_the_likelihood_ratio(tmp_path: Path) -> None:
    # 0.0016 × 256 is anything from 0.397 to 0.422, several SDs of either arm
    write_arm(tmp_path, "scratch", many(0.7975, 0.001), arm="new")
    write_arm(tmp_path, "scratch", many(0.7925, 0.001, seed=1), arm="old", mask="randn-2019")
    publish(tmp_path, loss=[0.0024, 0.0016], loss_scale=256)
    fits = compare(runs_dir=tmp_path, published=True).fits
    assert abs(fits["log_likelihood"][0] - fits["log_likelihood"][1]) < 0.2


def test_a_likelihood_needs_twenty_runs_of_two_arms(study: Path) -> None:
    publish(study, test_acc=[0.75])
    comparison = compare(runs_dir=study, published=True)
    assert comparison.fits.empty
    assert mentions(comparison.notes, "needs 20 runs per arm; none has 3, nn has 3, scratch has 3")
    publish(study, arm="nn", test_acc=[0.75])
    assert mentions(compare(runs_dir=study, published=True).notes, "needs at least two arms")


def test_no_likelihood_is_computed_by_default(study: Path) -> None:
    publish(study, test_acc=[0.75])
    assert compare(runs_dir=study).fits.empty
    assert not mentions(compare(runs_dir=study).notes, "likelihood")
