"""Tables as Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_run

from dropexp.analysis.comparison import compare
from dropexp.analysis.headlines import Headline
from dropexp.report.formats.markdown import markdown
from dropexp.report.tables.comparison import comparison_tables
from dropexp.report.tables.table import Table


def test_markdown_has_a_header_and_a_row_per_arm(study: Path) -> None:
    comparison = compare(runs_dir=study)
    text = markdown(comparison_tables(comparison), comparison.headlines, comparison.notes)
    headline, _, table, *_ = text.split("\n\n")
    assert headline.replace("`", "") == str(comparison.headlines[0])
    header, alignment, *rows = table.splitlines()
    assert header.startswith("| arm | n | test accuracy, % | train accuracy, % |")
    assert alignment.startswith("| --- | ---: |")
    assert [row.split(" | ")[0] for row in rows] == ["| none", "| nn", "| scratch"]
    assert len({line.count("|") for line in (header, alignment, *rows)}) == 1
    assert "| 84.00 ± 3.00 |" in rows[1]
    assert "- nn: seed 3 diverged" in text


def test_the_command_of_a_headline_is_code() -> None:
    assert markdown([], [Headline("open_, plan it", "dropexp train -c 'a_b*.yaml' --set name=x_1")]) == (
        "open\\_, plan it: `dropexp train -c 'a_b*.yaml' --set name=x_1`"
    )
    assert markdown([], [Headline("a", "dropexp train -c '`b`'")]) == "a: ``dropexp train -c '`b`'``"


def test_markdown_escapes_bars_tags_and_backslashes(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="a|b<script>")
    assert "| a\\|b&lt;script> |" in markdown(comparison_tables(compare(runs_dir=tmp_path)))
    assert markdown([Table("", ["a"], [["\\|"]])]) == "| a |\n| --- |\n| \\\\\\| |"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("[x](https://example.org)", "[x\\](https://example.org)"),
        ("![x](a.png)", "![x\\](a.png)"),
        ("[x][y], [x]: y", "[x\\][y], [x\\]: y"),
        ("*a* `b` ~~c~~ $d$", "\\*a\\* \\`b\\` \\~\\~c\\~\\~ \\$d\\$"),
        ("_a_ __b__", "\\_a\\_ \\_\\_b\\_\\_"),
        ("# a", "\\# a"),
        ("a\r\nb", "a b"),
        ("a &lt; b & c", "a &amp;lt; b & c"),
    ],
)
def test_no_text_is_markup(text: str, escaped: str) -> None:
    table = Table(text, [text], [[text]], about=text)
    for line in markdown([table], [Headline(text)], [text]).splitlines():
        assert not line.strip("|-:* ") or escaped in line


@pytest.mark.parametrize("text", ["nn,drop_probs=[0.2, 0.5] - none", "[-0.48, +4.48]", "a#2 (b)!", "80.00 ± 3.00 %"])
def test_figures_and_names_stay_as_they_are(text: str) -> None:
    assert markdown([Table("", ["a"], [[text]])]).endswith(f"| {text} |")
