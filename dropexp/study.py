"""A config file: from its text to the runs that it asks for, or to everything that is wrong with it."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dropexp import yamlfile
from dropexp.config import Config, digest
from dropexp.yamlfile import ConfigError, Problem

STUDY_KEYS = ("name", "matrix", "arms", "published")
MAX_RUNS = 100_000
RANGE = re.compile(r"(\d+)\.\.(\d+)\Z")
NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z))\w[\w +=,.-]{0,99}(?<![ .])\Z")
NAME_RULE = "letters, digits and ' +=,.-_', at most 100, beginning with a letter or digit"

_FIELD_TYPES: dict[str, TypeAdapter[Any]] = {
    key: TypeAdapter(cast(Any, Annotated[info.annotation, info]), config=Config.model_config)
    for key, info in Config.model_fields.items()
}


class Published(BaseModel):
    """A source's figures per epoch; loss × loss_scale is the mean cross entropy."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    arm: str | list[str] | None = Field(None, description="an arm's name, or a list of them")
    source: str = Field("", description="text")
    loss: list[float] = Field([], description="a list of numbers, one per epoch")
    loss_scale: float = Field(1.0, gt=0, description="a number greater than 0")
    train_acc: list[float] = Field([], description="a list of numbers, one per epoch")
    test_acc: list[float] = Field([], description="a list of numbers, one per epoch")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its config, and the readable part of its folder's name."""

    name: str
    arm: str | None
    cell: str
    config: Config

    def digest(self, device_kind: str) -> str:
        return digest(self.config.settings(device_kind))


@dataclass(frozen=True)
class Study:
    """What one config file asks for."""

    name: str
    runs: list[PlannedRun]
    published: dict[str, Any] = field(default_factory=dict)


