"""The simulation of the interval over seeds and images: its values, its page, and the published coverage."""

from __future__ import annotations

import numpy as np
import pytest
import two_way
from pages import two_way as page
from storage import RESULTS, load_results
from two_way import Values


def mean_squares(d: Values) -> tuple[float, float, float]:
    S, I = d.shape
    rows, columns, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    residuals = d - rows[:, None] - columns + mean
    return I * rows.var(ddof=1), S * columns.var(ddof=1), float((residuals**2).sum()) / ((S - 1) * (I - 1))


@pytest.mark.parametrize("ratio", two_way.RATIOS)
@pytest.mark.parametrize("draw", [two_way.normal, two_way.accuracies])
def test_the_standard_error_over_images_is_ratio_times_that_over_seeds(draw: two_way.Draw, ratio: float) -> None:
    rng = np.random.default_rng(0)
    seeds, images, residuals = np.mean([mean_squares(draw(rng, 20, ratio)) for _ in range(20)], axis=0)
    assert max(0.0, (images - residuals) / seeds) ** 0.5 == pytest.approx(ratio, rel=0.15, abs=0.2)
    assert abs(draw(rng, 20, ratio).mean()) < 0.02


def test_an_interval_covers_zero_if_it_has_both_signs() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(5, two_way.IMAGES))
    weights = two_way.bootstrap_weights(rng, 5)
    assert two_way.covers(d - d.mean(), weights) == [True] * 3
    assert two_way.covers(d + 1, weights) == [False] * 3


def test_a_quick_simulation_has_every_row_and_the_page_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_way, "IMAGES", 200)
    monkeypatch.setattr(two_way, "RESAMPLES", 50)
    rows = two_way.simulate(0.005)
    text = page.sections({"about": {"date": "today"}, "images": 200, "rows": rows})["two-way"]
    assert text.startswith("Simulated on today: 10 comparisons per figure with 200 test images")
    assert text.count("\n") == 3 + len(two_way.SEEDS) * len(two_way.RATIOS)


def test_the_published_coverage_is_at_least_93_percent() -> None:
    rows = load_results("two_way", RESULTS)["rows"]
    assert {row["seeds"] for row in rows} == {*two_way.SEEDS} and {row["ratio"] for row in rows} == {*two_way.RATIOS}
    for row in rows:
        assert row["studies"] >= 1000 and row["two_way"] >= 0.93
