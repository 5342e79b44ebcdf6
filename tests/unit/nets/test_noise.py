"""Each noise has the moments in its docstring, and the right limits p = 0, p = 1 and evaluation mode."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import pytest
import torch
from helpers.autograd import generator
from torch import Tensor

from dropexp.nets.fused_noise import BitMask
from dropexp.nets.noise import Classic, Gaussian, Inverted, Mask, Noise, Randn2019, ThreePoint, Unscaled, with_drop_prob

Kind = Callable[..., Noise]

KINDS: list[Kind] = [Inverted, Unscaled, Classic, Randn2019, Gaussian, ThreePoint]
MASKS: list[Kind] = [Inverted, Unscaled, Classic, Randn2019]
CAN_BE_SHARED: list[Kind] = [Inverted, Unscaled, Classic]


def draw(noise: Noise, seed: int = 0) -> Tensor:
    """Return a million samples of ξ in float64."""
    return noise.draw(torch.empty(1000, 1000, dtype=torch.float64), generator(seed))


def moments(kind: Kind, p: float) -> tuple[float, float]:
    """Return the mean and the variance of ξ."""
    keep = 1 - p
    if kind in (Unscaled, Classic):
        return keep, p * keep
    if kind is Randn2019:
        kept = NormalDist().cdf(keep)
        return kept / keep, kept * (1 - kept) / keep**2
    return 1, p / keep / (2 if kind is ThreePoint else 1)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_mean_and_variance_of_the_noise(kind: Kind, p: float) -> None:
    xi = draw(kind(p))
    mean, variance = moments(kind, p)
    assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / 1e6)
    fourth = float(((xi - mean) ** 4).mean())
    of_squares = math.sqrt(max(0, fourth - variance**2) / 1e6)  # 0 at p = 0.5, where only the error of the mean remains
    assert abs(xi.var() - variance) < 5 * of_squares + 25 * variance / 1e6


@pytest.mark.parametrize(("p", "keep"), [(0.2, 0.788), (0.5, 0.691)])
def test_the_bug_of_2019_changes_the_keep_probability(p: float, keep: float) -> None:
    xi = draw(Randn2019(p))
    assert abs(float((xi > 0).double().mean()) - keep) < 0.002
    assert float(xi.max()) == pytest.approx(1 / (1 - p))  # scaled for the intended probability


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_the_halves_of_a_unit_drop_independently(p: float) -> None:
    xi, keep = draw(ThreePoint(p)), 1 - p
    for value, probability in ((0, p**2), (1 / keep / 2, 2 * p * keep), (1 / keep, keep**2)):
        share = float(torch.isclose(xi, torch.tensor(value, dtype=xi.dtype)).double().mean())
        assert abs(share - probability) < 5 * math.sqrt(probability * (1 - probability) / 1e6)


def test_gaussian_noise_is_normal() -> None:
    z = (draw(Gaussian(0.5)) - 1).flatten()[:100_000]
    within = [(z.abs() < NormalDist().inv_cdf(0.5 + share / 2)).double().mean() for share in (0.5, 0.9, 0.99)]
    assert [float(share) for share in within] == pytest.approx([0.5, 0.9, 0.99], abs=0.008)


@pytest.mark.parametrize("kind", KINDS)
def test_units_rows_and_samples_are_independent(kind: Kind) -> None:
    source = generator()
    first, second = (kind(0.5).draw(torch.empty(500, 500, dtype=torch.float64), source) for _ in range(2))
    mean, variance = moments(kind, 0.5)
    for a, b in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        correlation = ((a - mean) * (b - mean)).mean() / variance
        assert abs(correlation) < 5 / math.sqrt(a.numel())


# Limits


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Randn2019])  # which keeps Φ(1) = 0.84
def test_p_0_is_the_identity_bit_for_bit(kind: Kind) -> None:
    H = torch.randn(50, 70, generator=generator())
    assert torch.equal(kind(0.0).draw(H, generator()) * H, H)
    assert kind(0.0).at_eval == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Gaussian])
def test_p_1_gives_zeros(kind: Kind) -> None:
    H = torch.randn(50, 70, generator=generator())
    assert torch.equal(kind(1.0).draw(H, generator()), torch.zeros_like(H))


def test_gaussian_noise_rejects_p_1() -> None:
    with pytest.raises(ValueError, match=r"p = 1.0: Gaussian noise of variance p / \(1 − p\) takes p < 1"):
        Gaussian(1.0)


def test_only_classic_dropout_scales_in_evaluation_mode() -> None:
    assert {kind: kind(0.2).at_eval for kind in KINDS} == dict.fromkeys(KINDS, 1.0) | {Classic: 0.8}


# Shape, type and source of randomness


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_xi_has_the_requested_shape_and_type(kind: Kind, dtype: torch.dtype) -> None:
    xi = kind(0.5).draw(torch.empty(3, 5, 7, dtype=dtype), generator())
    assert (xi.shape, xi.dtype) == ((3, 5, 7), dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_xi_comes_from_the_generator_or_from_torchs_default_generator(kind: Kind) -> None:
    H = torch.empty(20, 20)
    assert torch.equal(kind(0.5).draw(H, generator(1)), kind(0.5).draw(H, generator(1)))
    assert not torch.equal(kind(0.5).draw(H, generator(1)), kind(0.5).draw(H, generator(2)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert torch.equal(kind(0.5).draw(H, None), kind(0.5).draw(H, generator(1)))


@pytest.mark.parametrize("kind", CAN_BE_SHARED)
def test_a_shared_mask_is_one_vector_per_batch(kind: Kind) -> None:
    noise = kind(0.2, shared=True)
    xi = noise.draw(torch.empty(3, 100_000, dtype=torch.float64), generator())
    assert xi.shape == (1, 100_000)
    mean, variance = moments(kind, 0.2)
    assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / 1e5)
    of_two_runs = noise.draw(torch.empty(2, 3, 50), generator())
    assert of_two_runs.shape == (2, 1, 50)
    assert not torch.equal(of_two_runs[0], of_two_runs[1])


@pytest.mark.parametrize("kind", KINDS)
def test_with_drop_prob_returns_a_new_noise_of_the_same_class(kind: Kind) -> None:
    noise = kind(0.2)
    assert with_drop_prob(noise, 0.5) == kind(0.5)
    assert noise == kind(0.2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        noise.p = 0.5  # type: ignore[misc]  # the assignment must fail


def test_with_drop_prob_keeps_a_shared_mask_shared() -> None:
    assert with_drop_prob(Inverted(0.2, shared=True), 0.5) == Inverted(0.5, shared=True)


# Masks from random bits


@pytest.mark.parametrize("kind", KINDS)
def test_only_noises_with_two_values_are_masks(kind: Kind) -> None:
    assert isinstance(kind(0.5), Mask) == (kind in MASKS)


def from_bits(mask: BitMask, like: Tensor, seed: int = 0) -> Tensor:
    """Return a sample of ξ: the result for activations of 1."""
    xi = torch.empty_like(like)
    mask.sample(torch.ones_like(like), xi, generator(seed))
    return xi


@pytest.mark.parametrize("p", [0.0, 0.01, 0.2, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_floats_and_bits_sample_the_same_distribution(kind: Kind, varies: bool, p: float) -> None:
    noise, first, like = kind(p), kind(0.3 if varies else p), torch.empty(1000, 1000)
    assert isinstance(noise, Mask) and isinstance(first, Mask)
    bits = BitMask(first, like, varies)
    bits.set_noise(noise)
    sd = math.sqrt(noise.drop_prob * (1 - noise.drop_prob) / 1e6)
    for xi in (noise.draw(like, generator()), from_bits(bits, like)):
        assert abs(float((xi == 0).double().mean()) - noise.drop_prob) <= 5 * sd + 1 / 131072
        kept: Any = xi[xi != 0].unique().tolist()
        assert kept == pytest.approx([noise.scale] if noise.drop_prob < 1 else [])


@pytest.mark.parametrize("p", [0.2, 0.5])  # with integers of 16 and of 8 bits
@pytest.mark.parametrize("kind", CAN_BE_SHARED)
def test_a_shared_mask_from_bits_is_equal_in_all_rows(kind: Kind, p: float) -> None:
    noise, like = kind(p, shared=True), torch.empty(4, 50_001)
    assert isinstance(noise, Mask)
    xi = from_bits(BitMask(noise, like, False), like)
    assert torch.equal(xi, xi[:1].expand(4, -1))
    assert abs(float((xi[0] == 0).double().mean()) - p) < 5 * math.sqrt(p * (1 - p) / 50_001) + 1 / 131072