def load_config(path: str | Path, settings: Iterable[str] = (), seeds: str | None = None) -> Study:
    """Read a config file. `settings` are `key=value` texts that replace keys of every run, `seeds` a text like `0..4`.

    Raises `ConfigError` with everything that is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from None
    return _Reader(text, str(path), path.stem).study(settings, seeds)


class _Reader:
    """Collects problems while a file's content becomes a study."""

    def __init__(self, text: str, where: str, stem: str) -> None:
        self.where = where
        self.stem = stem
        self.problems: list[Problem] = []
        content, self.lines = yamlfile.parse(text, where)
        if not isinstance(content, dict):
            raise ConfigError([Problem(where, "a config is a list of 'key: value' lines")])
        self.content: dict[str, Any] = content
        self.options: dict[str, str] = {}  # keys that an option set, and which

    def study(self, settings: Iterable[str], seeds: str | None) -> Study:
        content = self.content
        self.matrix = self._section("matrix", content.pop("matrix", None))
        self.arms = self._section("arms", content.pop("arms", None))
        published = content.pop("published", None)
        for key in list(content):
            if key != "name" and not self._known(key, (key,)):
                del content[key]
        self._override(settings, seeds)
        name = content.pop("name", self.stem)
        self._check_name("name", name, ("name",))
        base = {key: value for key, value in content.items() if self._valid(key, value, (key,))}
        axes = self._axes()
        arms = self._read_arms(axes)
        figures = self._published(published, arms, base, axes)
        self._stop_if_wrong()
        runs = self._runs(str(name), base, arms, axes)
        self._stop_if_wrong()
        return Study(str(name), runs, figures)

    # where and what

    def _at(self, path: yamlfile.Path) -> str:
        keys = path[2:] if path[:1] == ("arms",) else path  # an arm may bear the name of a key
        option = next((self.options[str(key)] for key in keys if str(key) in self.options), None)
        if option:
            return option
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.where}:{self.lines.get(path, 1)}"

    def _wrong(self, path: yamlfile.Path, what: str) -> None:
        self.problems.append(Problem(self._at(path), what))

    def _stop_if_wrong(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)

    def _known(self, key: str, path: yamlfile.Path) -> bool:
        if key in Config.model_fields:
            return True
        keys = [*Config.model_fields, *(STUDY_KEYS if len(path) == 1 else ())]
        near = difflib.get_close_matches(key, keys, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(keys)}"
        self._wrong(path, f"unknown key {key!r}; {remedy}")
        return False

    def _valid(self, key: str, value: Any, path: yamlfile.Path) -> bool:
        try:
            _FIELD_TYPES[key].validate_python(value)
        except ValidationError as error:
            info = Config.model_fields[key]
            self._explain(error, _dotted(path), path, {(): info.description or ""}, info.json_schema_extra)
            return False
        return True

    def _explain(
        self, error: ValidationError, name: str, path: yamlfile.Path, allowed: dict[Any, str], extra: Any
    ) -> None:
        item = extra["item"] if isinstance(extra, dict) else ""
        for one in error.errors():
            loc = tuple(part for part in one["loc"] if isinstance(part, int))[:1]
            what = item if loc and item else allowed[()]
            place = "".join(f"[{index}]" for index in loc)
            self._wrong((*path, *loc), f"{name}{place} = {_shown(one['input'])} is not {what}")

    def _check_name(self, what: str, name: Any, path: yamlfile.Path) -> None:
        if not isinstance(name, str) or not NAME.match(name):
            self._wrong(path, f"{what} = {_shown(name)} cannot name a folder; use {NAME_RULE}")

    # the parts of a file

    def _section(self, key: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict) or not value:
            self._wrong((key,), f"{key} = {_shown(value)} is not a list of 'key: …' lines")
            return {}
        return value

    def _override(self, settings: Iterable[str], seeds: str | None) -> None:
        for setting in settings:
            key, equals, text = setting.partition("=")
            key, option = key.strip(), f"--set {setting}"
            if not equals:
                self.problems.append(Problem(option, "is not of the form key=value"))
                continue
            try:
                value, _ = yamlfile.parse(text, option)
            except ConfigError as error:
                self.problems += error.problems
                continue
            self.options[key] = option
            if key in STUDY_KEYS[1:]:
                self.problems.append(Problem(option, f"{key} can be given in the file only"))
            elif key == "name" or self._known(key, (key,)):
                self._replace(key, value)
        if seeds is not None:
            self.options["seed"] = f"--seeds {seeds}"
            values = [_range(part) or part for part in seeds.split(",")]
            flat = [seed for part in values for seed in (part if isinstance(part, list) else [_whole(part)])]
            self._replace("seed", flat)

    def _replace(self, key: str, value: Any) -> None:
        """Set a key for every run, whatever the file says of it. A range or a list of seeds becomes an axis."""
        for arm in self.arms.values():
            if isinstance(arm, dict):
                arm.pop(key, None)
        self.matrix.pop(key, None)
        self.content.pop(key, None)
        if key == "seed" and (isinstance(value, list) or _range(value)):
            self.matrix[key] = value
        else:
            self.content[key] = value

    def _axes(self) -> dict[str, list[Any]]:
        axes: dict[str, list[Any]] = {}
        for key, values in self.matrix.items():
            path = ("matrix", key)
            if not self._known(key, path):
                continue
            if key in self.content:
                self._wrong(path, f"{key!r} stands in the matrix and at the top; keep one")
            values = _range(values) or values
            if not isinstance(values, list) or not values:
                what = "a list of values" + (", or a range like 0..4" if key == "seed" else "")
                self._wrong(path, f"matrix.{key} = {_shown(values)} is not {what}")
                continue
            axes[key] = [v for i, v in enumerate(values) if self._valid(key, v, (*path, i))]
        return axes

    def _read_arms(self, axes: dict[str, list[Any]]) -> dict[str | None, dict[str, Any]]:
        arms: dict[str | None, dict[str, Any]] = {}
        for arm, keys in self.arms.items():
            self._check_name("arm", arm, ("arms", arm))
            if not isinstance(keys, dict):
                self._wrong(("arms", arm), f"arms.{arm} = {_shown(keys)} is not of the form {{key: value, …}}")
                continue
            arms[arm] = {}
            for key, value in keys.items():
                path = ("arms", arm, key)
                if not self._known(key, path) or not self._valid(key, value, path):
                    continue
                if key in axes:
                    self._wrong(path, f"{key!r} stands in the matrix and in arm {arm!r}; keep one")
                arms[arm][key] = value
        return arms or {None: {}}

    def _published(
        self, value: Any, arms: dict[str | None, Any], base: dict[str, Any], axes: dict[str, list[Any]]
    ) -> dict[str, Any]:
        if value is None:
            return {}
        path: yamlfile.Path = ("published",)
        if not isinstance(value, dict):
            self._wrong(path, f"published = {_shown(value)} is not a list of 'key: …' lines")
            return {}
        try:
            published = Published.model_validate(value)
        except ValidationError as error:
            for one in error.errors():
                key = str(one["loc"][0])
                keys = Published.model_fields
                if key in keys:
                    what = f"published.{key} = {_shown(value.get(key))} is not {keys[key].description}"
                else:
                    what = f"unknown key {key!r}; the keys of published are {', '.join(keys)}"
                self._wrong((*path, key), what)
            return {}
        there = [arm for arm in arms if arm] or axes.get("variant") or [base.get("variant")]
        named = [published.arm] if isinstance(published.arm, str) else published.arm or []
        for arm in named:
            if arm not in there:
                self._wrong((*path, "arm"), f"published.arm = {arm!r} is no arm here; there is {_listed(there)}")
        return published.model_dump(exclude_defaults=True)

    def _runs(
        self,
        name: str,
        base: dict[str, Any],
        arms: dict[str | None, dict[str, Any]],
        axes: dict[str, list[Any]],
    ) -> list[PlannedRun]:
        count = len(arms)
        for values in axes.values():
            count *= len(values)
        if count > MAX_RUNS:
            self._wrong(("matrix",), f"{count} runs are more than one config may ask for ({MAX_RUNS})")
            return []
        runs: dict[str, PlannedRun] = {}
        for arm, own in arms.items():
            for point in itertools.product(*axes.values()):
                cell = dict(zip(axes, point, strict=True))
                keys = base | own | cell
                if "variant" not in keys:
                    place = f"arm {arm!r}" if arm else "this file"
                    self._wrong(("arms", arm) if arm else (), f"{place} has no variant; add one of {_variants()}")
                    continue
                try:
                    config = Config.model_validate(keys)
                except ValidationError as error:
                    self._disagreement(error, arm)
                    continue
                shown = {"arm": arm} if arm else {}
                shown |= {key: value for key, value in cell.items() if key in config.used() and key != "seed"}
                planned = PlannedRun(name, arm, _cell(shown | {"seed": config.seed}), config)
                runs.setdefault(planned.digest("any"), planned)  # equal runs train once
        return list(runs.values())

    def _disagreement(self, error: ValidationError, arm: str | None) -> None:
        for one in error.errors():
            keys = one["ctx"]["keys"]
            # nearest first: what an option or an arm says of one key, before what the top says of the other
            paths = [(key,) for key in keys if key in self.options]
            paths += [(*place, key) for place in (("arms", arm or ""), ("matrix",), ()) for key in keys]
            path = next((p for p in paths if p in self.lines or p[-1] in self.options), ())
            self._wrong(path, one["msg"])


def _variants() -> str:
    return str(Config.model_fields["variant"].description).removeprefix("one of ")


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))


def _dotted(path: yamlfile.Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _shown(value: Any) -> str:
    text = {True: "true", False: "false", None: "nothing"}.get(value) if _is_word(value) else repr(value)
    return str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}…"


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _whole(text: str) -> Any:
    return int(text) if text.strip().isdecimal() and len(text) <= 40 else text


def _range(value: Any) -> list[int] | None:
    """0..4 is 0, 1, 2, 3, 4; None if the value is no such range."""
    match = RANGE.match(value.strip()) if isinstance(value, str) else None
    if not match or len(value) > 40:
        return None
    first, last = int(match[1]), int(match[2])
    return list(range(first, last + 1)) if last - first < MAX_RUNS else None


def _cell(keys: dict[str, Any]) -> str:
    """The readable part of a folder's name: key=value, lists joined by '+', nothing that a file system minds."""
    parts = (f"{key}={'+'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in keys.items())
    return re.sub(r"[^\w=,.+-]", "-", ",".join(parts))[:120]
