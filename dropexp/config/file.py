"""The content of a config file: its name, the keys of its runs, matrix, arms, search and published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dropexp.config import names, yaml
from dropexp.config.checks import ANCHORS, Checks
from dropexp.config.overrides import (
    MAX_RUNS,
    Override,
    parse_seeds,
    parse_setting,
    parse_sweep,
    whole_range,
)
from dropexp.config.problems import Problems, dotted, shown
from dropexp.config.published_section import Published, problems_in
from dropexp.config.schema import Config, allowed
from dropexp.config.tune_section import Tune, parse_tune
from dropexp.config.variant_table import VARIANTS
from dropexp.config.yaml import KeyPath
from dropexp.config.yaml_faults import not_a_mapping
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ConfigError, Problem


@dataclass(frozen=True)
class Options:
    """The texts of the options of a command that change a config: `--set`, `--sweep` and `--seeds`."""

    settings: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()
    seeds: str | None = None

    def __bool__(self) -> bool:
        return bool(self.settings or self.sweeps or self.seeds is not None)

    @property
    def words(self) -> list[str]:
        """The options as words of a command."""
        pairs = [("--set", text) for text in self.settings] + [("--sweep", text) for text in self.sweeps]
        pairs += [] if self.seeds is None else [("--seeds", self.seeds)]
        return [word for pair in pairs for word in pair]


NO_OPTIONS = Options()
MAX_LABEL = 200  # characters, of one line that a terminal, a browser and LaTeX can show


@dataclass(frozen=True)
class ConfigFile:
    """A config file with the command's options applied. Every key is known and has a valid value."""

    name: str
    base: dict[str, Any]  # the keys at the top
    axes: dict[str, list[Any]]  # the matrix: the values of each key
    arms: dict[str | None, dict[str, Any]]  # the keys of each arm; {None: {}} without arms
    published: dict[str, Any]
    labels: dict[str, str]  # the display names of arms
    tune: Tune | None
    problems: Problems  # to which conflicts between keys can be added

    def has_variant(self, arm: str | None, keys: dict[str, Any]) -> bool:
        """Return whether the keys of an arm have a variant, and otherwise add the problem."""
        if "variant" not in keys:
            where = f"arm {arm!r}" if arm else "this file"
            self.problems.add(("arms", arm) if arm else (), f"{where} has no variant; add one of {', '.join(VARIANTS)}")
        return "variant" in keys


def parse_config(text: str, where: str, stem: str | None, options: Options = NO_OPTIONS) -> ConfigFile:
    """Parse a config file and apply the options of the command.

    `where` names the file in errors; `stem` is the study's name if the file gives none, None if it must give one.
    Raises `ConfigError` with all problems.
    """
    document = yaml.parse(text, where)
    if not isinstance(document.content, dict):
        line, what = not_a_mapping(document.content, text)
        raise ConfigError([Problem(f"{where}:{line}", what)])
    return _Parser(Problems(where, document.lines, document.typed)).parse(document.content, stem, options)


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip()) and len(value) <= MAX_LABEL


