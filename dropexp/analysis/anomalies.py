"""Diverged and suspicious runs.

    diverged         the loss is not finite
    chance level     the final accuracy is at most that of guessing; not defined for linear regression
    exploding loss   in some epoch, a loss is more than ten times that of guessing; in linear regression, more than ten
                     times the first one
    still improving  the metric is best at the last epoch, and its mean over the last fifth of the epochs is better than
                     over the fifth before by more than the margin

An arm with a run of the first two kinds gets no verdict: it would be based only on the runs that finished well.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dropexp.analysis.arms import Arm
from dropexp.analysis.run_figures import MeasuredRun
from dropexp.config.tasks import CHANCE_LEVEL, NUM_OUTPUTS
from dropexp.runs.metrics import METRICS, Metric

GUESSING = math.log(NUM_OUTPUTS)  # the cross entropy of equal probabilities, in nats
EXPLODING = 10  # times the loss that a run is compared with
NUM_PARTS = 5  # of a curve, of which the last two are compared
ACCURACY = METRICS["test_acc"].unit


def broken_runs(*arms: Arm) -> list[str]:
    """Return which runs diverged or are at chance level, in words: "seed 3 of nn diverged"."""
    found = []
    for arm in arms:
        if arm.diverged:
            found.append(f"{_seeds(arm.diverged)} of {arm.label} diverged")
        if at_chance := _at_chance_level(arm):
            found.append(f"{_seeds(at_chance)} of {arm.label} {_chance_level(at_chance)}")
    return found


def notes_on_runs(arms: Sequence[Arm], metric: Metric, margin: float, at: str) -> list[str]:
    """Return a note per arm with runs at chance level, with an exploding loss, and with runs that still improve."""
    notes = []
    for arm in arms:
        if at_chance := _at_chance_level(arm):
            notes.append(f"{arm.label}: {_seeds(at_chance)} {_chance_level(at_chance)}")
        if exploding := _exploding(arm):
            worst = max(exploding, key=lambda seed: exploding[seed].loss)
            loss, epoch = exploding[worst]
            where = f"in epoch {epoch}" if len(exploding) == 1 else f"in epoch {epoch} with seed {worst}"
            have = "has" if len(exploding) == 1 else "have"
            notes.append(f"{arm.label}: {_seeds(exploding)} {have} an exploding loss ({loss:.3g} {where})")
        improving = [seed for seed, run in arm.runs.items() if at == "last" and _improves(run, metric, margin)]
        if improving:
            notes.append(f"{arm.label}: {metric.title} still improves at the last epoch with {_seeds(improving)}")
    return notes


def _seeds(seeds: Collection[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _at_chance_level(arm: Arm) -> dict[int, float]:
    """Return the final accuracies at chance level, by seed."""
    found = {}
    for seed, run in arm.runs.items():
        finals = (float(run.curve(name)[-1]) for name in ("test_acc", "val_acc"))
        final = next((accuracy for accuracy in finals if not math.isnan(accuracy)), math.inf)
        if final <= CHANCE_LEVEL:
            found[seed] = final
    return found


def _chance_level(accuracies: Mapping[int, float]) -> str:
    low, high = (ACCURACY.show(bound(accuracies.values())) for bound in (min, max))
    figures = low if low == high else f"{low} to {high}"
    return f"{'is' if len(accuracies) == 1 else 'are'} at chance level ({figures} {ACCURACY.figures})"


class _Peak(NamedTuple):
    loss: float
    epoch: int


def _exploding(arm: Arm) -> dict[int, _Peak]:
    """Return the largest loss of the runs with an exploding one, by seed."""
    found = {}
    for seed, run in arm.runs.items():
        for name in ("train_loss", "test_loss"):
            losses = run.curve(name)
            first = next(iter(losses[np.isfinite(losses)]), math.inf)
            bound = EXPLODING * (GUESSING if "test_acc" in run.curves else first)
            if (losses > bound).any():
                epoch = int(np.nanargmax(losses))
                found[seed] = _Peak(float(losses[epoch]), epoch + 1)
                break
    return found


def _improves(run: MeasuredRun, metric: Metric, margin: float) -> bool:
    """Return whether a run's metric still improves; never below five known values, nor without a better direction."""
    if metric.higher_is_better is None or metric.name == "seconds":
        return False
    curve = run.curve(metric.name) if metric.higher_is_better else -run.curve(metric.name)
    known = curve[np.isfinite(curve)]
    fifth = len(known) // NUM_PARTS
    if not fifth or known[-1] < known.max():
        return False
    return bool(known[-fifth:].mean() - known[-2 * fifth : -fifth].mean() > margin)
