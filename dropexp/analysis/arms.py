"""Runs -> the arms they form.

An arm is the runs of one study that differ in nothing but their seed. Only finished runs give figures; what
is left out is named in the notes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.config.tasks import NUM_TRAIN
from dropexp.errors import RunError
from dropexp.runs.folder import FINISHED
from dropexp.runs.metrics import METRICS, metrics_of
from dropexp.runs.record import NO_RUN, Run, keep, natural, number, read_runs, text


def load_runs(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """A row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    `where` keeps runs whose keys have these values. A second folder of the same run is left out; one that cannot be
    read has status "broken" and the reason in `why`. Raises NoRuns if there is no run.
    """
    runs = [run for run in keep(read_runs(paths_or_names, runs_dir), where or {}) if run.status != "twice"]
    labels = labels_of(runs)
    rows: list[dict[str, Any]] = [
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
        for run in runs
    ]
    for row, run in zip(rows, runs, strict=True):
        row |= {key: value for key, value in run.config.items() if key not in row}
        row |= run.figures or dict.fromkeys(METRICS, math.nan)
    return pd.DataFrame(rows).astype({"seed": "Int64", "epoch": "Int64"})


Curves = dict[str, NDArray[np.float64]]  # a run's figures by epoch, shape (epochs,) each


@dataclass(frozen=True)
class Arm:
    """The runs of one study that differ in nothing but their seed. Its dictionaries are by seed, of done runs."""

    label: str
    series: str  # the label without the key that a comparison goes by
    first: Run
    curves: dict[int, Curves]
    epochs: dict[int, int]  # the epoch, counted from 1, whose figures count
    paths: dict[int, Path]
    diverged: int

    @property
    def study(self) -> str:
        return self.first.study

    @property
    def seeds(self) -> list[int]:
        return list(self.epochs)

    def value(self, key: str) -> Any:
        """Its value of a config key, None if it has no use for it; all training images are counted."""
        value = self.first.setting(key)
        if key == "train_size" and value == "all":  # of Fashion-MNIST
            return NUM_TRAIN - self.first.config.get("validation_size", 0)
        return value

    def figure(self, name: str, seed: int) -> float:
        """A run's figure at its epoch; `seconds` is the median over the epochs after the first, which warms up."""
        curve = self.curves[seed][name]
        if name == "seconds":
            return float(np.median(curve[1:] if len(curve) > 1 else curve))
        return float(curve[self.epochs[seed] - 1])

    def figures(self, name: str) -> list[float]:
        """A figure of each run, in the order of `seeds`."""
        return [self.figure(name, seed) for seed in self.seeds]

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """The fewest and the most epochs that its runs have."""
        lengths = [epochs_of(curves) for curves in self.curves.values()]
        return min(lengths, default=0), max(lengths, default=0)

    def at(self, name: str, epoch: int) -> list[float]:
        """A figure of each run at an epoch, counted from 1; none beyond the epochs that all have.

        Those that train longest are no sample of the arm, so a mean over them would mislead.
        """
        known = epoch <= self.lengths[0]
        return [float(curves[name][epoch - 1]) for curves in self.curves.values() if known and name in curves]


def labels_of(runs: list[Run], without: Collection[str] = ()) -> dict[tuple[str, str], str]:
    """Label by study and key: the declared arm or variant, and what tells arms of one name apart.

    Keys in `without` are not part of it, so that several arms may share one label. Arms that have no finished run leave
    the labels of the others as they are.
    """
    known = [run for run in runs if run.status not in NO_RUN]
    finished = {(run.study, run.key) for run in known if run.status in FINISHED}
    return _labels(known, without) | _labels([run for run in known if (run.study, run.key) in finished], without)


def _labels(runs: list[Run], without: Collection[str]) -> dict[tuple[str, str], str]:
    sharing: dict[tuple[str, str], dict[str, Run]] = defaultdict(dict)
    for run in runs:
        sharing[run.study, run.base].setdefault(run.key, run)
    several = len({study for study, _ in sharing}) > 1
    labels = {}
    for (study, base), members in sharing.items():
        names = sorted({name for run in members.values() for name in run.settings} - {"seed", *without})
        differing = [n for n in names if len({text(run.setting(n)) for run in members.values()}) > 1]
        for key, run in members.items():
            values = {name: run.setting(name) for name in differing}
            label = ",".join([base, *(f"{name}={text(value)}" for name, value in values.items() if value is not None)])
            labels[study, key] = f"{study}/{label}" if several else label
    return labels


