"""A user's own noise: a Python file that calls `register`."""

from __future__ import annotations

import hashlib
import runpy
import traceback
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dropexp.variants import VARIANTS

_loaded: dict[Path, str] = {}  # files, and what tells their texts apart


class PluginError(Exception):
    """A file that registers no noise, and why not."""


def load(files: Iterable[Path]) -> None:
    """Run these files; each adds at least one variant by `dropexp.register`. A file that has been loaded is left alone.

    What tells a file's text from others becomes part of the hash of its runs. Raises `PluginError`.
    """
    for file in map(Path.resolve, files):
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        except OSError as error:
            raise PluginError(f"{file} cannot be read: {error.strerror}") from None
        if _loaded.get(file) == digest:
            continue
        before = set(VARIANTS)
        try:
            runpy.run_path(str(file))
        except Exception as error:
            lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(file)]
            line = getattr(error, "lineno", None) or (lines[-1] if lines else 1)
            raise PluginError(f"{file}:{line}: {type(error).__name__}: {error}") from None
        added = set(VARIANTS) - before
        if not added:
            raise PluginError(f"{file} registers no noise; it is to call dropexp.register(name, noise)")
        for name in added:
            VARIANTS[name] = replace(VARIANTS[name], plugin=digest)
        _loaded[file] = digest


def loaded() -> tuple[Path, ...]:
    """The files that have been loaded: what a worker process has to load too."""
    return tuple(_loaded)
