"""What the proofs compute with: small networks with the same random weights, in float64, and a random batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dropexp.nets import from_scratch, fused, torch_nn
from dropexp.nets.network_interface import Network
from dropexp.nets.noise import Inverted, Noise
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.torch_nn import as_default_generator

SIZES = (20, 32, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layers(sizes: Sequence[int] = SIZES) -> list[Layer]:
    """Return weights initialised like those of `nn.Linear`, and biases 0."""
    params = from_scratch.init_params(sizes, generator(1), init="torch")
    return [(W.double(), b.double()) for W, b in params]


def batch(n: int, sizes: Sequence[int] = SIZES) -> tuple[Tensor, Tensor]:
    """Return X (n, num_inputs) ~ N(0, 1) and labels y (n,)."""
    g = generator(2)
    X = torch.randn(n, sizes[0], generator=g, dtype=torch.float64)
    return X, torch.randint(sizes[-1], (n,), generator=g)


def scratch_net(
    noises: Sequence[Noise | None],
    sizes: Sequence[int] = SIZES,
    kind: type[from_scratch.MLP] = from_scratch.MLP,
    noise_at_eval: bool = False,
) -> from_scratch.MLP:
    """Return a network from scratch, of a class derived from `from_scratch.MLP`."""
    return kind(layers(sizes), noises, generator(3), SGD(), noise_at_eval=noise_at_eval)


def torch_net(p: float, sizes: Sequence[int] = SIZES, noise_at_eval: bool = False) -> torch_nn.TorchMLP:
    """Return the network in `torch.nn`, with `nn.Dropout` on every hidden layer."""
    noises = [None, *(nn.Dropout(p) for _ in sizes[1:-1])]
    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = torch_nn.mlp(sizes, noises).double()
    return torch_nn.TorchMLP(net, layers(sizes), generator(3), SGD(), noise_at_eval=noise_at_eval)


def implementations(p: float = 0.5, noise_at_eval: bool = False) -> dict[str, Network]:
    """Return the same network in each of the package's implementations."""
    noises = [None, Inverted(p)]
    return {
        "reference": scratch_net(noises, noise_at_eval=noise_at_eval),
        "fused": scratch_net(noises, kind=fused.FusedMLP, noise_at_eval=noise_at_eval),
        "nn.Dropout": torch_net(p, noise_at_eval=noise_at_eval),
    }


@contextmanager
def seeded_global_generator() -> Iterator[None]:
    """Seed torch's global generator, the only one that `nn.Dropout` can use, inside the block."""
    with as_default_generator(generator(4)):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread inside the block: on a busy machine, threads wait longer for each other than small steps take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
