"""What kept predictions show: confusion matrices, accuracies by class, reliability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.chart_specs import Spec
from helpers.fake_runs import write_arm, write_predictions, write_regression

from dropexp.analysis.comparison import compare
from dropexp.report.charts import classes as class_charts
from dropexp.report.kept_predictions import kept_of
from dropexp.report.origin_of_runs import compared_runs
from dropexp.report.page.page import page
from dropexp.report.tables.classes import accuracies_table


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Runs of none and nn, which mistake the last 20 % and 10 % of the images for the next class, and of scratch."""
    for variant, acc in (("none", 0.8), ("nn", 0.9), ("scratch", 0.85)):
        for run in write_arm(tmp_path, variant, [acc, acc]):
            if variant != "scratch":
                write_predictions(run, 2, correct=acc, images=100)
    return tmp_path


def test_accuracies_by_class_are_means_over_the_runs_of_an_arm(study: Path) -> None:
    write_predictions(write_arm(study, "nn", [0.8])[0], 2, correct=0.7, images=100)  # seed 0
    comparison = compare("dropout", study)
    table = accuracies_table(kept_of(compared_runs(comparison)))
    assert table is not None and table.headers[:3] == ["arm", "T-shirt/top", "Trouser"]
    assert table.rows[0] == ["none", *["80.00"] * 10] and table.rows[1] == ["nn", *["80.00"] * 10]
    assert table.rows[2] == ["scratch: not kept", *["-"] * 10]
    drawn = Spec(class_charts.classes(comparison)).rows("line")
    assert {row["series"] for row in drawn} == {"none", "nn"} and {row["mean"] for row in drawn} == {80.0}


def test_a_confusion_matrix_has_a_cell_per_class_and_predicted_class(study: Path) -> None:
    spec = Spec(class_charts.confusion(compare("dropout", study)))
    assert [panel["title"] for panel in spec.content["concat"]] == ["none", "nn"]
    shares = {(row["class"], row["predicted"]): row["share"] for row in spec.rows("rect")[:100]}
    assert len(shares) == 100
    assert shares["Bag", "Bag"] == 80.0 and shares["Bag", "Ankle boot"] == 20.0 and shares["Bag", "Coat"] == 0.0
    assert "none takes 20.0% of T-shirt/top for Trouser" in spec.description


def test_six_confusion_matrices_are_drawn_at_most(tmp_path: Path) -> None:
    for i in range(8):
        for run in write_arm(tmp_path, "nn", [0.8], lr=0.1 + i):
            write_predictions(run, 2)
    spec = Spec(class_charts.confusion(compare((), tmp_path)))
    assert len(spec.content["concat"]) == 6 and spec.subtitle.endswith("the first 6 of 8 arms")


def test_a_reliability_diagram_has_the_accuracy_of_similar_confidences(study: Path) -> None:
    spec = Spec(class_charts.reliability(compare("dropout", study)))
    rows = spec.rows("point")
    assert {row["series"] for row in rows} == {"none", "nn"}
    assert all(50 <= row["x"] <= 100 and 0 <= row["mean"] <= 100 for row in rows)
    assert sum(row["share"] for row in rows if row["series"] == "nn") == pytest.approx(100, abs=0.01)


def test_a_reliability_diagram_leaves_out_bins_of_a_few_predictions(tmp_path: Path) -> None:
    (run,) = write_arm(tmp_path, "nn", [0.9])
    write_predictions(run, 2, images=5000, unsure=4)
    points = Spec(class_charts.reliability(compare((), tmp_path))).rows("point")
    assert len(points) == 8 and min(point["x"] for point in points) > 50


def test_a_share_that_rounds_to_zero_has_no_number_in_a_confusion_matrix() -> None:
    shares = np.eye(10)
    shares[0, 0], shares[0, 1], shares[0, 2] = 0.989, 0.005, 0.006
    rows = Spec(class_charts._matrix("nn", shares, (240, 240))).rows("text")
    shown = {row["predicted"]: row["shown"] for row in rows if row["class"] == "T-shirt/top"}
    assert shown["Trouser"] == "" and shown["Pullover"] == "1"


def test_the_page_has_the_charts_by_class(study: Path) -> None:
    html = page(compare("dropout", study))
    assert all(f'id="chart-{name}"' in html for name in ("confusion", "classes", "reliability"))


def test_without_predictions_the_page_has_no_charts_by_class(study: Path) -> None:
    for path in study.glob("dropout/*/predictions.npz"):
        path.write_bytes(b"edited")
    write_regression(study, name="lines")
    for name in ("dropout", "lines"):
        assert 'id="chart-c' not in page(compare(name, study))
