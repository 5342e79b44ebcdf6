"""Papers with our tables compile. Not part of the suite: `make test-latex` installs TeX Live and runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.fake_runs import publish, write_arm, write_predictions
from helpers.studies import write_realistic_study, write_sweeps

from dropexp.analysis.comparison import compare
from dropexp.report.formats.latex import latex, note_on_characters
from dropexp.report.tables.comparison import comparison_tables

PAPER = r"""\documentclass{article}
%s
\begin{document}
Table~\ref{%s} has the arms.
%s
\end{document}
"""

WITHOUT_NOTE = "¡¿§¶°¢£¥© ®µ×÷ßæœøå ÆŒØÅéèñçü őűőžšłŁā ĝıĳ‐–—‘’“” †‡•…‰€™"


def compiled(text: str, preamble: str, folder: Path) -> str:
    """Return the log of a paper with these tables, compiled twice; it must compile without an error."""
    label = re.search(r"\\label\{(.*?)\}", text)
    assert label
    (folder / "paper.tex").write_text(PAPER % (preamble, label[1], text), encoding="utf-8")
    program = shutil.which("pdflatex")
    assert program, "pdflatex is not on the PATH"
    for _ in range(2):
        command = [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "paper.log").read_text(encoding="latin-1")


@pytest.mark.parametrize("preamble", ["", r"\usepackage{booktabs}"], ids=["plain", "booktabs"])
@pytest.mark.parametrize("study", ["realistic", "sweeps", "odd"])
def test_the_tables_of_a_comparison_compile_and_fit_the_page(study: str, preamble: str, tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    match study:
        case "realistic":
            write_realistic_study(runs_dir)
            publish(runs_dir, arm="nn", source="a book", test_acc=[0.7, 0.8], loss=[0.9, 0.8])
            for run in write_arm(runs_dir, "scratch", [0.8, 0.81], lr=0.1):
                write_predictions(run, 2)
        case "sweeps":
            write_sweeps(runs_dir)
        case "odd":
            write_arm(runs_dir, "none", [0.8, 0.81])
            write_arm(runs_dir, "nn", [0.8, 0.81], arm=r"50% & more_\x{y}~^$#<>|αωΓΩ→", lr=0.1)
            write_arm(runs_dir, "nn", [0.8, 0.82], arm="a rather long name of an arm, " * 4, lr=0.2)
            write_arm(runs_dir, "nn", [0.8, 0.82], arm=WITHOUT_NOTE, lr=0.3)
    comparison = compare((), runs_dir, published=study == "realistic")
    log = compiled(latex(comparison_tables(comparison), comparison.notes), preamble, tmp_path)
    assert "undefined" not in log
    assert note_on_characters(WITHOUT_NOTE) is None
    assert [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(width) > 15] == []
