"""Format tables as Markdown.

tabulate does not escape `|` and breaks a row at a header's line break.
"""

from __future__ import annotations

from collections.abc import Sequence

from dropexp.report.table import Table


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
