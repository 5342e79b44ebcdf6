"""Group runs into arms, and read the figures of those that are done.

An arm is the runs of one study that differ only in their seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.config.tasks import NUM_TRAIN_IMAGES
from dropexp.errors import RunError
from dropexp.runs.metrics import METRICS, metrics_of
from dropexp.runs.record import DUPLICATE, LARGEST, NO_RUN, Run, keep, natural, read_runs, text
from dropexp.runs.state import FINISHED
from dropexp.runs.table import num_epochs

T = TypeVar("T")
Curve = NDArray[np.float64]  # a figure by epoch, shape (epochs,)


@dataclass(frozen=True)
class Noted(Generic[T]):
    """A result, and notes for the user on what it leaves out."""

    value: T
    notes: list[str]


@dataclass(frozen=True)
class MeasuredRun:
    """A run that is done: its figures by epoch, and the epoch, counted from 1, that is compared."""

    path: Path
    curves: dict[str, Curve]
    epoch: int

    @property
    def epochs(self) -> int:
        return len(self.curves["seconds"])  # which every run has

    def curve(self, name: str) -> Curve:
        """Return a figure by epoch; NaN if this run did not measure it."""
        return self.curves[name] if name in self.curves else np.full(self.epochs, math.nan)

    @cached_property
    def figures(self) -> dict[str, float]:
        """Every figure at `epoch`; `seconds` is the median over the epochs after the first, which includes warm-up."""
        seconds = self.curves["seconds"]
        return {
            **{name: float(curve[self.epoch - 1]) for name, curve in self.curves.items()},
            "seconds": median(seconds[1:] if len(seconds) > 1 else seconds),
        }


def median(values: NDArray[np.float64]) -> float:
    """Return the same as `np.median`, ten times as fast for a few values; NaN if any is NaN."""
    in_order = np.sort(values)  # NaN last
    middle = (in_order[(len(values) - 1) // 2] + in_order[len(values) // 2]) / 2
    return math.nan if np.isnan(in_order[-1]) else float(middle)


@dataclass(frozen=True)
class Arm:
    """The runs of one study that differ only in their seed."""

    label: str
    series: str  # the label without the swept parameter
    first: Run
    runs: dict[int, MeasuredRun]  # those that are done, by seed
    diverged: int

    @property
    def study(self) -> str:
        return self.first.study

    @property
    def seeds(self) -> list[int]:
        return list(self.runs)

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """The fewest and the most epochs of its runs."""
        lengths = [run.epochs for run in self.runs.values()]
        return min(lengths, default=0), max(lengths, default=0)

    def value(self, key: str) -> Any:
        """Return its value of a config key, None if it does not use it; for `train_size`, the number of images."""
        value = self.first.setting(key)
        if key == "train_size" and value == "all":  # of Fashion-MNIST
            return NUM_TRAIN_IMAGES - self.first.config.get("validation_size", 0)
        return value

    def figures(self, name: str) -> list[float]:
        """Return a figure of each run, in the order of `seeds`; NaN where a run did not measure it."""
        return [run.figures.get(name, math.nan) for run in self.runs.values()]

    def by_epoch(self, name: str) -> NDArray[np.float64]:
        """Return a figure of each run, shape (epochs, runs), for the epochs that all runs have.

        The runs that train longest are no sample of the arm, so a mean over them would mislead.
        """
        epochs, _ = self.lengths
        curves = [run.curve(name)[:epochs] for run in self.runs.values()]
        return np.array(curves).reshape(len(curves), epochs).T


def group_arms(runs: Sequence[Run], at: str = "last", by: str | None = None) -> Noted[list[Arm]]:
    """Return the arms that have a finished run, ordered by their value of the key `by`, variant none first.

    `at` is the epoch that is compared: a number, "last", "best-val" or "best-test" (highest validation or test
    accuracy, or lowest loss if the task has no accuracy). The notes name runs without figures.
    """
    labels = labels_of(runs)
    series = labels_of(runs, [by]) if by else labels
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.status not in NO_RUN:
            groups[run.study, run.key].append(run)
    arms = []
    notes = [f"left out: {run.why}" for run in runs if run.status in NO_RUN]
    for key, group in groups.items():
        measured = _measure(group, at)
        notes += [f"{labels[key]}: {note}" for note in measured.notes]
        diverged = sum(run.status == "diverged" for run in group)
        if measured.value or diverged:
            arms.append(Arm(labels[key], series[key], group[0], measured.value, diverged))
    values = {arm.label: text(value) for arm in arms if by and (value := arm.value(by)) is not None}
    if by and arms and len(set(values.values())) < 2:
        same = f"it is {next(iter(values.values()))} in every arm that uses it" if values else "no arm uses it"
        notes.append(f"{by} does not vary: {same}")

    def rank(arm: Arm) -> tuple[Any, ...]:
        return arm.study, natural(values.get(arm.label, "")), arm.first.variant != "none", natural(arm.label)

    return Noted(sorted(arms, key=rank), notes)


def _measure(runs: list[Run], at: str) -> Noted[dict[int, MeasuredRun]]:
    """Read the figures of the runs that are done, in the order of their seeds; the notes name the others."""
    measured, notes = {}, []
    seeds_left_out: dict[str, list[str]] = defaultdict(list)  # by reason
    for run in sorted(runs, key=lambda run: run.seed or 0):
        if run.status != "done":
            notes.append(run.describe() if run.status == "diverged" else f"{run.describe()}, left out")
            continue
        seed = run.seed or 0
        try:
            curves = _curves(run)
            measured[seed] = MeasuredRun(run.folder.path, curves, _epoch(curves, at))
        except RunError as error:
            seeds_left_out[str(error)].append(str(seed))
    for reason, seeds in seeds_left_out.items():
        notes.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} left out: {reason}")
    return Noted(measured, notes)


def _curves(run: Run) -> dict[str, Curve]:
    """Return a run's figures by epoch; NaN where its table has none. Raises RunError if the table is corrupted."""
    columns = run.columns()
    if num_epochs(columns) != run.epoch:
        raise RunError(f"the table in {run.folder.path} does not have {run.epoch} epochs; train with --force")
    table = np.array(list(columns.values()))
    table[~(np.abs(table) < LARGEST)] = math.nan
    measured = dict(zip(columns, table, strict=True))
    unknown = np.full(run.epoch, math.nan)
    curves = {name: measured.get(name, unknown) for name in metrics_of(run.task, columns)}
    if "gap" in curves:
        curves["gap"] = curves["clean_train_acc"] - curves["test_acc"]
    return curves


