"""Dropout as multiplicative noise, h' = ξ ⊙ h: one small class for each distribution of ξ.

Everywhere in this package p is the *drop* probability, and keep = 1 − p. Sources that write p for the probability of
keeping a unit (Srivastava et al., 2014) are translated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class Noise(Protocol):
    """A distribution of ξ: a frozen dataclass with a field p. p = 0 means no noise."""

    @property
    def p(self) -> float:
        """The drop probability, or the parameter that takes its role."""
        ...

    @property
    def at_eval(self) -> float:
        """The constant that replaces ξ in evaluation mode."""
        ...

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Sample ξ with the shape (…, n, num_hiddens), dtype and device of `like`, or a shape that broadcasts to it.

        Must not use the values of `like`, which may be uninitialised. Without a generator it samples from torch's
        default generator.
        """
        ...


@runtime_checkable
class Mask(Noise, Protocol):
    """A noise with two values, 0 and `scale`. It can also be sampled by comparing random bits."""

    @property
    def drop_prob(self) -> float:
        """The probability of ξ = 0."""
        ...

    @property
    def scale(self) -> float:
        """The other value of ξ."""
        ...

    @property
    def shared(self) -> bool:
        """Whether all rows of a batch share one mask."""
        ...


@dataclass(frozen=True)
class Inverted:
    """ξ = mask / keep with mask ~ Bernoulli(keep). E[ξ] = 1, Var[ξ] = p / keep. Evaluation: ξ = 1.

    p = 0 is the identity, p = 1 gives zeros. With `shared` all rows of a batch have the same mask, a vector of the
    layer's width. (Dive into Deep Learning, 3.13.1)
    """

    p: float
    shared: bool = False
    at_eval = 1.0

    @property
    def drop_prob(self) -> float:
        return self.p

    @property
    def scale(self) -> float:
        return 1 / (1 - self.p) if self.p < 1 else 0.0

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        keep = 1 - self.p
        if keep == 0:
            return torch.zeros_like(like)
        return bernoulli(keep, like, self.shared, generator) / keep


@dataclass(frozen=True)
class Unscaled:
    """ξ = mask with mask ~ Bernoulli(keep). E[ξ] = keep, Var[ξ] = p·keep. Evaluation: ξ = 1, which is not E[ξ].

    ("Dropout is drop-dead easy": its layer, and with `shared` its section on the mathematics)
    """

    p: float
    shared: bool = False
    at_eval = 1.0
    scale = 1.0

    @property
    def drop_prob(self) -> float:
        return self.p

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return bernoulli(1 - self.p, like, self.shared, generator)


@dataclass(frozen=True)
class Classic:
    """ξ = mask with mask ~ Bernoulli(keep). E[ξ] = keep, Var[ξ] = p·keep. Evaluation: ξ = keep.

    (Srivastava et al., 2014, section 4; they multiply the weights by keep at test time, which is equivalent)
    """

    p: float
    shared: bool = False
    scale = 1.0

    @property
    def drop_prob(self) -> float:
        return self.p

    @property
    def at_eval(self) -> float:
        return 1 - self.p

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return bernoulli(1 - self.p, like, self.shared, generator)


@dataclass(frozen=True)
class Randn2019:
    """ξ = mask / keep with mask = (z < keep), z ~ N(0, 1): a bug in the book's code until October 2019.

    The actual keep probability is Φ(keep): 0.788 instead of 0.8, 0.691 instead of 0.5. E[ξ] = Φ(keep) / keep ≠ 1,
    Var[ξ] = Φ(keep)·(1 − Φ(keep)) / keep². Evaluation: ξ = 1. p = 0 would drop 16 %, so `build` uses no noise for it.
    """

    p: float
    at_eval = 1.0
    shared = False

    @property
    def drop_prob(self) -> float:
        return 1 - NormalDist().cdf(1 - self.p) if self.p < 1 else 1.0

    @property
    def scale(self) -> float:
        return 1 / (1 - self.p) if self.p < 1 else 0.0

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        keep = 1 - self.p
        if keep == 0:
            return torch.zeros_like(like)
        mask = torch.randn(like.shape, generator=generator, device=like.device) < keep
        return mask.to(like.dtype) / keep


@dataclass(frozen=True)
class Gaussian:
    """ξ ~ N(1, p / keep). E[ξ] = 1, Var[ξ] = p / keep, as for inverted dropout. Evaluation: ξ = 1.

    (Srivastava et al., 2014, section 10.) Raises ValueError for p = 1, where the variance is infinite.
    """

    p: float
    at_eval = 1.0

    def __post_init__(self) -> None:
        if self.p >= 1:
            raise ValueError(f"p = {self.p}: Gaussian noise of variance p / (1 − p) takes p < 1")

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        std = (self.p / (1 - self.p)) ** 0.5
        return torch.empty_like(like).normal_(1, std, generator=generator)


@dataclass(frozen=True)
class ThreePoint:
    """ξ ∈ {0, γ/2, γ}, γ = 1 / keep, with probabilities p², 2·p·keep, keep²: each half of a unit drops independently.

    E[ξ] = 1, Var[ξ] = p / (2·keep), half of inverted dropout's. Evaluation: ξ = 1. (An exercise of an early edition of
    Dive into Deep Learning, which gives the three values but not their probabilities)
    """

    p: float
    at_eval = 1.0

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        half = Inverted(self.p)
        return (half.draw(like, generator) + half.draw(like, generator)) / 2


def bernoulli(keep: float, like: Tensor, shared: bool, generator: torch.Generator | None) -> Tensor:
    """Sample a mask of ones (with probability `keep`) and zeros for `like` (…, n, m), or (…, 1, m) if `shared`."""
    uniform = torch.rand((like[..., :1, :] if shared else like).shape, generator=generator, device=like.device)
    return (uniform < keep).to(like.dtype)


def with_drop_prob(noise: Noise, p: float) -> Noise:
    """Return the same noise with another p."""
    instance: Any = noise
    changed: Noise = replace(instance, p=p)
    return changed
