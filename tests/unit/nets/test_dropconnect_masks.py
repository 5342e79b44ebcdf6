"""Masks on weights: each bit has its exact probability, and matrix products use the mask of each example."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.autograd import expanded, generator, grad_of
from torch import Tensor

from dropexp.nets import dropconnect_masks
from dropexp.nets.dropconnect_masks import WeightMasks, random_bits
from dropexp.nets.noise import Inverted

pytestmark = pytest.mark.usefixtures("one_thread")


def bits(words: Tensor) -> Tensor:
    """Return the bits of int64 words, (len, 64)."""
    return (words.unsqueeze(1) >> torch.arange(64)) & 1


@pytest.mark.parametrize("p", [0.5, 0.2, 0.8, 1 / 3, 0.003, 2**-12 + 2**-20])
def test_bits_are_set_with_their_probability(p: float) -> None:
    words = random_bits(p, 100_001, generator())
    assert abs(bits(words).double().mean() - p) < 5 * math.sqrt(p * (1 - p) / (64 * len(words)))


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0), (1.0, 1), (1 - 2**-53, 1), (2**-60, 0)])
def test_bits_that_are_almost_certain_have_their_value(p: float, expected: int) -> None:
    assert (bits(random_bits(p, 1000, generator())) == expected).all()


def test_bits_are_independent() -> None:
    one, other = (bits(random_bits(0.2, 50_000, source)).double() for source in (generator(0), generator(1)))
    for a, b in ((one, other), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one[:, 32:], one[:, :32])):
        correlation = ((a - 0.2) * (b - 0.2)).mean() / (0.2 * 0.8)
        assert abs(correlation) < 5 / math.sqrt(a.numel())


def test_a_digit_is_drawn_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 has one binary digit. 0.2 has 52, but the bits of a word are decided after eight or nine on average."""
    drawn: list[int] = []
    random = Tensor.random_

    def counting(words: Tensor, *bounds: int | None, **source: torch.Generator) -> Tensor:
        drawn.append(len(words))
        return random(words, *bounds, **source)

    monkeypatch.setattr(Tensor, "random_", counting)
    random_bits(0.5, 1000, generator())
    assert drawn == [1000]
    drawn.clear()
    random_bits(0.2, 1000, generator())
    assert 8000 < sum(drawn) < 9500


@pytest.mark.parametrize("slab", [1, 2**9, 2**19])
@pytest.mark.parametrize("n", [1, 64, 70, 150])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matmuls_and_gradients_equal_those_of_autograd_under_the_same_masks(
    dtype: torch.dtype, n: int, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropconnect_masks, "SLAB", slab)
    source = generator()
    W, H, D = (torch.randn(shape, generator=source, dtype=dtype) for shape in ((20, 7), (n, 20), (n, 7)))
    masks = WeightMasks(Inverted(0.3), W, n, source)
    found = (masks.forward(H, W), *masks.backward(D, H, W))
    V, A = W.double().clone().requires_grad_(), H.double().clone().requires_grad_()
    Z = torch.einsum("ki,kio,io->ko", A, expanded(masks, W).double(), V)
    Z.backward(D.double())
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    for one, expected in zip(found, (Z, grad_of(V), grad_of(A)), strict=True):
        assert (one - expected).abs().max() <= tolerance * expected.abs().max()


def test_each_example_has_its_own_mask() -> None:
    xi = expanded(WeightMasks(Inverted(0.2), torch.ones(40, 30), 100, generator()), torch.ones(40, 30))
    assert xi.unique().tolist() == [0, 1.25]
    kept = (xi > 0).double()
    assert abs(kept.mean() - 0.8) < 5 * math.sqrt(0.2 * 0.8 / kept.numel())
    centred = (kept - 0.8).flatten(1)
    correlations = centred @ centred.T / (0.2 * 0.8 * 1200)
    assert (correlations - torch.eye(100)).abs().max() < 6 * math.sqrt(2 / 1200)


def test_masks_are_the_same_in_every_slab_size(monkeypatch: pytest.MonkeyPatch) -> None:
    W = torch.ones(40, 30)
    masks = WeightMasks(Inverted(0.2), W, 100, generator())
    whole = expanded(masks, W)
    monkeypatch.setattr(dropconnect_masks, "SLAB", 5000)
    assert torch.equal(expanded(masks, W), whole)
