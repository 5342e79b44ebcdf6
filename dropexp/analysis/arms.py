"""Group runs into arms: the runs of one study that differ only in their seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.labels import labels_of
from dropexp.analysis.notes import Noted
from dropexp.analysis.run_figures import MeasuredRun, measure
from dropexp.config.tasks import NUM_TRAIN_IMAGES
from dropexp.runs.record import Run, natural, text
from dropexp.runs.state_names import NO_RUN, Status


@dataclass(frozen=True)
class Arm:
    """The runs of one study that differ only in their seed."""

    label: str
    series: str  # the label without the swept parameter
    first: Run  # any of the runs: all have its settings, except for the seed
    runs: dict[int, MeasuredRun]  # those that are done, by seed
    diverged: tuple[int, ...]  # the seeds of the runs that diverged

    @property
    def study(self) -> str:
        return self.first.study

    @property
    def seeds(self) -> list[int]:
        return list(self.runs)

    @cached_property
    def min_epochs(self) -> int:
        """The epochs that all its runs have; 0 if no run is done."""
        return min((run.epochs for run in self.runs.values()), default=0)

    @cached_property
    def max_epochs(self) -> int:
        """The epochs of its longest run; 0 if no run is done."""
        return max((run.epochs for run in self.runs.values()), default=0)

    def value(self, key: str) -> Any:
        """Return the value of a config key, None if the arm does not use it; for `train_size`, the number of images."""
        value = self.first.setting(key)
        if key == "train_size" and value == "all":  # of Fashion-MNIST
            return NUM_TRAIN_IMAGES - self.first.config.get("validation_size", 0)
        return value

    def figures(self, name: str) -> NDArray[np.float64]:
        """Return a figure of each run, shape (runs,), in the order of `seeds`; NaN where a run did not measure it."""
        return np.array([run.figure(name) for run in self.runs.values()])

    def by_epoch(self, name: str) -> NDArray[np.float64]:
        """Return a figure of each run, shape (epochs, runs), for the epochs that all runs have.

        The runs that train longest are not a random sample of the arm, so a mean over them would mislead.
        """
        curves = [run.curve(name)[: self.min_epochs] for run in self.runs.values()]
        return np.array(curves).reshape(len(curves), self.min_epochs).T


def group_arms(
    runs: Sequence[Run], at: str = "last", by: str | None = None, order: Sequence[str] = ()
) -> Noted[list[Arm]]:
    """Return the arms that have a finished run, ordered by study and by their value of the key `by`.

    Among equals, variant none is first, and the others are in the order of their configs: `order` has the digests of
    arms in that order, as far as it is known. `at` is the epoch that is compared: a number, "last", "best-val" or
    "best-test" (highest validation or test accuracy, or lowest loss if the task has no accuracy). The notes name runs
    without figures.
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
        measured = measure(group, at)
        notes += [f"{labels[key]}: {note}" for note in measured.notes]
        diverged = tuple(sorted(run.seed or 0 for run in group if run.status == Status.DIVERGED))
        if measured.value or diverged:
            arms.append(Arm(labels[key], series[key], group[0], measured.value, diverged))
    values = {arm.label: text(value) for arm in arms if by and (value := arm.value(by)) is not None}
    if by and arms and len(set(values.values())) < 2:
        same = f"it is {next(iter(values.values()))} in every arm that uses it" if values else "no arm uses it"
        notes.append(f"{by} does not vary: {same}")

    position = {digest: i for i, digest in enumerate(dict.fromkeys(order))}

    def rank(arm: Arm) -> tuple[Any, ...]:
        by_value, in_config = natural(values.get(arm.label, "")), position.get(arm.first.arm_digest, len(position))
        return arm.study, by_value, arm.first.variant != "none", in_config, natural(arm.label)

    return Noted(sorted(arms, key=rank), notes)


def columns_of(arms: Sequence[Arm]) -> list[str]:
    """Return the names of the figures that the arms' runs have; if no run is done, those of the runs' last rows.

    The order is that of csv and json: the first arm's figures, then those that other arms add, by folder.
    """
    done = [arm for arm in arms if arm.runs]
    if not done:
        return list(dict.fromkeys(name for arm in arms for name in arm.first.figures))
    in_order = [done[0], *sorted(done, key=lambda arm: arm.first.folder.path)]
    return list(dict.fromkeys(name for arm in in_order for run in arm.runs.values() for name in run.curves))
