"""Keys that options of the command set for every run: `--set key=value` and `--seeds 0..4,7`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dropexp.config import yaml
from dropexp.errors import ConfigError, Problem, quoted

MAX_RUNS = 100_000
RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})\Z")


@dataclass(frozen=True)
class Override:
    """A key, its value, and the option as it was typed."""

    key: str
    value: Any
    option: str


def parse_setting(text: str) -> Override:
    """Parse the text of a `--set`. Raises `ConfigError`."""
    key, equals, value = text.partition("=")
    key, option = key.strip(), f"--set {quoted(text)}"
    if not equals:
        raise ConfigError([Problem(option, "is not of the form key=value")])
    content = yaml.parse(value, option).content
    if key in ("matrix", "arms", "tune", "published"):
        raise ConfigError([Problem(option, f"{key} can only be set in the file")])
    return Override(key, (whole_range(content) or content) if key == "seed" else content, option)


def parse_seeds(text: str) -> Override:
    """Parse the text of `--seeds`. Parts that are not seeds stay text, to be reported with the file's problems."""
    parts: Iterator[list[Any]] = (whole_range(part) or [_whole_number(part)] for part in text.split(","))
    seeds = list(itertools.islice(itertools.chain.from_iterable(parts), MAX_RUNS + 1))
    return Override("seed", seeds, f"--seeds {quoted(text)}")


def whole_range(value: Any) -> list[int] | None:
    """Return [0, 1, 2, 3, 4] for "0..4", and None for a value that is no such range or has over MAX_RUNS numbers."""
    match = RANGE.match(value.strip()) if isinstance(value, str) else None
    if not match:
        return None
    first, last = int(match[1]), int(match[2])
    return list(range(first, last + 1)) if last - first < MAX_RUNS else None


def _whole_number(text: str) -> int | str:
    digits = text.strip()  # removes more than int() ignores, such as \x1c
    return int(digits) if digits.isdecimal() and len(text) <= 40 else text
