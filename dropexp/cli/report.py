"""`dropexp report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.comparison import takes_comparison

if TYPE_CHECKING:
    from dropexp.analysis.comparison import Comparison


@takes_comparison
def report(
    comparison: Comparison,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write an HTML page that needs no network: verdicts, charts, tables, configs and provenance."""
    from dropexp.report import html

    html.write(comparison, out)
    print(out)
