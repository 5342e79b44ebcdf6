"""What a trained network makes of the test images, as they are and turned: how right, and how sure of it.

One pass in eval mode stands beside Monte-Carlo dropout, the mean over K passes with the noise on. Every rotation is
seen through the same noise, a stream of the run's own seed: the same call gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.datasets import FashionMNIST
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from dropexp.config.overrides import whole_range
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.errors import ConfigError, Problem
from dropexp.nets import matmul
from dropexp.training import build
from dropexp.training.predictive import predictive
from dropexp.training.probes import eval_outputs, noisy_outputs
from dropexp.training.rng import stream
from dropexp.training.trained import Trained

CLASSES: list[str] = FashionMNIST.classes
SIDE = 28  # pixels


@dataclass(frozen=True)
class Figures:
    """Over all test images, turned by `rotation` degrees; losses and entropies are means, in nats.

    Of one pass in eval mode, then (mc_*) of the mean probability over K noisy passes; None without noise.
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


@dataclass(frozen=True)
class Answer:
    """What a single image, turned by `rotation` degrees, is taken for, and the entropy of that in nats."""

    image: int
    label: str
    rotation: float
    predicted: str
    entropy: float


@dataclass(frozen=True)
class Evaluation:
    """A figure per rotation and an answer per image and rotation; `passes` is None for a network without noise."""

    run: str
    epoch: int
    passes: int | None
    figures: list[Figures]
    answers: list[Answer]


def evaluate(trained: Trained, data: Data, rotations: Iterable[float], K: int, images: Sequence[int]) -> Evaluation:
    """The network's figures on the test images as they are and turned by these degrees, and its answers for `images`.

    Raises ConfigError for an image that the test set has not, and for a rotation that is no angle.
    """
    rows, config, network, y = len(data.y_test), trained.config, trained.network, data.y_test
    degrees = list(dict.fromkeys([0.0, *rotations]))
    absent = [i for i in images if i >= rows]
    wrong = [Problem("--images", f"{i} is no test image; there are 0 to {rows - 1}") for i in absent[:1]]
    wrong += [Problem("--rotate", f"{d} is no angle in degrees") for d in degrees if not math.isfinite(d)]
    if wrong:
        raise ConfigError(wrong)
    passes = K if has_noise(config) else None
    figures, answers = [], []
    with matmul.using(matmul.best_backend()), torch.inference_mode():
        for rotation in degrees:
            X = turned(data.X_test, rotation)
            generator = stream(config.seed, "evaluate")
            best = predictive([eval_outputs(network, X, generator)])
            row = [best.accuracy(y), best.loss(y), best.calibration_error(y), best.entropy.mean().item()]
            if passes:
                best = predictive(noisy_outputs(network, X, generator) for _ in range(passes))
                row += [best.accuracy(y), best.loss(y), best.calibration_error(y)]
                row += [best.entropy.mean().item(), best.mutual_information.mean().item()]
            figures.append(Figures(rotation, *row))
            classes, entropies = best.classes.tolist(), best.entropy.tolist()
            answers += [Answer(i, CLASSES[int(y[i])], rotation, CLASSES[classes[i]], entropies[i]) for i in images]
    return Evaluation(str(trained.folder.path), trained.epoch, passes, figures, answers)


def has_noise(config: Config) -> bool:
    """Whether a pass with the noise on differs from one in eval mode."""
    return config.input_noise_std > 0 or ("drop_probs" in config.used() and any(build.drop_probs(config)))


def turned(X: Tensor, degrees: float) -> Tensor:
    """The images X (n, 784) turned counter-clockwise about their middle, bilinearly; black comes in from outside."""
    if degrees == 0:
        return X
    turned: Tensor = rotate(X.view(-1, 1, SIDE, SIDE), degrees, InterpolationMode.BILINEAR, fill=[0.0])
    return turned.flatten(1)


def image_numbers(text: str) -> list[int]:
    """Those that "0..9" or "3,7,20..25" names. Raises ConfigError for another text."""
    numbers: list[int] = []
    for part in text.split(","):
        named = whole_range(part) or whole_range(f"{part.strip()}..{part.strip()}")
        if not named:
            raise ConfigError([Problem(f"--images {text}", "is no list of whole numbers, such as 0..9 or 3,7")])
        numbers += named
    return numbers
