"""Options that several commands share, and what they resolve to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder with FashionMNIST/raw. [default: $DROPEXP_DATA, ./data, the cache]"),
]
DataUrl = Annotated[str | None, typer.Option(metavar="URL", help="A mirror to try first.")]
Plugin = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A Python file with a noise of your own; repeatable.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", metavar="DIR", help="The folder of runs. [default: $DROPEXP_RUNS or runs]"),
]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN|NAME]…", help="Run folders or study names. [default: all]")
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="KEY=VALUE", help="Keep only runs with this value. Each key at most once."),
]
By = Annotated[
    str | None, typer.Option(metavar="KEY", help="A swept config key: order the arms by it, and chart its effect.")
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="The arm that the others are compared with. [default: the arm without dropout]"),
]
MetricName = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="What is compared, a column of epochs.csv or gap. [default: test_acc, or test_loss without accuracies]",
    ),
]
At = Annotated[str, typer.Option(metavar="last|best-val|best-test|EPOCH", help="The epoch to compare at.")]
Margin = Annotated[
    float, typer.Option(metavar="X", help="Differences within ±X count as none; in the unit of the metric.")
]
Likelihood = Annotated[bool, typer.Option("--published", help="Report which arm the published figures fit best.")]


def load_plugins(files: Sequence[Path] | None) -> None:
    """Load the files of --plugin."""
    from dropexp.config.plugins import load_plugin

    for file in files or []:
        load_plugin(file)


def parse_filters(filters: Sequence[str] | None) -> dict[str, object]:
    """Parse the KEY=VALUE texts of --filter; values are read as in a config. Raises ConfigError."""
    from dropexp.config import yaml
    from dropexp.errors import ConfigError, Problem

    wanted: dict[str, object] = {}
    problems = []
    for text in filters or []:
        key, equals, value = text.partition("=")
        if not equals:
            problems.append(Problem(f"--filter {text}", "is not of the form key=value"))
            continue
        if key.strip() in wanted:
            problems.append(Problem(f"--filter {text}", "names a key that another --filter names"))
            continue
        wanted[key.strip()], _ = yaml.parse(value, f"--filter {text}")
    if problems:
        raise ConfigError(problems)
    return wanted


def find_data(data_dir: Path | None) -> Path:
    """Return the folder with the data. Raises DataError if there is none."""
    from dropexp.data import download
    from dropexp.errors import DataError

    root = download.find(data_dir)
    if root is None:
        raise DataError("Fashion-MNIST is not here; `dropexp data fetch` downloads it")
    return root


def find_or_download_data(data_dir: Path | None, data_url: str | None, quiet: bool) -> Path:
    """Return the folder with the data, downloading it if there is none."""
    from dropexp.data import download

    root = download.find(data_dir)
    if root is None:
        from dropexp.cli.progress import downloading

        with downloading(quiet) as progress:
            root = download.fetch(data_url, progress)
    return root
