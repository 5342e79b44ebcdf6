"""Runs that ended badly, or whose training may have ended too early.

    diverged         the loss is not finite
    chance level     the final accuracy is at most that of guessing; not defined for linear regression
    exploding loss   in some epoch, a loss is ten times that of guessing; in linear regression, ten times
                     the first one
    still improving  the metric is best at the last epoch, and its mean over the last fifth of the epochs is better than
                     over the fifth before by more than the margin

Runs of the first two kinds leave their arm without a verdict: it would rest on only the runs that finished well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dropexp.analysis.arms import Arm
from dropexp.analysis.measure import MeasuredRun
from dropexp.config.tasks import CHANCE_LEVEL, NUM_OUTPUTS
from dropexp.runs.metrics import METRICS, Metric

GUESSING = math.log(NUM_OUTPUTS)  # the cross entropy of equal probabilities, in nats
EXPLODING = 10  # times the loss that a run is compared with
FIFTHS = 5
ACCURACY = METRICS["test_acc"].unit


def broken_runs(*arms: Arm) -> list[str]:
    """Return which runs diverged or are at chance level, in words: "seed 3 of nn diverged"."""
    found = []
    for arm in arms:
        if arm.diverged:
            found.append(f"{_seeds(arm.diverged)} of {arm.label} diverged")
        found += [f"seed {seed} of {arm.label} {why}" for seed, why in _at_chance_level(arm)]
    return found


def notes_on_runs(arms: Sequence[Arm], metric: Metric, margin: float, at: str) -> list[str]:
    """Return a note per run at chance level or with an exploding loss, and per arm with runs that still improve."""
    notes = []
    for arm in arms:
        notes += [f"{arm.label}: seed {seed} {why}" for seed, why in _at_chance_level(arm)]
        notes += [f"{arm.label}: seed {seed} {why}" for seed, why in _exploding(arm)]
        improving = [seed for seed, run in arm.runs.items() if at == "last" and _improves(run, metric, margin)]
        if improving:
            notes.append(f"{arm.label}: {metric.title} still improves at the last epoch with {_seeds(improving)}")
    return notes


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _at_chance_level(arm: Arm) -> Iterator[tuple[int, str]]:
    for seed, run in arm.runs.items():
        finals = (float(run.curve(name)[-1]) for name in ("test_acc", "val_acc"))
        final = next((accuracy for accuracy in finals if not math.isnan(accuracy)), math.inf)
        if final <= CHANCE_LEVEL:
            yield seed, f"is at chance level ({ACCURACY.show(final)} {ACCURACY.figures})"


def _exploding(arm: Arm) -> Iterator[tuple[int, str]]:
    for seed, run in arm.runs.items():
        for name in ("train_loss", "test_loss"):
            losses = run.curve(name)
            first = next(iter(losses[np.isfinite(losses)]), math.inf)
            bound = EXPLODING * (GUESSING if "test_acc" in run.curves else first)
            if (losses > bound).any():
                epoch = int(np.nanargmax(losses))
                yield seed, f"has an exploding loss ({losses[epoch]:.3g} in epoch {epoch + 1})"
                break


def _improves(run: MeasuredRun, metric: Metric, margin: float) -> bool:
    """Return whether a run's metric still improves; never below five known values, nor without a better direction."""
    if metric.higher_is_better is None or metric.name == "seconds":
        return False
    curve = run.curve(metric.name) if metric.higher_is_better else -run.curve(metric.name)
    known = curve[np.isfinite(curve)]
    fifth = len(known) // FIFTHS
    if not fifth or known[-1] < known.max():
        return False
    return bool(known[-fifth:].mean() - known[-2 * fifth : -fifth].mean() > margin)
