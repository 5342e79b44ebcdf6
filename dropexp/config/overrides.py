"""Keys that options of the command set: `--set key=value`, `--sweep key=a,b` and `--seeds 0..4,7`."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dropexp.config import yaml
from dropexp.config.schema import STUDY_KEYS
from dropexp.config.values import whole
from dropexp.errors import ConfigError, Problem, quoted

MAX_RUNS = 100_000
_AT_NEXT_KEY = re.compile(r"[,;\s]+(?=[A-Za-z_][\w.]* *=)")  # in lr=0.1,epochs=2
_RANGE = re.compile(r"(\S{1,40}?) *\.\. *(\S{1,40})\Z")


@dataclass(frozen=True)
class Override:
    """A key, its value, and the option as it was typed. With `axis` the value is a list for the matrix."""

    key: str
    value: Any
    option: str
    axis: bool = False


def parse_setting(text: str, where: str = "the config") -> Override:
    """Parse the text of a `--set`; `where` names the config. Raises `ConfigError`."""
    key, value, option = _split("--set", text, "value")
    section, *below = key.split(".")
    if section in STUDY_KEYS and section != "name":
        raise ConfigError([Problem(option, f"{section} cannot be set by an option; {_edit(section, below, where)}")])
    content = _parse(value, option)
    content = (whole_range(content) or content) if key == "seed" else content
    return Override(key, content, option, axis=key == "seed" and isinstance(content, list))


def parse_sweep(text: str, where: str = "the config", *, in_list: bool = False) -> Override:
    """Parse the text of a `--sweep`: values with commas between them, a YAML list of them, or a range.

    `in_list`: whether a value of the key is itself a list. Raises `ConfigError`.
    """
    key, value, option = _split("--sweep", text, "a,b")
    if key.split(".")[0] in STUDY_KEYS:
        raise ConfigError([Problem(option, f"{key} has no values to sweep; name a key of a run, such as lr=0.1,0.5")])
    values = _parse(f"[{value}]", option)
    if len(values) == 1:
        (one,) = values
        single = isinstance(one, list) and (not in_list or all(isinstance(item, list) for item in one))
        values = whole_range(one) or (one if single or meant_range(one) else values)
    return Override(key, values, option, axis=True)


def parse_seeds(text: str) -> Override:
    """Parse the text of `--seeds`. Parts that are not seeds stay text, to be reported with the file's problems."""
    parts: Iterator[list[Any]] = (whole_range(part) or [_seed(part)] for part in text.split(","))
    seeds = list(itertools.islice(itertools.chain.from_iterable(parts), MAX_RUNS + 1))
    return Override("seed", seeds, f"--seeds {quoted(text)}", axis=True)


def whole_range(value: Any) -> list[int] | None:
    """Return [0, 1, 2, 3, 4] for "0..4", [] for "4..0"; None for no such range, or one of over MAX_RUNS numbers."""
    if (ends := range_ends(value)) is None:
        return None
    first, last = ends
    return list(range(first, last + 1)) if last - first < MAX_RUNS else None


def range_ends(value: Any) -> tuple[int, int] | None:
    """Return (0, 4) for "0..4", and (10, 16) for "1e1..0x10"; None for anything else."""
    match = _RANGE.match(value.strip()) if isinstance(value, str) else None
    first, last = (_whole_number(match[1]), _whole_number(match[2])) if match else (None, None)
    return None if first is None or last is None else (first, last)


def meant_range(value: Any) -> str:
    """Return "0..4" for a value that means it, such as 4..0, 0-4, 0:5, range(5) or ["0..4"]; "" if none is meant."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if ends := range_ends(text):
        first, last = ends
    elif found := re.fullmatch(r"(\d{1,9})(?:\.{2,}|-|–|to|…)(\d{1,9})", text):
        first, last = int(found[1]), int(found[2])
    elif found := re.fullmatch(r"range\((?:(\d{1,9}),)?(\d{1,9})\)|(\d{1,9}):(\d{1,9})", text):  # the end is exclusive
        first, last = int(found[1] or found[3] or 0), int(found[2] or found[4]) - 1
    else:
        return ""
    meant = f"{min(first, last)}..{max(first, last)}"
    return meant if whole_range(meant) else ""


def _split(option: str, text: str, form: str) -> tuple[str, str, str]:
    """Return the key, the value, and the option as it was typed. Raises `ConfigError`."""
    key, equals, value = text.partition("=")
    typed = f"{option} {quoted(text)}"
    settings = _AT_NEXT_KEY.split(text)
    if len(settings) > 1 and key.strip() != "name" and all(map(_is_closed, settings)):
        meant = " ".join(f"{option} {shlex.quote(one)}" for one in settings)
        raise ConfigError([Problem(typed, f"one key per {option}: {meant}")])
    if equals:
        return key.strip().lstrip("+"), value, typed  # Hydra adds a key with +
    word, colon, value = text.partition(":")
    meant = f" (did you mean {word.strip()}={value.strip()}?)" if colon else ""
    raise ConfigError([Problem(typed, f"is not of the form key={form}{meant}")])


def _parse(value: str, option: str) -> Any:
    """Parse a value as YAML. Raises `ConfigError`."""
    try:
        return yaml.parse(value, option).content
    except ConfigError as error:
        if not _is_closed(value):
            why = "; the shell splits a value at spaces: write it in quotes, such as 'hidden=[64, 64]'"
            raise ConfigError([Problem(one.where, one.what + why) for one in error.problems]) from None
        raise


def _is_closed(value: str) -> bool:
    """Return whether a text has as many closing as opening brackets."""
    return all(value.count(left) == value.count(right) for left, right in ("[]", "{}"))


def _edit(section: str, below: list[str], where: str) -> str:
    """Return what to do instead of setting a section, or a key of it."""
    if section == "matrix":
        key = below[0] if below else "KEY"
        return "--seeds 0..9 replaces the seeds" if key == "seed" else f"--sweep {key}=a,b adds an axis"
    if section == "arms" and len(below) > 1:
        return f"--set {below[-1]}=… sets {below[-1]} for every arm, and {where} has the arms"
    name = ".".join([section, *below])
    return f"edit {name} in {where}, or in a copy of it with another `name`"


def _seed(text: str) -> int | str:
    # strip() removes characters that int() refuses, such as \x1c.
    number = _whole_number(text.strip()) if len(text) <= 40 else None
    return text if number is None else number


def _whole_number(text: str) -> int | None:
    """Return the number of a text such as 7, 007, 1e1 or 0x1f, as a value of a config has it; None for other texts."""
    if text.isdecimal():
        return int(text)
    try:
        number = whole(yaml.parse(text, "").content)
    except ConfigError:
        return None
    return number if type(number) is int and number >= 0 else None
