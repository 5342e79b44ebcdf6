"""What is measured beside loss and accuracy: a probe adds columns to epochs.csv. The loop knows none.

Each looks at the network after an epoch and at the test images (n, num_inputs), with labels y (n,). "With the noise on"
is as it was in the epoch's last step; a network without noise has the same figures with and without. Noise that one
mask or one ξ for a batch makes is shared by the EVAL_ROWS images of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dropexp.nets.base import Network
from dropexp.training.predictive import predictive
from dropexp.training.trainees import EVAL_ROWS, score


def measure(
    probes: Iterable[str | dict[str, int]],
    network: Network,
    X: Tensor,
    y: Tensor,
    stream: Callable[[str], torch.Generator],
) -> dict[str, float]:
    """The columns of these probes, named as in a config, and their values.

    `stream` gives each probe, by its name, what it draws from: no probe changes what another measures.
    """
    values: dict[str, float] = {}
    for probe in probes:
        name, *number = next(iter(probe.items())) if isinstance(probe, dict) else (probe,)
        values |= _PROBES[name](network, X, y, stream(name), *number)
    return values


def weight_norms(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """w1_norm, w2_norm, …: ‖W‖, the root of the sum of squares, of each layer."""
    sums = [W.cpu().double().square().sum(dim=1).sum() for W in network.weights()]
    return {f"w{i}_norm": total.sqrt().item() for i, total in enumerate(sums, start=1)}


def activations(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Of each hidden layer h1, h2, …, all units and images together: mean, variance and share of exact zeros.

    h1_mean, h1_var, h1_zero are in eval mode, h1_noisy_mean, h1_noisy_var with the noise on. What is measured is what
    the next layer reads. The variance is the mean of (h − mean)².
    """
    values: dict[str, float] = {}
    layers = zip(_moments(network, X, None), _moments(network, X, generator), strict=True)
    for i, ((mean, var, zero), (noisy_mean, noisy_var, _)) in enumerate(layers, start=1):
        values |= {f"h{i}_mean": mean, f"h{i}_var": var, f"h{i}_zero": zero}
        values |= {f"h{i}_noisy_mean": noisy_mean, f"h{i}_noisy_var": noisy_var}
    return values


def noise_at_test(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """noisy_acc and noisy_loss of one pass with the noise on; noisy_flips, the share of images that another such pass
    puts into another class."""
    outputs, others = (noisy_outputs(network, X, generator) for _ in range(2))
    loss, acc = score(outputs, y)
    flips = (outputs.argmax(dim=1) != others.argmax(dim=1)).sum().item() / len(y)
    return {"noisy_acc": acc, "noisy_loss": loss, "noisy_flips": flips}


def calibration(network: Network, X: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """ece: the expected calibration error of the probabilities in eval mode."""
    return {"ece": predictive([eval_outputs(network, X, generator)]).calibration_error(y)}


def mc(network: Network, X: Tensor, y: Tensor, generator: torch.Generator, K: int) -> dict[str, float]:
    """mc_acc, mc_loss, mc_ece of the mean probability over K passes with the noise on. (Monte-Carlo dropout)"""
    mean = predictive(noisy_outputs(network, X, generator) for _ in range(K))
    return {"mc_acc": mean.accuracy(y), "mc_loss": mean.loss(y), "mc_ece": mean.calibration_error(y)}


_PROBES: dict[str, Callable[..., dict[str, float]]] = {
    probe.__name__: probe for probe in (weight_norms, activations, noise_at_test, calibration, mc)
}


def noisy_outputs(network: Network, X: Tensor, generator: torch.Generator) -> Tensor:
    """The outputs (n, num_outputs) of a pass with the noise on."""
    return torch.cat([network.logits(rows, generator) for rows in X.split(EVAL_ROWS)])


def eval_outputs(network: Network, X: Tensor, generator: torch.Generator) -> Tensor:
    """The outputs (n, num_outputs) in eval mode; `generator` is for a network that has its noise on there too."""
    if network.noise_at_eval:
        return noisy_outputs(network, X, generator)  # not from its own stream, which the training goes on with
    return torch.cat([network.logits(rows) for rows in X.split(EVAL_ROWS)])


def _moments(network: Network, X: Tensor, generator: torch.Generator | None) -> list[list[float]]:
    """Mean, variance and share of zeros of each hidden layer. Sums go by rows, the same on any number of threads."""
    batches = [
        [
            torch.stack([H.mean(dim=1), H.square().mean(dim=1), (H == 0).double().mean(dim=1)])
            for H in (hidden.cpu().double() for hidden in network.hidden(rows, generator))
        ]
        for rows in X.split(EVAL_ROWS)
    ]
    layers = (torch.cat(parts, dim=1).mean(dim=1).tolist() for parts in zip(*batches, strict=True))
    return [[mean, square - mean**2, zero] for mean, square, zero in layers]
