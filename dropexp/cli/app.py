"""The Typer app: every command by name. Commands import heavy packages when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from dropexp.cli import config, data
from dropexp.cli.bench import bench
from dropexp.cli.claims import claims
from dropexp.cli.command import Command
from dropexp.cli.compare import compare
from dropexp.cli.evaluate import evaluate
from dropexp.cli.export import export
from dropexp.cli.help import Group, epilog
from dropexp.cli.report import report
from dropexp.cli.runs import runs
from dropexp.cli.train import train

app = typer.Typer(
    help="Does dropout help, how much, and how sure are we? Trains the Fashion-MNIST dropout study of "
    "Dive into Deep Learning from YAML configs, and compares the runs.",
    cls=Group,
    rich_markup_mode=None,  # Rich reads [default: …] as markup, and cuts option names on a narrow terminal
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from dropexp.runs.provenance import provenance

        found = provenance()
        changed = ", with changes" if found["dirty"] else ""
        commit = f" (commit {found['commit'][:10]}{changed})" if found["commit"] else ""
        print(f"dropexp {found['dropexp']}{commit}, torch {found['torch']}, Python {found['python']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print versions and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


app.add_typer(data.app, name="data")
app.add_typer(config.app, name="config")
for command in (train, compare, report, runs, export, evaluate, claims, bench):
    app.command(cls=Command, epilog=epilog(command.__name__))(command)
