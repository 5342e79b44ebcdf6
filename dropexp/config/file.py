"""The content of a config file: its name, the keys of its runs, matrix, arms, search and published figures."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from dropexp.config import names, yaml
from dropexp.config.keep_probs import drop_probs_instead
from dropexp.config.overrides import MAX_RUNS, RANGE, Override, parse_seeds, parse_setting, whole_range
from dropexp.config.problems import Problems, dotted, shown
from dropexp.config.published import Published
from dropexp.config.schema import STUDY_KEYS, Config, allowed
from dropexp.config.tune import Tune, parse_tune
from dropexp.config.variants import VARIANTS
from dropexp.config.yaml import KeyPath
from dropexp.errors import ConfigError, Problem

_FIELDS: dict[str, TypeAdapter[Any]] = {
    key: TypeAdapter(cast(Any, Annotated[info.annotation, info]), config=Config.model_config)
    for key, info in Config.model_fields.items()
}


@dataclass(frozen=True)
class ConfigFile:
    """A config file with the command's options applied. Every key is known and has a valid value."""

    name: str
    base: dict[str, Any]  # the keys at the top
    axes: dict[str, list[Any]]  # the matrix: the values of each key
    arms: dict[str | None, dict[str, Any]]  # the keys of each arm; {None: {}} without arms
    published: dict[str, Any]
    tune: Tune | None
    problems: Problems  # to which conflicts between keys can be added

    def has_variant(self, arm: str | None, keys: dict[str, Any]) -> bool:
        """Return whether the keys of an arm have a variant, and otherwise add the problem."""
        if "variant" not in keys:
            where = f"arm {arm!r}" if arm else "this file"
            self.problems.add(("arms", arm) if arm else (), f"{where} has no variant; add one of {', '.join(VARIANTS)}")
        return "variant" in keys


def parse_config(
    text: str, where: str, stem: str, settings: Iterable[str] = (), seeds: str | None = None
) -> ConfigFile:
    """Parse a config file and apply the texts of `--set` and `--seeds`.

    `where` names the file in errors; `stem` is the study's name if the file gives none. Raises `ConfigError` with all
    problems.
    """
    document = yaml.parse(text, where)
    if not isinstance(document.content, dict):
        raise ConfigError([Problem(where, "a config is a mapping with a line 'key: value' for each key")])
    return _Parser(Problems(where, document.lines)).parse(document.content, stem, settings, seeds)


