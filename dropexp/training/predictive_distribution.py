"""The predictive distribution of a network, from one pass or averaged over many, and its quality.

Monte-Carlo dropout predicts with the mean probability over K stochastic passes (Gal and Ghahramani, 2016):
p(c | x) = (1/K) Σ softmax(O_k)_c. A single pass, for example in evaluation mode, is the case K = 1. An ensemble
predicts with the same mean over the passes of several networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dropexp.runs.metrics import CALIBRATION_BINS as BINS


@dataclass(frozen=True)
class Predictive:
    """The mean prediction over passes for n images, float64 on the CPU. Entropies are in nats.

    `log_p` (n, num_classes) is the log of the mean probability, `pass_entropy` (n,) the mean entropy of single passes.
    """

    log_p: Tensor
    pass_entropy: Tensor

    @property
    def classes(self) -> Tensor:
        """The most probable class of each image (n,)."""
        return self.log_p.argmax(dim=1)

    @property
    def entropy(self) -> Tensor:
        """H[p] = −Σ p·log p of each image (n,)."""
        return entropy(self.log_p)

    @property
    def mutual_information(self) -> Tensor:
        """H[mean of p_k] − mean of H[p_k] of each image (n,): the disagreement of passes. (Houlsby et al., 2011)"""
        return (self.entropy - self.pass_entropy).clamp(min=0)  # rounding can give values below 0

    def accuracy(self, y: Tensor) -> float:
        """Return the fraction of images whose most probable class is their label y (n,)."""
        return (self.classes == y.cpu()).double().mean().item()

    def loss(self, y: Tensor) -> float:
        """Return the mean negative log-likelihood of the labels y (n,), in nats; for one pass, the cross entropy."""
        return -self.log_p.gather(1, y.cpu().unsqueeze(1)).mean().item()

    def calibration_error(self, y: Tensor) -> float:
        """Return the expected calibration error, Σ_b |B_b|/n · |accuracy(B_b) − confidence(B_b)|. (Guo et al., 2017)

        Bin B_b contains the images whose largest probability is in ((b − 1)/BINS, b/BINS].
        """
        confidence = self.log_p.amax(dim=1).exp()
        correct = (self.classes == y.cpu()).double()
        bins = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)
        return (torch.bincount(bins, correct - confidence, BINS).abs().sum() / len(y)).item()


class Average:
    """The mean prediction over the passes added so far; it needs the memory of one."""

    def __init__(self) -> None:
        self.K = 0
        self._log_sum, self._entropies = torch.tensor(-math.inf, dtype=torch.double), torch.zeros(())

    def add(self, O: Tensor) -> None:
        """Add a pass, given by its outputs O (n, num_classes) or by its log-probabilities."""
        log_p = log_softmax(O.cpu().double())
        self._log_sum = torch.logaddexp(self._log_sum, log_p)  # in logs, since p can underflow to 0
        self._entropies = self._entropies + entropy(log_p)
        self.K += 1

    def predictive(self) -> Predictive:
        """Return the mean; there must be at least one pass."""
        return Predictive(self._log_sum - math.log(self.K), self._entropies / self.K)


def predictive(passes: Iterable[Tensor]) -> Predictive:
    """Average over passes, each given by its outputs O (n, num_classes). There must be at least one."""
    average = Average()
    for O in passes:
        average.add(O)
    return average.predictive()


def log_softmax(O: Tensor) -> Tensor:
    """Return the log-softmax of each row."""
    return O - O.logsumexp(dim=1, keepdim=True)


def entropy(log_p: Tensor) -> Tensor:
    """Return −Σ p·log p of each row, in nats."""
    return -(log_p.exp() * log_p).sum(dim=1)
