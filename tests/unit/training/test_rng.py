"""The random streams of a seed are independent."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dropexp.training.rng import stream

NAMES = ["split", "init", "order", "noise"]


def numbers(seed: int, name: str) -> Tensor:
    return torch.rand(100, generator=stream(seed, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_determined_by_seed_and_name(name: str) -> None:
    assert torch.equal(numbers(3, name), numbers(3, name))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_streams_of_one_seed_differ(one: str, other: str) -> None:
    assert not torch.equal(numbers(0, one), numbers(0, other))


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ(name: str) -> None:
    drawn = {tuple(numbers(seed, name).tolist()) for seed in range(100)}
    assert len(drawn) == 100


@pytest.mark.parametrize("seed", [0, 2**31, 2**63 - 1])
def test_every_seed_that_a_config_accepts_works(seed: int) -> None:
    assert torch.equal(numbers(seed, "init"), numbers(seed, "init"))


def test_sampling_from_one_stream_does_not_advance_another() -> None:
    noise, order = stream(0, "noise"), stream(0, "order")
    torch.rand(100, generator=noise)
    assert torch.equal(torch.rand(100, generator=order), numbers(0, "order"))


def test_torchs_default_generator_is_not_changed() -> None:
    before = torch.get_rng_state()
    numbers(0, "init")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        ("split", 749576159230600040),
        ("init", 6661309355786447146),
        ("order", 6557714879691437969),
        ("noise", 2258784678044586894),
    ],
)
def test_the_streams_of_a_seed_never_change(name: str, derived: int) -> None:
    assert stream(0, name).initial_seed() == derived  # otherwise a finished run could not be reproduced
