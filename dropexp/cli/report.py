"""`dropexp report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import At, Baseline, By, Filters, Likelihood, Margin, MetricName, Names, RunsDir, parse_filters
from dropexp.runs.metrics import MARGIN


def report(
    names: Names = None,
    runs_dir: RunsDir = None,
    by: By = None,
    baseline: Baseline = None,
    metric: MetricName = None,
    at: At = "last",
    where: Filters = None,
    published: Likelihood = False,
    margin: Margin = MARGIN,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write one page about a study, for a browser, offline: verdicts, charts, tables, configs and provenance."""
    from dropexp.analysis.comparison import compare
    from dropexp.report import html

    result = compare(
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
    html.write(result, out)
    print(out)
