"""Evaluate a trained network on the test images, also rotated: accuracy, calibration and uncertainty.

A pass in evaluation mode is compared with Monte-Carlo dropout, the mean over K stochastic passes, and for DropConnect
also with the paper's inference. All rotations use the same noise, sampled from a stream of the run's seed, so that the
same call returns the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dropexp.config.schema import Config
from dropexp.config.tasks import CLASSES
from dropexp.data.fashion_mnist import Data
from dropexp.errors import EvaluationError
from dropexp.nets import matmul
from dropexp.nets.dropconnect import DropConnectMLP
from dropexp.nets.network_interface import Network
from dropexp.training import build
from dropexp.training.predictive_distribution import Predictive, predictive
from dropexp.training.probes import eval_outputs, stochastic_outputs
from dropexp.training.rng import stream
from dropexp.training.torch_settings import own_settings
from dropexp.training.trained_network import Trained

SIDE = 28  # pixels


@dataclass(frozen=True)
class RotationFigures:
    """Figures over all test images, rotated by `rotation` degrees. Losses and entropies are means, in nats.

    The first ones are of a pass in evaluation mode, mc_* and mutual_information of the mean over K stochastic passes;
    the latter are None for a network without noise. moment_* are of the mean over K samples by moment matching; they
    are None for all variants but dropconnect-per-example.
    """

    rotation: float
    acc: float
    loss: float
    ece: float
    entropy: float
    mc_acc: float | None = None
    mc_loss: float | None = None
    mc_ece: float | None = None
    mc_entropy: float | None = None
    mutual_information: float | None = None
    moment_acc: float | None = None
    moment_loss: float | None = None
    moment_ece: float | None = None
    moment_entropy: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The predicted class of one image, rotated by `rotation` degrees, and the entropy of the prediction in nats."""

    image: int
    label: str
    rotation: float
    predicted: str
    entropy: float


@dataclass(frozen=True)
class Evaluation:
    """Figures per rotation, and predictions per image and rotation. `passes` is None for a network without noise.

    `differing` counts the test images with another predicted class than training recorded for this epoch: another
    processor or version of torch can round differently. None if those predictions are not kept.
    """

    run: str
    seed: int
    epoch: int
    passes: int | None
    differing: int | None
    figures: list[RotationFigures]
    predictions_by_image: list[Prediction]


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, and the predictions in evaluation mode that it is based on, per rotation."""

    evaluation: Evaluation
    clean: list[Predictive]


def evaluate(
    trained: Trained,
    data: Data,
    rotations: Iterable[float],
    K: int,
    images: Sequence[int],
    count: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Evaluate on the test images, unrotated and rotated by these degrees, with K stochastic passes of each.

    `images` are the indexes of the test images whose predictions are returned. `count` is called after each of the
    `num_passes`. Raises EvaluationError for an image that does not exist and for a rotation that is not finite.
    """
    return evaluate_network(trained, data, rotations, K, images, count).evaluation


def num_passes(config: Config, rotations: Iterable[float], K: int) -> int:
    """Return the number of stochastic passes of an evaluation: 0 without noise."""
    return K * len(all_rotations(rotations)) if has_noise(config) else 0


@own_settings()
def evaluate_network(
    trained: Trained,
    data: Data,
    rotations: Iterable[float],
    K: int,
    images: Sequence[int],
    count: Callable[[], None] = lambda: None,
) -> Evaluated:
    """Evaluate as `evaluate` does, and also return the predictions in evaluation mode."""
    config, network, X_test, y = trained.config, trained.network, data.X_test, data.y_test
    degrees = all_rotations(rotations)
    _check(degrees, images, len(y))
    passes = K if has_noise(config) else None
    figures, predictions_by_image, predictions = [], [], []
    differing = None
    with matmul.using(matmul.best_backend()), torch.inference_mode():
        for rotation in degrees:
            X = rotated(X_test, rotation)
            generator = stream(config.seed, "evaluate")
            clean = predictive([eval_outputs(network, X, generator)])
            predictions.append(clean)
            row = RotationFigures(rotation, **figures_of("", clean, y))
            if rotation == 0 and trained.kept is not None and len(trained.kept.classes) == len(y):
                differing = int((clean.classes.numpy() != trained.kept.classes).sum())
            shown = clean
            if passes:
                shown = predictive(_counted_passes(network, X, generator, passes, count))
                mutual_information = shown.mutual_information.mean().item()
                row = replace(row, **figures_of("mc_", shown, y), mutual_information=mutual_information)
            if passes and isinstance(network, DropConnectMLP):
                row = replace(
                    row, **figures_of("moment_", predictive(network.moment_matching(X, passes, generator)), y)
                )
            figures.append(row)
            classes, entropies = shown.classes.tolist(), shown.entropy.tolist()
            predictions_by_image += [
                Prediction(i, CLASSES[int(y[i])], rotation, CLASSES[classes[i]], entropies[i]) for i in images
            ]
    run = str(trained.folder.path)
    evaluation = Evaluation(run, config.seed, trained.epoch, passes, differing, figures, predictions_by_image)
    return Evaluated(evaluation, predictions)


def _counted_passes(
    network: Network, X: Tensor, generator: torch.Generator, passes: int, count: Callable[[], None]
) -> Iterator[Tensor]:
    for _ in range(passes):
        yield stochastic_outputs(network, X, generator)
        count()


def all_rotations(rotations: Iterable[float]) -> list[float]:
    """Return the rotations to evaluate, each once: first none, then these."""
    return list(dict.fromkeys([0.0, *rotations]))


def figures_of(prefix: str, mean: Predictive, y: Tensor) -> dict[str, float]:
    """Return accuracy, loss, ece and mean entropy of a prediction, with a prefix to their names."""
    return {
        f"{prefix}acc": mean.accuracy(y),
        f"{prefix}loss": mean.loss(y),
        f"{prefix}ece": mean.calibration_error(y),
        f"{prefix}entropy": mean.entropy.mean().item(),
    }


def _check(degrees: Sequence[float], images: Sequence[int], num_images: int) -> None:
    for i in images:
        if not 0 <= i < num_images:
            raise EvaluationError(f"there is no test image {i}; there are 0 to {num_images - 1}")
    for rotation in degrees:
        if not math.isfinite(rotation):
            raise EvaluationError(f"a rotation by {rotation} degrees is not finite")


def has_noise(config: Config) -> bool:
    """Return whether a stochastic pass differs from one in evaluation mode."""
    return config.input_noise_std > 0 or ("drop_probs" in config.used() and any(build.drop_probs(config)))


def rotated(X: Tensor, degrees: float) -> Tensor:
    """Rotate the images X (n, 784) counter-clockwise around their centre, bilinearly, on a black background."""
    if degrees == 0:
        return X
    from torchvision.transforms import InterpolationMode  # takes as long to import as torch
    from torchvision.transforms.functional import rotate

    images: Tensor = rotate(X.view(-1, 1, SIDE, SIDE), degrees, InterpolationMode.BILINEAR, fill=[0.0])
    return images.flatten(1)
