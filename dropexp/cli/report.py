"""`dropexp report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import (
    At,
    Baseline,
    By,
    ComparedMetric,
    Configs,
    DataDir,
    Filters,
    Margin,
    Names,
    Plugin,
    Published,
    RunsDir,
    Seeds,
    SelectOn,
    Settings,
    Sweeps,
    load_study_runs,
    parse_filters,
)
from dropexp.cli.output import print_line
from dropexp.runs.metrics import MARGIN


def report(
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
    margin: Margin = MARGIN,
    data_dir: DataDir = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write, .html.")] = Path(
        "report.html"
    ),
) -> None:
    """Write an HTML page that needs no network: verdicts, charts, tables, configs and provenance."""
    from dropexp.analysis.comparison import compare
    from dropexp.cli.fetch_pictures import fetch_arrays
    from dropexp.report.page.page import check_suffix, write

    check_suffix(out)
    comparison = compare(
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
    )
    write(comparison, out, fetch_arrays(comparison, data_dir))
    print_line(out)