def _epoch(curves: dict[str, Curve], at: str) -> int:
    """Return the epoch to compare. Raises RunError if the run does not have it."""
    epochs = len(curves["seconds"])
    if at == "last":
        return epochs
    if at in ("best-val", "best-test"):
        kind, best = ("acc", np.nanargmax) if "test_acc" in curves else ("loss", np.nanargmin)
        figures = curves[f"{at.removeprefix('best-')}_{kind}"]
        if np.isnan(figures).all():
            which = "accuracy" if kind == "acc" else "loss"
            raise RunError(f"no validation {which} to choose the epoch by; set validation_size")
        return int(best(figures)) + 1
    if int(at) > epochs:
        raise RunError(f"trained for {epochs} epochs, not {at}")
    return int(at)


def columns_of(arms: Sequence[Arm]) -> list[str]:
    """Return the figures that the arms' runs have; if no run is done, those of their last rows.

    The order is that of csv and json: the first arm's figures, then those that other arms add, by folder.
    """
    done = [arm for arm in arms if arm.runs]
    if not done:
        return list(dict.fromkeys(name for arm in arms for name in arm.first.figures))
    in_order = [done[0], *sorted(done, key=lambda arm: arm.first.folder.path)]
    return list(dict.fromkeys(name for arm in in_order for run in arm.runs.values() for name in run.curves))


def measured(arms: Sequence[Arm], metrics: Iterable[str]) -> list[str]:
    """Return the metrics that some run has a figure of; all of them if no run is done."""
    runs = [run for arm in arms for run in arm.runs.values()]
    return [name for name in metrics if not runs or any(np.isfinite(run.curve(name)).any() for run in runs)]


def labels_of(runs: Iterable[Run], without: Collection[str] = ()) -> dict[tuple[str, str], str]:
    """Return labels by study and key: the declared arm or variant, and the settings that tell apart arms of one name.

    Keys in `without` are left out, so that several arms can share a label. Arms without a finished run do not change
    the labels of the others.
    """
    known = [run for run in runs if run.status not in NO_RUN]
    finished = {(run.study, run.key) for run in known if run.status in FINISHED}
    return _labels(known, without) | _labels([run for run in known if (run.study, run.key) in finished], without)


def _labels(runs: Iterable[Run], without: Collection[str]) -> dict[tuple[str, str], str]:
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


def load_runs(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return a row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    `where` keeps runs whose keys have these values. A second folder of the same run is left out; one that cannot be
    read has status "corrupted" or "unreadable" and the reason in `why`. Raises NoRuns if there is no run.
    """
    runs = [run for run in keep(read_runs(paths_or_names, runs_dir), where or {}) if run.status != DUPLICATE]
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
