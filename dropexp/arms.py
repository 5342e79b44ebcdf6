"""Run folders -> runs and the arms they form.

An arm is the runs of one study that differ in nothing but their seed. Only finished runs give figures; what
is left out is named in the notes.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.runs import RUN, RunError, RunFolder, default_runs_dir, folders

METRICS = (
    *("test_acc", "test_loss", "train_acc", "train_loss", "clean_train_acc", "clean_train_loss"),
    *("val_acc", "val_loss", "gap", "seconds"),
)


NO_RUN = ("broken", "twice")  # a folder that cannot be read, and a second one of the same run


class NoRuns(Exception):
    """Nothing to compare; says how to get something."""


def load_runs(paths_or_names: str | Iterable[str] = (), runs_dir: Path | str | None = None) -> pd.DataFrame:
    """A row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    A second folder of the same run is left out; one that cannot be read has status "broken" and the reason in `why`.
    Raises NoRuns if there is no run.
    """
    runs = [run for run in read_runs(paths_or_names, runs_dir) if run.status != "twice"]
    labels = _labels(runs)
    rows = [
        {
            "name": run.study,
            "arm": run.arm,
            "label": labels.get((run.study, run.key)),
            "seed": run.seed,
            "status": run.status,
            "why": run.why,
            "path": str(run.folder.path),
            "epoch": run.epoch,
        }
        | {key: value for key, value in run.config.items() if key not in ("name", "arm", "seed")}
        | (run.figures or dict.fromkeys(METRICS, math.nan))
        for run in runs
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64", "epoch": "Int64"})


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
    figures: dict[str, float] = field(default_factory=dict)  # METRICS at the last epoch

    @cached_property
    def key(self) -> str:
        """Equal for the runs of one arm."""
        return json.dumps({name: value for name, value in self.settings.items() if name != "seed"}, sort_keys=True)

    @property
    def base(self) -> str:
        return self.arm or self.variant

    def setting(self, name: str) -> Any:
        return self.settings.get(name, self.config.get(name))  # a default stands in the config alone

    def said(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"seed {self.seed} {self.status}{why}"


@dataclass(frozen=True)
class Arm:
    """The runs of one study that differ in nothing but their seed."""

    label: str
    first: Run
    done: dict[int, Run]  # by seed
    curves: list[dict[str, NDArray[np.float64]]]  # of the done runs: METRICS by epoch, shape (epochs,) each
    diverged: int

    @property
    def study(self) -> str:
        return self.first.study

    def at(self, figure: str, epoch: int) -> list[float]:
        """A figure at an epoch, counted from 0, of the runs that got so far."""
        return [float(curve[figure][epoch]) for curve in self.curves if len(curve[figure]) > epoch]


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
    for run in map(_read_run, found):
        key = (run.study, run.hash or str(run.folder.path))
        if key in once:
            kept, spare = (run, once[key]) if run.status == "done" != once[key].status else (once[key], run)
            twice.append(
                replace(spare, status="twice", why=f"{spare.folder.path} is the same run as {kept.folder.path}")
            )
            run = kept
        once[key] = run
    return [*once.values(), *twice]


def _read_run(folder: RunFolder) -> Run:
    try:
        info = folder.read_info()
        status, last = info["status"], info.get("last") or {}
        if status == "running" and not folder.held():
            status = "interrupted"  # its process is gone
        figures = {name: _number(last.get(name)) for name in METRICS}
        figures["gap"] = figures["clean_train_acc"] - figures["test_acc"]
        return Run(
            folder,
            study=info["name"],
            status=status,
            why=info["why"],
            seed=int(info["config"]["seed"]),
            variant=info["config"]["variant"],
            arm=info["arm"],
            hash=info["hash"],
            config=dict(info["config"]),
            settings=dict(info["settings"]),
            epoch=last.get("epoch"),
            figures=figures,
        )
    except RunError as error:
        why = str(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{folder.path / RUN} is damaged ({error!r}); remove the folder and train again"
    return Run(folder, folder.path.parent.name, "broken", why)


def _labels(runs: list[Run]) -> dict[tuple[str, str], str]:
    """Label by study and key: the declared arm or variant, and what tells arms of one name apart."""
    sharing: dict[tuple[str, str], dict[str, Run]] = defaultdict(dict)
    for run in runs:
        if run.status not in NO_RUN:
            sharing[run.study, run.base].setdefault(run.key, run)
    several = len({study for study, _ in sharing}) > 1
    labels = {}
    for (study, base), members in sharing.items():
        names = sorted({name for run in members.values() for name in run.settings} - {"seed"})
        differing = [n for n in names if len({_text(run.setting(n)) for run in members.values()}) > 1]
        for key, run in members.items():
            label = ",".join([base, *(f"{name}={_text(run.setting(name))}" for name in differing)])
            labels[study, key] = f"{study}/{label}" if several else label
    return labels


def arms_of(runs: list[Run], notes: list[str]) -> list[Arm]:
    """The arms with a finished run, variant none first; what gives no figures goes to the notes."""
    notes += [f"left out: {run.why}" for run in runs if run.status in NO_RUN]
    labels = _labels(runs)
    members: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.status not in NO_RUN:
            members[labels[run.study, run.key]].append(run)
    arms = []
    for label, group in members.items():
        arm = Arm(label, group[0], {}, [], sum(run.status == "diverged" for run in group))
        for run in sorted(group, key=lambda run: run.seed or 0):
            if run.status != "done":
                notes.append(f"{label}: {run.said()}" + ("" if run.status == "diverged" else ", left out"))
                continue
            try:
                arm.curves.append(_curves(run))
                arm.done[run.seed or 0] = run
            except RunError as error:
                notes.append(f"{label}: seed {run.seed} left out: {error}")
        if arm.done or arm.diverged:
            arms.append(arm)
    return sorted(arms, key=lambda arm: (arm.study, arm.first.variant != "none", _natural(arm.label)))


def _curves(run: Run) -> dict[str, NDArray[np.float64]]:
    rows = run.folder.read_rows()
    if not rows or rows[-1].get("epoch") != run.epoch:
        raise RunError(f"the table in {run.folder.path} does not end at epoch {run.epoch}; train with --force")
    return {name: np.array([_number(row.get(name)) for row in rows]) for name in METRICS}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text(value: Any) -> str:
    """A setting as a label shows it: lists as 0.2-0.5, true, none."""
    if isinstance(value, list):
        return "-".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _natural(label: str) -> list[str | float]:
    """Sorts lr=0.5 before lr=10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", label)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]
