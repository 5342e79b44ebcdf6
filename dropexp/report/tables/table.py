"""A table of text: the one form in which results reach a terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Table:
    """Rows of cells below a row of headers. `fold`, `cut` and `left` are indices of columns."""

    title: str
    headers: Sequence[str]  # a line break where a terminal may save width
    rows: Sequence[Sequence[str]]
    fold: Sequence[int] = (0,)  # columns of words, which a narrow terminal folds; it never folds a figure
    cut: Sequence[int] = (0,)  # columns of names or paths, which a narrow terminal cuts in the middle
    left: Sequence[int] = (0,)  # columns aligned left; the others are aligned right
    about: str = ""  # the table, in sentences
    terms: Mapping[str, str] = field(default_factory=dict)  # sentences on single columns, by header
    secondary: Sequence[str] = ()  # headers of columns that a narrow terminal leaves out, in this order
    study: str = ""  # of all its runs, "" if they are of several studies: a part of its label in LaTeX

    def __post_init__(self) -> None:
        if unknown := {*self.secondary, *self.terms} - set(self.headers):  # it would stay on a narrow terminal
            raise ValueError(f"no columns have these headers: {sorted(unknown)}")

    @property
    def legend(self) -> str:
        """The sentences below the table: on the whole of it, then on single columns."""
        return " ".join(filter(None, [self.about, *self.terms.values()]))

    def without(self, headers: Collection[str]) -> Table:
        """Return the table without these columns, and without their part of the legend."""
        kept = [i for i, header in enumerate(self.headers) if header not in headers]
        new = {old: i for i, old in enumerate(kept)}
        fold, cut, left = ([new[i] for i in own if i in new] for own in (self.fold, self.cut, self.left))
        return replace(
            self,
            headers=[self.headers[i] for i in kept],
            rows=[[row[i] for i in kept] for row in self.rows],
            fold=fold,
            cut=cut,
            left=left,
            terms={header: text for header, text in self.terms.items() if header not in headers},
            secondary=[header for header in self.secondary if header not in headers],
        )
