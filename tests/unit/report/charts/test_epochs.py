"""Charts by epoch: learning curves, the generalisation gap and published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.chart_specs import Spec
from helpers.fake_runs import publish, write_arm, write_regression, write_run
from helpers.studies import rising

from dropexp.analysis.comparison import Comparison, compare
from dropexp.report.charts import epochs as epoch_charts
from dropexp.report.charts.style import LINE


def test_learning_curves_have_axes_a_legend_and_a_description(two_arms: Comparison) -> None:
    spec = Spec(epoch_charts.learning_curves(two_arms))
    assert len(spec.rows("line")) == 10
    assert spec.titles("x") == {"epoch"}
    assert spec.titles("y") == {"test accuracy (%)"}
    assert "± one standard deviation" in spec.subtitle
    assert two_arms.arms["mean"].iloc[0] == pytest.approx(0.80925)
    assert "none 80.93 at epoch 5" in spec.description


def test_a_sweep_has_a_panel_per_value_and_arms_without_the_parameter_in_each(sweeps: Path) -> None:
    spec = Spec(epoch_charts.learning_curves(compare("drop", sweeps, by="drop_probs")))
    titles = [panel["title"] for panel in spec.content["concat"]]
    assert titles == ["drop_probs = [0.2, 0.5]", "drop_probs = [0.5, 0.5]"]
    assert sorted(row["label"] for row in spec.rows("text")) == ["nn", "nn", "none", "none"]
    assert len({tuple(y["scale"]["domain"]) for y in spec.channels("y")}) == 1


def test_a_line_ends_with_the_shortest_run_and_the_legend_notes_it(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "nn", 1, [0.5, 0.6, 0.7, 0.9, 0.95])
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    assert [row["epoch"] for row in spec.rows("line")] == [1, 2, 3]
    assert "ends with the shortest of its runs" in spec.subtitle


def test_a_line_connects_the_epochs_with_an_evaluation(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, rising(0.8, 50), eval_every=20)
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    assert [row["epoch"] for row in spec.rows("line")] == [row["epoch"] for row in spec.rows("point")] == [20, 40, 50]
    assert [row["epoch"] for row in Spec(epoch_charts.gap(compare((), tmp_path))).rows("line")] == [20, 40, 50]


def test_losses_far_apart_have_a_logarithmic_axis_with_positive_bands(tmp_path: Path) -> None:
    for seed in range(3):
        write_regression(tmp_path, seed=seed, weight_decay=0.0, test_loss=[50.0 * (1 + seed), 20.0])
        write_regression(tmp_path, seed=seed, weight_decay=4.0, test_loss=[2.0, 0.01 + seed])
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    scales = {(y["title"], y["scale"].get("type")) for y in spec.channels("y") if "title" in y}
    assert scales == {("test loss (½ · squared error), logarithmic", "log")}
    assert all(y["scale"]["domain"][0] > 0 for y in spec.channels("y") if "scale" in y)
    assert all(row["low"] > 0 for row in spec.rows("area"))
    norms = Spec(epoch_charts.learning_curves(compare((), tmp_path, metric="w_norm")))
    assert norms.titles("y") == {"norm of w"}


def test_close_losses_have_a_linear_axis(tmp_path: Path) -> None:
    write_regression(tmp_path, test_loss=[19.9, 1.0])
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    assert spec.titles("y") == {"test loss (½ · squared error)"}


def test_a_chart_without_figures_has_a_description_with_the_reason(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, rising(0.8), status="diverged")
    assert "no run has such figures" in Spec(epoch_charts.learning_curves(compare((), tmp_path))).description


def test_a_chart_grows_with_its_labels_and_describes_eight_lines(tmp_path: Path) -> None:
    for i in range(30):
        write_run(tmp_path, "nn", 0, rising(0.8, 200), lr=round(0.1 + i / 100, 2))
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    assert len(spec.rows("line")) == 6000
    assert "and 22 more" in spec.description
    assert spec.content["height"] >= 30 * LINE


def test_a_compared_probe_has_the_usual_metric_beside_it(two_arms: Comparison, tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        write_run(tmp_path, variant, probed={"w1_norm": 12.0})
    spec = Spec(epoch_charts.usual_curves(compare((), tmp_path, metric="w1_norm")))
    assert spec.titles("y") == {"test accuracy (%)"}
    assert epoch_charts.usual_curves(two_arms) is None


def test_the_generalisation_gap_is_drawn_in_points_with_a_line_at_zero(two_arms: Comparison) -> None:
    spec = Spec(epoch_charts.gap(two_arms))
    assert spec.titles("y") == {"train accuracy − test accuracy (percentage points)"}
    assert {"zero": 0.0} in spec.rows("rule")


def test_a_generalisation_gap_that_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.81], eval_train=False)
    assert epoch_charts.gap(compare((), tmp_path)) is None


def test_published_figures_are_drawn_with_ours_and_those_outside_are_named(two_arms: Comparison) -> None:
    spec = Spec(epoch_charts.published(two_arms))
    assert len(spec.rows("point")) == 10
    assert spec.titles("y") == {"running train accuracy (%)", "test accuracy (%)"}
    assert "a book" in spec.description
    assert "nn test_acc 70 at epoch 5 is outside" in spec.description


def test_one_run_has_no_interval_and_no_published_figure_is_inside_it(tmp_path: Path) -> None:
    write_run(tmp_path, "nn")
    publish(tmp_path, test_acc=[0.5, 0.6])
    spec = Spec(epoch_charts.published(compare((), tmp_path)))
    assert "2 of 2 published figures have no interval: it needs two runs" in spec.description
    assert "one run has no prediction interval" in spec.description
    assert "can be inside" not in spec.description and "the band" not in spec.description


def test_figures_without_an_interval_are_not_counted_as_inside(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.5, 0.7])
    write_run(tmp_path, "none")
    publish(tmp_path, test_acc=[0.5, 0.6])
    description = Spec(epoch_charts.published(compare((), tmp_path))).description
    assert "2 of 2 published figures can be inside" in description and "outside the band" in description
    assert "2 of 4 published figures have no interval: it needs two runs" in description


def test_without_published_figures_none_are_drawn(sweeps: Path) -> None:
    assert epoch_charts.published(compare("batch", sweeps)) is None


def test_a_single_published_figure_has_its_interval_drawn(tmp_path: Path) -> None:
    for seed in range(3):
        write_regression(tmp_path, seed=seed, test_loss=1.0 + seed / 10)
    publish(tmp_path, "weight-decay", w_norm={"scratch": 20.5})
    spec = Spec(epoch_charts.published(compare((), tmp_path)))
    (tick,) = spec.rows("tick")
    assert tick["low"] < tick["mean"] < tick["high"] < 20.5
    assert "w_norm 20.5 at epoch 3 is outside" in spec.description
