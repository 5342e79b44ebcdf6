"""Each noise has the moments that its docstring says, and its own p = 0, p = 1 and eval mode."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor

from dropexp.nets.bitmask import BitMask
from dropexp.nets.noise import Classic, Gaussian, Inverted, Mask, Noise, Randn2019, ThreePoint, Unscaled, with_drop_prob

Kind = Callable[..., Noise]

KINDS: list[Kind] = [Inverted, Unscaled, Classic, Randn2019, Gaussian, ThreePoint]
MASKS: list[Kind] = [Inverted, Unscaled, Classic, Randn2019]
CAN_BE_SHARED: list[Kind] = [Inverted, Unscaled, Classic]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(noise: Noise, seed: int = 0) -> Tensor:
    """A million values of ξ in float64."""
    return noise.draw(torch.empty(1000, 1000, dtype=torch.float64), generator(seed))


def moments(kind: Kind, p: float) -> tuple[float, float]:
    """Mean and variance of ξ."""
    keep = 1 - p
    if kind in (Unscaled, Classic):
        return keep, p * keep
    if kind is Randn2019:
        kept = NormalDist().cdf(keep)
        return kept / keep, kept * (1 - kept) / keep**2
    return 1, p / keep / (2 if kind is ThreePoint else 1)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_a_noise_has_its_mean_and_its_variance(kind: Kind, p: float) -> None:
    xi = draw(kind(p))
    mean, variance = moments(kind, p)
    assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / 1e6)
    fourth = float(((xi - mean) ** 4).mean())
    of_squares = math.sqrt(max(0, fourth - variance**2) / 1e6)  # 0 at p = 0.5, where the error of the mean is left
    assert abs(xi.var() - variance) < 5 * of_squares + 25 * variance / 1e6


@pytest.mark.parametrize(("p", "keep"), [(0.2, 0.788), (0.5, 0.691)])
def test_the_mask_of_2019_keeps_more_or_less_than_was_meant(p: float, keep: float) -> None:
    xi = draw(Randn2019(p))
    assert abs(float((xi > 0).double().mean()) - keep) < 0.002
    assert float(xi.max()) == pytest.approx(1 / (1 - p))  # scaled for the rate that was meant


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_half_a_unit_is_dropped_by_itself(p: float) -> None:
    xi, keep = draw(ThreePoint(p)), 1 - p
    for value, probability in ((0, p**2), (1 / keep / 2, 2 * p * keep), (1 / keep, keep**2)):
        share = float(torch.isclose(xi, torch.tensor(value, dtype=xi.dtype)).double().mean())
        assert abs(share - probability) < 5 * math.sqrt(probability * (1 - probability) / 1e6)


def test_gaussian_noise_is_normal() -> None:
    z = (draw(Gaussian(0.5)) - 1).flatten()[:100_000]
    within = [(z.abs() < NormalDist().inv_cdf(0.5 + share / 2)).double().mean() for share in (0.5, 0.9, 0.99)]
    assert [float(share) for share in within] == pytest.approx([0.5, 0.9, 0.99], abs=0.008)


@pytest.mark.parametrize("kind", KINDS)
def test_units_rows_and_draws_are_independent(kind: Kind) -> None:
    source = generator()
    first, second = (kind(0.5).draw(torch.empty(500, 500, dtype=torch.float64), source) for _ in range(2))
    mean, variance = moments(kind, 0.5)
    for a, b in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        correlation = ((a - mean) * (b - mean)).mean() / variance
        assert abs(correlation) < 5 / math.sqrt(a.numel())


# The ends


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Randn2019])  # which keeps Φ(1) = 0.84 of them
def test_p_0_is_the_identity_bit_for_bit(kind: Kind) -> None:
    H = torch.randn(50, 70, generator=generator())
    assert torch.equal(kind(0.0).draw(H, generator()) * H, H)
    assert kind(0.0).at_eval == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Gaussian])
def test_p_1_gives_zeros(kind: Kind) -> None:
    H = torch.randn(50, 70, generator=generator())
    assert torch.equal(kind(1.0).draw(H, generator()), torch.zeros_like(H))


def test_gaussian_noise_refuses_p_1_and_says_why() -> None:
    with pytest.raises(ValueError, match=r"p = 1.0: Gaussian noise of variance p / \(1 − p\) takes p < 1"):
        Gaussian(1.0)


def test_classic_dropout_alone_makes_up_for_itself_in_eval_mode() -> None:
    assert {kind: kind(0.2).at_eval for kind in KINDS} == dict.fromkeys(KINDS, 1.0) | {Classic: 0.8}


# The form


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_xi_has_the_shape_and_the_type_of_what_it_is_for(kind: Kind, dtype: torch.dtype) -> None:
    xi = kind(0.5).draw(torch.empty(3, 5, 7, dtype=dtype), generator())
    assert (xi.shape, xi.dtype) == ((3, 5, 7), dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_xi_is_the_generators_and_without_one_torchs(kind: Kind) -> None:
    H = torch.empty(20, 20)
    assert torch.equal(kind(0.5).draw(H, generator(1)), kind(0.5).draw(H, generator(1)))
    assert not torch.equal(kind(0.5).draw(H, generator(1)), kind(0.5).draw(H, generator(2)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert torch.equal(kind(0.5).draw(H, None), kind(0.5).draw(H, generator(1)))


@pytest.mark.parametrize("kind", CAN_BE_SHARED)
def test_a_shared_mask_is_one_vector_for_all_rows_of_a_batch(kind: Kind) -> None:
    noise = kind(0.2, shared=True)
    xi = noise.draw(torch.empty(3, 100_000, dtype=torch.float64), generator())
    assert xi.shape == (1, 100_000)
    mean, variance = moments(kind, 0.2)
    assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / 1e5)
    of_two_runs = noise.draw(torch.empty(2, 3, 50), generator())
    assert of_two_runs.shape == (2, 1, 50)
    assert not torch.equal(of_two_runs[0], of_two_runs[1])


@pytest.mark.parametrize("kind", KINDS)
def test_another_rate_makes_another_noise_of_the_same_kind(kind: Kind) -> None:
    noise = kind(0.2)
    assert with_drop_prob(noise, 0.5) == kind(0.5)
    assert noise == kind(0.2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        noise.p = 0.5  # type: ignore[misc]  # that it cannot be set is the test


def test_another_rate_leaves_a_shared_mask_shared() -> None:
    assert with_drop_prob(Inverted(0.2, shared=True), 0.5) == Inverted(0.5, shared=True)


# Masks by random bits


@pytest.mark.parametrize("kind", KINDS)
def test_noises_of_two_values_are_the_ones_that_bits_can_decide(kind: Kind) -> None:
    assert isinstance(kind(0.5), Mask) == (kind in MASKS)


def by_bits(mask: BitMask, like: Tensor, seed: int = 0) -> Tensor:
    """ξ: what it makes of activations of 1."""
    xi = torch.empty_like(like)
    mask.drop(torch.ones_like(like), xi, generator(seed))
    return xi


@pytest.mark.parametrize("p", [0.0, 0.01, 0.2, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_draws_and_bits_drop_at_the_rate_and_keep_at_the_value_that_a_mask_says(
    kind: Kind, changes: bool, p: float
) -> None:
    noise, first, like = kind(p), kind(0.3 if changes else p), torch.empty(1000, 1000)
    assert isinstance(noise, Mask) and isinstance(first, Mask)
    bits = BitMask(first, like, changes)
    bits.take(noise)
    sd = math.sqrt(noise.drop_prob * (1 - noise.drop_prob) / 1e6)
    for xi in (noise.draw(like, generator()), by_bits(bits, like)):
        assert abs(float((xi == 0).double().mean()) - noise.drop_prob) <= 5 * sd + 1 / 131072
        kept: Any = xi[xi != 0].unique().tolist()
        assert kept == pytest.approx([noise.scale] if noise.drop_prob < 1 else [])


@pytest.mark.parametrize("p", [0.2, 0.5])  # sixteen bits to a decision, and eight
@pytest.mark.parametrize("kind", CAN_BE_SHARED)
def test_bits_decide_once_for_all_rows_where_a_mask_is_shared(kind: Kind, p: float) -> None:
    noise, like = kind(p, shared=True), torch.empty(4, 50_001)
    assert isinstance(noise, Mask)
    xi = by_bits(BitMask(noise, like, False), like)
    assert torch.equal(xi, xi[:1].expand(4, -1))
    assert abs(float((xi[0] == 0).double().mean()) - p) < 5 * math.sqrt(p * (1 - p) / 50_001) + 1 / 131072
