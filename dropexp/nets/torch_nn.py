"""The same networks in torch.nn, and dropout as a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dropexp.nets.adam import BETA1, BETA2, EPSILON, Adam, Optimizer
from dropexp.nets.matmul import ROWS
from dropexp.nets.noise import Inverted
from dropexp.nets.schedules import DropSchedule
from dropexp.nets.sgd import SGD, Layer, limit_column_norms


class Dropout(nn.Module):
    """Zero each element with *drop* probability p and scale the others by 1/(1 − p); in evaluation mode, the identity.

    With `inplace` the input is overwritten. The mask is sampled from `generator`, by default from torch's default
    generator, as in `nn.Dropout`. Raises ValueError if p is outside [0, 1].
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
    """X + ε with ε ~ N(0, std²) from torch's default generator; in evaluation mode X. (Bishop, 1995)"""

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
    """Return a network of Linear and ReLU per hidden layer, then Linear.

    `noises` has a layer such as `nn.Dropout` for the input of each Linear: the images, then each hidden layer. An item
    is None where there is no noise.
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
    """Let torch's default generator of the same device continue from this generator's state inside the block.

    At the end this generator has the advanced state, and the default one is restored. `nn.Dropout` has no other source
    of randomness, and a program that uses the default generator must not be affected.
    """
    device = generator.device
    if device.type == "cpu":
        default = torch.default_generator
    elif device.type == "cuda":
        default = torch.cuda.default_generators[device.index or 0]
    else:
        default = torch.mps._get_default_mps_generator()  # MPS has no public function for it
    before = default.get_state()
    default.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(default.get_state())
        default.set_state(before)


class TorchMLP:
    """A torch.nn network with torch's own SGD, Adam or AdamW. Its interface is that of `from_scratch.MLP`.

    `layers` are the initial parameters in the layout of `from_scratch.py`; they replace those of `nn.Linear`.
    With `bf16`, matrix products and activations are bfloat16 where `torch.autocast` chooses it; parameters and updates
    stay float32.
    """

    def __init__(
        self,
        net: nn.Sequential,
        layers: Sequence[Layer],
        generator: torch.Generator,
        optimizer: Optimizer,
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
        self.optimizer = optimizer
        self.schedule = schedule
        self.dropouts = [(module, module.p) for module in net if isinstance(module, nn.Dropout)]
        self.linears = linears
        self.loss = nn.CrossEntropyLoss(reduction="sum", label_smoothing=label_smoothing)
        self.torch_optimizer = torch_optimizer(optimizer, linears)

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch and return the outputs of its forward pass, with dropout active."""
        if self.schedule:
            for dropout, p in self.dropouts:
                dropout.p = self.schedule(p, progress, self.generator)
        with as_default_generator(self.generator):
            return self.descend(X, y, lr)

    def descend(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """Take the step itself; `nn.Dropout` samples from torch's default generator."""
        for group in self.torch_optimizer.param_groups:
            group["lr"] = lr / self.optimizer.divisor if isinstance(self.optimizer, SGD) else lr
        self.net.train()
        self.torch_optimizer.zero_grad()
        outputs = []
        for X_part, y_part in zip(X.split(ROWS), y.split(ROWS), strict=True):  # `backward` adds their gradients up
            logits = self._outputs(X_part)
            (self.loss(logits, y_part) / len(y)).backward()
            outputs.append(logits.detach())
        if self.optimizer.l1:
            torch.stack([self.optimizer.l1 * linear.weight.abs().sum() for linear in self.linears]).sum().backward()
        self.torch_optimizer.step()
        if self.optimizer.max_norm:
            with torch.no_grad():
                for W in self.weights()[:-1]:
                    limit_column_norms(W, self.optimizer.max_norm)
        return torch.cat(outputs)

    @torch.no_grad()
    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs in evaluation mode, or with noise from `generator`."""
        self.net.train(generator is not None or self.noise_at_eval)
        with as_default_generator(generator or self.generator):
            return self._outputs(X)

    def _outputs(self, X: Tensor) -> Tensor:
        with torch.autocast(X.device.type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.net(X)
        return logits.float() if self.bf16 else logits

    @torch.no_grad()
    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Return the outputs of each hidden layer in evaluation mode, or with noise from `generator`."""
        self.net.train(generator is not None)
        inputs = []
        autocast = torch.autocast(X.device.type, torch.bfloat16, enabled=self.bf16)
        with as_default_generator(generator or self.generator), autocast:
            for module in self.net:
                if isinstance(module, nn.Linear):
                    inputs.append(X.float())
                X = module(X)
        return inputs[1:]

    def weights(self) -> list[Tensor]:
        return [linear.weight.detach().T for linear in self.linears]

    def state(self) -> dict[str, Any]:
        """Return parameters and optimiser state under torch's names."""
        return {"net": self.net.state_dict(), "optimizer": self.torch_optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state. The optimiser's options stay those of the config. Raises an exception if it does not fit."""
        kept = state["optimizer"]["state"]
        parameters = [one for group in self.torch_optimizer.param_groups for one in group["params"]]
        for i, parameter in enumerate(parameters):
            for name, shape in state_shapes(self.optimizer, parameter).items():
                if kept[i][name].shape != shape:  # torch would accept it
                    raise ValueError(f"{name} of parameter {i} does not have the shape {tuple(shape)}")
        self.net.load_state_dict(state["net"])
        self.torch_optimizer.load_state_dict(self.torch_optimizer.state_dict() | {"state": kept})


def torch_optimizer(optimizer: Optimizer, linears: Sequence[nn.Linear]) -> torch.optim.Optimizer:
    """Return torch's own optimiser, with weight decay on weights but not on biases; its lr is set at each step."""
    groups: list[dict[str, Any]] = [
        {"params": [linear.weight for linear in linears], "weight_decay": optimizer.weight_decay},
        {"params": [linear.bias for linear in linears], "weight_decay": 0.0},
    ]
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(groups, lr=1.0, momentum=optimizer.momentum, nesterov=optimizer.nesterov)
    kind = torch.optim.AdamW if optimizer.decoupled else torch.optim.Adam
    on_cuda = linears[0].weight.is_cuda  # there the step count must be on the device, for CUDA graphs
    return kind(groups, lr=1.0, betas=(BETA1, BETA2), eps=EPSILON, capturable=on_cuda)


def state_shapes(optimizer: Optimizer, parameter: Tensor) -> dict[str, torch.Size]:
    """Return the shapes of the tensors that torch's optimiser keeps for a parameter, by torch's names."""
    if isinstance(optimizer, Adam):
        return {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
    return {"momentum_buffer": parameter.shape} if optimizer.momentum else {}
