"""Tables as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from dropexp.errors import printable
from dropexp.report.tables import Table


def markdown(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Tables with titles and legends, and remarks as a list, for GitHub."""
    blocks = [_markdown(table) for table in tables]
    return "\n".join([*blocks, *(f"- {_escaped(remark)}" for remark in remarks)]).rstrip()


def _markdown(table: Table) -> str:
    marks = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    lines = [[header.replace("\n", " ") for header in table.headers], marks, *table.rows]
    grid = "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)
    return f"**{_escaped(table.title)}**\n\n{grid}\n\n{table.legend}\n" if table.title else grid


def _escaped(cell: str) -> str:
    return printable(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"},
        **{">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "…": r"\dots{}"},
        **{"±": r"$\pm$", "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "≥": r"$\ge$", "≤": r"$\le$", "≠": r"$\ne$"},
        **{"′": r"$'$", "²": "$^2$", "ⁿ": "$^n$", "‖": r"$\|$", "←": r"$\leftarrow$", "√": r"$\surd$"},
        **{"η": r"$\eta$", "λ": r"$\lambda$", "Λ": r"$\Lambda$", "ξ": r"$\xi$"},
    }
)
LONG = 40  # characters that a column of words may have before its lines are broken


def latex(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Tables for a LaTeX document with the package booktabs; bars by epoch are left out, remarks are comments."""
    return "\n".join([*map(_latex, tables), *("% " + " ".join(remark.split()) for remark in remarks)]).rstrip()


def _latex(table: Table) -> str:
    shown = [i for i, header in enumerate(table.headers) if header != "by epoch"]
    lines = [[line[i].replace("\n", " ").translate(_LATEX) for i in shown] for line in (table.headers, *table.rows)]
    head, *body = [" & ".join(line) + r" \\" for line in lines]
    long = [i for i in shown if i in table.fold and any(len(row[i]) > LONG for row in table.rows)]
    columns = "".join(
        rf"p{{{0.8 / len(long):.2f}\linewidth}}" if i in long else "l" if i in table.left else "r" for i in shown
    )
    caption = _in_latex(table.title)
    return "\n".join(
        [
            *(r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}"),
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""),
        ]
    )


def _in_latex(cell: str) -> str:
    return cell.replace("\n", " ").translate(_LATEX)
