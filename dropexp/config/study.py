"""A study: the runs that a config file defines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropexp.config.digests import canonical
from dropexp.config.file import NO_OPTIONS, ConfigFile, Options, parse_config
from dropexp.config.overrides import MAX_RUNS
from dropexp.config.planned_run import PlannedRun, cell_of
from dropexp.config.schema import Config
from dropexp.config.search import Search, searches_of
from dropexp.config.source import KEYS, STDIN, read_config, text_of_keys
from dropexp.errors import ConfigError


@dataclass(frozen=True)
class Study:
    """The runs of one config file, and its published figures.

    With `searches`, `runs` are their trials; the runs that test the selected settings are known only after these.
    `options` are the command's words that define these runs, with FILE for a config that is not a file. `written` is
    the study without the command's --set, --sweep and --seeds, if these replace keys and keep the name; None if it is
    the same, or the file alone is invalid.
    """

    name: str
    runs: list[PlannedRun]
    published: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    file: Path | None = None
    options: tuple[str, ...] = ()
    written: Study | None = None
    searches: list[Search] = field(default_factory=list)

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of the runs to compare, without those of trials, by the digest of each arm's settings."""
        seeds: dict[str, list[int]] = {}
        for one in self.searches:
            seeds.setdefault(one.arm_digest, []).append(one.seed)
        for run in self.runs if not self.searches else ():
            seeds.setdefault(run.arm_digest, []).append(run.config.seed)
        return seeds

    @property
    def added(self) -> int:
        """The number of runs to compare that the file alone does not define, because of --set or --sweep."""
        if self.written is None:
            return 0
        defined = self.written.seeds
        return sum(len(seeds) for arm, seeds in self.seeds.items() if arm not in defined)


def load_config(
    config: str | Path | Mapping[str, Any],
    settings: Iterable[str] = (),
    seeds: str | None = None,
    sweeps: Iterable[str] = (),
) -> Study:
    """Read a config: a file, the name of a shipped study, "-" for standard input, or a mapping of keys with a `name`.

    `settings` are texts like `lr=0.1` that replace keys of every run, `sweeps` texts like `lr=0.1,0.5` that replace
    keys by axes of the matrix, `seeds` is a text like `0..4`. Raises `ConfigError` with all problems.
    """
    options = Options(tuple(settings), tuple(sweeps), seeds)
    if isinstance(config, Mapping):
        return replace(_parse(text_of_keys(config), None, options, where=KEYS), options=("-c", "FILE", *options.words))
    text, source = read_config(str(config))
    study = _parse(text, source, options)
    study = replace(study, options=("-c", str(config) if source else "FILE", *options.words))
    if options:
        with suppress(ConfigError):
            written = _parse(text, source)
            if written.name == study.name:
                return replace(study, written=written)
    return study


def _parse(text: str, source: Path | None, options: Options = NO_OPTIONS, where: str = STDIN) -> Study:
    where, stem = (where, None) if source is None else (str(source), source.stem)
    file = parse_config(text, where, stem, options)
    searches = _searches(file)
    runs = trials_of(searches) if file.tune else _runs(file)
    file.problems.raise_if_any()
    return Study(file.name, runs, file.published, file.labels, source, searches=searches)


def load_configs(
    paths: Iterable[str | Path],
    settings: Sequence[str] = (),
    seeds: str | None = None,
    sweeps: Sequence[str] = (),
) -> list[Study]:
    """Read several configs. Raises `ConfigError` with the problems of all."""
    studies, problems = [], []
    for path in paths:
        try:
            studies.append(load_config(path, settings, seeds, sweeps))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return studies


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
    """Return whether a config defines too many runs, `each` for an arm at a point of the matrix; add the problem."""
    count = len(file.arms) * math.prod(map(len, file.axes.values())) * each
    if count > MAX_RUNS:
        section = "tune" if file.tune else "matrix"
        file.problems.add((section,), f"{count} runs are too many; a config can have {MAX_RUNS}")
    return count > MAX_RUNS


def _plan(file: ConfigFile, arm: str | None, keys: dict[str, Any], cell: dict[str, Any]) -> PlannedRun | None:
    """Return the run with these keys; if it is invalid, add the problem and return None."""
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
