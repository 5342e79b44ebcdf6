"""Options that several commands share, and what they resolve to."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropexp.cli.completion import (
    complete_arms,
    complete_configs,
    complete_epochs,
    complete_filters,
    complete_metrics,
    complete_runs,
    complete_settings,
    complete_swept,
    complete_words,
)
from dropexp.cli.output import Format
from dropexp.config.shipped import is_config
from dropexp.did_you_mean import did_you_mean
from dropexp.runs.metrics import METRICS

if TYPE_CHECKING:
    from dropexp.config.study import Study


_FORMATS = {"tex": "latex", "markdown": "md"}  # other names of formats


def one_of(words: type[StrEnum]) -> dict[str, Any]:
    """Return the arguments of an option that takes one of these words. The error for another word suggests one."""

    def parse(text: str) -> StrEnum:
        if text not in set(words):
            similar = did_you_mean(_FORMATS.get(text.lower(), text), words)
            what = f"{text!r} is not one of {', '.join(words)}{similar}"
            raise typer.BadParameter(what)
        return words(text)

    return {"parser": parse, "metavar": "|".join(words), "autocompletion": complete_words(list(map(str, words)))}


def whole_number(metavar: str, least: int, most: int | None = None) -> dict[str, Any]:
    """Return the arguments of an option that takes a whole number from `least` to `most`. Its error has the range."""
    rest = f", {least} or more" if most is None else f", {least} to {most}"

    def is_allowed(value: Any) -> bool:
        return type(value) is int and value >= least and (most is None or value <= most)

    return {"parser": lambda text: _number(text, is_allowed, f"a whole number{rest}"), "metavar": metavar}


def any_number(metavar: str) -> dict[str, Any]:
    """Return the arguments of an option that takes a finite number."""

    def is_allowed(value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value)

    return {"parser": lambda text: float(_number(text, is_allowed, "a number")), "metavar": metavar}


def _number(text: object, is_allowed: Callable[[Any], bool], allowed: str) -> Any:
    """Parse the text of an option, or its default, as a number. Raises `BadParameter` with what is allowed."""
    from dropexp.config.values import whole

    typed = str(text)
    with suppress(ValueError):
        if is_allowed(number := whole(float(typed))):
            return number
    from dropexp.config.mistyped_values import meant, written

    fix = "" if (number := meant(typed, is_allowed)) is None else f"; write {written(number)}"
    raise typer.BadParameter(f"{typed!r:.60} is not {allowed}{fix}")


CONFIG = typer.Argument(
    metavar="CONFIG", help="Files, shipped studies by name, or - for standard input.", autocompletion=complete_configs
)
Output = Annotated[Format, typer.Option("--format", help="The output format.", **one_of(Format))]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="A folder with FashionMNIST/raw.", show_default="$DROPEXP_DATA, ./data or the cache"
    ),
]
DataUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A mirror to try first.", show_default="torchvision's mirror, then the authors'"),
]
Plugin = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A Python file that registers a custom noise; repeatable.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and notes only.")]
RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", metavar="DIR", help="The folder of runs.", show_default="$DROPEXP_RUNS or runs"),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN|NAME", help="Run folders or study names.", show_default="all", autocompletion=complete_runs
    ),
]
Configs = Annotated[
    list[str] | None,
    typer.Option(
        *("--config", "-c"),
        metavar="CONFIG",
        help="Exactly the runs that a config defines: a file, a shipped study, or - for standard input; repeatable.",
        autocompletion=complete_configs,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key in every run.", autocompletion=complete_settings),
]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="KEY=A,B",
        help="Replace a key by an axis of the matrix with these values.",
        autocompletion=complete_settings,
    ),
]
Seeds = Annotated[str | None, typer.Option(metavar="0..9", help="Replace the seeds of the config: a range or a list.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Keep only runs with this value of a config key, or this `status`. Each key at most once.",
        autocompletion=complete_filters,
    ),
]

By = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The swept parameter: order the arms by this config key, and chart its effect.",
        autocompletion=complete_swept,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="ARM",
        help="The arm that the others are compared with.",
        autocompletion=complete_arms,
        show_default="the arm without dropout",
    ),
]
ComparedMetric = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC",
        help=f"What is compared: {', '.join(METRICS)}, or the column of a probe.",
        autocompletion=complete_metrics,
        show_default="test_acc, or test_loss in regression; without these val_acc or val_loss",
    ),
]
At = Annotated[
    str,
    typer.Option(
        metavar="last|best-val|best-test|EPOCH", help="The epoch to compare at.", autocompletion=complete_epochs
    ),
]
Published = Annotated[bool, typer.Option("--published", help="Report which arm the published figures fit best.")]
Margin = Annotated[
    float,
    typer.Option(
        **any_number("X"),
        help="The smallest difference that matters; a fraction for accuracies, else in the metric's unit.",
    ),
]
Interaction = Annotated[
    str | None,
    typer.Option(
        metavar="KEY,KEY",
        help="Also report how much the effect of one config key depends on another: a difference of differences.",
    ),
]
SelectOn = Annotated[
    str | None,
    typer.Option(
        metavar="val_acc|val_loss",
        help="Compare only the settings of each arm that have the best mean of this validation metric.",
        autocompletion=complete_words(("val_acc", "val_loss")),
    ),
]


def load_plugins(files: Sequence[Path] | None) -> None:
    """Load the files of --plugin."""
    from dropexp.config.plugins import load_plugin

    for file in files or []:
        load_plugin(file)


def load_studies(
    configs: Sequence[str],
    settings: Sequence[str] | None,
    sweeps: Sequence[str] | None,
    seeds: str | None,
    plugins: Sequence[Path] | None,
) -> list[Study]:
    """Load the files of --plugin, and return the studies of configs with --set, --sweep and --seeds."""
    from dropexp.config.study import load_configs

    load_plugins(plugins)
    options = [word for file in plugins or () for word in ("--plugin", str(file))]
    studies = load_configs(configs, settings or (), seeds, sweeps or ())
    return [replace(study, options=(*study.options, *options)) for study in studies]


def load_study_runs(
    configs: Sequence[str] | None,
    settings: Sequence[str] | None,
    sweeps: Sequence[str] | None,
    seeds: str | None,
    plugins: Sequence[Path] | None,
    names: Sequence[str] | None,
) -> list[Study] | None:
    """Load the files of --plugin, and return the studies of --config; None without --config."""
    if not configs:
        load_plugins(plugins)
        if given := "--set" if settings else "--sweep" if sweeps else "--seeds" if seeds is not None else None:
            raise typer.BadParameter("requires --config", param_hint=given)
        return None
    if names:
        repeated = " ".join(f"-c {shlex.quote(word)}" for word in (*configs, *names))
        fix = f"; several configs are {repeated}" if all(map(is_config, names)) else ""
        raise typer.BadParameter(f"give either names or --config{fix}", param_hint="--config")
    return load_studies(configs, settings, sweeps, seeds, plugins)


def parse_filters(filters: Sequence[str] | None) -> dict[str, object]:
    """Parse the KEY=VALUE texts of --filter; values are read as in a config."""
    from dropexp.config import yaml

    wanted: dict[str, object] = {}
    for text in filters or []:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise typer.BadParameter(f"{text!r} is not of the form KEY=VALUE", param_hint="--filter")
        if key in wanted:
            raise typer.BadParameter(f"the key {key!r} is given twice", param_hint="--filter")
        wanted[key] = yaml.parse(value, f"--filter {text}").content
    return wanted


def find_data(data_dir: Path | None) -> Path:
    """Return the folder with the data. Raises DataError if there is none."""
    from dropexp.data import dataset_files
    from dropexp.errors import DataError

    root = dataset_files.find(data_dir)
    if root is None:
        raise DataError("Fashion-MNIST was not found; `dropexp data fetch` downloads it")
    return root


def find_or_download_data(data_dir: Path | None, data_url: str | None, quiet: bool) -> Path:
    """Return the folder with the data, downloading it if there is none."""
    from dropexp.data import dataset_files

    root = dataset_files.find(data_dir)
    if root is None:
        from dropexp.cli.progress import downloading

        with downloading(quiet) as progress:
            root = dataset_files.fetch(data_url, progress)
    return root
