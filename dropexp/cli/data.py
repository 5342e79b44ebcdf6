"""`dropexp data fetch|verify|path`."""

from __future__ import annotations

import typer

from dropexp.cli.help import Command, Group, epilog
from dropexp.cli.options import DataDir, DataUrl, Quiet, find_data

app = typer.Typer(
    help="Download and verify Fashion-MNIST, or print its folder.",
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command(cls=Command, epilog=epilog("data fetch"))
def fetch(data_url: DataUrl = None, quiet: Quiet = False) -> None:
    """Download the four files into the cache, unless it has them."""
    from dropexp.cli.progress import downloading
    from dropexp.data import download

    with downloading(quiet) as progress:
        print(download.fetch(data_url, progress))


@app.command(cls=Command, epilog=epilog("data verify"))
def verify(data_dir: DataDir = None) -> None:
    """Check every file against its known checksum."""
    from dropexp.data import download

    root = find_data(data_dir)
    download.read(root)
    print(f"{root}: all four files have Fashion-MNIST's checksums")


@app.command(cls=Command, epilog=epilog("data path"))
def path(data_dir: DataDir = None) -> None:
    """Print the folder that the data is read from."""
    print(find_data(data_dir))
