"""`dropexp compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.comparison import takes_comparison
from dropexp.cli.output import Format, print_message, print_tables

if TYPE_CHECKING:
    from dropexp.analysis.comparison import Comparison


@takes_comparison
def compare(
    comparison: Comparison,
    output: Annotated[Format, typer.Option("--format", help="The output format.")] = Format.table,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a chart too, as .png, .svg, .pdf or .html.")
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="'ARM.METRIC >= X'", help="Exit with 1 unless this holds; repeatable."),
    ] = None,
) -> None:
    """Compare the arms of a study: means and spreads over seeds, differences and verdicts, published figures."""
    from dropexp.analysis import requirement
    from dropexp.report import tables

    failures = [failure for line in requirements or [] if (failure := requirement.require(comparison, line))]
    if plot:
        from dropexp.report import charts

        charts.save(charts.overview(comparison), plot)
        print_message(f"chart: {plot}")
    print_tables(
        tables.comparison_tables(comparison),
        output,
        csv=comparison.to_csv,
        json=comparison.to_json,
        findings=comparison.findings,
        notes=comparison.notes,
    )
    for failure in failures:
        print_message(f"requirement failed: {failure}")
    if failures:
        raise typer.Exit(1)
