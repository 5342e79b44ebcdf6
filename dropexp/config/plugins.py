"""A user's own noise: a Python file that calls `register`."""

from __future__ import annotations

import hashlib
import runpy
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dropexp.config.variants import VARIANTS, Variant
from dropexp.errors import PluginError
from dropexp.interrupts import import_torch

being_loaded: list[str] = []  # the digests of the plugin files that run now, the innermost last
_loaded: dict[Path, str] = {}  # files, and what tells their texts apart


def load_plugin(file: str | Path, digest: str | None = None) -> None:
    """Run this file, which adds at least one variant by `dropexp.register`.

    What tells its text from others, eight hexadecimal digits, becomes part of the hash of its runs. A file that has
    been loaded is left alone, one that has changed takes the place of what it was. Raises `PluginError`, also if the
    text has another digest than is asked for.
    """
    try:
        file = Path(file).resolve()
        text = file.read_bytes()
    except (OSError, RuntimeError) as error:  # the latter of links in a circle
        raise PluginError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    found = hashlib.sha256(text).hexdigest()[:8]
    if digest not in (None, found):
        raise PluginError(f"{file} has changed since it was loaded; load it again, or start the command again")
    if _loaded.get(file) == found:
        return
    before = dict(VARIANTS)
    for name in [name for name in before if file in _loaded and before[name].plugin == _loaded[file]]:
        del VARIANTS[name]
    others = len(VARIANTS)
    being_loaded.append(found)
    try:
        import_torch()  # before the plugin imports it, without delaying interrupts
        runpy.run_path(str(file))
        if len(VARIANTS) == others:
            raise PluginError(f"{file} registers no noise; it is to call dropexp.register(name, noise)")
    except BaseException as error:
        VARIANTS.clear()
        VARIANTS.update(before)
        if isinstance(error, PluginError | KeyboardInterrupt):
            raise
        raise PluginError(f"{file}:{_line(error, file)}: {type(error).__name__}: {error}") from None
    finally:
        being_loaded.pop()
    _loaded[file] = found


def files_of(names: Iterable[str]) -> tuple[tuple[Path, str], ...]:
    """The files that registered these variants and what tells their texts apart: what worker processes load too."""
    digests = {VARIANTS[name].plugin for name in names}
    return tuple((file, digest) for file, digest in _loaded.items() if digest in digests)


def _line(error: BaseException, file: Path) -> int:
    """Where in the file it happened."""
    steps = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(file)]
    return getattr(error, "lineno", None) or (steps[-1] if steps and steps[-1] else 1)


def register(name: str, noise: Callable[[float], Any]) -> None:
    """Add a variant with this noise, made from a drop probability. A plugin's file calls it.

    A noise is a frozen dataclass with a field p that follows `nets.noise.Noise`. Raises ValueError if the variant
    exists, RuntimeError outside a file that is being loaded: its text is part of the hash of its runs.
    """
    if not being_loaded:
        raise RuntimeError("register is for the file of a plugin: dropexp train --plugin FILE, or load_plugin(FILE)")
    if name in VARIANTS:
        raise ValueError(f"there is a variant {name!r} already")
    VARIANTS[name] = Variant(factory=noise, plugin=being_loaded[-1], unused=frozenset({"mask"}))
