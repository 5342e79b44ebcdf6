"""What run folders say: a record per run, read from one small file each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dropexp.config.names import is_name
from dropexp.config.tasks import FASHION_MNIST
from dropexp.config.variants import VARIANTS
from dropexp.errors import NoRuns, RunError, printable
from dropexp.runs.find import folders
from dropexp.runs.folder import EPOCHS, FINISHED, RUN, Row, RunFolder, default_runs_dir
from dropexp.runs.metrics import metrics_of

LARGEST = 2.0**128  # of figures: they are measured in float32
NO_RUN = ("broken", "twice")  # a folder that cannot be read, and a second one of the same run


@dataclass(frozen=True)
class Run:
    """What run.json says of a run; of a folder that cannot be read, why not."""

    folder: RunFolder
    study: str
    status: str  # one of runs.STATUSES or of NO_RUN
    why: str | None
    seed: int | None = None
    variant: str = ""
    arm: str | None = None  # as declared in the config
    hash: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    figures: dict[str, float] = field(default_factory=dict)  # at the last epoch, all that it has
    table: str | None = None  # the SHA-256 of its table, once it is finished

    @cached_property
    def key(self) -> str:
        """Equal for the runs of one arm."""
        return json.dumps({name: value for name, value in self.settings.items() if name != "seed"}, sort_keys=True)

    @property
    def identity(self) -> tuple[str, str]:
        """Equal for the folders of one run, as its hash may be for those of two."""
        return self.study, json.dumps(self.settings, sort_keys=True) if self.hash else str(self.folder.path)

    @property
    def base(self) -> str:
        return self.arm or self.variant

    @property
    def task(self) -> str:
        return str(self.config.get("task", FASHION_MNIST))

    def rows(self) -> list[Row]:
        """Its table. Raises RunError if it is damaged."""
        return self.folder.read_rows(known=self.table)

    def setting(self, name: str) -> Any:
        """The value of a config key, or of "arm", in words where it is null; None where the run has no use for it."""
        if name in ("arm", "task"):
            return self.base if name == "arm" else self.task
        known = self.config | self.settings
        scheduled = name != "drop_epochs" or known.get("drop_schedule") in ("early", "late")
        if not scheduled or (self.variant in VARIANTS and name in VARIANTS[self.variant].unused):
            return None
        if known.get(name) is not None:
            return known[name]
        if name == "train_size" and self.task == FASHION_MNIST:
            return "all"
        return ("half" if name == "drop_epochs" else "none") if name in known else None

    def said(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"seed {self.seed} {self.status}{why}"


def read_runs(paths_or_names: str | Iterable[str], runs_dir: Path | str | None) -> list[Run]:
    """The runs that are named; a second folder of the same run is marked as "twice". Raises NoRuns if there is none."""
    place = Path(runs_dir) if runs_dir is not None else default_runs_dir()
    wanted = [paths_or_names] if isinstance(paths_or_names, str) else list(paths_or_names)
    try:
        found = folders(wanted, place)
    except RunError as error:
        raise NoRuns(f"{error}; dropexp train -c FILE makes runs") from None
    if not found:
        raise NoRuns(f"no runs under {place}; dropexp train -c FILE makes some, --runs-dir names another place")
    once: dict[tuple[str, str], Run] = {}
    twice: list[Run] = []
    for run in map(read_or_broken, found):
        key = run.identity
        if key in once:
            kept, spare = sorted((once[key], run), key=_rank)
            twice.append(
                replace(spare, status="twice", why=f"{spare.folder.path} is the same run as {kept.folder.path}")
            )
            run = kept
        once[key] = run
    return [*once.values(), *twice]


def _rank(run: Run) -> int:
    """What is done comes before what diverged, and either before what is not finished."""
    return FINISHED.index(run.status) if run.status in FINISHED else len(FINISHED)


def read_or_broken(folder: RunFolder) -> Run:
    """The same as `read_run`, and of a folder that cannot be read a run of status "broken" that says why."""
    try:
        return read_run(folder)
    except RunError as error:
        return Run(folder, folder.path.parent.name, "broken", str(error))


def read_run(folder: RunFolder) -> Run:
    """What run.json says. Raises `RunError` if it is missing or no training writes it so, `Damaged`, or `NewerRun`."""
    info = folder.read_info()
    try:
        if wrong := _wrong(info):
            raise ValueError(f"{' and '.join(wrong)} cannot be as a training writes it")
        status, last, config = info["status"], info.get("last") or {}, info["config"]
        task = config.get("task", FASHION_MNIST)
        if status == "running" and not folder.held():
            status = "interrupted"  # its process is gone
        figures = {name: number(last.get(name)) for name in metrics_of(task, last)}
        if "gap" in figures:
            figures["gap"] = figures["clean_train_acc"] - figures["test_acc"]
        return Run(
            folder,
            study=info["name"],
            status=status,
            why=info["why"] and printable(info["why"]),
            seed=config["seed"],
            variant=config["variant"],
            arm=info["arm"],
            hash=info["hash"],
            config=config,
            settings=info["settings"],
            epoch=last.get("epoch"),
            figures=figures,
            table=(info.get("files") or {}).get(EPOCHS),
        )
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RunError(f"{folder.path / RUN} is damaged ({error!r}); remove the folder and train again") from None


def _wrong(info: dict[str, Any]) -> list[str]:
    """The parts of run.json that no training writes so: what reads them later shall not have to look."""
    config, last, origin = info["config"], info.get("last") or {}, info.get("provenance") or {}
    right = {
        "name": is_name(info["name"]),
        "arm": _is_plain(info["arm"], str | None),
        "why": isinstance(info["why"], str | None),
        "hash": re.fullmatch("[0-9a-f]{8}", info["hash"]) is not None,
        "config": _is_plain(config, dict),
        "variant": _is_plain(config["variant"], str),
        "task": _is_plain(config.get("task", ""), str),
        "seed": _is_whole(config["seed"], 0),
        "validation_size": _is_whole(config.get("validation_size", 0), 0),
        "settings": _is_plain(info["settings"], dict),
        "last": _is_plain(last, dict) and all(isinstance(value, float | int | None) for value in last.values()),
        "epoch": last.get("epoch") is None or _is_whole(last["epoch"], 1),
        "provenance": _is_plain(origin, dict),
        "times": all(isinstance(origin.get(time), str | None) for time in ("began", "ended")),
    }
    return [part for part, is_right in right.items() if not is_right]


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < 2**63


def _is_plain(value: Any, kind: Any = object) -> bool:
    """Whether it is of this kind and made of numbers and of texts that can be shown and written."""
    if not isinstance(value, kind):
        return False
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return printable(value) == value if isinstance(value, str) else value is None or abs(value) < 2**1023


def keep(runs: list[Run], wanted: Mapping[str, Any]) -> list[Run]:
    """The runs whose config keys have these values; a key that a variant has no use for excludes none of its runs.

    What cannot be read stays, to be named. Raises NoRuns if no other is left.
    """
    readable = [run for run in runs if run.status not in NO_RUN]
    if not wanted or not readable:
        return runs
    known = sorted({"arm", *(name for run in readable for name in run.config)})
    for key in wanted:
        if key not in known:
            raise NoRuns(f"no run has a key {key!r} to filter by; there are: {', '.join(known)}")
    kept = [run for run in readable if all(_is(run.setting(key), value) for key, value in wanted.items())]
    if not kept:
        shown = ", ".join(f"{key}={text(value)}" for key, value in wanted.items())
        found = {key: {text(run.setting(key)) for run in readable if run.setting(key) is not None} for key in wanted}
        values = "; ".join(f"{key} is {' or '.join(sorted(texts, key=natural))}" for key, texts in found.items())
        raise NoRuns(f"no run has {shown}; {values}")
    return [*kept, *(run for run in runs if run.status in NO_RUN)]


def _is(value: Any, wanted: Any) -> bool:
    """Whether a setting is what is wanted, or what a label shows of it, or of no use; 1 is 1.0 and is not true."""
    same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    return value is None or same or text(value) == ("none" if wanted is None else wanted)


def number(value: Any) -> float:
    """A figure as it was read; NaN for what is none, or beyond all that a training can measure."""
    return float(value) if isinstance(value, int | float) and abs(value) < LARGEST else math.nan


def text(value: Any) -> str:
    """A setting as a label shows it: lists as 0.2-0.5, true, none."""
    if isinstance(value, list):
        return "-".join(map(text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def natural(label: str) -> list[str | float]:
    """Sorts lr=0.5 before lr=10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", label)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]
