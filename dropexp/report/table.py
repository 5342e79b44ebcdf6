"""A table of text: the one form in which results reach a terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """Rows of cells below a row of headers. `left` and `fold` are indices of columns."""

    title: str
    headers: Sequence[str]  # a line break where a terminal may save width
    rows: Sequence[Sequence[str]]
    fold: Sequence[int] = (0,)  # columns of words, which a narrow terminal folds; it never folds a figure
    left: Sequence[int] = (0,)  # columns aligned left; the others are aligned right
    legend: str = ""
    paths: Sequence[int] = ()  # columns that a narrow terminal cuts in the middle
    secondary: Sequence[str] = ()  # headers of columns that a narrow terminal leaves out, in this order

    def __post_init__(self) -> None:
        if unknown := set(self.secondary) - set(self.headers):  # it would stay on a narrow terminal
            raise ValueError(f"no columns have these headers: {sorted(unknown)}")

    def without(self, headers: Collection[str]) -> Table:
        """Return the table without these columns."""
        kept = [i for i, header in enumerate(self.headers) if header not in headers]
        new = {old: i for i, old in enumerate(kept)}
        fold, left, paths = ([new[i] for i in own if i in new] for own in (self.fold, self.left, self.paths))
        rows = [[row[i] for i in kept] for row in self.rows]
        secondary = [header for header in self.secondary if header not in headers]
        kept_headers = [self.headers[i] for i in kept]
        return replace(self, headers=kept_headers, rows=rows, fold=fold, left=left, paths=paths, secondary=secondary)
