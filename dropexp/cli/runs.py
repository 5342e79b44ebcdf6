"""`dropexp runs`: list runs, or remove those without a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import Filters, Names, RunsDir, parse_filters
from dropexp.cli.output import Format, print_frame, print_message


def runs(
    names: Names = None,
    runs_dir: RunsDir = None,
    filters: Filters = None,
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
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: remove what it lists.")] = False,
    output: Annotated[Format, typer.Option("--format", help="The output format.")] = Format.table,
) -> None:
    """List runs with status, arm, seed, last epoch and test accuracy, or remove those without a result."""
    from dropexp.analysis.listing import load_runs
    from dropexp.report.listing_tables import runs_table

    if prune:
        _prune(names or (), runs_dir, parse_filters(filters), checkpoints, yes, output)
        return
    if checkpoints or yes:
        raise typer.BadParameter("requires --prune", param_hint="--checkpoints" if checkpoints else "--yes")
    print_frame(load_runs(names or (), runs_dir, parse_filters(filters)), runs_table, output)


def _prune(
    names: Sequence[str],
    runs_dir: Path | None,
    wanted: dict[str, object],
    checkpoints: bool,
    yes: bool,
    output: Format,
) -> None:
    from dropexp.report.listing_tables import file_size, removals_frame, removals_table
    from dropexp.runs import prune

    if checkpoints:
        planned = prune.checkpoints(names, runs_dir, wanted)
    else:
        found = prune.needless(names, runs_dir, wanted)
        planned = found.removals
        for note in found.notes:
            print_message(f"note: {note}")
    if planned or output in (Format.csv, Format.json):
        print_frame(removals_frame(planned), removals_table, output)
    if not planned:
        print_message("nothing to remove")
        return
    if not yes:
        print_message(f"{file_size(sum(one.size for one in planned))} can be removed; --prune --yes removes it")
        return
    kept = {one.path: message for one in planned if (message := prune.remove(one))}
    for message in kept.values():
        print_message(message)
    removed = [one.size for one in planned if one.path not in kept]
    print_message(f"removed from {len(removed)} folders: {file_size(sum(removed))}")
    if kept:
        raise typer.Exit(1)
