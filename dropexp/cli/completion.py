"""What a shell completes: configs, runs, arms, keys and words. A shell starts the command for each Tab."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer


def complete_words(words: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that completes one of these words."""

    def complete(incomplete: str) -> list[str]:
        return _starting(words, incomplete)

    return complete


def complete_configs(incomplete: str) -> list[str]:
    """Complete the path of a YAML file, or the name of a shipped study."""
    from dropexp.config.shipped import SUFFIXES, shipped

    folder, _, start = incomplete.rpartition("/")
    found: list[str] = []
    with suppress(OSError):
        for entry in sorted(os.scandir(folder or "."), key=lambda entry: entry.name):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(start) and not entry.name.startswith("."):
                found += [path] if entry.name.endswith(SUFFIXES) else [f"{path}/"] if entry.is_dir() else []
    return [*_starting(shipped(), incomplete), *found]


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a study, or of a run as STUDY/RUN."""
    from dropexp.runs.find import study_names
    from dropexp.runs.folder import default_runs_dir

    root = Path(ctx.params.get("runs_dir") or default_runs_dir()).expanduser()
    study, slash, _ = incomplete.partition("/")
    if not slash:
        return _starting(study_names(root), incomplete)
    with suppress(OSError):
        runs = sorted(path.name.rpartition("-")[0] for path in (root / study).iterdir() if path.is_dir())
        return _starting((f"{study}/{run}" for run in runs), incomplete)
    return []


def complete_arms(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of an arm of the named runs, or of those of --config."""
    from dropexp.analysis.labels import labels_of
    from dropexp.config.study import load_configs
    from dropexp.errors import DropexpError
    from dropexp.runs.record import read_runs

    with suppress(DropexpError, OSError):
        names = _names(ctx) or [one.name for one in load_configs(ctx.params.get("config") or [])]
        runs = [run for run in read_runs(names, ctx.params.get("runs_dir")) if not run.is_trial]
        return _starting(labels_of(runs).values(), incomplete)
    return []


def complete_columns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a column of the listing of the named runs."""
    from dropexp.analysis.listing import load_runs
    from dropexp.errors import DropexpError

    with suppress(DropexpError, OSError):
        columns = load_runs(_names(ctx), ctx.params.get("runs_dir")).columns
        return _starting(columns, incomplete)
    return []


def _names(ctx: typer.Context) -> list[str]:
    """Return the names of runs on the command line. While an option still lacks its value, they are in `args`."""
    return ctx.params.get("names") or ctx.args


def complete_keys(incomplete: str) -> list[str]:
    """Complete a key of a config."""
    from dropexp.config.key_table import key_rows

    return _starting((row.key for row in key_rows()), incomplete)


def complete_settings(incomplete: str) -> list[str]:
    """Complete KEY= and, for keys whose values are words, KEY=WORD."""
    from dropexp.config.checks import choices
    from dropexp.config.schema import Config

    key, equals, _ = incomplete.partition("=")
    if not equals:
        return _starting((f"{key}=" for key in Config.model_fields), incomplete)
    words = choices(key) if key in Config.model_fields and key != "probes" else ()
    return _starting((f"{key}={word}" for word in words), incomplete)


def complete_swept(incomplete: str) -> list[str]:
    """Complete a key of a run."""
    from dropexp.config.schema import Config

    return _starting(Config.model_fields, incomplete)


def complete_metrics(incomplete: str) -> list[str]:
    """Complete the name of a metric."""
    from dropexp.runs.metrics import METRICS, REGRESSION

    return _starting([*METRICS, *REGRESSION], incomplete)


def complete_filters(incomplete: str) -> list[str]:
    """Complete KEY= or KEY=WORD of a config key, or of `status`."""
    from dropexp.runs.state_names import Status

    statuses = [f"status={status}" for status in Status] if incomplete.startswith("status=") else ["status="]
    return [*complete_settings(incomplete), *_starting(statuses, incomplete)]


def complete_epochs(incomplete: str) -> list[str]:
    """Complete the word for an epoch."""
    from dropexp.analysis.comparison_query import AT

    return _starting(AT, incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
