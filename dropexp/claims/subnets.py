"""Claims about all 2ⁿ subnetworks: every mask of n units is evaluated, with its probability."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dropexp.claims import small_nets
from dropexp.claims.claim import Finding, equality
from dropexp.nets.noise import Inverted, Mask

P = 0.5


def all_masks(noise: Mask, n: int) -> tuple[Tensor, Tensor]:
    """Return all ξ (2ⁿ, n) of n units, and the probability of each (2ⁿ, 1)."""
    kept = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * n)
    number = kept.sum(dim=1, keepdim=True)
    return kept * noise.scale, (1 - noise.drop_prob) ** number * noise.drop_prob ** (n - number)


def weight_scaling(noise: Mask | None = None, n: int = 10) -> Iterator[Finding]:
    """softmax(E[o]) = Π softmax(o_ξ)^P(ξ), renormalised: evaluation mode is the geometric mean of the 2ⁿ subnetworks.

    Dropout is on n units x. The equation is exact if the outputs o are linear in ξ (Hinton et al., 2012; Baldi and
    Sadowski, 2013); the arithmetic mean of the probabilities differs.
    """
    noise = noise or Inverted(P)
    xi, probability = all_masks(noise, n)
    for subject, sizes in (("noise before the softmax layer", (n, 4)), ("noise before a ReLU layer", (n, 8, 4))):
        net = small_nets.scratch_net([], sizes)
        x = small_nets.batch(1, sizes)[0] * 2
        in_eval = net.logits(noise.at_eval * x).softmax(dim=1)
        log_p = net.logits(xi * x).log_softmax(dim=1)
        geometric = (probability * log_p).sum(dim=0).softmax(dim=0)
        compared = f"probabilities of the net and of the mean over {len(xi):,} subnets"
        yield equality(subject, (geometric - in_eval).abs().max().item(), compared)
        if len(sizes) == 2:
            arithmetic = (probability * log_p.exp()).sum(dim=0)
            yield equality("an arithmetic mean", (arithmetic - in_eval).abs().max().item(), compared)


def dropout_is_ridge(noise: Mask | None = None, n: int = 8) -> Iterator[Finding]:
    """min E‖y − (ξ ⊙ X)w‖² is min ‖y − Xw‖² + wᵀΛw, Λ = p/(1−p)·diag(XᵀX). (Srivastava et al., 2014, section 9.1)

    So the weights that fit best under dropout are (XᵀX + Λ)⁻¹Xᵀy. They are not (XᵀX + λI)⁻¹Xᵀy if features have
    different scales. The expectation is taken over all masks of a row.
    """
    noise = noise or Inverted(P)
    g = small_nets.generator()
    X = torch.randn(20, n, generator=g, dtype=torch.float64) * torch.arange(1, n + 1)  # features of different scales
    y = X.sum(dim=1) + torch.randn(20, generator=g, dtype=torch.float64)

    xi, probability = all_masks(noise, n)
    weight = probability.sqrt()  # least squares squares it
    dropped = (weight * xi * X[:, None]).flatten(end_dim=1)  # every row under every mask
    w = torch.linalg.lstsq(dropped, (weight * y[:, None, None]).flatten(end_dim=1)).solution[:, 0]

    def ridge(penalty: Tensor) -> Tensor:
        w: Tensor = torch.linalg.solve(X.T @ X + penalty, X.T @ y)
        return w

    def off(penalty: Tensor) -> float:
        return float((w - ridge(penalty)).norm() / w.norm())

    of = f"weights under all {len(xi)} masks and those of ridge regression"
    without = f"{of} (without its penalty {off(torch.zeros(n, n)):.0%} off)"
    by_feature = noise.p / (1 - noise.p) * torch.diag((X**2).sum(dim=0))
    yield equality("linear regression with Λ by feature", off(by_feature), without)
    best = min(off(size * torch.eye(n)) for size in torch.logspace(-3, 5, 400, dtype=torch.float64))
    yield equality("linear regression with one λ for all features", best, f"{of} with the best λ of 400")
