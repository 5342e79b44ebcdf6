"""`dropexp data fetch|verify|path`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.command import Command
from dropexp.cli.help import Group, epilog
from dropexp.cli.options import DataDir, DataUrl, Quiet, find_data
from dropexp.cli.output import print_line

app = typer.Typer(
    help="Download and verify Fashion-MNIST, or print its folder.",
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command(cls=Command, epilog=epilog("data fetch"))
def fetch(
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to download to.", show_default="$DROPEXP_DATA or the cache"),
    ] = None,
    data_url: DataUrl = None,
    quiet: Quiet = False,
) -> None:
    """Download the four files to where `train` looks for them, unless they are there."""
    from dropexp.cli.progress import downloading
    from dropexp.data import dataset_files

    folder, _ = dataset_files.named_folder(data_dir)
    with downloading(quiet) as progress:
        print_line(dataset_files.fetch(data_url, progress, folder=folder))


@app.command(cls=Command, epilog=epilog("data verify"))
def verify(data_dir: DataDir = None) -> None:
    """Check every file against its known checksum."""
    from dropexp.data import dataset_files

    root = find_data(data_dir)
    dataset_files.read(root)
    print_line(f"{root}: all four files have Fashion-MNIST's checksums")


@app.command(cls=Command, epilog=epilog("data path"))
def path(data_dir: DataDir = None) -> None:
    """Print the folder that the data is read from."""
    print_line(find_data(data_dir))
