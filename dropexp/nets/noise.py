"""Dropout as multiplicative noise: h' = ξ ⊙ h. One small object says how ξ is drawn.

Everywhere in this package p is the *drop* probability; sources that write p for the probability to keep
(Srivastava et al., 2014) are read accordingly, and keep = 1 − p.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class Noise(Protocol):
    """Draws ξ. A frozen dataclass with a field p, of which 0 is no noise at all."""

    @property
    def p(self) -> float:
        """The drop probability, or what stands for it."""
        ...

    @property
    def at_eval(self) -> float:
        """What takes ξ's place in eval mode."""
        ...

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """ξ for what has this shape (…, n, num_hiddens), type and device; in its shape, or one that broadcasts to it.

        Nothing else of `like` means anything: a stack of runs draws before there are activations. Without a generator
        torch's global one draws.
        """
        ...


@runtime_checkable
class Mask(Noise, Protocol):
    """A noise of two values, which random bits can decide as well."""

    @property
    def drop_prob(self) -> float:
        """The probability of ξ = 0."""
        ...

    @property
    def scale(self) -> float:
        """The value of ξ otherwise."""
        ...

    @property
    def shared(self) -> bool:
        """Whether all rows of a batch share one mask."""
        ...


@dataclass(frozen=True)
class Inverted:
    """ξ = mask / keep with mask ~ Bernoulli(keep); E[ξ] = 1, Var[ξ] = p / keep; eval: ξ = 1.

    p = 0 is the identity, p = 1 gives zeros. `shared`: one mask, a vector of the layer's width, for all rows of a
    batch. (Dive into Deep Learning, 3.13.1)
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
    """ξ = mask with mask ~ Bernoulli(keep); E[ξ] = keep, Var[ξ] = p·keep; eval: ξ = 1, so that nothing makes up for it.

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
    """ξ = mask with mask ~ Bernoulli(keep); E[ξ] = keep, Var[ξ] = p·keep; eval: ξ = keep.

    (Srivastava et al., 2014, section 4: weights times keep at test time, which is the same)
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
    """ξ = mask / keep with mask = (z < keep), z ~ N(0, 1): the slip in the book's code until October 2019.

    The true keep rate is Φ(keep), 0.788 where 0.8 was meant and 0.691 where 0.5 was; E[ξ] = Φ(keep) / keep ≠ 1,
    Var[ξ] = Φ(keep)·(1 − Φ(keep)) / keep²; eval: ξ = 1. p = 0 would drop 16 %: a network takes it for no dropout.
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
    """ξ ~ N(1, p / keep); E[ξ] = 1, Var[ξ] = p / keep, as inverted dropout's; eval: ξ = 1.

    (Srivastava et al., 2014, section 10.) Raises ValueError for p = 1, whose variance is infinite.
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
    """ξ in {0, γ/2, γ}, γ = 1 / keep, with probabilities p², 2·p·keep, keep²: each half of a unit is dropped by itself.

    E[ξ] = 1, Var[ξ] = p / (2·keep), half of inverted dropout's; eval: ξ = 1. (An exercise of an early edition of Dive
    into Deep Learning, which names the three values and leaves their probabilities open)
    """

    p: float
    at_eval = 1.0

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        half = Inverted(self.p)
        return (half.draw(like, generator) + half.draw(like, generator)) / 2


def bernoulli(keep: float, like: Tensor, shared: bool, generator: torch.Generator | None) -> Tensor:
    """A mask of ones (with probability `keep`) and zeros for `like` (…, n, m), or (…, 1, m) if it is shared."""
    drawn = torch.rand((like[..., :1, :] if shared else like).shape, generator=generator, device=like.device)
    return (drawn < keep).to(like.dtype)


def with_drop_prob(noise: Noise, p: float) -> Noise:
    """The same noise with another p."""
    instance: Any = noise
    changed: Noise = replace(instance, p=p)
    return changed
