"""Tables as Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

from helpers.fake_runs import write_arm, write_run

from dropexp.analysis.comparison import compare
from dropexp.report.cells import BARS
from dropexp.report.comparison_tables import comparison_tables
from dropexp.report.markup import latex, markdown
from dropexp.report.table import Table


def test_markdown_has_a_header_and_a_row_per_arm(study: Path) -> None:
    comparison = compare(runs_dir=study)
    text = markdown(comparison_tables(comparison), comparison.headlines, comparison.notes)
    headline, _, table, *_ = text.split("\n\n")
    assert headline == comparison.headlines[0]
    header, alignment, *rows = table.splitlines()
    assert header.startswith("| arm | n | test accuracy, % | train accuracy, % |")
    assert alignment.startswith("| --- | ---: |")
    assert [row.split(" | ")[0] for row in rows] == ["| none", "| nn", "| scratch"]
    assert len({line.count("|") for line in (header, alignment, *rows)}) == 1
    assert "| 84.00 ± 3.00 |" in rows[1]
    assert "- nn: seed 3 diverged" in text


def test_markdown_escapes_bars_tags_and_backslashes(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="a|b<script>")
    assert "| a\\|b&lt;script> |" in markdown(comparison_tables(compare(runs_dir=tmp_path)))
    assert markdown([Table("", ["a"], [["\\|"]])]) == "| a |\n| --- |\n| \\\\\\| |"


def test_latex_has_booktabs_rows_and_no_bars(study: Path) -> None:
    write_arm(study, "nn", [0.8], arm="50% & more_", lr=0.1)
    comparison = compare(runs_dir=study)
    text = latex(comparison_tables(comparison), comparison.notes)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert r"50\% \& more\_ & 1 & 80.00" in text
    assert r"84.00 $\pm$ 3.00" in text
    assert "% nn: seed 3 diverged" in text
    assert not set(text) & set(BARS)


def test_latex_breaks_the_lines_of_long_words_only() -> None:
    table = Table("", ["name", "why", "n"], [["a", "word " * 10, "1"]], fold=(0, 1), left=(0, 1))
    assert r"\begin{tabular}{lp{0.80\linewidth}r}" in latex([table])
