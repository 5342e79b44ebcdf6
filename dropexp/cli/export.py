"""`dropexp export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import Names, RunsDir, one_of
from dropexp.cli.output import print_message


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
            show_default="tensorboard or sqlite:///mlflow.db",
        ),
    ] = None,
) -> None:
    """Export runs to TensorBoard or MLflow; exporting a run again replaces it."""
    from dropexp.report import export
    from dropexp.runs.record import read_runs

    found = read_runs(names or (), runs_dir)
    if to is Target.tensorboard:
        exported = export.to_tensorboard(found, Path(out or "tensorboard"))
    else:
        exported = export.to_mlflow(found, out or export.MLFLOW_URI)
    for reason in exported.skipped:
        print_message(f"left out: {reason}")
    print_message(f"{exported.runs} runs exported")
    print(exported.destination)
