"""`dropexp compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import At, Baseline, By, Filters, Likelihood, Margin, MetricName, Names, RunsDir, parse_filters
from dropexp.cli.output import Format, print_tables, say
from dropexp.runs.metrics import MARGIN


def compare(
    names: Names = None,
    runs_dir: RunsDir = None,
    by: By = None,
    baseline: Baseline = None,
    metric: MetricName = None,
    at: At = "last",
    where: Filters = None,
    published: Likelihood = False,
    margin: Margin = MARGIN,
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
    from dropexp.analysis import comparison, requirement
    from dropexp.report import tables

    result = comparison.compare(
        names or (),
        runs_dir,
        baseline,
        by=by,
        metric=metric,
        at=at,
        where=parse_filters(where),
        likelihood=published,
        margin=margin,
    )
    failures = [failure for line in requirements or [] if (failure := requirement.require(result, line))]
    if plot:
        from dropexp.report import charts

        charts.save(charts.overview(result), plot)
        say(f"chart: {plot}")
    print_tables(
        tables.comparison_tables(result),
        output,
        csv=result.to_csv,
        json=result.to_json,
        findings=result.findings,
        notes=result.notes,
    )
    for failure in failures:
        say(f"requirement failed: {failure}")
    if failures:
        raise typer.Exit(1)
