"""Format tables as Markdown and as LaTeX.

tabulate does not escape `|` and breaks a row at a header's line break; pandas does not escape `±`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dropexp.report.table import Table

LONG = 40  # characters; a column of words with a longer cell becomes a paragraph column in LaTeX
LATEX = str.maketrans(
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
    | {
        character: f"${command}$"
        for character, command in {
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
            "η": r"\eta",
            "λ": r"\lambda",
            "Λ": r"\Lambda",
            "ξ": r"\xi",
        }.items()
    }
)


def markdown(tables: Sequence[Table], headlines: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """Return headlines, the tables with titles and legends, then the notes as a list, in GitHub's Markdown."""
    blocks = [f"{_escape_markdown(headline)}\n" for headline in headlines]
    blocks += [_markdown_table(table) for table in tables]
    blocks += [f"- {_escape_markdown(note)}" for note in notes]
    return "\n".join(blocks).rstrip()


def _markdown_table(table: Table) -> str:
    alignment = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    rows = [table.headers, alignment, *table.rows]
    grid = "\n".join("| " + " | ".join(map(_escape_markdown, row)) + " |" for row in rows)
    if not table.title:
        return grid
    return f"**{_escape_markdown(table.title)}**\n\n{grid}\n\n{table.legend}\n"


def _escape_markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def latex(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return the tables for the LaTeX package booktabs, without curves and legends; remarks become comments."""
    blocks = [_latex_table(table) for table in tables]
    blocks += ["% " + " ".join(remark.split()) for remark in remarks]
    return "\n".join(blocks).rstrip()


def _latex_table(table: Table) -> str:
    shown = [i for i, header in enumerate(table.headers) if header != "by epoch"]
    header, *rows = (
        " & ".join(row[i].translate(LATEX) for i in shown) + r" \\" for row in (table.headers, *table.rows)
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{table.title.translate(LATEX)}}}",
            rf"\begin{{tabular}}{{{_latex_columns(table, shown)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_columns(table: Table, shown: Sequence[int]) -> str:
    paragraphs = [i for i in shown if i in table.fold and any(len(row[i]) > LONG for row in table.rows)]
    columns = ""
    for i in shown:
        if i in paragraphs:
            columns += rf"p{{{0.8 / len(paragraphs):.2f}\linewidth}}"
        else:
            columns += "l" if i in table.left else "r"
    return columns
