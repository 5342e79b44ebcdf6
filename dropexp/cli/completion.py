"""What a shell completes: studies, runs, metrics, keys and claims. A shell starts the command for each Tab."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import typer


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


def complete_keys(incomplete: str) -> list[str]:
    """Complete a key of a config."""
    from dropexp.config.reference import key_rows

    return _starting((row.key for row in key_rows()), incomplete)


def complete_settings(incomplete: str) -> list[str]:
    """Complete KEY= and, for keys with words, KEY=WORD."""
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

    return _starting(dict.fromkeys([*METRICS, *REGRESSION]), incomplete)


def complete_epochs(incomplete: str) -> list[str]:
    """Complete the word for an epoch."""
    from dropexp.analysis.query import AT

    return _starting(AT, incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
