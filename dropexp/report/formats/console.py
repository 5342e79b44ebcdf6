"""Print tables with Rich: a pipe gets their natural width, and a terminal what fits into its width."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.text import Text

from dropexp.errors import printable
from dropexp.program import NAME, command_line
from dropexp.report.shorten import distinct, words, wrapped
from dropexp.report.tables.table import Table
from dropexp.terminal_encoding import cut_excess, encodable

if TYPE_CHECKING:
    from dropexp.analysis.headlines import Headline

MIN_FOLD = 20  # columns of the terminal; sentences are folded to this width at least
MIN_CUT = 12  # columns of the terminal; names are cut to this width at least
GAP = "  "  # between columns
Grid = list[Sequence[str]]  # headers, and rows of cells; a cell can have several lines


def show(
    tables: Iterable[Table], console: Console, headlines: Sequence[Headline] = (), notes: Sequence[str] = ()
) -> None:
    """Print headlines, tables, each with its title and legend, then notes."""
    width = console.width if console.file.isatty() else None  # FORCE_COLOR makes no terminal of a pipe
    with console:  # writes once, so that `| head` closes the pipe after the whole output, as in other formats
        for headline in headlines:
            _show_headline(headline, console, width)
        if headlines:
            console.print()
        for table in tables:
            _show_table(table, console, width)
        for note in notes:
            console.print(Text(_shown(f"note: {note}", console)), soft_wrap=width is None)


def _shown(text: str, console: Console) -> str:
    if text.isascii() and text.isprintable():  # most cells, and a second for 100,000 runs
        return text
    return encodable(printable(text).replace("\t", " "), console.encoding)


def _show_headline(headline: Headline, console: Console, width: int | None) -> None:
    """Print a headline. The command that it may end in can be copied; on a terminal it is a line of its own."""
    sentence = _shown(headline.sentence, console)
    if not headline.command:
        console.print(Text(sentence), soft_wrap=width is None)
        return
    command = _shown(command_line() + headline.command.removeprefix(NAME), console)
    if width is None:
        console.print(Text(f"{sentence}: {command}"), soft_wrap=True)
    else:
        console.print(Text(f"{sentence}:"))
        console.print(Text(command), soft_wrap=True)


def _show_table(table: Table, console: Console, width: int | None) -> None:
    table = replace(table, rows=_encodable(table.rows, console))
    soft_wrap = width is None
    if table.title:
        console.print(Text(_shown(table.title, console), style="bold"), soft_wrap=soft_wrap)
    if width is None:
        shown, lines = table, _natural([table.headers, *table.rows], table.left)
    elif fitted := _layout(table, width - cut_excess(console.encoding) * len(table.cut)):
        shown, grid = fitted
        lines = _natural(_encodable(grid, console), shown.left)
    else:
        shown, lines = table, _cell_per_line(table, width)
    text = _shown("\n".join(lines), console)
    console.print(Segments([Segment(f"{text}\n")]), soft_wrap=True, end="")  # without a search for styles and words
    left_out = [" ".join(header.split()) for header in table.secondary if header not in shown.headers]
    if left_out:
        console.print(Text(_shown(f"A wider terminal also shows: {', '.join(left_out)}.", console), style="dim"))
    if shown.legend:
        console.print(Text(_shown(shown.legend, console), style="dim"), soft_wrap=soft_wrap)
    console.print()


def _encodable(rows: Iterable[Sequence[str]], console: Console) -> Grid:
    return [[_shown(cell, console) for cell in row] for row in rows]


def _layout(table: Table, width: int) -> tuple[Table, Grid] | None:
    """Return the columns that are shown, and their headers and rows as they fit into `width`; None if they do not.

    Text is folded between words and secondary columns are left out first, then names are cut in the middle.
    """
    for count in range(len(table.secondary) + 1):
        shown = table.without(table.secondary[:count])
        if grid := _fitted(shown, width, cut=False):
            return shown, grid
    grid = _fitted(shown, width, cut=True)
    return (shown, grid) if grid else None


def _fitted(table: Table, width: int, cut: bool) -> Grid:
    """Return headers and rows with text folded, and with names cut if `cut`; nothing if they do not fit."""
    columns = [list(cells) for cells in zip(table.headers, *table.rows, strict=True)]
    widths = list(map(_widest, columns))
    least = [_min_width(table, i, cells, cut) for i, cells in enumerate(columns)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > sum(widths) - sum(least):
        return []
    for _ in range(excess):
        i = max((i for i in range(len(widths)) if widths[i] > least[i]), key=lambda i: widths[i])
        widths[i] -= 1
    for i, most in enumerate(widths):
        if i in table.cut:
            columns[i][1:] = _cut_words(columns[i][1:], most) if i in table.fold else distinct(columns[i][1:], most)
        if i in table.fold:
            columns[i] = [wrapped(cell, most) for cell in columns[i]]
    return list(zip(*columns, strict=True))


def _widest(cells: Iterable[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _min_width(table: Table, i: int, cells: Sequence[str], cut: bool) -> int:
    if i in table.fold and i not in table.cut:
        return min(_widest(cells), MIN_FOLD)
    widest = _widest("\n".join(words(cell)) for cell in cells) if i in table.fold else _widest(cells)
    return min(widest, MIN_CUT) if cut and i in table.cut else widest


def _cut_words(cells: Sequence[str], width: int) -> list[str]:
    """Return the cells with each word cut to `width`, different words differently."""
    known = list(dict.fromkeys(word for cell in cells for word in words(cell)))
    short = dict(zip(known, distinct(known, width), strict=True))
    return [" ".join(short[word] for word in words(cell)) for cell in cells]


def _natural(grid: Grid, left: Collection[int]) -> list[str]:
    """Return the lines of headers and rows, each column as wide as its widest line."""
    widths = [_widest(cells) for cells in zip(*grid, strict=True)]

    def lines(cells: Sequence[str], *, at_bottom: bool) -> Iterator[str]:
        split = [cell.split("\n") for cell in cells]
        height = max(map(len, split))
        blank = [[""] * (height - len(one)) for one in split]
        filled = [more + one if at_bottom else one + more for one, more in zip(split, blank, strict=True)]
        for line in zip(*filled, strict=True):
            padded = []
            for i, (text, width) in enumerate(zip(line, widths, strict=True)):
                padding = " " * (width - cell_len(text))
                padded.append(text + padding if i in left else padding + text)
            yield GAP.join(padded).rstrip()

    rule = "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    headers, *rows = grid
    return [*lines(headers, at_bottom=True), rule, *(line for row in rows for line in lines(row, at_bottom=False))]


def _cell_per_line(table: Table, width: int) -> list[str]:
    """Return a line per cell below the first one of its row, with its header unless there is only one."""
    headers = [f"{header.replace(chr(10), ' ')}: " for header in table.headers] if len(table.headers) > 2 else ["", ""]
    lines = []
    for name, *cells in table.rows:
        lines.append(name)
        for header, cell in zip(headers[1:], cells, strict=True):
            lines += [GAP + line for line in wrapped(header + cell, width - len(GAP)).split("\n")]
    return lines
