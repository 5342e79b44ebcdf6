"""`dropexp compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.completion import complete_words
from dropexp.cli.github import add_to_summary, print_failure
from dropexp.cli.options import (
    At,
    Baseline,
    By,
    ComparedMetric,
    Configs,
    Filters,
    Interaction,
    Margin,
    Names,
    Output,
    Plugin,
    Published,
    RunsDir,
    Seeds,
    SelectOn,
    Settings,
    Sweeps,
    load_study_runs,
    parse_filters,
    whole_number,
)
from dropexp.cli.output import Format, print_message, print_tables
from dropexp.runs.metrics import MARGIN

# Copies of the names in report/tables/comparison.py and report/charts/by_name.py, whose imports would slow down help.
TABLES = ("arms", "probes", "differences", "interactions", "best-val", "selected", "settings", "published", "fits")
CHARTS = (
    *("book", "learning", "arms", "differences", "sweep", "budget", "usual", "loss", "gap", "published"),
    *("confusion", "classes", "reliability"),
)


def compare(
    names: Names = None,
    config: Configs = None,
    settings: Settings = None,
    sweeps: Sweeps = None,
    seeds: Seeds = None,
    plugin: Plugin = None,
    runs_dir: RunsDir = None,
    by: By = None,
    baseline: Baseline = None,
    metric: ComparedMetric = None,
    at: At = "last",
    filters: Filters = None,
    select_on: SelectOn = None,
    published: Published = False,
    interaction: Interaction = None,
    margin: Margin = MARGIN,
    trials: Annotated[bool, typer.Option("--trials", help="Print the trials of searches instead.")] = False,
    output: Output = Format.table,
    only: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help=f"Print only one table: {', '.join(TABLES)}. Notes go to stderr.",
            autocompletion=complete_words(TABLES),
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the charts, as .png, .svg, .pdf or .html."),
    ] = None,
    chart: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Write only this chart, to NAME.svg or the file of --plot: {', '.join(CHARTS)}.",
            autocompletion=complete_words(CHARTS),
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(**whole_number("PIXELS", 50, 5000), help="The width of --chart without labels, 50 to 5000."),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(**whole_number("PIXELS", 50, 5000), help="The height of --chart without labels, 50 to 5000."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The title of --chart, instead of its own; '' for none.")
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="'ARM.METRIC >= X'",
            help="Exit with 1 unless this holds; repeatable. Also 'ARM - BASELINE.low >= X', with difference, low, "
            "high or p, and 'ARM - BASELINE.verdict == BETTER'.",
        ),
    ] = None,
) -> None:
    """Compare the arms of a study: means and spreads over seeds, differences and verdicts, published figures."""
    from dropexp.analysis import comparison, requirement
    from dropexp.errors import ComparisonError
    from dropexp.report.arm_names import titled
    from dropexp.report.tables.comparison import comparison_tables, of_study
    from dropexp.report.tables.searches import trials_table

    if chart is None and (width, height, title) != (None, None, None):
        raise typer.BadParameter("requires --chart", param_hint="--width, --height, --title")
    if only and (trials or output in (Format.csv, Format.json)):
        what = "requires --format table, md or latex, and no --trials: csv and json have all figures in one output"
        raise typer.BadParameter(what, param_hint="--table")
    if plot or chart:
        from dropexp.report.charts import by_name
        from dropexp.report.charts.style import Size

        if chart:
            by_name.check_kind(chart)
        plot = plot or Path(f"{chart}.svg")
        by_name.suffix_of(plot)
    compared = comparison.compare(
        names or (),
        runs_dir,
        baseline,
        by=by,
        metric=metric,
        at=at,
        filter=parse_filters(filters),
        published=published,
        margin=margin,
        select_on=select_on,
        config=load_study_runs(config, settings, sweeps, seeds, plugin, names),
        interaction=[key.strip() for key in interaction.split(",")] if interaction is not None else (),
    )
    outcomes = {line: requirement.require(compared, line) for line in requirements or []}
    if plot:
        size = Size(width, height)
        drawn = by_name.single(compared, chart, size, title) if chart else by_name.overview(compared)
        note = by_name.save(drawn, plot)
        print_message(f"chart: {plot}")
        if note:
            print_message(f"note: {note}")
    if trials:
        table = trials_table(titled(compared))
        if table is None:
            raise ComparisonError("these runs have no trials: no study here has a section `tune`")
        print_tables([of_study(table, compared)], output, csv=compared.trials_csv, json=compared.trials_json)
    else:
        print_tables(
            comparison_tables(compared, only),
            output,
            csv=compared.to_csv,
            json=compared.to_json,
            headlines=[] if only else compared.headlines,
            notes=[] if only else compared.notes,
        )
        for note in compared.notes if only else ():
            print_message(f"note: {note}")
    add_to_summary(compared, outcomes)
    failures = [failure for failure in outcomes.values() if failure is not None]
    for failure in failures:
        print_failure(f"requirement failed: {failure}")
    if failures:
        raise typer.Exit(1)
