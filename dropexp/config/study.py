"""A study: the runs that a config file defines."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropexp.config.digests import arm_digest, canonical, digest
from dropexp.config.file import ConfigFile, parse_config
from dropexp.config.overrides import MAX_RUNS
from dropexp.config.schema import Config
from dropexp.config.variants import VARIANTS
from dropexp.errors import ConfigError, Problem

MAX_CONFIG_BYTES = 500_000  # of a config; the shipped ones have up to 2,300


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its config, and `cell`, the readable part of its folder's name."""

    name: str  # of the study
    arm: str | None
    cell: str
    config: Config

    def digest(self, device_kind: str) -> str:
        """Return the hash in the folder's name."""
        return digest(self.config.settings(device_kind))

    @property
    def arm_digest(self) -> str:
        """The digest of what it shares with the runs of its arm."""
        return arm_digest(self.config.settings("any"))


@dataclass(frozen=True)
class Study:
    """The runs of one config file, and its published figures.

    `options` are the words of a command that ask for these runs. `written` is the study without the command's --set and
    --seeds, if these replace keys and keep the name; None if it is the same, or the file alone is not valid.
    """

    name: str
    runs: list[PlannedRun]
    published: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    options: tuple[str, ...] = ()
    written: Study | None = None

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of each arm, by the digest of its settings."""
        seeds: dict[str, list[int]] = {}
        for run in self.runs:
            seeds.setdefault(run.arm_digest, []).append(run.config.seed)
        return seeds

    @property
    def added(self) -> list[PlannedRun]:
        """The runs of arms that the file does not ask for as it is written, because of --set."""
        if self.written is None:
            return []
        asked = self.written.seeds
        return [run for run in self.runs if run.arm_digest not in asked]


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
    runs = _runs(file)
    file.problems.raise_if_any()
    options = ["-c", str(path)]
    for setting in settings:
        options += ["--set", setting]
    if seeds is not None:
        options += ["--seeds", seeds]
    return Study(file.name, runs, file.published, path, tuple(options))


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


def _runs(file: ConfigFile) -> list[PlannedRun]:
    """Return a run for each arm and each point of the matrix; runs that differ only in unused keys are one."""
    count = len(file.arms) * math.prod(map(len, file.axes.values()))
    if count > MAX_RUNS:
        file.problems.add(("matrix",), f"{count} runs are too many; a config can have {MAX_RUNS}")
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


def _plan(file: ConfigFile, arm: str | None, keys: dict[str, Any], cell: dict[str, Any]) -> PlannedRun | None:
    """Return the run with these keys, or None and a problem in the file."""
    if "variant" not in keys:
        where = f"arm {arm!r}" if arm else "this file"
        file.problems.add(("arms", arm) if arm else (), f"{where} has no variant; add one of {', '.join(VARIANTS)}")
        return None
    try:
        config = Config.model_validate(keys)
    except ValidationError as error:
        for one in error.errors():
            file.problems.add_conflict(one["ctx"]["keys"], arm, one["msg"])
        return None
    shown = {"arm": arm} if arm else {}
    shown |= {key: value for key, value in cell.items() if key in config.used() and key != "seed"}
    return PlannedRun(file.name, arm, _cell(shown | {"seed": config.seed}), config)


def _cell(keys: dict[str, Any]) -> str:
    """Return the readable part of a folder's name: key=value, lists joined by '+', at most 120 safe characters."""
    parts = (f"{key}={'+'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in keys.items())
    return re.sub(r"[^\w=,.+-]", "-", ",".join(parts))[:120]
