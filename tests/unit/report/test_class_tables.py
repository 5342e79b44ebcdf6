"""Tables by class in the report: accuracies, and a confusion matrix per arm."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm, write_predictions, write_regression

from dropexp.analysis.comparison import compare
from dropexp.report.class_tables import accuracies_table, confusion_table, confusions
from dropexp.report.html import page
from dropexp.report.origin import compared_runs


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Runs of none and nn, whose last 20 % and 10 % of the images are taken for the next class, and of scratch."""
    for variant, acc in (("none", 0.8), ("nn", 0.9), ("scratch", 0.85)):
        for run in write_arm(tmp_path, variant, [acc, acc]):
            if variant != "scratch":
                write_predictions(run, 2, correct=acc, images=100)
    return tmp_path


def test_accuracies_by_class_are_means_over_the_runs_of_an_arm(study: Path) -> None:
    write_predictions(write_arm(study, "nn", [0.8])[0], 2, correct=0.7, images=100)  # seed 0
    table = accuracies_table(confusions(compared_runs(compare("dropout", study))))
    assert table is not None and table.headers[:3] == ["arm", "T-shirt/top", "Trouser"]
    assert table.rows[0] == ["none", *["0.8000"] * 10] and table.rows[1] == ["nn", *["0.8000"] * 10]
    assert table.rows[2] == ["scratch: not kept", *["-"] * 10]


def test_a_confusion_matrix_has_a_row_per_class_and_a_column_per_predicted_class(study: Path) -> None:
    matrix = confusions(compared_runs(compare("dropout", study)))["none"]
    assert matrix is not None
    table = confusion_table("none", matrix)
    assert table.rows[0] == ["T-shirt/top", "80.0", "20.0", *["0.0"] * 8]
    assert table.rows[9] == ["Ankle boot", "20.0", *["0.0"] * 8, "80.0"]


def test_the_page_has_both(study: Path) -> None:
    html = page(compare("dropout", study))
    assert "Test accuracy by class" in html and html.count("Confusion matrix of nn") >= 2
    assert "Confusion matrix of scratch" not in html


def test_without_predictions_the_page_has_none(study: Path) -> None:
    for path in study.glob("dropout/*/predictions.npz"):
        path.write_bytes(b"edited")
    write_regression(study, name="lines")
    for name in ("dropout", "lines"):
        assert "by class" not in page(compare(name, study))
