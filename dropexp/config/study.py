"""A study: the runs that a config file asks for."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dropexp.config.file import MAX_RUNS, ConfigFile
from dropexp.config.schema import Config, canonical, digest
from dropexp.config.variants import VARIANTS
from dropexp.errors import ConfigError, Problem

MAX_BYTES = 500_000  # of a config; ours have 2,300 at most


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its config, and the readable part of its folder's name."""

    name: str
    arm: str | None
    cell: str
    config: Config

    def digest(self, device_kind: str) -> str:
        """The hash in its folder's name."""
        return digest(self.config.settings(device_kind))

    def yaml(self) -> bytes:
        """Its config.yaml."""
        content = {"name": self.name, **self.config.model_dump()}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()

    def has(self, settings: object) -> bool:
        """Whether these settings, as some run.json has them, are this run's: its hash may be another's too.

        Raises ValueError if their hash is not this run's, whose folder no training has written them into.
        """
        if not isinstance(settings, dict):  # of an earlier version
            return True
        own = self.config.settings(str(settings.get("device")))
        if digest(settings) != digest(own):
            raise ValueError("its settings are of another hash than the folder's")
        return settings == own


@dataclass(frozen=True)
class Study:
    """What one config file asks for."""

    name: str
    runs: list[PlannedRun]
    published: dict[str, Any] = field(default_factory=dict)

    @property
    def remarks(self) -> dict[str, Any]:
        """What is kept beside its runs."""
        return {"published": self.published} if self.published else {}


def load_config(path: str | Path, settings: Iterable[str] = (), seeds: str | None = None) -> Study:
    """Read a config file. `settings` are `key=value` texts that replace keys of every run, `seeds` a text like `0..4`.

    Raises `ConfigError` with everything that is wrong.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError([Problem(str(path), f"more than {MAX_BYTES:,} bytes: this is no config")])
        text = content.decode()
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from None
    file = ConfigFile(text, str(path), path.stem, settings, seeds)
    file.stop_if_wrong()
    runs = _runs(file)
    file.stop_if_wrong()
    return Study(file.name, runs, file.published)


def load_configs(paths: Iterable[Path], settings: Sequence[str] = (), seeds: str | None = None) -> list[Study]:
    """Read several. Raises `ConfigError` with everything that is wrong in any of them."""
    studies, problems = [], []
    for path in paths:
        try:
            studies.append(load_config(path, settings, seeds))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return studies


def _runs(file: ConfigFile) -> list[PlannedRun]:
    """Every arm times every point of the matrix; runs that are equal but for unused keys are one."""
    count = len(file.arms) * math.prod(map(len, file.axes.values()))
    if count > MAX_RUNS:
        file.wrong(("matrix",), f"{count} runs are more than one config may ask for ({MAX_RUNS})")
        return []
    runs: dict[str, PlannedRun] = {}
    equals: dict[str | None, set[str | None]] = {arm: set() for arm in file.arms}  # the arms that have an arm's runs
    for arm, own in file.arms.items():
        for point in itertools.product(*file.axes.values()):
            cell = dict(zip(file.axes, point, strict=True))
            planned = _planned(file, arm, file.base | own | cell, cell)
            if planned is None:
                continue
            equals[arm].add(runs.setdefault(canonical(planned.config.settings("any")), planned).arm)
    for arm, others in equals.items():
        if others and arm not in others:
            same = " and ".join(repr(other) for other in others)
            options = f", now that {', '.join(file.options.values())}" if file.options else ""
            file.wrong(("arms", arm or ""), f"arm {arm!r} asks for the same runs as arm {same}{options}")
    return list(runs.values())


def _planned(file: ConfigFile, arm: str | None, keys: dict[str, Any], cell: dict[str, Any]) -> PlannedRun | None:
    if "variant" not in keys:
        place = f"arm {arm!r}" if arm else "this file"
        file.wrong(("arms", arm) if arm else (), f"{place} has no variant; add one of {', '.join(VARIANTS)}")
        return None
    try:
        config = Config.model_validate(keys)
    except ValidationError as error:
        for one in error.errors():
            file.disagree(one["ctx"]["keys"], arm, one["msg"])
        return None
    shown = {"arm": arm} if arm else {}
    shown |= {key: value for key, value in cell.items() if key in config.used() and key != "seed"}
    return PlannedRun(file.name, arm, _cell(shown | {"seed": config.seed}), config)


def _cell(keys: dict[str, Any]) -> str:
    """The readable part of a folder's name: key=value, lists joined by '+', nothing that a file system minds."""
    parts = (f"{key}={'+'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in keys.items())
    return re.sub(r"[^\w=,.+-]", "-", ",".join(parts))[:120]
