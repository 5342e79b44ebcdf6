"""Results as `dropexp compare` prints them."""

from __future__ import annotations

import io

from rich.console import Console

from dropexp.analysis.comparison import Comparison
from dropexp.report.formats import console
from dropexp.report.tables.comparison import comparison_tables


class Terminal(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


def printed(comparison: Comparison, width: int | None = None) -> str:
    """Return the output to a pipe, or to a terminal of this width."""
    out = Terminal() if width else io.StringIO()
    terminal = Console(file=out, width=width, force_terminal=width is not None)
    console.show(comparison_tables(comparison), terminal, comparison.headlines, comparison.notes)
    return out.getvalue()
