"""Tables of differences and interactions."""

from __future__ import annotations

import math
from pathlib import Path

from helpers.fake_runs import write_arm, write_predictions

from dropexp.analysis.comparison import compare
from dropexp.report.tables.cells import figure_cell, interval_cell, p_cell
from dropexp.report.tables.comparison import comparison_tables, of_study
from dropexp.report.tables.differences import differences_table, interactions_table
from dropexp.runs.metrics import FRACTION, NUMBER, POINTS


def test_interactions_have_a_table_with_both_differences(tmp_path: Path) -> None:
    for lr, accs in ((0.1, [0.81, 0.83]), (0.5, [0.85, 0.86])):
        write_arm(tmp_path, "none", [0.80, 0.81], lr=lr)
        write_arm(tmp_path, "nn", accs, lr=lr)
    assert interactions_table(compare(runs_dir=tmp_path)) is None
    compared = compare(runs_dir=tmp_path, interaction=("variant", "lr"))
    table = interactions_table(compared)
    assert table is not None and of_study(table, compared) in comparison_tables(compared)
    (row,) = table.rows
    assert list(row[:5]) == [
        "(nn,lr=0.5 − none,lr=0.5) − (nn,lr=0.1 − none,lr=0.1)",
        "2",
        "+5.00",
        "+1.50",
        "+3.50",
    ]
    assert len(row) == len(table.headers)


def test_differences_show_the_interval_over_seeds_and_images_or_that_it_is_not_kept(tmp_path: Path) -> None:
    for variant, acc in (("none", 0.8), ("nn", 0.82), ("scratch", 0.84)):
        for seed, run in enumerate(write_arm(tmp_path, variant, [acc, acc + 0.02])):
            if variant != "scratch":
                write_predictions(run, 2, correct=acc, seed=seed)
    table = differences_table(compare("dropout", tmp_path))
    assert table is not None and table.headers[4] == "over seeds\nand images"
    assert "over seeds and images: the same for new seeds and new test images." in table.legend
    assert "p: two-sided sign-flip test, Holm-adjusted" in table.legend  # above 20 pairs it is not exact
    assert "the smallest margin for which this many pairs have 80 % power to detect" in table.legend
    cells = {row[0]: row[4] for row in table.rows}
    assert cells["nn - none"].startswith("[") and cells["scratch - none"] == "not kept"
    other = differences_table(compare("dropout", tmp_path, metric="train_acc"))
    assert other is not None and other.headers[4] == "p" and "images" not in other.legend


def test_the_legend_of_several_differences_names_what_the_verdict_is_by(tmp_path: Path) -> None:
    why = "not adjusted for the number of rows; the verdict uses the p-values, which are adjusted"
    for variant in ("none", "nn"):
        write_arm(tmp_path, variant, [0.80, 0.81])
    one = differences_table(compare("dropout", tmp_path))
    write_arm(tmp_path, "scratch", [0.80, 0.81])
    several = differences_table(compare("dropout", tmp_path))
    assert one is not None and why not in one.legend
    assert several is not None and why in several.legend


def test_rounding_never_moves_p_across_five_percent() -> None:
    cells = [p_cell(p) for p in (0.04996, 0.04994, 0.05, 0.050004, 0.00009, 0.00012, 1.0, math.nan)]
    assert cells == ["0.04996", "0.0499", "0.0500", "0.0500", "<.0001", "0.0001", "1.0000", "-"]


def test_a_figure_that_is_rounded_to_zero_has_no_minus_sign() -> None:
    assert interval_cell(-0.00001, 0.0043, FRACTION, "+") == "[+0.00, +0.43]"
    assert figure_cell(-0.00001, POINTS) == "0.00"
    assert figure_cell(-0.0, NUMBER) == "0"
