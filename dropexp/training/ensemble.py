"""Evaluate the runs of an arm, and their ensemble, which is the alternative to Monte-Carlo dropout.

An ensemble of M networks, trained from M seeds, predicts with the mean of their probabilities in evaluation mode:
p(c | x) = (1/M) Σ softmax(O_m)_c (Lakshminarayanan et al., 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from torch import Tensor

from dropexp.data.fashion_mnist import Data
from dropexp.training.evaluate import Evaluation, RotationFigures, all_rotations, evaluate_network, figures_of
from dropexp.training.predictive_distribution import Average, Predictive
from dropexp.training.torch_settings import own_settings
from dropexp.training.trained_network import Trained


@dataclass(frozen=True)
class Ensemble:
    """Figures of the mean prediction of an arm's finished networks, and the means of their own figures, per rotation.

    The `mutual_information` of the ensemble is the disagreement between its networks, that of the members the mean
    disagreement between the stochastic passes of each.
    """

    networks: int
    figures: list[RotationFigures]
    members: list[RotationFigures]


@dataclass(frozen=True)
class ArmEvaluation:
    """The evaluations of an arm's runs, and their ensemble: None if fewer than two of them are finished."""

    arm: str
    runs: list[Evaluation]
    ensemble: Ensemble | None


@own_settings()
def evaluate_arm(
    arm: str, networks: Iterable[Trained], data: Data, rotations: Iterable[float], K: int
) -> ArmEvaluation:
    """Evaluate networks one by one, so that an iterator that loads them needs the memory of one.

    Raises EvaluationError for a rotation that is not finite.
    """
    degrees = all_rotations(rotations)
    averages = [Average() for _ in degrees]
    evaluations, members = [], []
    for trained in networks:
        evaluated = evaluate_network(trained, data, degrees, K, [])
        evaluations.append(evaluated.evaluation)
        if trained.done:
            members.append(evaluated.evaluation.figures)
            for average, clean in zip(averages, evaluated.clean, strict=True):
                average.add(clean.log_p)
    if len(members) < 2:
        return ArmEvaluation(arm, evaluations, None)
    means = [average.predictive() for average in averages]
    figures = [_ensemble_figures(*pair, data.y_test) for pair in zip(degrees, means, strict=True)]
    return ArmEvaluation(
        arm, evaluations, Ensemble(len(members), figures, list(map(_mean, zip(*members, strict=True))))
    )


def _ensemble_figures(rotation: float, mean: Predictive, y: Tensor) -> RotationFigures:
    disagreement = mean.mutual_information.mean().item()
    return RotationFigures(rotation, **figures_of("", mean, y), mutual_information=disagreement)


def _mean(members: Sequence[RotationFigures]) -> RotationFigures:
    """Return the mean of each figure; None for those that networks without noise lack."""
    means: dict[str, Any] = {}
    for name in asdict(members[0]):
        values = [getattr(one, name) for one in members]
        means[name] = None if None in values else fmean(values)
    return RotationFigures(**means)
