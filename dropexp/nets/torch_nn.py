"""The same networks in torch.nn, and a dropout layer of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dropexp.nets.matmul import ROWS
from dropexp.nets.noise import Inverted
from dropexp.nets.schedules import DropSchedule
from dropexp.nets.sgd import SGD, Layer, limit_column_norms


class Dropout(nn.Module):
    """Dropout as a layer: zeroes each element with *drop* probability p and scales the others by 1/(1 − p).

    Obeys `train()` and `eval()`; in eval mode it is the identity. With `inplace` the input is overwritten.
    `generator` draws the mask; by default torch's global one does, as in `nn.Dropout`.
    Raises ValueError if p is outside [0, 1].
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"drop probability p = {p} is not in [0, 1]")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, X: Tensor) -> Tensor:
        if not X.is_floating_point():
            X = X.float()
        if not self.training or self.p == 0:
            return X
        xi = Inverted(self.p).draw(X.detach(), self.generator)
        return X.mul_(xi) if self.inplace else X * xi

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


class InputNoise(nn.Module):
    """X + ε with ε ~ N(0, std²), drawn by torch's global generator; in eval mode X. (Bishop, 1995)"""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, X: Tensor) -> Tensor:
        return X + torch.empty_like(X).normal_(0, self.std) if self.training else X

    def extra_repr(self) -> str:
        return f"std={self.std}"


def mlp(
    sizes: Sequence[int],
    noises: Sequence[nn.Module | None] = (),
    *,
    before_relu: bool = False,
    input_noise_std: float = 0.0,
    output_relu: bool = False,
) -> nn.Sequential:
    """Linear and ReLU per hidden layer, then Linear; `noises` has a layer such as `nn.Dropout` for what each reads.

    That is the images, then each hidden layer; None where there is no noise.
    """
    layers: list[nn.Module] = [InputNoise(input_noise_std)] if input_noise_std else []
    for i, (num_inputs, num_outputs) in enumerate(pairwise(sizes)):
        noise = noises[i] if noises else None
        relu = [nn.ReLU()] if i > 0 else []
        drop = [noise] if noise else []
        layers += [*drop, *relu] if before_relu else [*relu, *drop]
        layers.append(nn.Linear(num_inputs, num_outputs))
    if output_relu:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


@contextmanager
def as_default_generator(generator: torch.Generator) -> Iterator[None]:
    """Within it torch's global generator of the same device is this one; the caller's comes back after it.

    `nn.Dropout` knows no other source, and a program that draws from it too must not be disturbed.
    """
    ours = generator.device
    if ours.type == "cpu":
        default = torch.default_generator
    elif ours.type == "cuda":
        default = torch.cuda.default_generators[ours.index or 0]
    else:
        default = torch.mps._get_default_mps_generator()  # MPS has no public way to its generator
    before = default.get_state()
    default.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(default.get_state())
        default.set_state(before)


class TorchMLP:
    """A torch.nn network with `torch.optim.SGD`, trained and evaluated through the same calls as the page's.

    `layers` are the initial parameters in the page's layout; the network's own initialisation is overwritten. With
    `bf16` its products and activations are bfloat16, as `torch.autocast` chooses; parameters and updates are float32.
    """

    def __init__(
        self,
        net: nn.Sequential,
        layers: Sequence[Layer],
        generator: torch.Generator,
        sgd: SGD,
        *,
        noise_at_eval: bool = False,
        bf16: bool = False,
        schedule: DropSchedule | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        linears = [module for module in net if isinstance(module, nn.Linear)]
        with torch.no_grad():
            for linear, (W, b) in zip(linears, layers, strict=True):
                linear.weight.copy_(W.T)
                linear.bias.copy_(b)
        self.net = net.to(layers[0][0].device)
        self.noise_at_eval = noise_at_eval
        self.bf16 = bf16
        self.generator = generator
        self.sgd = sgd
        self.schedule = schedule
        self.dropouts = [(module, module.p) for module in net if isinstance(module, nn.Dropout)]
        self.linears = linears
        self.loss = nn.CrossEntropyLoss(reduction="sum", label_smoothing=label_smoothing)
        groups: list[dict[str, Any]] = [
            {"params": [linear.weight for linear in linears], "weight_decay": sgd.weight_decay},
            {"params": [linear.bias for linear in linears]},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=1.0, momentum=sgd.momentum, nesterov=sgd.nesterov)

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch, X (n, num_inputs) and y (n,); returns the outputs (n, num_outputs) of the noisy pass.

        `progress` is the share of the training that is over, for the schedule of drop probabilities.
        """
        if self.schedule:
            for dropout, p in self.dropouts:
                dropout.p = self.schedule(p, progress, self.generator)
        with as_default_generator(self.generator):
            return self.descend(X, y, lr)

    def descend(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """The step itself, in which `nn.Dropout` draws from torch's global generator."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr / self.sgd.divisor
        self.net.train()
        self.optimizer.zero_grad()
        outputs = []
        for X_part, y_part in zip(X.split(ROWS), y.split(ROWS), strict=True):  # their gradients add up in `backward`
            logits = self._outputs(X_part)
            (self.loss(logits, y_part) / len(y)).backward()
            outputs.append(logits.detach())
        if self.sgd.l1:
            torch.stack([self.sgd.l1 * linear.weight.abs().sum() for linear in self.linears]).sum().backward()
        self.optimizer.step()
        if self.sgd.max_norm:
            with torch.no_grad():
                for W in self.weights()[:-1]:
                    limit_column_norms(W, self.sgd.max_norm)
        return torch.cat(outputs)

    @torch.no_grad()
    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The outputs (n, num_outputs) for X (n, num_inputs): without noise, or with noise drawn by `generator`."""
        self.net.train(generator is not None or self.noise_at_eval)
        with as_default_generator(generator or self.generator):
            return self._outputs(X)

    def _outputs(self, X: Tensor) -> Tensor:
        with torch.autocast(X.device.type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.net(X)
        return logits.float() if self.bf16 else logits

    @torch.no_grad()
    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """What each hidden layer passes on (n, num_hiddens): in eval mode, or with noise drawn by `generator`."""
        self.net.train(generator is not None)
        read = []
        autocast = torch.autocast(X.device.type, torch.bfloat16, enabled=self.bf16)
        with as_default_generator(generator or self.generator), autocast:
            for module in self.net:
                if isinstance(module, nn.Linear):
                    read.append(X.float())
                X = module(X)
        return read[1:]

    def weights(self) -> list[Tensor]:
        """W (num_inputs, num_outputs) of each layer."""
        return [linear.weight.detach().T for linear in self.linears]

    def state(self) -> dict[str, Any]:
        """Parameters and optimiser as torch names them."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved `state()`."""
        self.net.load_state_dict(state["net"])
        own = self.optimizer.state_dict()  # whose options are the config's
        self.optimizer.load_state_dict(own | {"state": state["optimizer"]["state"]})
        if self.sgd.momentum:
            velocities = {p: self.optimizer.state[p]["momentum_buffer"] for p in self.net.parameters()}
            if any(v.shape != p.shape for p, v in velocities.items()):
                raise ValueError("the velocities are not of the parameters' shapes")