def arms_of(runs: list[Run], notes: list[str], at: str = "last", by: str | None = None) -> list[Arm]:
    """The arms with a finished run, in the order of what they go `by`, variant none first.

    `at` says which epoch of a run counts: "last", "best-val" or "best-test" (its highest validation or test
    accuracy, or the lowest loss where a task has no accuracy) or a number. What gives no figures goes to the notes.
    A figure that only some runs have is NaN in the others.
    """
    notes += [f"left out: {run.why}" for run in runs if run.status in NO_RUN]
    labels = labels_of(runs)
    series = labels_of(runs, [by]) if by else labels
    members: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.status not in NO_RUN:
            members[run.study, run.key].append(run)
    arms = []
    for key, group in members.items():
        label, first = labels[key], group[0]
        arm = Arm(label, series[key], first, {}, {}, {}, sum(r.status == "diverged" for r in group))
        left_out: dict[str, list[str]] = defaultdict(list)  # seeds by reason
        for run in sorted(group, key=lambda run: run.seed or 0):
            if run.status != "done":
                notes.append(f"{label}: {run.said()}" + ("" if run.status == "diverged" else ", left out"))
                continue
            seed = run.seed or 0
            try:
                curves = _curves(run)
                arm.epochs[seed] = _epoch(curves, at)
                arm.curves[seed] = curves
                arm.paths[seed] = run.folder.path
            except RunError as error:
                left_out[str(error)].append(str(seed))
        for why, seeds in left_out.items():
            notes.append(f"{label}: seed{'s' if seeds[1:] else ''} {', '.join(seeds)} left out: {why}")
        if arm.epochs or arm.diverged:
            arms.append(arm)

    values = {arm.label: text(value) for arm in arms if by and (value := arm.value(by)) is not None}
    if by and arms and len(set(values.values())) < 2:
        same = f"it is {next(iter(values.values()))} in every arm that uses it" if values else "no arm uses it"
        notes.append(f"nothing goes by {by}: {same}")

    def order(arm: Arm) -> tuple[Any, ...]:
        return arm.study, natural(values.get(arm.label, "")), arm.first.variant != "none", natural(arm.label)

    every = dict.fromkeys(name for arm in arms for curves in arm.curves.values() for name in curves)
    for curves in (curves for arm in arms for curves in arm.curves.values()):
        curves |= {name: np.full(epochs_of(curves), math.nan) for name in every if name not in curves}
    return sorted(arms, key=order)


def columns_of(arms: list[Arm]) -> list[str]:
    """The figures that the arms' runs have, or their last rows where no run is done."""
    found = [name for arm in arms for curves in arm.curves.values() for name in curves]
    return found or [name for arm in arms for name in arm.first.figures]


def measured(arms: list[Arm], metrics: Iterable[str]) -> list[str]:
    """The metrics that some run has a figure of."""
    runs = [curves for arm in arms for curves in arm.curves.values()]
    return [name for name in metrics if not runs or any(np.isfinite(curves[name]).any() for curves in runs)]


def epochs_of(curves: Curves) -> int:
    return len(curves["seconds"])  # every run has them


def _curves(run: Run) -> Curves:
    rows = run.rows()
    if len(rows) != run.epoch or [row.get("epoch") for row in rows] != list(range(1, len(rows) + 1)):
        raise RunError(f"the table in {run.folder.path} has not the epochs 1 to {run.epoch}; train with --force")
    names = metrics_of(run.task, rows[0] if rows else ())
    curves = {name: np.array([number(row.get(name)) for row in rows]) for name in names}
    if "gap" in curves:
        with np.errstate(invalid="ignore"):  # a damaged table may say inf
            curves["gap"] = curves["clean_train_acc"] - curves["test_acc"]
    return curves


def _epoch(curves: Curves, at: str) -> int:
    """The epoch that counts. Raises RunError if the run has none such."""
    epochs = epochs_of(curves)
    if at == "last":
        return epochs
    if at in ("best-val", "best-test"):
        kind, best = ("acc", np.nanargmax) if "test_acc" in curves else ("loss", np.nanargmin)
        by = curves[f"{at.removeprefix('best-')}_{kind}"]
        if np.isnan(by).all():
            which = "accuracy" if kind == "acc" else "loss"
            raise RunError(f"there is no validation {which} to choose an epoch by; set validation_size")
        return int(best(by)) + 1
    if int(at) > epochs:
        raise RunError(f"trained for {epochs} epochs, not {at}")
    return int(at)
