"""Schedules of learning rate and drop probability: their values, and their effect in a training."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import pytest
import torch
from helpers.autograd import generator
from helpers.training import fit_network
from torch import Tensor, nn

from dropexp.config.schema import Config
from dropexp.nets import from_scratch, torch_nn
from dropexp.nets.network_interface import Network
from dropexp.nets.schedules import LR_SCHEDULES, curriculum, early, late, linear_decay, random_rate
from dropexp.training import build
from dropexp.training.loop import EpochRecord

pytestmark = pytest.mark.usefixtures("one_thread")


# The learning rate


def factors(name: str, epochs: int) -> list[float]:
    return [LR_SCHEDULES[name](epoch, epochs) for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_constant_schedule_is_constant(epochs: int) -> None:
    assert factors("constant", epochs) == [1.0] * epochs


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [0.01]),
        (2, [1, 0.01]),
        (4, [1, 1, 0.1, 0.01]),
        (10, [1] * 5 + [0.1] * 2 + [0.01] * 3),
        (100, [1] * 50 + [0.1] * 25 + [0.01] * 25),
    ],
)
def test_the_step_schedule_divides_by_ten_after_a_half_and_after_three_quarters(
    epochs: int, expected: list[float]
) -> None:
    assert factors("step", epochs) == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [1, 5, 100])
def test_the_cosine_schedule_equals_torchs_cosine_annealing(epochs: int) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for factor in factors("cosine", epochs):
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors("cosine", epochs)[0] == 1
    assert all(a > b > 0 for a, b in zip(factors("cosine", epochs), factors("cosine", epochs)[1:], strict=False))


# The drop probability


@pytest.mark.parametrize(("fraction", "progress", "active"), [(0.5, 0, True), (0.5, 0.499, True), (0.5, 0.5, False)])
def test_early_dropout_ends_where_late_dropout_starts(fraction: float, progress: float, active: bool) -> None:
    assert early(fraction)(0.3, progress, generator()) == (0.3 if active else 0)
    assert late(fraction)(0.3, progress, generator()) == (0 if active else 0.3)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_dropout_decays_linearly_to_zero_as_in_the_code_of_liu_et_al(fraction: float) -> None:
    steps = 1000
    theirs = torch.cat([torch.linspace(0.3, 0, round(fraction * steps)), torch.zeros(round((1 - fraction) * steps))])
    ours = [linear_decay(fraction)(0.3, step / steps, generator()) for step in range(steps)]
    assert ours == pytest.approx(theirs.tolist(), abs=1.001 * 0.3 / (fraction * steps))  # a step
    assert linear_decay(0)(0.3, 0.0, generator()) == 0


def test_a_fraction_of_0_or_1_gives_a_constant_schedule() -> None:
    for progress in (0.0, 0.5, 0.999):
        assert early(0)(0.3, progress, generator()) == late(1)(0.3, progress, generator()) == 0
        assert early(1)(0.3, progress, generator()) == late(0)(0.3, progress, generator()) == 0.3


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_the_curriculum_follows_its_equation(p: float) -> None:
    keep = 1 - p
    for t in (0.0, 0.01, 0.1, 0.5, 1.0):
        assert 1 - curriculum(p, t, generator()) == pytest.approx((1 - keep) * math.exp(-10 * t) + keep)
    assert curriculum(p, 0.0, generator()) == 0
    assert curriculum(p, 1.0, generator()) == pytest.approx(p, abs=1e-4)


@pytest.mark.parametrize(
    ("p", "low", "high"), [(0.0, 0, 0), (0.2, 0.1, 0.3), (0.5, 0.25, 0.75), (0.8, 0.7, 0.9), (1.0, 1, 1)]
)
def test_a_random_rate_is_uniform_around_p_and_stays_a_probability(p: float, low: float, high: float) -> None:
    source, n = generator(), 20_000
    rates = torch.tensor([random_rate(p, 0.5, source) for _ in range(n)], dtype=torch.float64)
    width = high - low
    assert low <= rates.min() and rates.max() <= high
    assert abs(rates.mean() - p) <= 5 * width / math.sqrt(12 * n) + 1e-12
    for quarter in (1, 2, 3):
        share = (rates < low + quarter / 4 * width).double().mean()
        assert width == 0 or abs(share - quarter / 4) < 5 * 0.5 / math.sqrt(n)


# In a training


EPOCHS, ROWS, BATCH = 4, 100, 40  # steps of 40, 40 and 20 rows
PROGRESS = [(epoch + start / ROWS) / EPOCHS for epoch in range(EPOCHS) for start in (0, 40, 80)]


def rows(n: int, seed: int) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 10
    return torch.rand(n, 784, generator=generator(seed)) + (torch.arange(784) % 10 == y[:, None]), y


def config(**keys: Any) -> Config:
    small = {"variant": "scratch", "hidden": [16, 12], "drop_probs": [0.2, 0.5], "init": "torch", "epochs": EPOCHS}
    return Config.model_validate(small | keys)


def trained(network: Network, order: torch.Generator, run: Config, done: int = 0) -> list[EpochRecord]:
    records = fit_network(
        network,
        rows(ROWS, 1),
        rows(30, 2),
        lr=0.1,
        lr_schedule=LR_SCHEDULES[run.lr_schedule],
        batch_size=BATCH,
        epochs=EPOCHS,
        order=order,
        done=done,
    )
    return [dataclasses.replace(record, seconds=0.0) for record in records]


def rates_of(network: Network) -> list[float]:
    """Return the current drop probabilities, of the images and of the hidden layers."""
    if isinstance(network, from_scratch.MLP):
        return [noise.p for noise in network.noises if noise]
    assert isinstance(network, torch_nn.TorchMLP)
    return [dropout.p for dropout, _ in network.dropouts]


def rates_in_training(run: Config, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Return the drop probabilities of every step."""
    network, found = build.network(run, generator(3), generator(4)), []
    step = network.step

    def recording(X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        outputs = step(X, y, lr, progress)
        found.append(rates_of(network))
        return outputs

    monkeypatch.setattr(network, "step", recording)
    trained(network, generator(5), run)
    return found


NETWORKS: list[dict[str, Any]] = [
    {"variant": "scratch"},
    {"variant": "scratch", "fused": False},
    {"variant": "nn"},
    {"variant": "gaussian"},
    {"variant": "three-point"},
    {"variant": "dropconnect"},
    {"variant": "dropconnect-per-example"},
]


@pytest.mark.parametrize("variant", NETWORKS, ids=str)
@pytest.mark.parametrize(
    ("keys", "factors_expected"),
    [
        ({"drop_schedule": "constant"}, [1.0] * 12),
        ({"drop_schedule": "early"}, [1.0] * 6 + [0.0] * 6),
        ({"drop_schedule": "late"}, [0.0] * 6 + [1.0] * 6),
        ({"drop_schedule": "early", "drop_epochs": 1}, [1.0] * 3 + [0.0] * 9),
        ({"drop_schedule": "late", "drop_epochs": 3}, [0.0] * 9 + [1.0] * 3),
        ({"drop_schedule": "linear-decay"}, [max(0.0, 1 - 2 * t) for t in PROGRESS]),
        ({"drop_schedule": "curriculum"}, [1 - math.exp(-10 * t) for t in PROGRESS]),
    ],
    ids=str,
)
def test_drop_probabilities_follow_the_progress_of_the_training(
    keys: dict[str, Any], factors_expected: list[float], variant: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rates_in_training(config(input_drop_prob=0.1, **keys, **variant), monkeypatch)
    assert found == [pytest.approx([0.1 * one, 0.2 * one, 0.5 * one]) for one in factors_expected]


@pytest.mark.parametrize("variant", NETWORKS, ids=str)
def test_each_batch_and_layer_has_its_own_random_rate(variant: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = rates_in_training(config(drop_schedule="random", **variant), monkeypatch)
    assert len({rate for rates in found for rate in rates}) == 24
    assert all(0.1 <= first <= 0.3 and 0.25 <= second <= 0.75 for first, second in found)


@pytest.mark.parametrize("variant", NETWORKS, ids=str)
def test_a_schedule_that_never_activates_dropout_trains_like_variant_none(variant: dict[str, Any]) -> None:
    """Late dropout after all epochs: the noise is present, at p = 0."""
    off = config(drop_schedule="late", drop_epochs=EPOCHS, **variant)
    none = config(variant="none")
    one, other = (trained(build.network(run, generator(3), generator(4)), generator(5), run) for run in (off, none))
    assert [r.train_loss for r in one] == pytest.approx([r.train_loss for r in other], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"), [("constant", [1] * 4), ("step", [1, 1, 0.1, 0.01]), ("cosine", [1, 0.853553, 0.5, 0.146447])]
)
def test_the_column_lr_follows_the_schedule(name: str, expected: list[float]) -> None:
    run = config(lr_schedule=name)
    records = trained(build.network(run, generator(3), generator(4)), generator(5), run)
    assert [record.lr for record in records] == pytest.approx([0.1 * factor for factor in expected], rel=1e-5)


@pytest.mark.parametrize("variant", NETWORKS[:4], ids=str)
@pytest.mark.parametrize("drop_schedule", ["early", "linear-decay", "late", "curriculum", "random"])
def test_a_resumed_run_with_schedules_equals_an_uninterrupted_one(drop_schedule: str, variant: dict[str, Any]) -> None:
    run = config(drop_schedule=drop_schedule, lr_schedule="cosine", momentum=0.9, nesterov=True, **variant)
    order, noise = generator(5), generator(4)
    network = build.network(run, generator(3), noise)
    records = fit_network(
        network,
        rows(ROWS, 1),
        rows(30, 2),
        lr=0.1,
        lr_schedule=LR_SCHEDULES["cosine"],
        batch_size=BATCH,
        epochs=EPOCHS,
        order=order,
    )
    before = [dataclasses.replace(next(records), seconds=0.0)]
    file = io.BytesIO()
    torch.save([network.state(), order.get_state(), noise.get_state()], file)
    file.seek(0)
    state, order_state, noise_state = torch.load(file, weights_only=True)
    later_order, later_noise = generator(), generator()
    later = build.network(run, generator(9), later_noise)
    later.load(state)
    later_order.set_state(order_state)
    later_noise.set_state(noise_state)
    whole = trained(build.network(run, generator(3), generator(4)), generator(5), run)
    assert before + trained(later, later_order, run, done=1) == whole