class _Parser:
    """Validates one file, and collects what is wrong."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.layers = len(Config.model_fields["hidden"].default)

    def parse(self, top: dict[str, Any], stem: str, settings: Iterable[str], seeds: str | None) -> ConfigFile:
        matrix, arms = (self._section(key, top.pop(key, None)) for key in ("matrix", "arms"))
        published, tune = top.pop("published", None), top.pop("tune", None)
        if isinstance(top.get("hidden"), list):
            self.layers = len(top["hidden"])
        top = {key: value for key, value in top.items() if key == "name" or self.is_known(key, value, (key,))}
        sections = [top, matrix, *(keys for keys in arms.values() if isinstance(keys, dict))]
        overrides = list(self._overrides(settings, seeds))
        for override in overrides:
            for section in sections:
                section.pop(override.key, None)
            several = override.key == "seed" and isinstance(override.value, list)
            (matrix if several else top)[override.key] = override.value
        name = top.pop("name", stem)
        self._check_name("name", name, ("name",))
        base = {key: value for key, value in top.items() if self.is_valid(key, value, (key,))}
        axes = self._axes(matrix, top)
        parsed_arms = self._arms(arms, axes)
        parsed_tune = parse_tune(tune, [override.key for override in overrides], self)
        if parsed_tune:
            self._check_tuned(parsed_tune, top, axes, parsed_arms)
        parsed_published = self._published(published, [*arms] or axes.get("variant") or [base.get("variant")])
        self.problems.raise_if_any()
        return ConfigFile(name, base, axes, parsed_arms, parsed_published, parsed_tune, self.problems)

    def _section(self, key: str, value: Any) -> dict[str, Any]:
        if value is not None and (not isinstance(value, dict) or not value):
            self._add_not_a_mapping((key,), value)
        return value if isinstance(value, dict) else {}

    def _overrides(self, settings: Iterable[str], seeds: str | None) -> Iterable[Override]:
        for text in settings:
            try:
                override = parse_setting(text)
            except ConfigError as error:
                self.problems.found += error.problems
                continue
            self.problems.options[override.key] = override.option  # also of an unknown key: its option is reported
            if override.key == "name" or self.is_known(override.key, override.value, (override.key,)):
                yield override
        if seeds is not None:
            override = parse_seeds(seeds)
            self.problems.options["seed"] = override.option
            yield override

    def _axes(self, matrix: dict[str, Any], top: dict[str, Any]) -> dict[str, list[Any]]:
        axes: dict[str, list[Any]] = {}
        for key, given in matrix.items():
            path = ("matrix", key)
            if not self.is_known(key, given, path):
                continue
            if key in top:
                self.problems.add(path, f"{key!r} is in the matrix and at the top; keep one")
            values = whole_range(given) or given
            if isinstance(values, list) and values:
                axes[key] = [value for i, value in enumerate(values) if self.is_valid(key, value, (*path, i))]
            else:
                what = f"{self._title(path)} = {shown(values)} is not a list of values, or a range like 0..4"
                self.problems.add(path, what)
        return axes

    def _arms(self, given: dict[str, Any], axes: dict[str, list[Any]]) -> dict[str | None, dict[str, Any]]:
        arms: dict[str | None, dict[str, Any]] = {}
        for arm, keys in given.items():
            self._check_name("arm", arm, ("arms", arm))
            if not isinstance(keys, dict):
                what = f"{dotted(('arms', arm))} = {shown(keys)} is not of the form {{key: value, …}}"
                self.problems.add(("arms", arm), what)
                continue
            arms[arm] = {}
            for key, value in keys.items():
                path = ("arms", arm, key)
                if self.is_known(key, value, path) and self.is_valid(key, value, path):
                    arms[arm][key] = value
                    if key in axes:
                        self.problems.add(path, f"{key!r} is in the matrix and in arm {arm!r}; keep one")
        return arms or {None: {}}

    def _check_tuned(
        self, tune: Tune, top: dict[str, Any], axes: dict[str, list[Any]], arms: dict[str | None, dict[str, Any]]
    ) -> None:
        """Add a problem for each key that the section `tune` sets, or that is searched and fixed for every arm."""
        own: dict[str, KeyPath] = {key: ("arms", arm or "", key) for arm, keys in arms.items() for key in keys}
        given: dict[str, KeyPath] = {**own, **{key: ("matrix", key) for key in axes}, **{key: (key,) for key in top}}
        for key, why in (
            ("seed", "tune gives each repeat its own seeds; remove it"),
            ("eval_test", "tune sets it: no trial sees the test images, and every tested run does; remove it"),
        ):
            if key in given:
                self.problems.add(given[key], f"{self._title(given[key])}: {why}")
        for key in tune.space:
            if key in top or key in axes:
                where = "at the top" if key in top else "in the matrix"
                self.problems.add(("tune", "space", key), f"{key!r} is in tune.space and {where}; keep one")

    def takes(self, key: str, value: Any) -> bool:
        """Return whether a key allows this value; a problem is not added."""
        try:
            _FIELDS[key].validate_python(value)
        except ValidationError:
            return False
        return True

    def _published(self, value: Any, arms: list[Any]) -> dict[str, Any]:
        path: KeyPath = ("published",)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._add_not_a_mapping(path, value)
            return {}
        try:
            published = Published.model_validate(value)
        except ValidationError as error:
            for key in dict.fromkeys(str(one["loc"][0]) for one in error.errors()):
                what = f"unknown key {key!r}; the keys of published are {', '.join(Published.model_fields)}"
                if key in Published.model_fields:
                    what = f"published.{key} = {shown(value.get(key))} is not {allowed(Published, key)}"
                self.problems.add((*path, key), what)
            return {}
        named = [("arm", arm) for arm in ([published.arm] if isinstance(published.arm, str) else published.arm or [])]
        for key, arm in [*named, *(("w_norm", arm) for arm in published.w_norm)]:
            if arm not in arms:
                what = f"published.{key} = {arm!r} is not an arm of this config, which has {', '.join(map(str, arms))}"
                self.problems.add((*path, key), what)
        return published.model_dump(exclude_defaults=True)

    def is_known(self, key: str, value: Any, path: KeyPath) -> bool:
        if key in Config.model_fields:
            return True
        if remedy := drop_probs_instead(key, value, self.layers, several=path[0] == "matrix"):
            self.problems.add(path, f"unknown key {key!r}; {remedy}")
            return False
        keys = [*Config.model_fields, *(STUDY_KEYS if len(path) == 1 else ())]
        nearest = difflib.get_close_matches(key, keys, n=1)
        remedy = f"(did you mean {nearest[0]!r}?)" if nearest else f"(the keys are {', '.join(keys)})"
        self.problems.add(path, f"unknown key {key!r} {remedy}")
        return False

    def is_valid(self, key: str, value: Any, path: KeyPath) -> bool:
        try:
            _FIELDS[key].validate_python(value)
        except ValidationError as error:
            for one in error.errors():
                index = [part for part in one["loc"] if isinstance(part, int)][:1]
                title = self._title(path) + "".join(f"[{i}]" for i in index)
                what = allowed(Config, key, item=bool(index)) or allowed(Config, key)
                what += self._several_values(key, value, path)
                if key == "seed" and key in self.problems.options:
                    is_range = RANGE.match(str(one["input"]).strip())
                    what = f"a range of 1 to {MAX_RUNS:,} seeds" if is_range else f"{what}, or a range like 0..4"
                self.problems.add((*path, *index), f"{title} = {shown(one['input'])} is not {what}")
            return False
        return True

    def _several_values(self, key: str, value: Any, path: KeyPath) -> str:
        """Return the remedy for several values of a key that takes one, outside the matrix."""
        several = (isinstance(value, list) and value) or whole_range(value)
        takes_one = not allowed(Config, key, item=True) and path[0] not in ("matrix", "tune")
        return "; list several values in the matrix" if several and takes_one else ""

    def _check_name(self, what: str, name: Any, path: KeyPath) -> None:
        if not names.is_name(name):
            self.problems.add(path, f"{what} = {shown(name)} cannot name a folder; use {names.RULE}")

    def _add_not_a_mapping(self, path: KeyPath, value: Any) -> None:
        what = f"{dotted(path)} = {shown(value)} is not a mapping with a line 'key: …' for each key"
        self.problems.add(path, what)

    def _title(self, path: KeyPath) -> str:
        """Return how a message names the key at `path`: alone if an option set it, else with its sections."""
        key = path[1] if path[0] == "matrix" else path[-1]
        return str(key) if key in self.problems.options else dotted(path)
