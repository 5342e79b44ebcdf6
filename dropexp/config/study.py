"""A study: the runs that a config file defines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropexp.config.digests import canonical
from dropexp.config.file import ConfigFile, parse_config
from dropexp.config.overrides import MAX_RUNS
from dropexp.config.planned import PlannedRun, cell_of
from dropexp.config.schema import Config
from dropexp.config.search import Search, searches_of
from dropexp.errors import ConfigError, Problem

MAX_CONFIG_BYTES = 500_000  # of a config; the shipped ones have up to 2,300


@dataclass(frozen=True)
class Study:
    """The runs of one config file, and its published figures.

    With `searches`, `runs` are their trials; the runs that test the selected settings are known only after these.
    `options` are the words of a command that ask for these runs. `written` is the study without the command's --set and
    --seeds, if these replace keys and keep the name; None if it is the same, or the file alone is not valid.
    """

    name: str
    runs: list[PlannedRun]
    published: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    options: tuple[str, ...] = ()
    written: Study | None = None
    searches: list[Search] = field(default_factory=list)

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of the runs to compare, so of no trial, for each arm by the digest of its settings."""
        seeds: dict[str, list[int]] = {}
        for one in self.searches:
            seeds.setdefault(one.arm_digest, []).append(one.seed)
        for run in self.runs if not self.searches else ():
            seeds.setdefault(run.arm_digest, []).append(run.config.seed)
        return seeds

    @property
    def added(self) -> int:
        """The number of runs to compare that the file does not ask for as it is written, because of --set."""
        if self.written is None:
            return 0
        asked = self.written.seeds
        return sum(len(seeds) for arm, seeds in self.seeds.items() if arm not in asked)


def load_config(path: str | Path, settings: Iterable[str] = (), seeds: str | None = None) -> Study:
    """Read a config file.

    `settings` are texts like `lr=0.1` that replace keys of every run, `seeds` is a text like `0..4`.
    Raises `ConfigError` with all problems.
    """
    path, settings = Path(path), list(settings)
    text = _read(path)
    study = _parse(text, path, settings, seeds)
    if settings or seeds is not None:
        with suppress(ConfigError):
            written = _parse(text, path)
            if written.name == study.name:
                return replace(study, written=written)
    return study


def _parse(text: str, path: Path, settings: Sequence[str] = (), seeds: str | None = None) -> Study:
    file = parse_config(text, str(path), path.stem, settings, seeds)
    searches = _searches(file)
    runs = trials_of(searches) if file.tune else _runs(file)
    file.problems.raise_if_any()
    options = ["-c", str(path)]
    for setting in settings:
        options += ["--set", setting]
    if seeds is not None:
        options += ["--seeds", seeds]
    return Study(file.name, runs, file.published, path, tuple(options), searches=searches)


def load_configs(paths: Iterable[Path], settings: Sequence[str] = (), seeds: str | None = None) -> list[Study]:
    """Read several config files. Raises `ConfigError` with the problems of all."""
    studies, problems = [], []
    for path in paths:
        try:
            studies.append(load_config(path, settings, seeds))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return studies


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError([Problem(str(path), f"more than {MAX_CONFIG_BYTES:,} bytes, too many for a config")])
        return content.decode()
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from None


def _searches(file: ConfigFile) -> list[Search]:
    """Return a search for each arm, point of the matrix and repeat; none without the section `tune`."""
    if file.tune is None or _too_many(file, len(file.tune.repeats) * (file.tune.trials + 1)):
        return []
    return searches_of(file, file.tune)


def trials_of(searches: Iterable[Search]) -> list[PlannedRun]:
    """Return the trials of searches, each run once."""
    runs: dict[str, PlannedRun] = {}
    for search in searches:
        for trial in search.trials:
            runs.setdefault(canonical(trial.config.settings("any")), trial)
    return list(runs.values())


def _runs(file: ConfigFile) -> list[PlannedRun]:
    """Return a run for each arm and each point of the matrix; runs that differ only in unused keys are one."""
    if _too_many(file, 1):
        return []
    runs: dict[str, PlannedRun] = {}
    owners: dict[str | None, set[str | None]] = {arm: set() for arm in file.arms}  # by arm: the arms of its runs
    for arm, own_keys in file.arms.items():
        for point in itertools.product(*file.axes.values()):
            cell = dict(zip(file.axes, point, strict=True))
            planned = _plan(file, arm, file.base | own_keys | cell, cell)
            if planned is not None:
                owners[arm].add(runs.setdefault(canonical(planned.config.settings("any")), planned).arm)
    for arm, others in owners.items():
        if others and arm not in others:
            same = " and ".join(repr(other) for other in others)
            options = f", because of {', '.join(file.problems.options.values())}" if file.problems.options else ""
            file.problems.add(("arms", arm or ""), f"arm {arm!r} has the same runs as arm {same}{options}")
    return list(runs.values())


def _too_many(file: ConfigFile, each: int) -> bool:
    """Return whether a config asks for too many runs, `each` for an arm at a point of the matrix; add the problem."""
    count = len(file.arms) * math.prod(map(len, file.axes.values())) * each
    if count > MAX_RUNS:
        section = "tune" if file.tune else "matrix"
        file.problems.add((section,), f"{count} runs are too many; a config can have {MAX_RUNS}")
    return count > MAX_RUNS


def _plan(file: ConfigFile, arm: str | None, keys: dict[str, Any], cell: dict[str, Any]) -> PlannedRun | None:
    """Return the run with these keys, or None and a problem in the file."""
    if not file.has_variant(arm, keys):
        return None
    try:
        config = Config.model_validate(keys)
    except ValidationError as error:
        file.problems.add_conflicts(error, arm)
        return None
    shown = {"arm": arm} if arm else {}
    shown |= {key: value for key, value in cell.items() if key in config.used() and key != "seed"}
    return PlannedRun(file.name, arm, cell_of(shown | {"seed": config.seed}), config)
