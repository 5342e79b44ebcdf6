"""Plugins: Python files that add variants with a noise of their own, by calling `register`."""

from __future__ import annotations

import hashlib
import runpy
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dropexp.config.source import other_encoding
from dropexp.config.variant_table import VARIANTS, Variant
from dropexp.errors import PluginError
from dropexp.files import plain, why
from dropexp.interrupts import import_torch

loading: list[str] = []  # the digests of the plugin files that run now, the innermost last
_loaded: dict[Path, str] = {}  # each loaded file and the digest of its text


def load_plugin(file: str | Path, digest: str | None = None) -> None:
    """Run a file that adds at least one variant by `dropexp.register`.

    The digest of its text, eight hexadecimal digits that do not depend on the line ends, becomes part of the hash of
    its runs. A file that is loaded already is not run again unless it has changed; then its variants are replaced. If
    it fails, the table of variants stays as it was. Raises `PluginError` if the file cannot be read, fails or registers
    no noise, and if its digest is not the given one.
    """
    try:
        file = Path(file).resolve()
        text = file.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a cycle of links
        raise PluginError(f"{file} cannot be read: {why(error)}") from None
    found = hashlib.sha256(plain(text)).hexdigest()[:8]
    if encoding := other_encoding(text):
        raise PluginError(f"{file} is {encoding}; save it as UTF-8")
    if digest not in (None, found):
        raise PluginError(f"{file} has changed since it was loaded; load it again, or restart the command")
    if _loaded.get(file) == found:
        return
    before = dict(VARIANTS)
    for name, variant in before.items():
        if file in _loaded and variant.plugin == _loaded[file]:
            del VARIANTS[name]
    count = len(VARIANTS)
    loading.append(found)
    try:
        import_torch()  # with interrupts delayed, which an import by the plugin would not do
        runpy.run_path(str(file))
        if len(VARIANTS) == count:
            raise PluginError(f"{file} registers no noise; it must call dropexp.register(name, noise)")
    except BaseException as error:
        VARIANTS.clear()
        VARIANTS.update(before)
        if isinstance(error, PluginError | KeyboardInterrupt):
            raise
        raise PluginError(f"{file}:{_line(error, file)}: {type(error).__name__}: {error}") from None
    finally:
        loading.pop()
    _loaded[file] = found


def files_of(variants: Iterable[str]) -> tuple[tuple[Path, str], ...]:
    """Return the plugin files that registered these variants, with their digests, for worker processes to load."""
    digests = {VARIANTS[name].plugin for name in variants}
    return tuple((file, digest) for file, digest in _loaded.items() if digest in digests)


def register(name: str, noise: Callable[[float], Any]) -> None:
    """Add a variant whose noise is made by `noise(p)` from a drop probability. Only a plugin file can call it.

    A noise is a frozen dataclass with a field p; it follows the protocol `nets.noise.Noise`. Raises ValueError if the
    variant exists, and RuntimeError outside a plugin file, whose text the hash of a run needs.
    """
    if not loading:
        raise RuntimeError("register is for a plugin file: dropexp train --plugin FILE, or load_plugin(FILE)")
    if name in VARIANTS:
        raise ValueError(f"the variant {name!r} exists already")
    VARIANTS[name] = Variant(factory=noise, plugin=loading[-1], unused=frozenset({"mask"}))


def _line(error: BaseException, file: Path) -> int:
    """Return the line of the file in which the error occurred."""
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(file)]
    return getattr(error, "lineno", None) or (lines[-1] if lines and lines[-1] else 1)
