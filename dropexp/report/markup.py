"""Format tables as Markdown.

tabulate does not escape `|` and breaks a row at a header's line break.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dropexp.report.table import Table

# No more than what can be markup: figures and names such as drop_probs=[0.2, 0.5] stay readable as text.
_MARKUP = re.compile(r"[\\|*`~$]|](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|^#")
_ENTITY = re.compile(r"&(?=#?\w+;)")


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
    return f"**{_escape_markdown(table.title)}**\n\n{grid}\n\n{_escape_markdown(table.full_legend)}\n"


def _escape_markdown(cell: str) -> str:
    line = " ".join(re.split(r"[\r\n]+", cell)).lstrip()
    return _MARKUP.sub(r"\\\g<0>", _ENTITY.sub("&amp;", line)).replace("<", "&lt;")
