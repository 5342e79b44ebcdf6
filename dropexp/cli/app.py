"""The Typer app: every command by name. Commands import heavy packages when they run."""

from __future__ import annotations

import typer

from dropexp.cli import data
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
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
for command in (train, compare, report, runs, export, evaluate, claims, bench):
    app.command(cls=Command, epilog=epilog(command.__name__))(command)
