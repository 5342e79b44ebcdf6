"""Tables as LaTeX; `make test-latex` compiles them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.fake_runs import write_arm

from dropexp.analysis.comparison import compare
from dropexp.analysis.listing import load_runs
from dropexp.report.formats.latex import WIDTH, latex, note_on_characters
from dropexp.report.tables.cells import BARS
from dropexp.report.tables.comparison import comparison_tables
from dropexp.report.tables.listing import runs_table
from dropexp.report.tables.table import Table


def test_latex_has_booktabs_labels_notes_and_numbers_in_math_mode(study: Path) -> None:
    write_arm(study, "nn", [0.8], arm="50% & more_", lr=0.1)
    comparison = compare(runs_dir=study)
    text = latex(comparison_tables(comparison), comparison.notes)
    assert text.count("\\toprule\n") == text.count("\\bottomrule\n") == 3
    assert r"50\% \& more\_ & $1$ & $80.00$" in text
    assert r"& $84.00 \pm 3.00$ & $87.00$ & $+3.00$ &" in text
    assert r"nn $-$ none & $3$ & $+2.00$ & $[-0.48, +4.48]$ &" in text
    assert r"\label{tab:dropout-arms-test-accuracy-after-2-epochs}" in text
    assert r"\parbox{\linewidth}{n: runs, one per seed. $\pm$: sample SD" in text
    assert "% nn: seed 3 diverged" in text
    assert not set(text) & set(BARS)


def test_labels_of_the_tables_of_a_study_have_its_name(tmp_path: Path) -> None:
    for name in ("a_study.1", "A2"):
        write_arm(tmp_path, "nn", [0.8, 0.81], name=name)
    labels = [rf"\label{{tab:{name}arms-test-accuracy-after-2-epochs}}" for name in ("a-study-1-", "A2-", "")]
    for names, label in zip((["a_study.1"], ["A2"], []), labels, strict=True):
        assert label in latex(comparison_tables(compare(names, tmp_path)))


def test_labels_of_studies_named_in_another_alphabet_differ() -> None:
    labels = {re.findall(r"\\label{(.*?)}", latex([Table("T", ["a"], [["b"]], study=name)]))[0] for name in "äö"}
    assert len(labels) == 2 and all(re.fullmatch(r"tab:[0-9a-f]{6}-t", label) for label in labels)


def test_unknown_figures_powers_and_words_are_not_numbers() -> None:
    rows = [["a", "-", "1.5e+38", "not kept"], ["b", "<.0001", "[-1e-05, +2]", "2, 1 diverged"]]
    text = latex([Table("", ["name", "p", "loss", "kept"], rows)])
    assert r"a & -- & $1.5\cdot10^{38}$ & not kept \\" in text
    assert r"b & $<.0001$ & $[-1\cdot10^{-5}, +2]$ & 2, 1 diverged \\" in text


def test_hashes_are_not_numbers() -> None:
    text = latex([Table("", ["name", "hash"], [["a", "402e016e"], ["b", "40260e16"], ["c", "1e5"]])])
    assert "$" not in text.split("midrule\n")[-1]


def test_the_hashes_of_a_listing_are_text(study: Path) -> None:
    table = runs_table(load_runs(runs_dir=study))
    assert table.headers.index("hash") in table.left


@pytest.mark.parametrize("name", ["中文", "нет", "ą", "a\u0301\u0302"])
def test_names_that_stop_pdflatex_are_noted_in_a_comment(name: str) -> None:
    text = latex([Table("", ["arm"], [["none"], [name]])], [f"a remark on {name}"])
    assert text.startswith("% pdflatex cannot set ") and "compile with xelatex or lualatex" in text.splitlines()[0]
    assert note_on_characters(text) == text.splitlines()[0].removeprefix("% ")


def test_latin_letters_and_symbols_need_no_note() -> None:
    text = latex([Table("", ["arm"], [["Ünï–ŝö “ß” … α ± √2"]])], ["a remark on 中文"])
    assert "pdflatex" not in text and note_on_characters(text) is None


def test_thousands_are_not_spaced_as_a_list() -> None:
    text = latex([Table("", ["name", "images", "interval"], [["1,000 images", "1,234,000", "[-1, +2]"]])])
    assert r"1,000 images & $1{,}234{,}000$ & $[-1, +2]$ \\" in text


def test_a_listing_without_a_title_has_no_caption_and_no_label() -> None:
    assert r"\caption" not in (text := latex([Table("", ["a"], [["b"]])])) and r"\label" not in text
    assert "\\caption{A title}\n\\label{tab:a-title}\n" in latex([Table("A title", ["a"], [["b"]])])


def test_a_row_that_begins_with_a_bracket_is_not_an_option_of_the_row_before() -> None:
    text = latex([Table("", ["drop_probs"], [["[0.2, 0.5]"]])])
    assert "\n{}[0.2, 0.5] \\\\\n" in text
    assert r"\parbox" not in text


def test_greek_letters_are_in_math_mode() -> None:
    text = latex([Table("", ["arm"], [["α = 0.5, Σν"]])])
    assert r"$\alpha$ = 0.5, $\Sigma$$\nu$ \\" in text


def test_options_in_a_legend_keep_both_hyphens() -> None:
    assert "{-{}-at best-val judges}" in latex([Table("", ["a"], [["b"]], about="--at best-val judges")])


def test_a_wide_table_leaves_out_its_secondary_columns() -> None:
    headers = ["arm", *(f"column {i} of a wide table" for i in range(9))]
    table = Table("Wide", headers, [["nn", *["0.1"] * 9]], secondary=headers[9:0:-1])
    text = latex([table])
    assert sum(len(header) + 2 for header in headers) > WIDTH
    assert "% left out, to fit the page: column 8 of a wide table, column 7" in text
    assert "column 0 of a wide table" in text.split("% left out")[0]


def test_latex_breaks_the_lines_of_long_words_only() -> None:
    table = Table("", ["name", "why", "n"], [["a", "word " * 10, "1"]], fold=(0, 1), left=(0, 1))
    assert r"\begin{tabular}{@{}lp{0.80\linewidth}r@{}}" in latex([table])
