"""`dropexp export`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.options import Names, RunsDir, one_of
from dropexp.cli.output import print_line, print_message
from dropexp.home_folder import expanded
from dropexp.plurals import counted

if TYPE_CHECKING:
    from dropexp.report.trackers.rows import Exported
    from dropexp.runs.record import Run


class Target(StrEnum):
    """A program that runs can be exported to."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"


def export(
    to: Annotated[Target, typer.Option(help="The program to export to.", **one_of(Target))],
    names: Names = None,
    runs_dir: RunsDir = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR|URI",
            help="Where to export to.",
            show_default="tensorboard; $MLFLOW_TRACKING_URI or sqlite:///mlflow.db",
        ),
    ] = None,
) -> None:
    """Export runs to TensorBoard or MLflow; exporting a run again updates it."""
    from dropexp.runs.record import read_runs

    exported = export_to(to, read_runs(names or (), runs_dir), out)
    for reason in exported.skipped:
        print_message(f"left out: {reason}")
    print_message(f"{counted(exported.runs, 'run')} exported")
    if gone := exported.gone:
        some = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
        verb = "exists" if len(gone) == 1 else "exist"
        print_message(f"note: {counted(len(gone), 'run')} in {exported.destination} no longer {verb} here: {some}")
    print_line(exported.destination)


def export_to(target: Target, runs: Iterable[Run], out: str | None = None, *, report: bool = True) -> Exported:
    """Export runs to where the program looks by default, or to `out`. Raises `ExportError`."""
    if target is Target.tensorboard:
        from dropexp.report.trackers.tensorboard import to_tensorboard

        return to_tensorboard(runs, expanded(out or "tensorboard"))
    from dropexp.report.trackers.mlflow import default_uri, to_mlflow

    return to_mlflow(runs, out or default_uri(), report=report)
