"""`dropexp runs`: list runs, or remove those without a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.completion import complete_columns
from dropexp.cli.options import Filters, Names, Output, RunsDir, parse_filters
from dropexp.cli.output import Format, print_frame, print_message
from dropexp.plurals import counted

if TYPE_CHECKING:
    from dropexp.runs.prune import Removal


def runs(
    names: Names = None,
    runs_dir: RunsDir = None,
    filters: Filters = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="[-]COLUMN",
            help="Sort by a column of csv, such as ended, test_acc or lr; with a hyphen descending.",
            autocompletion=complete_columns,
            show_default="study and folder",
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="List what can be removed: corrupted, interrupted, failed and duplicate runs, leftovers."
        ),
    ] = False,
    checkpoints: Annotated[
        bool,
        typer.Option("--checkpoints", help="With --prune: list the checkpoints of finished runs, and nothing else."),
    ] = False,
    trials: Annotated[
        bool, typer.Option("--trials", help="With --prune: list the trials of finished searches, and nothing else.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: remove what it lists.")] = False,
    output: Output = Format.table,
) -> None:
    """List runs with status, arm, seed, last epoch, test accuracy, end and hash, or remove those without a result."""
    from dropexp.analysis.listing import load_runs
    from dropexp.report.tables.listing import runs_table

    if prune:
        if sort is not None:
            raise typer.BadParameter("cannot be combined with --prune", param_hint="--sort")
        if checkpoints and trials:
            raise typer.BadParameter("give either --checkpoints or --trials", param_hint="--trials")
        _prune(_planned(names or (), runs_dir, parse_filters(filters), checkpoints, trials), yes, output)
        return
    for option, given in (("--checkpoints", checkpoints), ("--trials", trials), ("--yes", yes)):
        if given:
            raise typer.BadParameter("requires --prune", param_hint=option)
    print_frame(load_runs(names or (), runs_dir, parse_filters(filters), sort), runs_table, output)


def _planned(
    names: Sequence[str], runs_dir: Path | None, wanted: dict[str, object], checkpoints: bool, trials: bool
) -> list[Removal]:
    """Return what can be removed; print notes on corrupted runs that are kept."""
    from dropexp.runs import prune

    if checkpoints:
        return prune.checkpoints(names, runs_dir, wanted)
    if trials:
        return prune.trials(names, runs_dir, wanted)
    found = prune.without_result(names, runs_dir, wanted)
    for note in found.notes:
        print_message(f"note: {note}")
    return found.removals


def _prune(planned: list[Removal], yes: bool, output: Format) -> None:
    """List what can be removed, and remove it if `yes`."""
    from dropexp.report.tables.listing import file_size, removals_frame, removals_table
    from dropexp.runs import prune

    if planned or output in (Format.csv, Format.json):
        print_frame(removals_frame(planned), removals_table, output)
    if not planned:
        print_message("nothing to remove")
        return
    if not yes:
        print_message(f"{file_size(sum(one.size for one in planned))} can be removed; --prune --yes removes it")
        return
    messages = [prune.remove(one) for one in planned]
    kept = dict.fromkeys(filter(None, messages))  # several removals of one folder can fail for the same reason
    for message in kept:
        print_message(message)
    removed = [one for one, message in zip(planned, messages, strict=True) if message is None]
    folders = counted(len({one.path for one in removed}), "folder")
    print_message(f"removed from {folders}: {file_size(sum(one.size for one in removed))}")
    if kept:
        raise typer.Exit(1)
