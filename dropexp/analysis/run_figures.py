"""Read the figures of runs that are done, by epoch and at the epoch that is compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.notes import Noted
from dropexp.analysis.stats import median
from dropexp.errors import RunError
from dropexp.plurals import counted
from dropexp.runs.epochs_table import num_epochs
from dropexp.runs.metrics import metrics_of
from dropexp.runs.record import LARGEST_FIGURE, Run
from dropexp.runs.state_names import Status

Curve = NDArray[np.float64]  # a figure by epoch, shape (epochs,)


@dataclass(frozen=True)
class MeasuredRun:
    """A run that is done: its figures by epoch, and the epoch, counted from 1, that is compared."""

    path: Path
    curves: dict[str, Curve]
    epoch: int
    predictions_sha256: str | None = None  # of its predictions.npz; None if it has kept no predictions

    @property
    def epochs(self) -> int:
        return len(self.curves["seconds"])  # which every run has

    def curve(self, name: str) -> Curve:
        """Return a figure by epoch; NaN if this run did not measure it."""
        return self.curves[name] if name in self.curves else np.full(self.epochs, math.nan)

    def figure(self, name: str, epoch: int | None = None) -> float:
        """Return a figure at an epoch, by default the one that is compared; NaN if this run did not measure it.

        `seconds` is the median over the epochs after the first, which includes warm-up.
        """
        if name == "seconds":
            return self._median_seconds
        return float(self.curves[name][(epoch or self.epoch) - 1]) if name in self.curves else math.nan

    @cached_property
    def best_val_epoch(self) -> int | None:
        """The epoch of best validation accuracy, in linear regression of best validation loss; None without any."""
        return _best_epoch(self.curves, "val")

    @cached_property
    def _median_seconds(self) -> float:
        seconds = self.curves["seconds"]
        return median(seconds[1:] if len(seconds) > 1 else seconds)


def measure(runs: Iterable[Run], at: str) -> Noted[dict[int, MeasuredRun]]:
    """Read the figures of the runs that are done, in the order of their seeds; the notes name the others."""
    measured, notes = {}, []
    seeds_left_out: dict[str, list[str]] = defaultdict(list)  # by reason
    for run in sorted(runs, key=lambda run: run.seed or 0):
        if run.status != Status.DONE:
            notes.append(run.describe() if run.status == Status.DIVERGED else f"{run.describe()}, left out")
            continue
        seed = run.seed or 0
        try:
            curves = _curves(run)
            kept = run.info.predictions_sha256 if run.info else None
            measured[seed] = MeasuredRun(run.folder.path, curves, _epoch(curves, at), kept)
        except RunError as error:
            seeds_left_out[str(error)].append(str(seed))
    for reason, seeds in seeds_left_out.items():
        notes.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} left out: {reason}")
    return Noted(measured, notes)


def _curves(run: Run) -> dict[str, Curve]:
    """Return a run's figures by epoch; NaN where its table has none. Raises RunError if the table is corrupted."""
    columns = run.columns()
    if num_epochs(columns) != run.epoch:
        epochs = counted(run.epoch or 0, "epoch")
        raise RunError(f"the table in {run.folder.path} does not have {epochs}; train with --force")
    table = np.array(list(columns.values()), dtype=float)  # None becomes NaN
    table[~(np.abs(table) < LARGEST_FIGURE)] = math.nan
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
        part, key = ("validation", "validation_size") if at == "best-val" else ("test", "eval_test")
        best = _best_epoch(curves, at.removeprefix("best-"))
        if best is None:
            which = "accuracy" if "test_acc" in curves else "loss"
            raise RunError(f"no {part} {which} to choose the epoch by; set {key}")
        return best
    if int(at) > epochs:
        raise RunError(f"trained for {counted(epochs, 'epoch')}, not {at}")
    return int(at)


def _best_epoch(curves: dict[str, Curve], part: str) -> int | None:
    """Return the first epoch of the best accuracy, or loss if there is none, on validation ("val") or test rows."""
    kind, best = ("acc", np.nanargmax) if "test_acc" in curves else ("loss", np.nanargmin)
    figures = curves[f"{part}_{kind}"]
    return None if np.isnan(figures).all() else int(best(figures)) + 1
