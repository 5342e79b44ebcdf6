"""Tables on a console, with Rich: a terminal folds words, a pipe gets the natural width."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from dropexp.comparison import Comparison
from dropexp.tables import Table, of

FOLD_WIDTH = 12  # a name is not folded into less


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables of a comparison, each with its legend, its findings and its notes."""
    show_tables(of(comparison), console)
    soft = not console.is_terminal
    for finding in comparison.findings:
        console.print(Text(finding), soft_wrap=soft)
    if comparison.findings and comparison.notes:
        console.print()
    for note in comparison.notes:
        console.print(Text(f"note: {note}"), soft_wrap=soft)


def show_tables(tables: Iterable[Table], console: Console) -> None:
    """Print tables, each with its title and legend."""
    for table in tables:
        _print(table, console)


def _print(table: Table, console: Console) -> None:
    """A pipe gets the natural width; a terminal folds words, and runs over rather than cut a figure."""
    drawn = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, header in enumerate(table.headers):
        cells = [row[i] for row in table.rows]
        words = [word for cell in [*cells, header] for word in cell.split()]
        lines = [line for cell in [*cells, header] for line in cell.split("\n")]
        folds = i in table.fold
        drawn.add_column(
            Text(header),
            justify="left" if i in table.left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min(FOLD_WIDTH, max(map(cell_len, words))) if folds else max(map(cell_len, lines)),
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    endless = console.options.update(width=100_000)
    drawn.width = console.measure(drawn, options=endless).maximum
    soft = not console.is_terminal
    if console.is_terminal:
        least = sum(column.min_width or 0 for column in drawn.columns) + 2 * (len(drawn.columns) - 1)
        drawn.width = max(least, min(drawn.width, console.width))
    if table.title:
        console.print(Text(table.title, style="bold"), soft_wrap=soft)
    with console.capture() as capture:
        console.print(drawn, crop=False)
    for line in capture.get().splitlines():
        console.out(line.rstrip() if soft else line, highlight=False)
    if table.legend:
        console.print(Text(table.legend, style="dim"), soft_wrap=soft)
    console.print()
