"""Format tables for LaTeX papers: booktabs, numbers in math mode, a label, and notes below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from dropexp.report.tables.cells import ABSENT
from dropexp.report.tables.table import Table

WIDTH = 84  # characters of \footnotesize that fit the text of an article, with two for each gap between columns
CURVES = ("by epoch",)  # headers of columns that are bars, which TeX's fonts lack
LONG = 40  # characters; a column of words with a longer cell becomes a paragraph column
HEAD = r"""% \usepackage{booktabs} gives better rules; without it the tables have plain ones
\providecommand{\toprule}{\hline}\providecommand{\midrule}{\hline}\providecommand{\bottomrule}{\hline}
"""
_NUMBERS = re.compile(r"[-+−<\[]*[\d.](?:[\d.,+\-−±<%\[\] ]|(?<=\d)e[+-](?=\d))*")  # also spreads, intervals, p-values
_POWER = re.compile(r"(\d)e([+-]\d+)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")  # TeX spaces a comma in math as in a list
_SYMBOLS = {
    "±": r"\pm",
    "×": r"\times",
    "−": "-",
    "·": r"\cdot",
    "≥": r"\ge",
    "≤": r"\le",
    "≠": r"\ne",
    "′": "'",
    "²": "^2",
    "ⁿ": "^n",
    "‖": r"\|",
    "←": r"\leftarrow",
    "√": r"\surd",
    "→": r"\rightarrow",
    "∞": r"\infty",
} | {
    letter: f"\\{name}"
    for letters, names in (
        ("αβγδεζηθικλμνξ", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"),
        ("πρςστυφχψω", "pi rho varsigma sigma tau upsilon varphi chi psi omega"),
        ("ΓΔΘΛΞΠΣΥΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"),
    )
    for letter, name in zip(letters, names.split(), strict=True)
}
# What pdflatex cannot set in a plain article: these Latin letters, and all but other Latin letters and punctuation.
_FOREIGN = re.compile(r"[«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ]|[^\x00-\u017f‐-―‘’“”†‡•…‰€™]")
TEXT = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": "--",
        "…": r"\dots{}",
        "\n": " ",
    }
    | {character: f"${command}$" for character, command in _SYMBOLS.items()}
)
MATH = str.maketrans({"±": r"\pm", "−": "-", "%": r"\%"})


def latex(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return the tables, without curves, for the body of a paper; remarks become comments."""
    body = [_table(table) for table in tables]
    foreign = note_on_characters("\n".join(body))
    blocks = [*([f"% {foreign}"] if foreign else []), HEAD, *body]
    blocks += ["% " + " ".join(remark.split()) for remark in remarks]
    return "\n".join(blocks).rstrip()


def note_on_characters(text: str) -> str | None:
    """Return a note if this LaTeX has characters that stop pdflatex, outside of comments."""
    characters = list(dict.fromkeys(_FOREIGN.findall(re.sub("(?m)^%.*", "", text))))
    if not characters:
        return None
    shown = " ".join(characters[:10]) + (f" and {len(characters) - 10} more" if len(characters) > 10 else "")
    remedy = "compile with xelatex or lualatex and a font that has them, or name the arms with `labels:` in the config"
    return f"pdflatex cannot set {shown}: {remedy}"


def _table(table: Table) -> str:
    table, left_out = _fitted(table.without(CURVES))
    headers = [header.split("\n") for header in table.headers]
    height = max(map(len, headers))
    lines = zip(*([""] * (height - len(header)) + header for header in headers), strict=True)
    rows = [[_cell(cell, is_text=i in table.left) for i, cell in enumerate(row)] for row in table.rows]
    notes = _text(table.legend)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            *([rf"\caption{{{_text(table.title)}}}", rf"\label{{{_label(table)}}}"] if table.title else []),
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{@{{}}{_alignment(table)}@{{}}}}",
            r"\toprule",
            *(" & ".join(map(_text, line)) + r" \\" for line in lines),
            r"\midrule",
            *(_row(row) for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            *([rf"\par\smallskip\parbox{{\linewidth}}{{{notes}}}"] if notes else []),
            r"\end{table}",
            *([f"% left out, to fit the page: {', '.join(left_out)}"] if left_out else []),
            "",
        ]
    )


def _label(table: Table) -> str:
    """Return the label, such as "tab:dropout-settings-that-differ", of letters, digits and hyphens.

    A name of a study with letters of other alphabets is followed by a part of its hash, as those letters are left out.
    """
    study, title = (re.sub("[^A-Za-z0-9]+", "-", text).strip("-") for text in (table.study, table.title.lower()))
    if not table.study.isascii():
        study = f"{study}-{sha256(table.study.encode()).hexdigest()[:6]}".strip("-")
    return f"tab:{'-'.join(filter(None, (study, title)))}"


def _fitted(table: Table) -> tuple[Table, list[str]]:
    """Return the table without the secondary columns that do not fit a page, and their names."""
    left_out = []
    for name in table.secondary:
        if sum(_width(table, i) + 2 for i in range(len(table.headers))) <= WIDTH:
            break
        table = table.without([name])
        left_out.append(name.replace("\n", " "))
    return table, left_out


def _width(table: Table, i: int) -> int:
    cells = [*table.headers[i].split("\n"), *(row[i] for row in table.rows)]
    return min(LONG, max(map(len, cells))) if i in table.fold else max(map(len, cells))


def _alignment(table: Table) -> str:
    """Return the column specification: paragraph columns for long text share the width that the others leave."""
    columns = range(len(table.headers))
    paragraphs = [i for i in columns if i in table.fold and any(len(row[i]) > LONG for row in table.rows)]
    others = sum(_width(table, i) + 2 for i in columns if i not in paragraphs)
    share = max(0.2, (WIDTH - others) / WIDTH / max(1, len(paragraphs)))
    paragraph = rf"p{{{min(0.8, share):.2f}\linewidth}}"
    return "".join(paragraph if i in paragraphs else "l" if i in table.left else "r" for i in columns)


def _row(cells: Sequence[str]) -> str:
    first = f"{{}}{cells[0]}" if cells[0][:1] in ("[", "*") else cells[0]  # otherwise an option of the \\ before it
    return " & ".join([first, *cells[1:]]) + r" \\"


def _cell(cell: str, *, is_text: bool) -> str:
    if cell == ABSENT:
        return "--"
    if is_text or not _NUMBERS.fullmatch(cell):
        return _text(cell)
    return f"${_THOUSANDS.sub('{,}', _POWER.sub(_power, cell)).translate(MATH)}$"


def _power(found: re.Match[str]) -> str:
    return rf"{found[1]}\cdot10^{{{int(found[2])}}}"


def _text(text: str) -> str:
    """Escape words; a hyphen between spaces is a minus sign."""
    return "-{}-".join(part.translate(TEXT) for part in text.split("--")).replace(" - ", " $-$ ")
