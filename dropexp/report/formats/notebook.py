"""Tables as a piece of HTML, for a notebook's output."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from dropexp.errors import printable
from dropexp.report.tables.table import Table

if TYPE_CHECKING:
    from dropexp.analysis.headlines import Headline


def html(tables: Sequence[Table], headlines: Sequence[Headline] = (), notes: Sequence[str] = ()) -> str:
    """Return headlines, the tables with titles and legends, then the notes. The notebook's own styles apply."""
    blocks = [f"<p>{_text(str(headline))}</p>" for headline in headlines]
    blocks += [_table(table) for table in tables]
    if notes:
        blocks.append(f"<ul>{''.join(f'<li>{_text(note)}</li>' for note in notes)}</ul>")
    return "\n".join(blocks)


def _table(table: Table) -> str:
    header = "".join(_cell("th", i, text, table) for i, text in enumerate(table.headers))
    rows = ("".join(_cell("td", i, text, table) for i, text in enumerate(row)) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    caption = f"<p><strong>{_text(table.title)}</strong></p>" if table.title else ""
    legend = f"<p><small>{_text(table.legend)}</small></p>" if table.legend else ""
    return f"{caption}<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>{legend}"


def _cell(tag: str, column: int, text: str, table: Table) -> str:
    align = "left" if column in table.left else "right"
    return f'<{tag} style="text-align: {align}">{_text(text)}</{tag}>'


def _text(text: str) -> str:
    return escape(printable(text)).replace("\n", " ")
