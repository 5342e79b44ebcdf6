"""Find the arm that the figures of a source fit best.

The likelihood of all printed figures under each arm is that of the arm's predictive distribution, Student's t with mean
and SD of the arm's runs, integrated over what rounds to the printed figure. It multiplies figures as if they were
independent, which successive epochs are not. So the rule is tried on runs whose arm is known (leave-one-out): each run
in turn is taken out of its arm, rounded as the source rounds, and assigned to the arm that it fits best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from dropexp.analysis.arms import Arm
from dropexp.analysis.notes import Noted
from dropexp.analysis.published_comparison import Printed, Source
from dropexp.analysis.run_figures import Curve
from dropexp.analysis.titles import named

MIN_RUNS = 20  # of an arm, to estimate its distribution
MIN_SCALE, MIN_LIKELIHOOD = 1e-12, 1e-300  # for an arm whose runs all have the same figure


@dataclass(frozen=True)
class Fit:
    """How well a source's figures fit an arm of n runs.

    figures         how many figures were used
    log_likelihood  of all of them, natural
    right, given    leave-one-out: how many of the arm's own runs, and of the runs of all arms, are assigned to the arm
    """

    study: str
    arm: str
    n: int
    figures: int
    log_likelihood: float
    right: int
    given: int
    source: str | None


def fit_arms(source: Source, titles: Mapping[str, str]) -> Noted[list[Fit]]:
    """Return the fit of each arm, best first; nothing, and a note, if there are too few arms, runs or figures.

    `titles` are by label; the notes use them.
    """
    if len(source.arms) < 2:
        return Noted([], [f"{source.study}: a likelihood needs at least two arms with published figures"])
    few = [f"{arm.label} has {len(arm.runs)}" for arm in named(source.arms, titles) if len(arm.runs) < MIN_RUNS]
    if few:
        return Noted([], [f"{source.study}: a likelihood needs {MIN_RUNS} runs per arm; {', '.join(few)}"])
    of_all = [printed for printed in source.printed if printed.arm is None]
    measured = [_figures(arm, of_all) for arm in source.arms]
    known = np.logical_and.reduce([~np.isnan(figures).any(axis=0) for figures in measured])
    measured = [figures[:, known] for figures in measured]
    printed = [p for p, is_known in zip(of_all, known, strict=True) if is_known]
    if not printed:
        return Noted([], [f"{source.study}: no published figure was measured in every run"])
    roundings = np.array([p.rounding for p in printed])
    likelihoods = log_likelihood(np.array([p.value for p in printed]), roundings, measured)
    confusion = _confusion(measured, roundings)
    fits = [
        Fit(
            study=source.study,
            arm=arm.label,
            n=len(arm.runs),
            figures=len(printed),
            log_likelihood=float(likelihoods[i]),
            right=int(confusion[i, i]),
            given=int(confusion[:, i].sum()),
            source=source.name,
        )
        for i, arm in enumerate(source.arms)
    ]
    return Noted(sorted(fits, key=lambda fit: -fit.log_likelihood), [])


def fit_sentence(fits: Sequence[Fit]) -> str:
    """Return the best fit of one source in a sentence, with how often the rule is right."""
    best, second = fits[:2]
    factor = best.log_likelihood - second.log_likelihood
    times = f"{math.exp(factor):,.3g} times" if factor < 20 else f"10^{factor / math.log(10):.0f} times"
    right = " and ".join(f"{fit.right} of {fit.n} runs of {fit.arm}" for fit in fits)
    return (
        f"{best.study}: the {best.figures} published figures fit {best.arm} best; they are {times} as likely as under "
        f"{second.arm}. Leave-one-out: the same rule assigns {right} to their own arm; of the {best.given} runs "
        f"assigned to {best.arm}, {best.right} belong to it."
    )


def log_likelihood(
    values: NDArray[np.float64], roundings: NDArray[np.float64], arms: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the log-likelihood of one run's figures, shape (figures,), under each arm, shape (arms,).

    Each figure is known up to ± its rounding, shape (figures,). An arm is given by its runs, shape (runs, figures).

    Source: the predictive distribution of a normal sample with unknown mean and SD, Student's t with n − 1 degrees of
    freedom, centre x̄ and scale SD·√(1 + 1/n) (Gelman et al., Bayesian Data Analysis, 3rd edition, 3.2).
    """
    found = []
    for runs in arms:
        n = len(runs)
        scale = np.maximum(runs.std(axis=0, ddof=1) * math.sqrt(1 + 1 / n), MIN_SCALE)
        low, high = ((values + side - runs.mean(axis=0)) / scale for side in (-roundings, roundings))
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)  # the lower tail is more precise
        found.append(np.log(np.maximum(stdtr(n - 1, high) - stdtr(n - 1, low), MIN_LIKELIHOOD)).sum())
    return np.array(found)


def _confusion(arms: Sequence[NDArray[np.float64]], roundings: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many runs of each arm (rows), left out and rounded like the source, are assigned to each (columns)."""
    confusion = np.zeros((len(arms), len(arms)), dtype=np.int64)
    for own, runs in enumerate(arms):
        for i, run in enumerate(runs):
            others = [np.delete(figures, i, axis=0) if arm == own else figures for arm, figures in enumerate(arms)]
            rounded = np.round(run / (2 * roundings)) * 2 * roundings
            confusion[own, np.argmax(log_likelihood(rounded, roundings, others))] += 1
    return confusion


def _figures(arm: Arm, printed: Sequence[Printed]) -> NDArray[np.float64]:
    """Return each run's figures that the source printed, shape (runs, figures); NaN where a run has none."""

    def at(curve: Curve, epoch: int | None) -> float:
        return float(curve[epoch - 1 if epoch else -1]) if (epoch or 0) <= len(curve) else math.nan

    return np.array([[at(run.curve(p.figure), p.epoch) for p in printed] for run in arm.runs.values()])
