"""Runs as analysis, reports and exports see them, each read from its run.json."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dropexp.config.digests import arm_digest, searched
from dropexp.config.other_libraries.keys import similar_key
from dropexp.config.planned_run import SearchPart
from dropexp.config.schema import Config
from dropexp.config.tasks import FASHION_MNIST
from dropexp.config.used_keys import used_keys
from dropexp.config.values import DEFAULT_WORDS
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import CorruptedFile, MissingRun, NoRuns, RunError, UnknownRuns
from dropexp.home_folder import expanded
from dropexp.runs.epochs_table import Columns, Row, rows_of
from dropexp.runs.find import folders, instead, study_names
from dropexp.runs.folder import RunFolder, default_runs_dir
from dropexp.runs.metrics import metrics_of
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import FINISHED, NO_RUN, Status
from dropexp.runs.transitions import as_of_now

LARGEST_FIGURE = 2.0**128  # figures are computed in float32, whose numbers are all smaller

# a run of an earlier version lacks the keys that were added since, and was trained with their defaults
_DEFAULTS = {key: info.default for key, info in Config.model_fields.items() if not info.is_required()}


@dataclass(frozen=True)
class Run:
    """A run that was read, or a folder that could not be read, without `info`."""

    folder: RunFolder
    study: str
    status: Status
    why: str | None
    info: RunInfo | None = None

    @property
    def config(self) -> dict[str, Any]:
        return self.info.config if self.info else {}

    @property
    def settings(self) -> dict[str, Any]:
        return self.info.settings if self.info else {}

    @property
    def seed(self) -> int | None:
        return self.config.get("seed")

    @property
    def variant(self) -> str:
        return str(self.config.get("variant", ""))

    @property
    def task(self) -> str:
        return str(self.config.get("task", FASHION_MNIST))

    @property
    def arm(self) -> str | None:
        """The arm as the config declares it."""
        return self.info.arm if self.info else None

    @property
    def base(self) -> str:
        """The arm, or the variant of a run without one."""
        return self.arm or self.variant

    @property
    def hash(self) -> str | None:
        return self.info.hash if self.info else None

    @property
    def epoch(self) -> int | None:
        """The last epoch, or that of the last checkpoint; None for none."""
        return (self.info.epoch or None) if self.info else None

    def time(self, name: str) -> str | None:
        """Return when its last training "began" or "ended", in ISO 8601 and UTC."""
        return self.info.provenance.get(name) if self.info else None

    @property
    def tuning(self) -> SearchPart | None:
        """Its part in a search."""
        return self.info.tune if self.info else None

    @property
    def is_trial(self) -> bool:
        return self.tuning is not None and self.tuning.role == "trial"

    @property
    def is_tested(self) -> bool:
        """Return whether the run tests the settings that a search selected."""
        return self.tuning is not None and self.tuning.role == "tested"

    @cached_property
    def key(self) -> str:
        """Equal for the runs of one arm."""
        if self.tuning is not None and self.is_tested:
            return json.dumps([self.tuning.arm, self.settings.get("device")])
        return json.dumps({name: value for name, value in self.settings.items() if name != "seed"}, sort_keys=True)

    @cached_property
    def arm_digest(self) -> str:
        """Equal for the runs of one arm on any kind of device."""
        return self.tuning.arm if self.tuning is not None and self.is_tested else arm_digest(self.settings)

    @property
    def identity(self) -> tuple[str, str, int | None]:
        """Equal for the folders of one run. The hash alone can be equal for two runs."""
        if self.info is None:
            return self.study, str(self.folder.path), self.seed
        same = self.key
        if self.tuning:  # tested runs of one arm and seed can have settings of different selections
            same = json.dumps(self.settings, sort_keys=True)
        return self.study, same, self.seed

    @cached_property
    def figures(self) -> dict[str, float]:
        """The figures of the last epoch."""
        if self.info is None:
            return {}
        last = self.info.last
        figures = {name: number(last.get(name)) for name in metrics_of(self.task, last)}
        if "gap" in figures:
            figures["gap"] = figures["clean_train_acc"] - figures["test_acc"]
        return figures

    def columns(self) -> Columns:
        """Return its table: from run.json if the run is finished, otherwise the rows in epochs.csv.

        Raises `RunError` if it is corrupted.
        """
        return self.folder.read_table(self.info)

    def rows(self) -> list[Row]:
        """Return its table as rows. Raises as `columns`."""
        return rows_of(self.columns())

    def setting(self, name: str) -> Any:
        """Return the value of a config key or of "arm", in words for null; None if the run does not use the key.

        The value of a key that a search chose is "tuned".
        """
        return self._values.get(name)

    @cached_property
    def _values(self) -> dict[str, Any]:
        config, words = _DEFAULTS | self.config, dict(DEFAULT_WORDS)
        if self.task != FASHION_MNIST:
            words["train_size"] = "none"
        used = {key: config[key] for key in used_keys(config)}
        used |= {name: value for name, value in self.settings.items() if name not in config}  # the device, the plugin
        in_words = {name: words.get(name, "none") if value is None else value for name, value in used.items()}
        if self.tuning and self.is_tested:
            in_words = searched(in_words, self.tuning.keys)
        return in_words | {"arm": self.base, "task": self.task}

    def describe(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"seed {self.seed} {self.status}{why}"


def read_runs(paths_or_names: str | Iterable[str], runs_dir: Path | str | None) -> list[Run]:
    """Return the runs with these names or paths, all below `runs_dir` if none is given.

    A second folder of the same run has the status DUPLICATE. Raises `NoRuns` if there is none.
    """
    root = expanded(runs_dir) if runs_dir is not None else default_runs_dir()
    wanted = [paths_or_names] if isinstance(paths_or_names, str) else list(paths_or_names)
    try:
        found = folders(wanted, root)
    except UnknownRuns as error:
        studies = [name for name in wanted if name in study_names(root)]
        arms = {run.base: run.study for run in map(read_any, folders(studies, root) if studies else ())}
        raise NoRuns(f"{error}; {instead(error.item, arms, root)}") from None
    if not found:
        raise NoRuns(f"no runs under {root}; dropexp train CONFIG creates some, --runs-dir names another folder")
    runs: dict[tuple[str, str, int | None], Run] = {}
    duplicates: list[Run] = []
    for run in map(read_any, found):
        first = runs.setdefault(run.identity, run)
        if first is not run:
            kept, other = sorted((first, run), key=_rank)
            why = f"{other.folder.path} is the same run as {kept.folder.path}"
            duplicates.append(replace(other, status=Status.DUPLICATE, why=why))
            runs[run.identity] = kept
    return [*runs.values(), *duplicates]


def _rank(run: Run) -> int:
    """Return a rank that sorts done before diverged, and both before unfinished."""
    return FINISHED.index(run.status) if run.status in FINISHED else len(FINISHED)


def read_any(folder: RunFolder) -> Run:
    """Return the run; for a folder that cannot be read, one whose `why` gives the reason."""
    try:
        return read_run(folder)
    except (CorruptedFile, MissingRun) as error:
        return Run(folder, folder.path.parent.name, Status.CORRUPTED, str(error))
    except RunError as error:
        return Run(folder, folder.path.parent.name, Status.UNREADABLE, str(error))


def read_run(folder: RunFolder) -> Run:
    """Read a run from its run.json. Raises `RunError` if it cannot be read."""
    info = as_of_now(folder, folder.read_info())
    return Run(folder, info.name, info.status, info.why, info)


def keep(runs: list[Run], wanted: Mapping[str, Any]) -> list[Run]:
    """Return the runs whose config keys have these values; a key that a variant does not use excludes none of its runs.

    The key `status` is a state of a run, or a list of states. Without it, folders that do not count as a run stay.
    Raises `NoRuns` if no run is left.
    """
    if "status" in wanted:
        runs = _with_status(runs, wanted["status"])
        wanted = {key: value for key, value in wanted.items() if key != "status"}
    readable = [run for run in runs if run.status not in NO_RUN]
    if not wanted or not readable:
        return runs
    known = sorted({"arm", "status", *(name for run in readable for name in run.config)})
    for key in wanted:
        if key not in known:
            raise NoRuns(f"no run has a key {key!r} to filter by{similar_key(key, known)}")
    kept = [run for run in readable if all(_is(run.setting(key), value) for key, value in wanted.items())]
    if not kept:
        shown = ", ".join(f"{key}={text(value)}" for key, value in wanted.items())
        found = {key: {text(run.setting(key)) for run in readable if run.setting(key) is not None} for key in wanted}
        values = "; ".join(
            f"{key} is {' or '.join(sorted(texts, key=natural))}{_similar(wanted[key], texts)}"
            for key, texts in found.items()
        )
        raise NoRuns(f"no run has {shown}; {values}")
    return [*kept, *(run for run in runs if run.status in NO_RUN)]


def _with_status(runs: list[Run], wanted: Any) -> list[Run]:
    words = [str(word) for word in (wanted if isinstance(wanted, list) else [wanted])]
    if kept := [run for run in runs if run.status in words]:
        return kept
    states = [str(status) for status in Status]
    if unknown := [word for word in words if word not in states]:
        raise NoRuns(f"unknown status {unknown[0]!r}{did_you_mean(unknown[0], states)}; allowed: {', '.join(states)}")
    found = sorted({run.status for run in runs})
    raise NoRuns(f"no run has the status {' or '.join(words)}; these runs are {' or '.join(found)}")


def _similar(wanted: Any, texts: Collection[str]) -> str:
    """Return " (did you mean 'nn'?)" for a value that no run has, if it is not a number."""
    return did_you_mean(wanted, texts) if isinstance(wanted, str) and wanted not in texts else ""


def _is(value: Any, wanted: Any) -> bool:
    """Return whether a setting has the wanted value, as a value or as text; an unused one always has. 1 is not true."""
    same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    if wanted is None:  # null in a config; `Run.setting` has a word in its place
        return value in (None, "none", *DEFAULT_WORDS.values())
    return value is None or same or bool({text(value), in_names(value)} & {str(wanted), str(wanted).lower()})


def number(value: Any) -> float:
    """Return a figure as it was read; NaN if it is not a number, or is larger than any that training can measure."""
    return float(value) if isinstance(value, int | float) and abs(value) < LARGEST_FIGURE else math.nan


def text(value: Any) -> str:
    """Return a setting as a config has it, and labels show it: [0.2, 0.5], true, none."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def in_names(value: Any) -> str:
    """Return a setting as names of folders have it: a list as 0.2-0.5."""
    return "-".join(map(text, value)) if isinstance(value, list | tuple) else text(value)


def natural(label: str) -> list[str | float]:
    """Return a key that sorts lr=0.5 before lr=10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", label)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]
