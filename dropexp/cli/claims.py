"""`dropexp claims`."""

from __future__ import annotations

from typing import Annotated

import typer

from dropexp.cli.options import Output, RunsDir
from dropexp.cli.output import Format, print_message, print_tables


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Claims by name or number.", show_default="all")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Check only claims that need no trained runs: takes seconds and no data.")
    ] = False,
    runs_dir: RunsDir = None,
    output: Output = Format.table,
) -> None:
    """Check what textbooks claim about dropout, by computation and on trained runs."""
    from dropexp.interrupts import import_torch
    from dropexp.runs.folder import default_runs_dir

    import_torch()
    from dropexp.claims import catalogue, evidence_table
    from dropexp.did_you_mean import did_you_mean

    if unknown := catalogue.unknown_names(names or ()):
        known = ", ".join(f"{claim.number} {claim.name}" for claim in catalogue.CLAIMS)
        names_of_claims = [claim.name for claim in catalogue.CLAIMS]
        which = ", ".join(f"{name}{did_you_mean(name, names_of_claims)}" for name in unknown)
        raise typer.BadParameter(f"no such claim: {which}; by number or name: {known}", param_hint="NAME")
    selected = catalogue.select(names or (), quick)
    if not selected:
        raise typer.BadParameter("these claims need trained runs", param_hint="--quick")
    folder = None if quick else runs_dir or default_runs_dir()
    checked = [catalogue.check(claim, folder) for claim in selected]
    tables, notes = [evidence_table.overview(checked), *evidence_table.details(checked)], evidence_table.notes(checked)
    if output is Format.table:
        tables = tables[1:] if names else tables[:1]
    print_tables(
        tables,
        output,
        csv=lambda: evidence_table.to_csv(checked),
        json=lambda: evidence_table.to_json(checked),
        notes=notes,
        heading=f"{evidence_table.heading()}\n",
    )
    if output is Format.table and not names:
        print_message("dropexp claims NAME shows the evidence for a verdict, with its source and its test")
    for command in evidence_table.missing(checked):
        print_message(f"not trained: {command}")
