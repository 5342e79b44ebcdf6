"""Weight decay under Adam in numbers: what the penalty and the decoupled decay do to the weights of the real network.

Adam divides the gradient of each weight, including the penalty's, by its typical size √ŝ. So the penalty shrinks a
weight by the fraction ηλ/√ŝ per step: more if its gradients are small. AdamW shrinks all weights by ηλ. (Loshchilov and
Hutter, 2019)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropexp.claims import small_nets
from dropexp.claims.claim import Finding, holds_if
from dropexp.nets import from_scratch
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.fused import FusedMLP

SIZES = (784, 256, 256, 10)
SIDE = 28  # pixels
STEPS, BATCH_SIZE, LR, LAMBDA = 200, 32, 0.001, 0.001
TOLERANCE = 0.01  # of the norm: a smaller difference between the two counts as none
QUARTER = SIZES[0] // 4


@dataclass(frozen=True)
class Images:
    """Images X (n, 784) between 0 and 1, and their labels y (n,)."""

    X: Tensor
    y: Tensor


def penalty_on_network(penalty: Optimizer | None = None, images: Images | None = None) -> Iterator[Finding]:
    """Compare the first layer after the same steps of Adam with the penalty and of AdamW, by the pixels' gradients.

    HOLDS: ‖W‖ differs by at most `TOLERANCE` both for the quarter of the pixels with the smallest gradients and for
    that with the largest.
    """
    images = images or synthetic_images()
    with small_nets.one_thread():
        coupled = trained(penalty or Adam(weight_decay=LAMBDA), images)
        decoupled = trained(Adam(weight_decay=LAMBDA, decoupled=True), images)
    sizes = decoupled.moments[0]["sW"].mean(dim=1).sqrt()  # of the gradients of each pixel's weights
    order = sizes.argsort()
    small, large = order[:QUARTER], order[-QUARTER:]
    shrunk = [1 - norm(coupled, pixels) / norm(decoupled, pixels) for pixels in (small, large)]
    ratio = (sizes[large].mean() / sizes[small].mean()).item()
    evidence = (
        f"after {STEPS} steps at η = {LR:g}, λ = {LAMBDA:g} weights of the first layer are smaller with the penalty "
        f"than with AdamW: by {shrunk[0]:z.1%} at the quarter of the pixels with the smallest gradients, and by "
        f"{shrunk[1]:z.1%} at the quarter with the largest, which are {ratio:.0f} times as large "
        f"(within {TOLERANCE:.0%} is equal); AdamW's own factor 1 − ηλ shrinks each weight by "
        f"{1 - (1 - LR * LAMBDA) ** STEPS:.2%} in all"
    )
    figures = {"small gradients": shrunk[0], "large gradients": shrunk[1], "ratio of gradients": ratio}
    equal = all(abs(share) <= TOLERANCE for share in shrunk)
    yield Finding(f"Adam on the network {'-'.join(map(str, SIZES))}", holds_if(equal), evidence, figures)


def trained(optimizer: Optimizer, images: Images) -> FusedMLP:
    """Return the network after `STEPS` steps; all start from the same weights and see the same batches."""
    layers = from_scratch.init_params(SIZES, small_nets.generator(1), init="torch")
    net = FusedMLP(layers, [None] * len(layers), small_nets.generator(), optimizer)
    g = small_nets.generator(2)
    for _ in range(STEPS):
        rows = torch.randint(len(images.y), (BATCH_SIZE,), generator=g)
        net.step(images.X[rows], images.y[rows], LR)
    return net


def norm(net: FusedMLP, pixels: Tensor) -> float:
    """Return the norm of the weights that read these pixels."""
    return float(net.layers[0][0][pixels].double().norm())


def synthetic_images(n: int = 1000) -> Images:
    """Return images of ten classes: a random pattern per class, plus equally strong noise, darker towards the border.

    As in photographs of single objects, pixels near the border vary little, so that their gradients are small.
    """
    g = small_nets.generator()
    rising = torch.linspace(0.02, 1, SIDE // 2)
    side = torch.cat([rising, rising.flip(0)])
    patterns = torch.rand(SIZES[-1], SIZES[0], generator=g)
    y = torch.randint(SIZES[-1], (n,), generator=g)
    X = (patterns[y] + torch.rand(n, SIZES[0], generator=g)) / 2 * torch.outer(side, side).flatten()
    return Images(X, y)
