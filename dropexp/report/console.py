"""Tables on a console, with Rich: a terminal folds words, a pipe gets the natural width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from dropexp.analysis.comparison import Comparison
from dropexp.errors import printable
from dropexp.report.tables import Table, of

FOLD_WIDTH = 12  # a name is not folded into less
LONG = 1000  # rows; folding takes a millisecond each


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables of a comparison, each with its legend, its findings and its notes."""
    show_tables(of(comparison), console)
    soft = not console.is_terminal
    for finding in comparison.findings:
        console.print(Text(finding), soft_wrap=soft)
    if comparison.findings and comparison.notes:
        console.print()
    for note in comparison.notes:
        console.print(Text(printable(f"note: {note}")), soft_wrap=soft)


def show_tables(tables: Iterable[Table], console: Console) -> None:
    """Print tables, each with its title and legend."""
    for table in tables:
        _print(table, console)


def _print(table: Table, console: Console) -> None:
    """A pipe gets the natural width, and so does a long listing; a terminal that is narrower folds words."""
    table = replace(table, title=printable(table.title), rows=[[*map(printable, row)] for row in table.rows])
    widths = [max(map(cell_len, _lines(table, i))) for i in range(len(table.headers))]
    soft = not console.is_terminal
    if table.title:
        console.print(Text(table.title, style="bold"), soft_wrap=soft)
    if soft or len(table.rows) > LONG or sum(widths) + 2 * (len(widths) - 1) <= console.width:
        lines = _natural(table, widths)
    elif (grid := _folded(table)).width is not None and grid.width > console.width:
        lines = _listed(table)
    else:
        grid.width = console.width
        with console.capture() as capture:
            console.print(grid, crop=False)
        lines = capture.get().splitlines()
    console.out("\n".join(line.rstrip() if soft else line for line in lines), highlight=False)
    if table.legend:
        console.print(Text(table.legend, style="dim"), soft_wrap=soft)
    console.print()


def _lines(table: Table, i: int) -> list[str]:
    """What stands in a column, line by line."""
    return [line for cell in (table.headers[i], *(row[i] for row in table.rows)) for line in cell.split("\n")]


def _natural(table: Table, widths: list[int]) -> list[str]:
    def laid(cells: Sequence[str]) -> str:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        padded = [c + b if i in table.left else b + c for i, (c, b) in enumerate(zip(cells, blanks, strict=True))]
        return "  ".join(padded)

    headers = [header.split("\n") for header in table.headers]
    height = max(map(len, headers))
    heads = zip(*([""] * (height - len(header)) + header for header in headers), strict=True)
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return [*map(laid, heads), rule, *map(laid, table.rows)]


def _listed(table: Table) -> list[str]:
    """A line per cell, where no line can hold a row."""
    headers = [header.replace("\n", " ") for header in table.headers]
    named = [list(zip(headers, row, strict=True)) for row in table.rows]
    return [line for (_, name), *cells in named for line in (name, *(f"  {h}: {cell}" for h, cell in cells))]


def _folded(table: Table) -> Grid:
    """As narrow as it can be: words fold, figures do not."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, header in enumerate(table.headers):
        lines = _lines(table, i)
        folds = i in table.fold
        words = [word for line in lines for word in line.split()]
        grid.add_column(
            Text(header),
            justify="left" if i in table.left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min(FOLD_WIDTH, max(map(cell_len, words))) if folds else max(map(cell_len, lines)),
        )
    for row in table.rows:
        grid.add_row(*map(Text, row))
    grid.width = sum(column.min_width or 0 for column in grid.columns) + 2 * (len(grid.columns) - 1)
    return grid
