"""Probes: further measurements after each epoch. A probe adds columns to epochs.csv.

A probe gets the network after an epoch and the test images X (n, num_inputs) with labels y (n,). "Dropout active" means
with the drop probabilities of the epoch's last step; for a network without noise it changes nothing. A noise with one
sample per batch (a shared mask, or one on the weights) has one sample per pass of EVAL_ROWS images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dropexp.nets.network_interface import Network
from dropexp.training.predictive_distribution import predictive
from dropexp.training.trainees import EVAL_ROWS, logits, score

UNITS = 256  # whose correlations with all others are computed at a time


def measure(
    probes: Iterable[str | dict[str, int]],
    network: Network,
    X: Tensor,
    y: Tensor,
    stream: Callable[[str], torch.Generator],
) -> dict[str, float]:
    """Return the columns of these probes, given as in a config, and their values.

    `stream` returns a generator for the name of a probe, so that no probe affects another.
    """
    values: dict[str, float] = {}
    for probe in probes:
        name, *number = next(iter(probe.items())) if isinstance(probe, dict) else (probe,)
        values |= _PROBES[name](network, X, y, stream(name), *number)
    return values


def columns(probes: Iterable[str | dict[str, int]], num_hidden: int) -> list[str]:
    """Return the names of the columns of these probes for a network with this number of hidden layers."""
    moments = ("mean", "var", "zero", "noisy_mean", "noisy_var")
    names = {
        "weight_norms": [f"w{i}_norm" for i in range(1, num_hidden + 2)],
        "activations": [f"h{i}_{moment}" for i in range(1, num_hidden + 1) for moment in moments],
        "correlation": [f"h{i}_corr" for i in range(1, num_hidden + 1)],
        "noise_at_test": ["noisy_acc", "noisy_loss", "noisy_flips"],
        "calibration": ["ece"],
        "mc": ["mc_acc", "mc_loss", "mc_ece"],
    }
    chosen = (next(iter(probe)) if isinstance(probe, dict) else probe for probe in probes)
    return [column for name in chosen for column in names[name]]


def weight_norms(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure w1_norm, w2_norm, …: the Frobenius norm ‖W‖ of each layer."""
    sums = [W.cpu().double().square().sum(dim=1).sum() for W in network.weights()]
    return {f"w{i}_norm": total.sqrt().item() for i, total in enumerate(sums, start=1)}


def activations(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure mean, variance and fraction of zeros of hidden layers h1, h2, …, over all units and images.

    h1_mean, h1_var, h1_zero are taken in evaluation mode, h1_noisy_mean, h1_noisy_var with dropout active. They
    describe the values that the next layer reads. The variance is the mean of h² less mean².
    """
    values: dict[str, float] = {}
    layers = zip(_moments(network, X, None), _moments(network, X, generator), strict=True)
    for i, ((mean, var, zero), (noisy_mean, noisy_var, _)) in enumerate(layers, start=1):
        values |= {f"h{i}_mean": mean, f"h{i}_var": var, f"h{i}_zero": zero}
        values |= {f"h{i}_noisy_mean": noisy_mean, f"h{i}_noisy_var": noisy_var}
    return values


def correlation(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure h1_corr, h2_corr, …: the mean of |r| over all pairs of units of a hidden layer, in evaluation mode.

    r is Pearson's correlation of two units over the images; the paper explains dropout by less co-adaptation of units
    (Srivastava et al., 2014, section 7.1). A unit with the same value for all images, such as one that is always 0, has
    no correlation and is in no pair; if fewer than two units are left, the figure is NaN.
    """
    batches = [network.hidden(rows) for rows in X.split(EVAL_ROWS)]
    layers = (torch.cat(parts).cpu().double() for parts in zip(*batches, strict=True))
    return {f"h{i}_corr": _mean_correlation(H) for i, H in enumerate(layers, start=1)}


def noise_at_test(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure noisy_acc and noisy_loss of a stochastic pass, and how many predictions a second pass changes.

    noisy_flips is the fraction of images that the two passes classify differently.
    """
    outputs, others = (stochastic_outputs(network, X, generator) for _ in range(2))
    loss, acc = score(outputs, y)
    flips = (outputs.argmax(dim=1) != others.argmax(dim=1)).sum().item() / len(y)
    return {"noisy_acc": acc, "noisy_loss": loss, "noisy_flips": flips}


def calibration(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure ece, the expected calibration error in evaluation mode."""
    return {"ece": predictive([eval_outputs(network, X, generator)]).calibration_error(y)}


def mc(network: Network, X: Tensor, y: Tensor, generator: torch.Generator, K: int) -> dict[str, float]:
    """Measure mc_acc, mc_loss, mc_ece of Monte-Carlo dropout: the mean probability over K stochastic passes."""
    mean = predictive(stochastic_outputs(network, X, generator) for _ in range(K))
    return {"mc_acc": mean.accuracy(y), "mc_loss": mean.loss(y), "mc_ece": mean.calibration_error(y)}


_PROBES: dict[str, Callable[..., dict[str, float]]] = {
    probe.__name__: probe for probe in (weight_norms, activations, correlation, noise_at_test, calibration, mc)
}


def stochastic_outputs(network: Network, X: Tensor, generator: torch.Generator) -> Tensor:
    """Return the outputs (n, num_outputs) of a stochastic pass."""
    return torch.cat([network.logits(rows, generator) for rows in X.split(EVAL_ROWS)])


def eval_outputs(network: Network, X: Tensor, generator: torch.Generator) -> Tensor:
    """Return the outputs (n, num_outputs) in evaluation mode.

    A network with `noise_at_eval` samples from `generator`: its own one must not advance, since training uses it next.
    """
    if network.noise_at_eval:
        return stochastic_outputs(network, X, generator)
    return logits(network, X)


def _moments(network: Network, X: Tensor, generator: torch.Generator | None) -> list[tuple[float, float, float]]:
    """Return mean, variance and fraction of zeros of each hidden layer.

    Means are taken row by row first, so that the results do not depend on the number of threads.
    """
    batches = [
        [
            torch.stack([H.mean(dim=1), H.square().mean(dim=1), (H == 0).double().mean(dim=1)])
            for H in (hidden.cpu().double() for hidden in network.hidden(rows, generator))
        ]
        for rows in X.split(EVAL_ROWS)
    ]
    layers = (torch.cat(parts, dim=1).mean(dim=1).tolist() for parts in zip(*batches, strict=True))
    return [(mean, max(square - mean**2, 0.0), zero) for mean, square, zero in layers]


def _mean_correlation(H: Tensor) -> float:
    """Return the mean of |r| over the pairs of columns of H (n, units) that are not constant."""
    D = H[:, (H[0] != H).any(dim=0)]
    units = D.shape[1]
    if units < 2:
        return math.nan
    D = D - D.mean(dim=0)
    D /= D.square().sum(dim=0).sqrt()
    total: float = sum((part.T @ D).abs().sum(dim=1).sum().item() for part in D.split(UNITS, dim=1))
    return (total - units) / (units * (units - 1))  # without each unit's correlation with itself
