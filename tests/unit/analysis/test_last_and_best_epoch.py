"""The last epoch and the best validation epoch side by side."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.fake_runs import write_regression, write_run

from dropexp.analysis.comparison import compare
from dropexp.report.tables.differences import best_val_table

VALIDATED = {"val_acc": 0.4, "val_loss": 1.0}  # of the last epoch; in the first they are twice as large


def write_study(runs_dir: Path) -> None:
    """Write none, which is less accurate after the first epoch, its best on validation rows, and nn, which is not."""
    for seed, shift in enumerate((0.0, 0.01, -0.01)):
        write_run(runs_dir, "none", seed, [0.80 + shift, 0.70 + shift], probed=VALIDATED)
        write_run(runs_dir, "nn", seed, [0.82 + shift, 0.82 + 2 * shift], probed=VALIDATED)


def test_figures_and_differences_are_those_of_both_epochs(tmp_path: Path) -> None:
    write_study(tmp_path)
    for at in ("last", "best-val"):
        none, nn = compare("dropout", tmp_path, at=at).best_val.to_dict("records")
        assert (none["arm"], nn["arm"], nn["baseline"]) == ("none", "nn", "none") and none["baseline"] != "none"
        assert (nn["n"], nn["earliest"], nn["latest"]) == (3, 1, 1)
        assert (none["last"], none["best"], none["best_sd"]) == pytest.approx((0.70, 0.80, 0.01))
        assert (nn["last_difference"], nn["best_difference"]) == pytest.approx((0.12, 0.02))
        assert nn["last_low"] < 0.12 < nn["last_high"] and nn["best_low"] == pytest.approx(0.02)
        assert math.isnan(none["last_difference"])


def test_the_differences_are_those_that_the_comparison_at_each_epoch_judges(tmp_path: Path) -> None:
    write_study(tmp_path)
    nn = compare("dropout", tmp_path).best_val.to_dict("records")[1]
    for at, name in (("last", "last"), ("best-val", "best")):
        (judged,) = compare("dropout", tmp_path, at=at).differences.to_dict("records")
        found = [nn[f"{name}_{figure}"] for figure in ("difference", "low", "high")]
        assert found == pytest.approx([judged[figure] for figure in ("difference", "low", "high")])


def test_arms_without_validation_rows_have_no_row_and_other_epochs_no_table(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_run(tmp_path, "scratch", 0, 0.8)
    assert list(compare("dropout", tmp_path).best_val["arm"]) == ["none", "nn"]
    for options in ({"at": 1}, {"at": "best-test"}, {"metric": "seconds"}):
        comparison = compare("dropout", tmp_path, **options)
        assert comparison.best_val.empty and best_val_table(comparison) is None


def test_linear_regression_chooses_by_the_validation_loss(tmp_path: Path) -> None:
    for weight_decay, losses in ((0.0, [0.3, 0.1, 0.2]), (3.0, [0.5, 0.4, 0.3])):
        write_regression(tmp_path, test_loss=losses, validation=True, weight_decay=weight_decay)
    found = compare("weight-decay", tmp_path).best_val
    assert list(found["latest"]) == [2, 3] and list(found["best"]) == [0.1, 0.3]


def test_the_table_has_both_epochs_and_their_differences(tmp_path: Path) -> None:
    write_study(tmp_path)
    table = best_val_table(compare("dropout", tmp_path))
    assert table is not None
    none, nn = table.rows
    assert none == ["none", "3", "1", "70.00 ± 1.00", "80.00 ± 1.00", "-", "-"]
    assert nn[:5] == ["nn", "3", "1", "82.00 ± 2.00", "82.00 ± 1.00"]
    assert nn[5].startswith("+12.00 [") and nn[6].startswith("+2.00 [")
