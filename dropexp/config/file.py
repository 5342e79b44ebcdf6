"""A config file's content, checked: what stands at the top, in the matrix and in the arms, or all that is wrong."""

from __future__ import annotations

import difflib
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from dropexp.config import names, yaml
from dropexp.config.published import Published
from dropexp.config.schema import Config, allowed
from dropexp.errors import ConfigError, Problem

STUDY_KEYS = ("name", "matrix", "arms", "published")
MAX_RUNS = 100_000
MAX_PROBLEMS = 100  # more than anyone mends at once
RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})\Z")

_FIELD_TYPES: dict[str, TypeAdapter[Any]] = {
    key: TypeAdapter(cast(Any, Annotated[info.annotation, info]), config=Config.model_config)
    for key, info in Config.model_fields.items()
}


class ConfigFile:
    """A file's text and the command's options, read: `name`, `base`, `axes`, `arms` and `published`.

    `base` holds the keys at the top, `axes` the lists of the matrix, `arms` each arm's own keys (one unnamed arm
    without any if there are none). Problems are collected in `problems`; `stop_if_wrong` raises them.
    """

    def __init__(self, text: str, where: str, stem: str, settings: Iterable[str], seeds: str | None) -> None:
        self.where = where
        self.problems: list[Problem] = []
        self.options: dict[str, str] = {}  # keys that an option of the command set, and which
        content, self.lines = yaml.parse(text, where)
        if not isinstance(content, dict):
            raise ConfigError([Problem(where, "a config is a mapping: 'key: value', a line each")])
        matrix = self._section("matrix", content.pop("matrix", None))
        arms = self._section("arms", content.pop("arms", None))
        published = content.pop("published", None)
        top = {key: value for key, value in content.items() if key == "name" or self._known(key, (key,))}
        self._override(settings, seeds, [top, matrix, *(keys for keys in arms.values() if isinstance(keys, dict))])
        self.name = str(top.get("name", stem))
        self._check_name("name", top.pop("name", stem), ("name",))
        self.base = {key: value for key, value in top.items() if self._valid(key, value, (key,))}
        self.axes = self._axes(matrix, top)
        self.arms = self._arms(arms)
        self.published = self._published(published)

    # where something stands, and what is wrong with it

    def wrong(self, path: yaml.Path, what: str) -> None:
        """Add a problem with what stands at the path, or with the option that put it there."""
        self.problems.append(Problem(self._at(path), what))
        if len(self.problems) == MAX_PROBLEMS:
            self.problems.append(Problem(self.where, f"these are {MAX_PROBLEMS} problems; there may be more"))
            self.stop_if_wrong()

    def disagree(self, keys: Iterable[str], arm: str | None, what: str) -> None:
        """Add a problem between keys: led to what an option or the arm says of one, before what the top says."""
        keys = list(keys)
        paths: list[yaml.Path] = [(key,) for key in keys if key in self.options]
        paths += [(*place, key) for place in (("arms", arm or ""), ("matrix",), ()) for key in keys]
        self.wrong(next((path for path in paths if path in self.lines or path[-1] in self.options), ()), what)

    def stop_if_wrong(self) -> None:
        """Raises `ConfigError` with all problems, in the order of lines, if there are any."""
        if self.problems:
            raise ConfigError(sorted(self.problems, key=self._line))

    def _line(self, problem: Problem) -> int:
        file, _, line = problem.where.rpartition(":")
        return int(line) if file == self.where else sys.maxsize  # options come last

    def _at(self, path: yaml.Path) -> str:
        depth = {"arms": 2, "matrix": 1, "published": len(path)}.get(str(path[0]), 0) if path else 0
        option = self.options.get(str(path[depth])) if len(path) > depth else None
        if option:
            return option
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.where}:{self.lines.get(path, 1)}"

    def _known(self, key: str, path: yaml.Path) -> bool:
        if key in Config.model_fields:
            return True
        keys = [*Config.model_fields, *(STUDY_KEYS if len(path) == 1 else ())]
        near = difflib.get_close_matches(key, keys, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(keys)}"
        self.wrong(path, f"unknown key {key!r}; {remedy}")
        return False

    def _valid(self, key: str, value: Any, path: yaml.Path) -> bool:
        try:
            _FIELD_TYPES[key].validate_python(value)
        except ValidationError as error:
            item = allowed(Config, key, item=True)
            name = key if key in self.options else _dotted(path)
            for one in error.errors():
                index = [part for part in one["loc"] if isinstance(part, int)][:1]
                what = item if index and item else allowed(Config, key)
                if not item and path[0] != "matrix" and ((isinstance(value, list) and value) or whole_range(value)):
                    what = f"{what}; list several values in the matrix"
                if key == "seed" and key in self.options:
                    is_range = RANGE.match(str(one["input"]).strip())
                    what = f"a range of 1 to {MAX_RUNS:,} seeds" if is_range else f"{what}, or a range like 0..4"
                place = "".join(f"[{i}]" for i in index)
                self.wrong((*path, *index), f"{name}{place} = {_shown(one['input'])} is not {what}")
            return False
        return True

    def _check_name(self, what: str, name: Any, path: yaml.Path) -> None:
        if not names.is_name(name):
            self.wrong(path, f"{what} = {_shown(name)} cannot name a folder; use {names.RULE}")

    # the parts

    def _section(self, key: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict) or not value:
            self.wrong((key,), f"{key} = {_shown(value)} is not a mapping ('key: …', a line each)")
            return {}
        return value

    def _override(self, settings: Iterable[str], seeds: str | None, places: list[dict[str, Any]]) -> None:
        """Set keys for every run, whatever the file says of them in any place; `places` are top, matrix and arms."""
        top, matrix, *_ = places
        for setting in settings:
            key, equals, text = setting.partition("=")
            key, option = key.strip(), f"--set {setting if setting.isprintable() else repr(setting)}"
            try:
                value, _ = yaml.parse(text, option)
            except ConfigError as error:
                self.problems += error.problems
                continue
            if not equals:
                self.problems.append(Problem(option, "is not of the form key=value"))
                continue
            if key in STUDY_KEYS[1:]:
                self.problems.append(Problem(option, f"{key} can be given in the file only"))
                continue
            self.options[key] = option  # also of an unknown key: it is then named with this option
            if key == "name" or self._known(key, (key,)):
                for place in places:
                    place.pop(key, None)
                several = key == "seed" and (isinstance(value, list) or whole_range(value))
                (matrix if several else top)[key] = value
        if seeds is not None:
            self.options["seed"] = f"--seeds {seeds if seeds.isprintable() else repr(seeds)}"
            for place in places:
                place.pop("seed", None)
            parts: Iterator[list[Any]] = (whole_range(part) or [_whole(part)] for part in seeds.split(","))
            matrix["seed"] = list(itertools.islice(itertools.chain.from_iterable(parts), MAX_RUNS + 1))

    def _axes(self, matrix: dict[str, Any], top: dict[str, Any]) -> dict[str, list[Any]]:
        axes: dict[str, list[Any]] = {}
        for key, values in matrix.items():
            path = ("matrix", key)
            if not self._known(key, path):
                continue
            if key in top:
                self.wrong(path, f"{key!r} stands in the matrix and at the top; keep one")
            values = whole_range(values) or values
            if not isinstance(values, list) or not values:
                name = key if key in self.options else f"matrix.{key}"
                self.wrong(path, f"{name} = {_shown(values)} is not a list of values, or a range like 0..4")
                continue
            axes[key] = [value for i, value in enumerate(values) if self._valid(key, value, (*path, i))]
        return axes

    def _arms(self, given: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
        arms: dict[str | None, dict[str, Any]] = {}
        for arm, keys in given.items():
            self._check_name("arm", arm, ("arms", arm))
            if not isinstance(keys, dict):
                self.wrong(
                    ("arms", arm), f"{_dotted(('arms', arm))} = {_shown(keys)} is not of the form {{key: value, …}}"
                )
                continue
            arms[arm] = {}
            for key, value in keys.items():
                path = ("arms", arm, key)
                if not self._known(key, path) or not self._valid(key, value, path):
                    continue
                if key in self.axes:
                    self.wrong(path, f"{key!r} stands in the matrix and in arm {arm!r}; keep one")
                arms[arm][key] = value
        return arms or {None: {}}

    def _published(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        path: yaml.Path = ("published",)
        if not isinstance(value, dict):
            self.wrong(path, f"published = {_shown(value)} is not a mapping ('key: …', a line each)")
            return {}
        try:
            published = Published.model_validate(value)
        except ValidationError as error:
            keys = Published.model_fields
            for key in dict.fromkeys(str(one["loc"][0]) for one in error.errors()):
                what = f"unknown key {key!r}; the keys of published are {', '.join(keys)}"
                if key in keys:
                    what = f"published.{key} = {_shown(value.get(key))} is not {allowed(Published, key)}"
                self.wrong((*path, key), what)
            return {}
        there = [arm for arm in self.arms if arm] or self.axes.get("variant") or [self.base.get("variant")]
        named = [("arm", arm) for arm in ([published.arm] if isinstance(published.arm, str) else published.arm or [])]
        for key, arm in [*named, *(("w_norm", arm) for arm in published.w_norm)]:
            if arm not in there:
                listed = ", ".join(map(str, there))
                self.wrong((*path, key), f"published.{key} = {arm!r} is no arm here; there is {listed}")
        return published.model_dump(exclude_defaults=True)


def whole_range(value: Any) -> list[int] | None:
    """ "0..4" is 0, 1, 2, 3, 4; None if the value is no such range."""
    match = RANGE.match(value.strip()) if isinstance(value, str) else None
    if not match:
        return None
    first, last = int(match[1]), int(match[2])
    return list(range(first, last + 1)) if last - first < MAX_RUNS else None


def _whole(text: str) -> int | str:
    digits = text.strip()  # of more than int itself passes over, such as \x1c
    return int(digits) if digits.isdecimal() and len(text) <= 40 else text


def _dotted(path: yaml.Path) -> str:
    """As in arms.wide.hidden[1]; what is no name is quoted, so that a message stays on its line."""
    shown = (
        f"[{part}]" if isinstance(part, int) else f".{part if names.is_name(part) else repr(part)}" for part in path
    )
    return "".join(shown).removeprefix(".")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
