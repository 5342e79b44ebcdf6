"""Markdown for the pages: aligned tables, ranges, and sections between markers."""

from __future__ import annotations

from collections.abc import Sequence


class MissingMarkers(Exception):
    """A page that lacks the markers of a section."""


def replace_section(text: str, name: str, content: str) -> str:
    """Return the page with the lines between `<!-- name:begin -->` and `<!-- name:end -->` replaced.

    Raises MissingMarkers.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise MissingMarkers(f"the page has no {begin} or no {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table: first column left-aligned, the others right-aligned, in the source too."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])


def unaligned_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table without padding, all columns left-aligned; cells may contain pipes."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def span(values: Sequence[float], digits: int = 3) -> str:
    """Return the range of the values."""
    return f"{min(values):.{digits}f}–{max(values):.{digits}f}"
