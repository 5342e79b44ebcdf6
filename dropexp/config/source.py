"""The text of a config: of a file, of a study that ships with dropexp, of standard input, or of keys in Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yaml import YAMLError

from dropexp.config import yaml
from dropexp.config.shipped import find
from dropexp.errors import ConfigError, Problem
from dropexp.files import why

MAX_BYTES = 500_000  # the shipped configs have up to 2,300
STDIN = "standard input"
KEYS = "the config"
_MARKS = {  # byte order marks of encodings other than UTF-8, the longer ones first
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_config(word: str) -> tuple[str, Path | None]:
    """Return the text of a config, given by path or name, and its file. For "-", standard input, the file is None.

    Raises `ConfigError` if it cannot be read, is too long, or is not UTF-8.
    """
    if word == "-":
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
        return _decoded(content, STDIN), None
    path = find(word)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {why(error)}")]) from None
    return _decoded(content, str(path)), path


def text_of_keys(keys: Mapping[str, Any]) -> str:
    """Return the text of a config with these keys. Raises `ConfigError` for values that YAML does not have."""
    try:
        return yaml.dump({key: _plain(value) for key, value in keys.items()})
    except YAMLError as error:
        what, *value = error.args
        shown = f"{what}: {value[0]!r}" if value else str(what)
        raise ConfigError([Problem(KEYS, f"{shown}; use text, numbers, true, None, lists and dicts")]) from None


def _plain(value: Any) -> Any:
    """Return a value of Python as YAML has it: a list for a range or an array, a number for one of NumPy."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _decoded(content: bytes, where: str) -> str:
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(where, f"more than {MAX_BYTES:,} bytes, too many for a config")])
    try:
        text = content.decode()
        if "\0" not in text:
            return text
        line, why, what = text.count("\n", 0, text.index("\0")) + 1, "has a null character", "remove it"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        why, what = f"has the byte 0x{content[error.start]:02x}, which is not UTF-8", "save the file as UTF-8"
    if encoding := other_encoding(content):
        raise ConfigError([Problem(where, f"is {encoding}; save it as UTF-8")])
    if sum(byte < 9 for byte in content[:1000]) > (2 if what == "remove it" else 0):
        what = "is it a config?"
    raise ConfigError([Problem(f"{where}:{line}", f"{why}; {what}")])


def other_encoding(content: bytes) -> str | None:
    """Return the name of the encoding of a text that is evidently not UTF-8; None for any other text."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and content[:64].count(0) * 3 > len(content[:64]):
        encoding = "UTF-16"  # without a mark: every second byte of ASCII is 0
    return encoding
