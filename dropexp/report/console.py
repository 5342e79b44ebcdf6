"""Print tables with Rich: a pipe gets their natural width, and a terminal what fits into its width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from dropexp.errors import printable
from dropexp.program import command_line
from dropexp.report.shorten import distinct
from dropexp.report.table import Table

MIN_FOLD = 12  # columns of the terminal; a longer word is folded to this width at least
MIN_PATH = 24  # columns of the terminal; a path is cut to this width at least
MAX_FOLDED_ROWS = 1000  # folding takes a millisecond per row
GAP = "  "  # between columns
COMMAND = ": dropexp "  # between a headline and the command that it ends in


def show(tables: Iterable[Table], console: Console, headlines: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
    """Print headlines, tables, each with its title and legend, then notes."""
    width = console.width if console.file.isatty() else None  # FORCE_COLOR makes no terminal of a pipe
    for headline in headlines:
        _show_headline(printable(headline), console, width)
    if headlines:
        console.print()
    for table in tables:
        _show_table(table, console, width)
    for note in notes:
        console.print(Text(printable(f"note: {note}")), soft_wrap=width is None)


def _show_headline(headline: str, console: Console, width: int | None) -> None:
    """Print a headline. The command that it may end in can be copied; on a terminal it is a line of its own."""
    sentence, _, arguments = headline.partition(COMMAND)
    if not arguments:
        console.print(Text(headline), soft_wrap=width is None)
        return
    command = f"{command_line()} {arguments}"  # a saved report or json names no path of this machine
    if width is None:
        console.print(Text(f"{sentence}: {command}"), soft_wrap=True)
    else:
        console.print(Text(f"{sentence}:"))
        console.print(Text(command), soft_wrap=True)


def _show_table(table: Table, console: Console, width: int | None) -> None:
    table = replace(table, title=printable(table.title), rows=[[*map(printable, row)] for row in table.rows])
    soft_wrap = width is None
    if table.title:
        console.print(Text(table.title, style="bold"), soft_wrap=soft_wrap)
    lines, left_out = (_natural(table), []) if width is None else _layout(table, width)
    console.out("\n".join(line.rstrip() if soft_wrap else line for line in lines), highlight=False)
    if left_out:
        names = ", ".join(" ".join(header.split()) for header in left_out)
        console.print(Text(f"A wider terminal also shows: {names}.", style="dim"))
    if table.legend:
        console.print(Text(printable(table.legend), style="dim"), soft_wrap=soft_wrap)
    console.print()


def _layout(table: Table, width: int) -> tuple[list[str], Sequence[str]]:
    """Return the lines that fit into `width`, and the headers of the columns that are left out for it.

    Paths are cut first, then words folded, then secondary columns left out; if that is not enough, each cell is a line.
    """
    widths = _widths(table)
    for count in range(len(table.secondary) + 1):
        left_out = [header for header in table.secondary[:count] if header in table.headers]
        kept = [i for i, header in enumerate(table.headers) if header not in left_out]
        excess = sum(widths[i] for i in kept) + len(GAP) * (len(kept) - 1) - width
        short = {i: max(MIN_PATH, widths[i] - excess) for i in table.paths if i in kept and widths[i] > MIN_PATH}
        if excess <= sum(widths[i] - short[i] for i in short):
            return _natural(_with_short_paths(table, short if excess > 0 else {}).without(left_out)), left_out
        if len(table.rows) <= MAX_FOLDED_ROWS:
            smaller = _with_short_paths(table, short).without(left_out)
            if folded := _folded(smaller, width):
                return folded, left_out
    return _cell_per_line(table), []


def _widths(table: Table) -> list[int]:
    return [max(map(cell_len, _lines(table, i))) for i in range(len(table.headers))]


def _lines(table: Table, i: int) -> list[str]:
    """Return every line of the cells in column `i`, the header's too."""
    return [line for cell in (table.headers[i], *(row[i] for row in table.rows)) for line in cell.split("\n")]


def _with_short_paths(table: Table, widths: Mapping[int, int]) -> Table:
    """Return the table with the paths of these columns cut in the middle to these widths."""
    columns = [[row[i] for row in table.rows] for i in range(len(table.headers))]
    for i, width in widths.items():
        columns[i] = distinct(columns[i], width)
    return replace(table, rows=list(zip(*columns, strict=True)))


def _natural(table: Table) -> list[str]:
    widths = _widths(table)

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


def _folded(table: Table, width: int) -> list[str]:
    """Return the lines of a table in which only words fold; none if they do not fit into `width`."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), width=width)
    min_widths = []
    for i, header in enumerate(table.headers):
        lines = _lines(table, i)
        folds = i in table.fold
        longest_word = max(cell_len(word) for line in lines for word in line.split() or [""])
        min_widths.append(min(MIN_FOLD, longest_word) if folds else max(map(cell_len, lines)))
        grid.add_column(
            Text(header),
            justify="left" if i in table.left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min_widths[-1],
        )
    if sum(min_widths) + len(GAP) * (len(min_widths) - 1) > width:
        return []
    for row in table.rows:
        grid.add_row(*map(Text, row))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(grid, crop=False)
    return capture.get().splitlines()