class _Parser:
    """Validates one file, and collects what is wrong."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.checks = Checks(problems)

    def parse(self, given: dict[str, Any], stem: str | None, options: Options) -> ConfigFile:
        top = {key: value for key, value in given.items() if not key.startswith(ANCHORS)}
        matrix, arms = (self._section(key, top.pop(key, None)) for key in ("matrix", "arms"))
        published, tune, labels = (top.pop(key, None) for key in ("published", "tune", "labels"))
        if isinstance(top.get("hidden"), list):
            self.checks.layers = len(top["hidden"])
        top = {
            key: self.checks.normal(key, value)
            for key, value in self.checks.without_numbered(top).items()
            if key == "name" or self.checks.is_known(key, value, (key,))
        }
        sections = [top, matrix, *(keys for keys in arms.values() if isinstance(keys, dict))]
        overrides = list(self._overrides(options))
        for override in overrides:
            for section in sections:
                section.pop(override.key, None)
            (matrix if override.axis else top)[override.key] = override.value
        name = self._name(top.pop("name", None), stem)
        base = {key: value for key, value in top.items() if self.checks.is_valid(key, value, (key,))}
        axes = self._axes(matrix, top)
        parsed_arms = self._arms(arms, axes)
        parsed_tune = parse_tune(tune, [override.key for override in overrides], self.checks)
        if parsed_tune:
            self._check_tuned(parsed_tune, top, axes, parsed_arms)
        named = [*arms] or self._valid_variants(matrix, axes, base)
        parsed_published, parsed_labels = self._published(published, named), self._labels(labels, named)
        self.problems.raise_if_any()
        return ConfigFile(name, base, axes, parsed_arms, parsed_published, parsed_labels, parsed_tune, self.problems)

    def _valid_variants(self, matrix: dict[str, Any], axes: dict[str, list[Any]], base: dict[str, Any]) -> list[Any]:
        """Return the variants of the matrix or of the top; [] if one of them is not valid, and so not known."""
        valid = axes.get("variant") or [value for key, value in base.items() if key == "variant"]
        given = matrix.get("variant")
        return [] if isinstance(given, list) and len(given) != len(valid) else valid

    def _name(self, given: Any, stem: str | None) -> str:
        """Return the study's name: the given one, or the stem of the file's name."""
        if given is not None or ("name",) in self.problems.lines or "name" in self.problems.options:
            self._check_name("name", given, ("name",))
            return str(given)
        if stem is None:
            self.problems.add_one(Problem(self.problems.where, "it has no name; add a line `name: …`"))
            return ""
        if not names.is_name(stem := names.normalised(stem)):
            what = f"a study is named after its file, and {stem!r} cannot name a folder; add a line `name: …`, such as"
            self.problems.add_one(Problem(self.problems.where, f"{what} `name: {names.safe(stem)}`"))
        return stem

    def _section(self, key: str, value: Any) -> dict[str, Any]:
        if value is not None and (not isinstance(value, dict) or not value):
            self._add_not_a_mapping((key,), value)
        return value if isinstance(value, dict) else {}

    def _overrides(self, options: Options) -> Iterable[Override]:
        where = self.problems.where
        given = [(parse_setting, text) for text in options.settings] + [(self._sweep, text) for text in options.sweeps]
        for parse, text in given:
            try:
                override = parse(text, where)
            except ConfigError as error:
                for problem in error.problems:
                    self.problems.add_one(problem)
                continue
            key, value = override.key, override.value
            if self._is_given_otherwise(override):
                continue
            self.problems.options[key] = override.option  # also of an unknown key: its option is reported
            path: KeyPath = ("matrix", key) if override.axis else (key,)
            if (key == "name" and not override.axis) or self.checks.is_known(key, value, path):
                value = value if override.axis else self.checks.normal(key, value)
                yield Override(key, value, override.option, override.axis)
        if options.seeds is not None:
            override = parse_seeds(options.seeds)
            if not self._is_given_otherwise(override):
                self.problems.options["seed"] = override.option
                yield override

    def _is_given_otherwise(self, override: Override) -> bool:
        """Return whether an option of another kind sets the key too, and add the problem; of one kind the last wins."""
        first = self.problems.options.get(override.key, override.option)
        if first.split()[0] == override.option.split()[0]:
            return False
        self.problems.add_one(Problem(override.option, f"{override.key!r} is given twice, first by {first}"))
        return True

    def _sweep(self, text: str, where: str) -> Override:
        key = text.partition("=")[0].strip()
        return parse_sweep(text, where, in_list=key in Config.model_fields and bool(allowed(Config, key, item=True)))

    def _axes(self, matrix: dict[str, Any], top: dict[str, Any]) -> dict[str, list[Any]]:
        axes: dict[str, list[Any]] = {}
        for key, given in matrix.items():
            path = ("matrix", key)
            if not self.checks.is_known(key, given, path):
                continue
            if key in top:
                self.problems.add(path, f"{key!r} is in the matrix and at the top; keep one")
            values = whole_range(given) or given
            if isinstance(values, list) and values:
                if text := self.checks.range_in_list(key, given):
                    what = f"is a range in a list (did you mean {text}, without brackets?)"
                    self.problems.add(path, f"{self.checks.title(path)} = {shown(given)} {what}")
                    continue
                values = [self.checks.normal(key, value) for value in values]
                if text := self.checks.sweep_of_layers(key, values):
                    what = f"is not {allowed(Config, key)}; the same for each layer: {text}"
                    self.problems.add(path, f"{self.checks.title(path)} = {shown(values[0])} {what}")
                    continue
                axes[key] = [value for i, value in enumerate(values) if self.checks.is_valid(key, value, (*path, i))]
                if len(axes[key]) == len(values) <= MAX_RUNS:
                    self.checks.check_duplicates(key, values, path)
            else:
                what = self.checks.axis(key, values)
                self.problems.add(path, f"{self.checks.title(path)} = {shown(values)} is not {what}")
        return axes

    def _arms(self, given: dict[str, Any], axes: dict[str, list[Any]]) -> dict[str | None, dict[str, Any]]:
        arms: dict[str | None, dict[str, Any]] = {}
        for arm, keys in given.items():
            self._check_name("arm", arm, ("arms", arm))
            own = arms[arm] = {}
            if not isinstance(keys, dict):
                what = f"{dotted(('arms', arm))} = {shown(keys)} is not of the form {{key: value, …}}"
                self.problems.add(("arms", arm), what)
                continue
            for key, given_value in keys.items():
                path, value = ("arms", arm, key), self.checks.normal(key, given_value)
                if self.checks.is_known(key, value, path) and self.checks.is_valid(key, value, path):
                    own[key] = value
                    if key in axes:
                        self.problems.add(path, f"{key!r} is in the matrix and in arm {arm!r}; keep one")
        return arms or {None: {}}

    def _check_tuned(
        self, tune: Tune, top: dict[str, Any], axes: dict[str, list[Any]], arms: dict[str | None, dict[str, Any]]
    ) -> None:
        """Add a problem for each given key that `tune` sets itself, and each searched key that every arm fixes."""
        own: dict[str, KeyPath] = {key: ("arms", arm or "", key) for arm, keys in arms.items() for key in keys}
        given: dict[str, KeyPath] = {**own, **{key: ("matrix", key) for key in axes}, **{key: (key,) for key in top}}
        for key, why in (
            ("seed", "tune gives each repeat its own seeds; remove it"),
            ("eval_test", "tune sets it: no trial sees the test images, and every tested run does; remove it"),
        ):
            if key in given:
                self.problems.add(given[key], f"{self.checks.title(given[key])}: {why}")
        for key in tune.space:
            if key in top or key in axes:
                where = "at the top" if key in top else "in the matrix"
                self.problems.add(("tune", "space", key), f"{key!r} is in tune.space and {where}; keep one")

    def _labels(self, value: Any, arms: list[Any]) -> dict[str, str]:
        labels = self._section("labels", value)
        for arm, label in labels.items():
            path: KeyPath = ("labels", arm)
            taken = [name for other in arms if other != arm for name in (other, labels.get(other))]
            if arms and arm not in arms:
                similar, known = did_you_mean(str(arm), map(str, arms)), ", ".join(map(str, arms))
                self.problems.add(path, f"labels.{arm} is not an arm of this config{similar}, which has {known}")
            elif not _is_label(label):
                what = f"is not a line of 1 to {MAX_LABEL} printable characters"
                self.problems.add(path, f"labels.{arm} = {shown(label)} {what}")
            elif label in taken:
                self.problems.add(
                    path, f"labels.{arm} = {shown(label)} is already the name or label of another arm; choose another"
                )
        return labels

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
            for below, what in problems_in(value, error):
                self.problems.add((*path, *below), what)
            return {}
        named = [("arm", arm) for arm in ([published.arm] if isinstance(published.arm, str) else published.arm or [])]
        for key, arm in [*named, *(("w_norm", arm) for arm in published.w_norm)]:
            if arms and arm not in arms:
                similar, known = did_you_mean(arm, map(str, arms)), ", ".join(map(str, arms))
                what = f"published.{key} = {arm!r} is not an arm of this config{similar}, which has {known}"
                self.problems.add((*path, key), what)
        return published.model_dump(exclude_defaults=True)

    def _check_name(self, what: str, name: Any, path: KeyPath) -> None:
        if not isinstance(name, str):
            self.problems.add_not_text(what, name)
        elif not names.is_name(name):
            self.problems.add(path, f"{what} = {shown(name)} cannot name a folder; use {names.RULE}")

    def _add_not_a_mapping(self, path: KeyPath, value: Any) -> None:
        what = f"{dotted(path)} = {shown(value)} is not a mapping with a line 'key: …' for each key"
        self.problems.add(path, what)
