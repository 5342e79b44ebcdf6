"""What the proofs compute with: small networks of one set of random weights, in float64, and a random batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dropexp.nets import fused, scratch, torch_nn
from dropexp.nets.base import Network
from dropexp.nets.noise import Inverted, Noise
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.torch_nn import as_default_generator

SIZES = (20, 32, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layers(sizes: Sequence[int] = SIZES) -> list[Layer]:
    """Weights as `nn.Linear` draws them, biases 0."""
    drawn = scratch.init_params(sizes, generator(1), init="torch")
    return [(W.double(), b.double()) for W, b in drawn]


def batch(n: int, sizes: Sequence[int] = SIZES) -> tuple[Tensor, Tensor]:
    """X (n, num_inputs) ~ N(0, 1) and labels y (n,)."""
    g = generator(2)
    X = torch.randn(n, sizes[0], generator=g, dtype=torch.float64)
    return X, torch.randint(sizes[-1], (n,), generator=g)


def by_hand(
    noises: Sequence[Noise | None],
    sizes: Sequence[int] = SIZES,
    kind: type[scratch.MLP] = scratch.MLP,
    noise_at_eval: bool = False,
) -> scratch.MLP:
    return kind(layers(sizes), noises, generator(3), SGD(), noise_at_eval=noise_at_eval)


def concise(p: float, sizes: Sequence[int] = SIZES, noise_at_eval: bool = False) -> torch_nn.TorchMLP:
    """With `nn.Dropout` on every hidden layer."""
    noises = [None, *(nn.Dropout(p) for _ in sizes[1:-1])]
    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = torch_nn.mlp(sizes, noises).double()
    return torch_nn.TorchMLP(net, layers(sizes), generator(3), SGD(), noise_at_eval=noise_at_eval)


def every(p: float = 0.5, noise_at_eval: bool = False) -> dict[str, Network]:
    """The same network as this program trains it."""
    noises = [None, Inverted(p)]
    return {
        "by hand": by_hand(noises, noise_at_eval=noise_at_eval),
        "tuned": by_hand(noises, kind=fused.FusedMLP, noise_at_eval=noise_at_eval),
        "nn.Dropout": concise(p, noise_at_eval=noise_at_eval),
    }


@contextmanager
def drawn_globally() -> Iterator[None]:
    """Within it `nn.Dropout`, which knows no other generator than torch's global one, draws from a seed."""
    with as_default_generator(generator(4)):
        yield
