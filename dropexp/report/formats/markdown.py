"""Format tables as Markdown.

The package tabulate is not used: it does not escape `|`, and breaks a row at a header's line break.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dropexp.report.tables.table import Table

if TYPE_CHECKING:
    from dropexp.analysis.headlines import Headline

# No more than what can be markup: figures and names such as drop_probs=[0.2, 0.5] stay readable as text.
_MARKUP = re.compile(r"[\\|*`~$]|](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|^#")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def markdown(tables: Sequence[Table], headlines: Sequence[Headline] = (), notes: Sequence[str] = ()) -> str:
    """Return headlines, the tables with titles and legends, then the notes as a list, in GitHub's Markdown."""
    blocks = [f"{_headline(headline)}\n" for headline in headlines]
    blocks += [_markdown_table(table) for table in tables]
    blocks += [f"- {_escape_markdown(note)}" for note in notes]
    return "\n".join(blocks).rstrip()


def _headline(headline: Headline) -> str:
    """Return a headline with the command that it may end in as code."""
    sentence, command = _escape_markdown(headline.sentence), _one_line(headline.command)
    if not command:
        return sentence
    fence = "`" * (1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{sentence}: {fence}{command}{fence}"


def _markdown_table(table: Table) -> str:
    alignment = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    rows = [table.headers, alignment, *table.rows]
    grid = "\n".join("| " + " | ".join(map(_escape_markdown, row)) + " |" for row in rows)
    if not table.title:
        return grid
    return f"**{_escape_markdown(table.title)}**\n\n{grid}\n\n{_escape_markdown(table.legend)}\n"


def _escape_markdown(cell: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", _ENTITY.sub("&amp;", _one_line(cell).lstrip())).replace("<", "&lt;")


def _one_line(text: str) -> str:
    return " ".join(re.split(r"[\r\n]+", text))
