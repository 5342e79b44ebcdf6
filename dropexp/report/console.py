"""Print tables with Rich: a pipe gets their natural width, a narrow terminal folds words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from dropexp.errors import printable
from dropexp.report.table import Table

MIN_FOLD = 12  # columns of the terminal; a longer word is folded to this width at least
MAX_FOLDED_ROWS = 1000  # folding takes a millisecond per row
GAP = "  "  # between columns
COMMAND = ": dropexp "  # between a headline and the command that it ends in


def show(tables: Iterable[Table], console: Console, headlines: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
    """Print headlines, tables, each with its title and legend, then notes."""
    soft_wrap = not console.is_terminal
    for headline in headlines:
        _show_headline(printable(headline), console)
    if headlines:
        console.print()
    for table in tables:
        _show_table(table, console)
    for note in notes:
        console.print(Text(printable(f"note: {note}")), soft_wrap=soft_wrap)


def _show_headline(headline: str, console: Console) -> None:
    """Print a headline. On a terminal, the command that it may end in is a line of its own, and can be copied."""
    sentence, start, command = headline.partition(COMMAND)
    if not console.is_terminal or not command:
        console.print(Text(headline), soft_wrap=not console.is_terminal)
    else:
        console.print(Text(f"{sentence}:"))
        console.print(Text(f"{start.removeprefix(': ')}{command}"), soft_wrap=True)


def _show_table(table: Table, console: Console) -> None:
    table = replace(table, title=printable(table.title), rows=[[*map(printable, row)] for row in table.rows])
    soft_wrap = not console.is_terminal
    if table.title:
        console.print(Text(table.title, style="bold"), soft_wrap=soft_wrap)
    lines = _layout(table, console)
    console.out("\n".join(line.rstrip() if soft_wrap else line for line in lines), highlight=False)
    if table.legend:
        console.print(Text(printable(table.legend), style="dim"), soft_wrap=soft_wrap)
    console.print()


def _layout(table: Table, console: Console) -> list[str]:
    """Return the table's lines: natural if they fit, else folded, else a line per cell."""
    widths = [max(map(cell_len, _lines(table, i))) for i in range(len(table.headers))]
    natural = sum(widths) + len(GAP) * (len(widths) - 1)
    if not console.is_terminal or len(table.rows) > MAX_FOLDED_ROWS or natural <= console.width:
        return _natural(table, widths)
    grid, min_width = _folded(table)
    if min_width > console.width:
        return _cell_per_line(table)
    grid.width = console.width
    with console.capture() as capture:
        console.print(grid, crop=False)
    return capture.get().splitlines()


def _lines(table: Table, i: int) -> list[str]:
    """Return every line of the cells in column `i`, the header's too."""
    return [line for cell in (table.headers[i], *(row[i] for row in table.rows)) for line in cell.split("\n")]


def _natural(table: Table, widths: Sequence[int]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        padded = []
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            padding = " " * (width - cell_len(cell))
            padded.append(cell + padding if i in table.left else padding + cell)
        return GAP.join(padded)

    headers = [header.split("\n") for header in table.headers]
    height = max(map(len, headers))
    header_lines = zip(*([""] * (height - len(header)) + header for header in headers), strict=True)
    rule = "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return [*map(line, header_lines), rule, *map(line, table.rows)]


def _cell_per_line(table: Table) -> list[str]:
    headers = [header.replace("\n", " ") for header in table.headers]
    lines = []
    for name, *cells in table.rows:
        lines.append(name)
        lines += [f"{GAP}{header}: {cell}" for header, cell in zip(headers[1:], cells, strict=True)]
    return lines


def _folded(table: Table) -> tuple[Grid, int]:
    """Return a Rich table in which only words fold, and the least width that it needs."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    min_widths = []
    for i, header in enumerate(table.headers):
        lines = _lines(table, i)
        folds = i in table.fold
        longest_word = max(cell_len(word) for line in lines for word in line.split())
        min_widths.append(min(MIN_FOLD, longest_word) if folds else max(map(cell_len, lines)))
        grid.add_column(
            Text(header),
            justify="left" if i in table.left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min_widths[-1],
        )
    for row in table.rows:
        grid.add_row(*map(Text, row))
    return grid, sum(min_widths) + len(GAP) * (len(min_widths) - 1)
