"""A plugin with a kind of noise: dropexp train -c examples/uniform-noise.yaml --plugin examples/uniform_noise.py"""

from dataclasses import dataclass

import torch

from dropexp import register


@dataclass(frozen=True)
class Uniform:
    """ξ ~ U(1 − w, 1 + w) with w = √(3·p / keep); E[ξ] = 1, Var[ξ] = p / keep, as with inverted dropout."""

    p: float
    at_eval = 1.0

    def draw(self, like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        width = (3 * self.p / (1 - self.p)) ** 0.5
        return torch.empty_like(like).uniform_(1 - width, 1 + width, generator=generator)


register("uniform", Uniform)
