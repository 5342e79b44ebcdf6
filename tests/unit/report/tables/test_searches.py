"""Tables of searches."""

from __future__ import annotations

from pathlib import Path

from helpers.tuned import write_tuned

from dropexp.analysis.comparison import compare
from dropexp.report.tables.searches import tuning_table


def test_a_selected_list_is_shown_as_the_median_of_each_entry(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    compared = compare("tuned", tmp_path / "runs")
    table = tuning_table(compared)
    assert table is not None and table.headers[-1] == "drop_probs"
    values = compared.tuning.selected["drop_probs"].dropna()
    medians = [f"{sum(entries) / 2:.4g}" for entries in zip(*values, strict=True)]  # of two repeats
    assert [row[-1] for row in table.rows] == ["-", ", ".join(medians)]
