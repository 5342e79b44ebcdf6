"""The noise of a stack: each run samples its own noise from its own generator, whatever the other runs do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from helpers.autograd import copies, generator, generators
from torch import Tensor

from dropexp.config.schema import Config
from dropexp.nets import from_scratch
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.schedules import DropSchedule, curriculum, early, late, random_rate
from dropexp.nets.sgd import SGD
from dropexp.nets.stacked import BLOCK, Stack
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.stack_shape import stack_shape

pytestmark = pytest.mark.usefixtures("one_thread")


def empty_stack(
    noises: Sequence[Sequence[Noise | None]], n: int = 256, sizes: Sequence[int] = (5, 64, 32, 10), **options: Any
) -> Stack:
    """Return a stack that can sample up to three steps. Run r has a generator with seed r."""
    layers = from_scratch.init_params(sizes, torch.Generator())
    networks = [
        from_scratch.MLP(copies(layers), own, g, SGD(), **options)
        for own, g in zip(noises, generators(len(noises)), strict=True)
    ]
    return Stack(networks, torch.zeros(n, sizes[0]), torch.zeros(n, dtype=torch.int64), 3 * n, n)


def samples(stacked: Stack, steps: int = 3) -> list[Tensor | None]:
    """Return ξ of each layer for the next steps, (R, steps, …)."""
    stacked.noise.draw([0.0] * steps)
    return [None if xi is None else xi[:, :steps].clone() for xi in stacked.noise.xi]


def test_each_part_of_a_random_word_drops_at_the_rate_of_its_run() -> None:
    noises: list[list[Noise | None]] = [
        [None, Inverted(0.2), Inverted(0.5)],
        [],
        [None, Randn2019(0.2), Randn2019(0.5)],
        [None, Inverted(0.0), Inverted(1.0)],
        [None, Randn2019(0.0), Randn2019(1.0)],
        [None, Unscaled(0.2), Classic(0.5)],
    ]
    phi = [1 - 0.5 * (1 + math.erf(keep / math.sqrt(2))) for keep in (0.8, 0.5, 1.0)]
    rates = [(0.2, 0.5), (0.0, 0.0), (phi[0], phi[1]), (0.0, 1.0), (phi[2], 1.0), (0.2, 0.5)]
    scales = [(1 / 0.8, 2.0), (1.0, 1.0), (1 / 0.8, 2.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    of_images, *of_hidden = samples(empty_stack(noises, n=2048))
    assert of_images is None  # no run has noise there, so no memory is used
    for r, i in itertools.product(range(6), range(2)):
        every, p, scale = of_hidden[i], rates[r][i], torch.tensor(scales[r][i])
        assert every is not None
        xi = every[r]
        assert set(xi.unique().tolist()) <= {0.0, scale.item()}
        dropped = (xi.reshape(-1, 4) == 0).double().mean(dim=0)  # by position in a 64-bit word
        assert (dropped - p).abs().max() <= 5 * math.sqrt(p * (1 - p) / (xi.numel() / 4)) + 1 / 131072


MOMENTS: list[tuple[type[Any], float, float]] = [
    (Inverted, 1.0, 0.3 / 0.7),
    (Unscaled, 0.7, 0.3 * 0.7),
    (Classic, 0.7, 0.3 * 0.7),
    (Randn2019, 0.7580363 / 0.7, 0.7580363 * 0.2419637 / 0.49),  # Φ(0.7) = 0.7580363
    (Gaussian, 1.0, 0.3 / 0.7),
    (ThreePoint, 1.0, 0.3 / 1.4),
]


@pytest.mark.parametrize("on", ["after", "weights"])
@pytest.mark.parametrize(("kind", "mean", "variance"), MOMENTS)
def test_samples_have_the_mean_and_variance_of_the_noise(
    kind: type[Any], mean: float, variance: float, on: str
) -> None:
    stacked = empty_stack([[], [kind(0.3)] * 3], sizes=(300, 200, 100, 10), n=128, placement=on)
    for every in samples(stacked)[:2]:
        assert every is not None
        xi = every[1].double()
        assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / xi.numel())
        fourth = ((xi - mean) ** 4).mean()
        assert abs(xi.var() - variance) < 5 * math.sqrt((fourth - variance**2) / xi.numel())
        assert (every[0] == 1).all()  # the run without noise


@pytest.mark.parametrize("kind", [Inverted, Unscaled, Classic])
def test_a_shared_mask_is_equal_in_all_rows_and_differs_between_steps(kind: type[Any]) -> None:
    _, xi, _ = samples(empty_stack([[None, kind(0.5, shared=True), None], [None, kind(0.5), None]]))
    assert xi is not None
    assert (xi[0] == xi[0, :, :1]).all() and not (xi[1] == xi[1, :, :1]).all()
    assert not torch.equal(xi[0, 0], xi[0, 1])


def test_the_noise_of_a_run_does_not_depend_on_the_other_runs() -> None:
    """Neither on their noises, nor on the layers that have noise."""
    noises: list[list[Noise | None]] = [
        [],
        [Inverted(0.4), Gaussian(0.2), Inverted(0.5)],
        [None, Inverted(0.1, shared=True), Randn2019(0.3)],
        [None, None, ThreePoint(0.3)],
    ]
    together = empty_stack(noises, input_noise_std=0.1)
    single = [empty_stack([own], input_noise_std=0.1) for own in noises]
    for r, one in enumerate(single):
        one.networks[0].generator.manual_seed(r)
    for steps in (3, 1):
        joint, separate = samples(together, steps), [samples(one, steps) for one in single]
        for r, i in itertools.product(range(4), range(3)):
            every, own = joint[i], separate[r][i]
            assert every is not None
            assert torch.equal(every[r], torch.ones(()).expand_as(every[r]) if own is None else own[0])
        for r, one in enumerate(single):
            assert together.noise.epsilon is not None and one.noise.epsilon is not None
            assert torch.equal(together.noise.epsilon[r, :steps], one.noise.epsilon[0, :steps])
            assert torch.equal(together.networks[r].generator.get_state(), one.networks[0].generator.get_state())


def test_a_run_without_noise_does_not_advance_its_generator() -> None:
    stacked = empty_stack([[], [None, Inverted(0.5), None]])
    samples(stacked)
    assert torch.equal(stacked.networks[0].generator.get_state(), generators(1)[0].get_state())


def test_the_placement_of_a_run_without_noise_is_ignored() -> None:
    first, second = Config(variant="none", placement="before"), Config(variant="gaussian")
    assert stack_shape(first) == stack_shape(second)
    networks = [build.reference_mlp(config, stream(0, "init"), stream(0, "noise")) for config in (first, second)]
    assert Stack(networks, torch.zeros(8, 784), torch.zeros(8, dtype=torch.int64), 8, 8).noise.placement == "after"


def test_noise_of_runs_steps_rows_and_units_is_independent() -> None:
    _, xi, _ = samples(empty_stack([[None, Inverted(0.5), None]] * 2, n=512))
    assert xi is not None
    a = xi - 1  # of variance 1
    for other in (a.roll(1, 0), a.roll(1, 1), a.roll(1, 2), a.roll(1, 3)):
        assert abs((a * other).double().mean()) < 5 / math.sqrt(a.numel() / 2)


@pytest.mark.parametrize("kind", [Inverted, Gaussian])
@pytest.mark.parametrize("schedule", [early(0.5), late(0.5), curriculum, random_rate])
def test_each_step_has_the_drop_probability_of_its_schedule(schedule: DropSchedule, kind: type[Any]) -> None:
    layers, progress = from_scratch.init_params([5, 4000, 10], torch.Generator()), [0.0, 0.4, 0.6, 0.8]
    noises: list[Noise | None] = [None, kind(0.3)]
    networks = [
        from_scratch.MLP(layers, noises, g, SGD(), schedule=own)
        for own, g in zip((None, schedule), generators(2), strict=True)
    ]
    stacked = Stack(networks, torch.zeros(64, 5), torch.zeros(64, dtype=torch.int64), 4 * 64, 64)
    stacked.noise.draw(progress)
    xi = stacked.noise.xi[1]
    assert xi is not None
    again = generator(1)
    for r, rates in enumerate(([0.3] * 4, [schedule(0.3, fraction, again) for fraction in progress])):
        for k, p in enumerate(rates):
            assert xi[r, k].double().var().item() == pytest.approx(p / (1 - p), rel=0.05, abs=1e-4)
    assert networks[1].noises == [None, kind(rates[-1])]  # for an evaluation with dropout active


def test_schedules_receive_the_progress_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[float] = []
    monkeypatch.setattr(from_scratch.MLP, "set_drop_probs", lambda self, progress: received.append(progress))
    X, y, rows = torch.zeros(5, 5), torch.zeros(5, dtype=torch.int64), 4 * BLOCK + 6
    stacked = Stack(empty_stack([[]]).networks, X, y, rows, 4)
    stacked.train_epoch(torch.zeros(1, rows, dtype=torch.int64), [0.1], epoch=3, epochs=4)
    assert received == [(2 + start / rows) / 4 for start in range(0, rows, 4)]
