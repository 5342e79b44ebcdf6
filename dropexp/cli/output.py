"""What the commands print: results to stdout, messages to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from json import dumps
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from dropexp.errors import printable
from dropexp.program import command_line
from dropexp.terminal_encoding import cut_excess

if TYPE_CHECKING:
    import pandas as pd

    from dropexp.analysis.headlines import Headline
    from dropexp.report.tables.table import Table


class Format(StrEnum):
    """How a result is printed."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


def print_line(text: object) -> None:
    """Print a line of a result, such as a path, to stdout; control characters are shown, not sent to a terminal."""
    print(printable(str(text)))


def print_message(text: str, quiet: bool = False) -> None:
    """Print a message to stderr, unless `quiet` or stderr is closed."""
    if not quiet and sys.stderr:  # None where it was closed at the start; print() would use stdout instead
        try:
            print(printable(text), file=sys.stderr)
        except OSError:  # the terminal was closed
            discard_output()


def next_command(title: str, arguments: Sequence[str]) -> str:
    """Return the title and the command with these arguments. A config from standard input has to be saved as FILE."""
    saved = ", with the config saved as FILE" if "-" in arguments else ""
    return f"{title}{saved}: {command_line(*('FILE' if word == '-' else word for word in arguments))}"


def shown_paths(paths: Sequence[str], indent: int) -> Sequence[str]:
    """Return paths cut in the middle to fit a line of the terminal after `indent` columns; unchanged in a pipe."""
    if not sys.stdout.isatty():
        return paths
    from dropexp.report.shorten import distinct

    room = get_terminal_size().columns - indent - cut_excess(sys.stdout.encoding)
    return distinct(paths, max(room, 20))


def discard_output() -> None:
    """Redirect unread output to the null device; otherwise Python exits with 120 on a broken pipe."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed at the start
        try:
            stream.flush()
        except OSError:
            redirect_to_devnull(stream)


def redirect_to_devnull(stream: TextIO) -> None:
    """Redirect what the stream has not written yet to the null device."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_tables(
    tables: Sequence[Table],
    output: Format,
    *,
    csv: Callable[[], str],
    json: Callable[[], str],
    headlines: Sequence[Headline] = (),
    notes: Sequence[str] = (),
    heading: str = "",
) -> None:
    """Print a result in the requested format. `csv` and `json` make the texts of those formats.

    csv cannot contain notes, so they go to stderr; the text of `json` includes them. `heading` is Markdown.
    """
    if output is Format.table:
        from rich.console import Console

        from dropexp.report.formats import console

        console.show(tables, Console(), headlines, notes)
        return

    from dropexp.report.formats.latex import latex, note_on_characters
    from dropexp.report.formats.markdown import markdown

    match output:
        case Format.md:
            text = heading + markdown(tables, headlines, notes) + "\n"
        case Format.latex:
            text = latex(tables, [*map(str, headlines), *notes]) + "\n"
        case Format.csv:
            text = csv()
        case Format.json:
            text = json() + "\n"
    print(printable(text), end="")
    if output is Format.csv:
        for note in notes:
            print_message(f"note: {note}")
    if output is Format.latex and (foreign := note_on_characters(text)):
        print_message(f"note: {foreign}")


def print_frame(frame: pd.DataFrame, table: Callable[[pd.DataFrame], Table], output: Format) -> None:
    """Print a listing; csv and json have all of its columns in full precision."""
    from dropexp.analysis import frames

    print_tables(
        [table(frame)],
        output,
        csv=lambda: frames.csv(frame),
        json=lambda: dumps(frames.json_records(frame), indent=2, ensure_ascii=False, allow_nan=False),
    )
