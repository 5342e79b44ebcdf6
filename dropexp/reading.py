"""The commands that read runs: compare, report, runs, export. What is heavy is imported when a command needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.answers import FAILED, say
from dropexp.metrics import MARGIN

if TYPE_CHECKING:
    import pandas as pd

    from dropexp.tables import Table


class Format(StrEnum):
    """How a table is written."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


class Bridge(StrEnum):
    """A program that runs can be exported to."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"


RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", metavar="DIR", help="Where runs are. [default: $DROPEXP_RUNS or runs]"),
]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN|NAME]…", help="Run folders or study names. [default: all]")
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="KEY=VALUE", help="Only runs whose config says so; a key may be named once."),
]


By = Annotated[
    str | None, typer.Option(metavar="KEY", help="A swept key: order the arms by it, and chart what it does.")
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="What differences are to. [default: the arm without dropout]"),
]
MetricName = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="What is compared, a column of epochs.csv or gap. [default: test_acc, or test_loss without accuracies]",
    ),
]
At = Annotated[str, typer.Option(metavar="last|best-val|best-test|EPOCH", help="The epoch that counts.")]
Margin = Annotated[float, typer.Option(metavar="X", help="Differences within ±X count as none; in the metric's unit.")]
Likelihood = Annotated[bool, typer.Option("--published", help="Say which arm the published figures fit best.")]


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
    output: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Chart it too, as .png, .svg, .pdf or .html.")
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="'ARM.METRIC >= X'", help="Exit with 1 unless it holds; may be repeated."),
    ] = None,
) -> None:
    """Compare the arms of a study: means and spreads over seeds, differences and verdicts, published figures."""
    from dropexp import comparison, requirement

    result = comparison.compare(
        names or (),
        runs_dir,
        baseline,
        by=by,
        metric=metric,
        at=at,
        where=_wanted(where),
        likelihood=published,
        margin=margin,
    )
    failures = [failure for line in requirements or [] if (failure := requirement.require(result, line))]
    if plot:
        from dropexp import charts

        charts.save(charts.overview(result), plot)
        say(f"chart: {plot}")
    if output is Format.csv:
        print(result.to_csv(), end="")
        for note in result.notes:  # which the table has no place for
            say(f"note: {note}")
    elif output is Format.json:
        print(result.to_json())
    else:
        from rich.console import Console

        from dropexp import display, markup, tables

        remarks = [*result.findings, *result.notes]
        if output is Format.md:
            print(markup.markdown(tables.of(result), remarks))
        elif output is Format.latex:
            print(markup.latex(tables.of(result), remarks))
        else:
            display.show(result, Console())
    for failure in failures:
        say(f"requirement failed: {failure}")
    if failures:
        raise typer.Exit(FAILED)


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
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Where to write it.")] = Path("report.html"),
) -> None:
    """Write one page on a study, for a browser, offline: verdicts, charts, tables, configs and where they came from."""
    from dropexp import report
    from dropexp.comparison import compare

    result = compare(
        names or (),
        runs_dir,
        baseline,
        by=by,
        metric=metric,
        at=at,
        where=_wanted(where),
        likelihood=published,
        margin=margin,
    )
    report.write(result, out)
    print(out)


def runs(
    names: Names = None,
    runs_dir: RunsDir = None,
    where: Filters = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="List what may go: broken, interrupted, failed and second runs, leftovers.")
    ] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="With --prune: the checkpoints of finished runs, and nothing else.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: remove it.")] = False,
    output: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
) -> None:
    """List the runs: state, arm, seed, last epoch, test accuracy. Or remove those without a result."""
    from dropexp import tables
    from dropexp.arms import load_runs
    from dropexp.yamlfile import ConfigError, Problem

    if prune:
        _prune(names or (), runs_dir, _wanted(where), checkpoints, yes, output)
        return
    if checkpoints or yes:
        raise ConfigError([Problem("--checkpoints" if checkpoints else "--yes", "goes with --prune")])
    found = load_runs(names or (), runs_dir, _wanted(where))
    _write(found, tables.runs, output)


def _prune(
    names: Sequence[str],
    runs_dir: Path | None,
    wanted: dict[str, object],
    checkpoints: bool,
    yes: bool,
    output: Format,
) -> None:
    from dropexp import prune, tables

    if checkpoints:
        planned = prune.checkpoints(names, runs_dir, wanted)
    else:
        planned = prune.needless(names, runs_dir, wanted, tell=lambda note: say(f"note: {note}"))
    if planned or output in (Format.csv, Format.json):
        _write(tables.listed(planned), tables.removals, output)
    if not planned:
        say("nothing may go")
        return
    if not yes:
        say(f"{tables.size(sum(one.size for one in planned))} may go; --prune --yes removes it")
        return
    stayed = {one.path: said for one in planned if (said := prune.remove(one))}
    for said in stayed.values():
        say(said)
    gone = [one.size for one in planned if one.path not in stayed]
    say(f"removed from {len(gone)} folders: {tables.size(sum(gone))}")
    if stayed:
        raise typer.Exit(FAILED)


def _write(frame: pd.DataFrame, table: Callable[[pd.DataFrame], Table], output: Format) -> None:
    """A listing in the form that is asked for; csv and json have all of its columns, in full precision."""
    from rich.console import Console

    from dropexp import display, markup

    if output is Format.csv:
        print(frame.to_csv(index=False, lineterminator="\n"), end="")
    elif output is Format.json:
        print(frame.to_json(orient="records", force_ascii=False, indent=2, double_precision=15))
    elif output is Format.md:
        print(markup.markdown([table(frame)]))
    elif output is Format.latex:
        print(markup.latex([table(frame)]))
    else:
        display.show_tables([table(frame)], Console())


def export(
    to: Annotated[Bridge, typer.Option(help="Which program's files to write.")],
    names: Names = None,
    runs_dir: RunsDir = None,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="DIR|URI", help="Where to. [default: tensorboard, sqlite:///mlflow.db]"),
    ] = None,
) -> None:
    """Hand the runs to TensorBoard or MLflow; runs that were exported before are replaced, not doubled."""
    from dropexp import export
    from dropexp.history import read_runs

    found = read_runs(names or (), runs_dir)
    if to is Bridge.tensorboard:
        exported = export.to_tensorboard(found, Path(out or "tensorboard"))
    else:
        exported = export.to_mlflow(found, out or export.MLFLOW_URI)
    for reason in exported.skipped:
        say(f"left out: {reason}")
    say(f"{exported.runs} runs exported")
    print(exported.place)


def _wanted(filters: list[str] | None) -> dict[str, object]:
    """What --filter asks for, its values read as in a config."""
    from dropexp import yamlfile

    wanted: dict[str, object] = {}
    problems = []
    for text in filters or []:
        key, equals, value = text.partition("=")
        if not equals:
            problems.append(yamlfile.Problem(f"--filter {text}", "is not of the form key=value"))
            continue
        if key.strip() in wanted:
            problems.append(yamlfile.Problem(f"--filter {text}", "names a key that another --filter names"))
            continue
        wanted[key.strip()], _ = yamlfile.parse(value, f"--filter {text}")
    if problems:
        raise yamlfile.ConfigError(problems)
    return wanted
