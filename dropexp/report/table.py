"""A table of text: the one form in which results reach a terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of cells below a row of headers. `left` and `fold` are indices of columns."""

    title: str
    headers: Sequence[str]  # a line break where a terminal may save width
    rows: Sequence[Sequence[str]]
    fold: Sequence[int] = (0,)  # columns of words, which a narrow terminal folds; it never folds a figure
    left: Sequence[int] = (0,)  # columns aligned left; the others are aligned right
    legend: str = ""
