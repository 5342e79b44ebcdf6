"""A stack of runs: each trains as the page does, draws as it would alone, and leaves the folder of a lone run."""

from __future__ import annotations

import copy
import itertools
import math
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
import torch
from helpers.autograd import Injected, injected, problem, reference, worst_error
from torch import Tensor, nn

from dropexp.analysis.stats import tost_p
from dropexp.config.plugins import register
from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun
from dropexp.config.variants import VARIANTS
from dropexp.data.fashion_mnist import Data
from dropexp.nets import cuda_graph, scratch, torch_nn
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.schedules import DropSchedule, curriculum, early, late, random_rate
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.stacked import BLOCK, Stack
from dropexp.runs.folder import Row, RunFolder
from dropexp.runs.holding import Outcome
from dropexp.training import execute, stacked_run
from dropexp.training.build import build, reference_mlp
from dropexp.training.loop import fit, fit_stack
from dropexp.training.rng import stream
from dropexp.training.run import Run, train_run
from dropexp.training.stack_shape import OWN_KEYS, SHARED_KEYS, stack_shape
from dropexp.training.stacked_run import train_stack
from dropexp.training.trainer import Event, Plan, Task

CPU = torch.device("cpu")
SIZES = [20, 7, 6, 10]
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph is captured on a CUDA device alone")


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def copied(layers: list[Layer]) -> list[Layer]:
    return [(W.clone(), b.clone()) for W, b in layers]


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class Known(Injected):
    """A noise that hands out ξ known beforehand one after the other."""

    known: Iterator[Tensor] = field(default_factory=lambda: iter(()))

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        self.xi = next(self.known)
        return super().draw(like, generator)


NOISES: list[Noise] = [
    *(kind(0.3, shared=shared) for kind in (Inverted, Unscaled, Classic) for shared in (False, True)),
    *(kind(0.3) for kind in (Randn2019, Gaussian, ThreePoint)),
]
LRS = [0.5, 0.1, 2.0]


def agrees_with_the_page(noises: Sequence[Sequence[Noise | None]], sgds: Sequence[SGD], **options: Any) -> None:
    """Three steps of three runs, the last of fewer rows: outputs, parameters and velocities to 1e-12 in float64.

    The pages train alone under the very noise that the stack drew.
    """
    n, rest = 16, 5
    problems = [problem(SIZES, 2 * n + rest, seed=seed, dtype=torch.float64) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    rows = torch.arange(len(y)).view(3, -1).flip(1)
    both = [
        [
            scratch.MLP(copied(layers), own, g, sgd, **options)
            for (layers, *_), own, g, sgd in zip(problems, noises, generators(3), sgds, strict=True)
        ]
        for _ in range(2)
    ]
    stacked = Stack(both[0], X, y, rows.shape[1], n)
    outputs = stacked.train_epoch(rows, LRS)
    stacked.write_back()
    for r, (ours, alone) in enumerate(zip(*both, strict=True)):
        epsilon = torch.zeros(3, n, SIZES[0]) if stacked.noise.epsilon is None else stacked.noise.epsilon[r]
        alone.noises = [None if xi is None else Known(X, known=iter(xi[r])) for xi in stacked.noise.xi]
        alone.input_noise_std = 0
        for k, batch in enumerate(rows[r].split(n)):
            O = alone.step(X[batch] + epsilon[k, : len(batch)], y[batch], LRS[r])
            assert (outputs[r, k * n : k * n + len(batch)] - O).abs().max() <= 1e-12
        for name, tensor in ours.state().items():
            assert (tensor - alone.state()[name]).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.9])  # without it the product that gives a gradient is the update
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_a_stack_takes_the_pages_steps_with_each_noise(noise: Noise, on: str, momentum: float) -> None:
    """On images, on a hidden layer or nowhere, from run to run."""
    noises: list[list[Noise | None]] = [[noise] * 3, [None, noise, None], []]
    agrees_with_the_page(noises, [SGD(momentum=momentum)] * 3, placement=on, input_noise_std=0.1)


@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize(
    "sgds",
    [
        [SGD(), SGD(divisor=16), SGD(max_norm=1.5)],
        [SGD(), SGD(divisor=16), SGD(weight_decay=0.1)],
        [SGD(l1=0.01), SGD(max_norm=1.5), SGD(weight_decay=0.1, l1=0.01, max_norm=1.0)],
        [SGD(momentum=0.9), SGD(momentum=0.9, weight_decay=0.1), SGD(momentum=0.9, divisor=16, max_norm=1.0)],
        [SGD(momentum=0.9, nesterov=True), SGD(momentum=0.9, nesterov=True, l1=0.01), SGD(momentum=0.9, nesterov=True)],
    ],
)
def test_each_run_of_a_stack_has_its_own_sgd(sgds: list[SGD], output_relu: bool) -> None:
    noises: list[list[Noise | None]] = [[None, Inverted(0.2), Inverted(0.5)], [], [Gaussian(0.1), None, None]]
    agrees_with_the_page(noises, sgds, output_relu=output_relu, label_smoothing=0.1)


def test_labels_are_smoothed_and_images_noisy_in_the_runs_that_ask_for_it() -> None:
    layers, X, y, _ = problem(SIZES, 12, dtype=torch.float64)
    options: list[dict[str, Any]] = [{}, {"label_smoothing": 0.2}, {"input_noise_std": 0.5}]
    pages = [scratch.MLP(copied(layers), [], torch.Generator(), SGD(), **own) for own in options]
    stacked = Stack(pages, X, y, 12, 12)
    outputs = stacked.train_epoch(torch.arange(12).expand(3, -1), [0.1] * 3)
    stacked.write_back()
    for smoothing, ours in zip((0.0, 0.2), pages[:2], strict=True):
        alone = scratch.MLP(copied(layers), [], torch.Generator(), SGD(), label_smoothing=smoothing)
        alone.step(X, y, 0.1)
        assert worst_error(ours.layers, alone.layers) <= 1e-12
    assert torch.equal(outputs[0], outputs[1]) and not torch.allclose(outputs[0], outputs[2])
    assert stacked.noise.epsilon is not None
    assert not stacked.noise.epsilon[:2].any()
    assert stacked.noise.epsilon[2].std().item() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("placement", ["after", "before", "weights"])
def test_in_eval_mode_each_run_scales_by_what_its_noises_say(placement: str) -> None:
    layers, X, y, _ = problem(SIZES, 9, dtype=torch.float64)
    noises: list[list[Noise | None]] = [[Classic(0.1), Classic(0.5), None], [], [None, Inverted(0.5), Classic(0.3)]]
    options: Any = {"placement": placement}
    pages = [scratch.MLP(copied(layers), own, torch.Generator(), SGD(), **options) for own in noises]
    stacked = Stack(pages, X, y, 9, 9)
    for r, alone in enumerate(pages):
        assert (stacked.logits(X)[r] - alone.logits(X)).abs().max() <= 1e-12
        assert (stacked.logits(X.expand(3, 9, -1))[r] - alone.logits(X)).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("n", [256, 96])
def test_gradients_in_float32_are_autograds_within_a_millionth(n: int, momentum: float) -> None:
    problems = [problem([784, 256, 256, 10], n, seed=seed) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    pages = [scratch.MLP(layers, injected(xi), torch.Generator(), SGD(momentum)) for layers, _, _, xi in problems]
    stacked = Stack(pages, X, y, n, 256)
    lr = 1024.0  # the step can be told from parameters that are next to nothing beside it
    stacked.train_epoch(torch.arange(3 * n).view(3, n), [lr] * 3)
    for r, (layers, X_r, y_r, xi) in enumerate(problems):
        steps = [
            ((W.double() - V[r].double()) / lr, (b.double() - c[r, 0].double()) / lr)
            for (W, b), (V, c) in zip(layers, stacked.layers, strict=True)
        ]
        assert worst_error(steps, reference(layers, X_r, y_r, xi).grads) <= 1e-6


# What a stack draws


def empty_stack(
    noises: Sequence[Sequence[Noise | None]], n: int = 256, sizes: Sequence[int] = (5, 64, 32, 10), **options: Any
) -> Stack:
    """To draw at most three steps of each run's noises; run r has a generator of seed r."""
    layers = scratch.init_params(sizes, torch.Generator())
    pages = [
        scratch.MLP(copied(layers), own, g, SGD(), **options)
        for own, g in zip(noises, generators(len(noises)), strict=True)
    ]
    return Stack(pages, torch.zeros(n, sizes[0]), torch.zeros(n, dtype=torch.int64), 3 * n, n)


def drawn(stacked: Stack, steps: int = 3) -> list[Tensor | None]:
    """ξ of every layer of the next steps, (R, steps, …)."""
    stacked.noise.draw([0.0] * steps)
    return [None if xi is None else xi[:, :steps].clone() for xi in stacked.noise.xi]


def test_every_lane_of_every_run_drops_at_its_own_rate() -> None:
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
    of_images, *of_hidden = drawn(empty_stack(noises, n=2048))
    assert of_images is None  # no run has noise there, and no memory is taken for it
    for r, i in itertools.product(range(6), range(2)):
        every, p, scale = of_hidden[i], rates[r][i], torch.tensor(scales[r][i])
        assert every is not None
        xi = every[r]
        assert set(xi.unique().tolist()) <= {0.0, scale.item()}
        lanes = (xi.reshape(-1, 4) == 0).double().mean(dim=0)  # the four of a 64-bit draw
        assert (lanes - p).abs().max() <= 5 * math.sqrt(p * (1 - p) / (xi.numel() / 4)) + 1 / 131072


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
def test_what_a_stack_draws_has_the_noises_mean_and_variance(
    kind: type[Any], mean: float, variance: float, on: str
) -> None:
    stacked = empty_stack([[], [kind(0.3)] * 3], sizes=(300, 200, 100, 10), n=128, placement=on)
    for every in drawn(stacked)[:2]:
        assert every is not None
        xi = every[1].double()
        assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / xi.numel())
        fourth = ((xi - mean) ** 4).mean()
        assert abs(xi.var() - variance) < 5 * math.sqrt((fourth - variance**2) / xi.numel())
        assert (every[0] == 1).all()  # the run without noise


@pytest.mark.parametrize("kind", [Inverted, Unscaled, Classic])
def test_a_shared_mask_is_one_for_all_rows_and_another_in_every_step(kind: type[Any]) -> None:
    _, xi, _ = drawn(empty_stack([[None, kind(0.5, shared=True), None], [None, kind(0.5), None]]))
    assert xi is not None
    assert (xi[0] == xi[0, :, :1]).all() and not (xi[1] == xi[1, :, :1]).all()
    assert not torch.equal(xi[0, 0], xi[0, 1])


def test_a_run_draws_the_same_in_any_stack() -> None:
    """Whatever its neighbours draw, and on which layers."""
    noises: list[list[Noise | None]] = [
        [],
        [Inverted(0.4), Gaussian(0.2), Inverted(0.5)],
        [None, Inverted(0.1, shared=True), Randn2019(0.3)],
        [None, None, ThreePoint(0.3)],
    ]
    together = empty_stack(noises, input_noise_std=0.1)
    lone = [empty_stack([own], input_noise_std=0.1) for own in noises]
    for r, one in enumerate(lone):
        one.pages[0].generator.manual_seed(r)
    for steps in (3, 1):
        in_company, alone = drawn(together, steps), [drawn(one, steps) for one in lone]
        for r, i in itertools.product(range(4), range(3)):
            every, own = in_company[i], alone[r][i]
            assert every is not None
            assert torch.equal(every[r], torch.ones(()).expand_as(every[r]) if own is None else own[0])
        for r, one in enumerate(lone):
            assert together.noise.epsilon is not None and one.noise.epsilon is not None
            assert torch.equal(together.noise.epsilon[r, :steps], one.noise.epsilon[0, :steps])
            assert torch.equal(together.pages[r].generator.get_state(), one.pages[0].generator.get_state())


def test_a_run_without_noise_draws_nothing() -> None:
    stacked = empty_stack([[], [None, Inverted(0.5), None]])
    drawn(stacked)
    assert torch.equal(stacked.pages[0].generator.get_state(), generators(1)[0].get_state())


def test_a_run_without_noise_has_no_say_in_what_the_noise_is_on() -> None:
    first, second = planned(variant="none", placement="before").config, planned(variant="gaussian").config
    assert stack_shape(first) == stack_shape(second)
    pages = [reference_mlp(config, stream(0, "init"), stream(0, "noise")) for config in (first, second)]
    assert Stack(pages, torch.zeros(8, 784), torch.zeros(8, dtype=torch.int64), 8, 8).noise.placement == "after"


def test_noise_of_other_steps_runs_and_units_is_independent() -> None:
    _, xi, _ = drawn(empty_stack([[None, Inverted(0.5), None]] * 2, n=512))
    assert xi is not None
    a = xi - 1  # of variance 1
    for other in (a.roll(1, 0), a.roll(1, 1), a.roll(1, 2), a.roll(1, 3)):
        assert abs((a * other).double().mean()) < 5 / math.sqrt(a.numel() / 2)


@pytest.mark.parametrize("kind", [Inverted, Gaussian])
@pytest.mark.parametrize("schedule", [early(0.5), late(0.5), curriculum, random_rate])
def test_each_step_has_the_drop_probability_of_its_schedule(schedule: DropSchedule, kind: type[Any]) -> None:
    layers, done = scratch.init_params([5, 4000, 10], torch.Generator()), [0.0, 0.4, 0.6, 0.8]
    noises: list[Noise | None] = [None, kind(0.3)]
    pages = [
        scratch.MLP(layers, noises, g, SGD(), schedule=own)
        for own, g in zip((None, schedule), generators(2), strict=True)
    ]
    stacked = Stack(pages, torch.zeros(64, 5), torch.zeros(64, dtype=torch.int64), 4 * 64, 64)
    stacked.noise.draw(done)
    xi = stacked.noise.xi[1]
    assert xi is not None
    again = torch.Generator().manual_seed(1)
    for r, rates in enumerate(([0.3] * 4, [schedule(0.3, share, again) for share in done])):
        for k, p in enumerate(rates):
            assert xi[r, k].double().var().item() == pytest.approx(p / (1 - p), rel=0.05, abs=1e-4)
    assert pages[1].noises == [None, kind(rates[-1])]  # for who evaluates the page


def test_schedules_are_told_how_far_the_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(scratch.MLP, "set_rates", lambda self, done: told.append(done))
    X, y, rows = torch.zeros(5, 5), torch.zeros(5, dtype=torch.int64), 4 * BLOCK + 6
    stacked = Stack(empty_stack([[]]).pages, X, y, rows, 4)
    stacked.train_epoch(torch.zeros(1, rows, dtype=torch.int64), [0.1], epoch=3, epochs=4)
    assert told == [(2 + start / rows) / 4 for start in range(0, rows, 4)]


@pytest.mark.parametrize("num_rows", [3, 4, BLOCK * 4, BLOCK * 4 + 2, BLOCK * 4 * 2 + 4 * 3 + 2])
def test_an_epoch_of_any_length_gives_every_row_its_output(num_rows: int) -> None:
    n = 4
    layers, X, y, _ = problem(SIZES, num_rows)
    page = scratch.MLP(copied(layers), [], torch.Generator(), SGD())
    stacked = Stack([page, page], X, y, num_rows, n)
    rows = torch.stack([torch.randperm(num_rows, generator=g) for g in generators(2)])
    outputs = stacked.train_epoch(rows, [1e-9, 1e-9])
    assert torch.allclose(outputs, page.logits(X)[rows], atol=1e-5)


# Runs


def planned(**keys: Any) -> PlannedRun:
    keys = {"hidden": [32, 16], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1, "variant": "scratch"} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(runs: list[PlannedRun], folder: Path, data: Data, **options: Any) -> list[list[Row | str | Outcome]]:
    """All that is told of each run, which goes into `folder/<its place>`."""
    told: list[list[Row | str | Outcome]] = [[] for _ in runs]
    for place, news in train_stack(runs, folders(runs, folder), data, CPU, **options):
        told[place].append(news)
    return told


def folders(runs: list[PlannedRun], folder: Path) -> list[RunFolder]:
    return [RunFolder(folder / str(place)) for place in range(len(runs))]


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "epochs.csv").drop(columns="seconds")


SEEDS = [planned(seed=seed) for seed in range(3)]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"validation_size": 50, "train_size": 300, "momentum": 0.5, "sgd": "book", "lr": 20.0},
        {"lr_schedule": "cosine", "momentum": 0.5, "nesterov": True, "label_smoothing": 0.1},
        {"lr_schedule": "step", "weight_decay": 0.01, "l1": 0.001, "max_norm": 1.0, "probes": ["weight_norms"]},
    ],
)
def test_without_noise_each_run_of_a_stack_is_the_lone_one(keys: dict[str, Any], tmp_path: Path, data: Data) -> None:
    """It sees the same batches from the same parameters; seeds, rates and variants differ within the stack."""
    none = {"drop_probs": [0.0, 0.0], **keys}
    plain = {**keys, "l1": 0.0, "max_norm": None, "label_smoothing": 0.0}
    runs = [planned(**none), planned(seed=1, **none | {"lr": 0.3}), planned(variant="none", seed=2, **plain)]
    assert [told[-1] for told in train(runs, tmp_path / "stack", data)] == [Outcome("done")] * 3
    for place, run in enumerate(runs):
        list(train_run(run, RunFolder(tmp_path / "alone" / str(place)), data, CPU))
        stacked, alone = table(tmp_path / "stack" / str(place)), table(tmp_path / "alone" / str(place))
        pd.testing.assert_frame_equal(stacked, alone, rtol=1e-4)


def test_a_run_trains_alike_in_a_stack_of_three_and_of_one(tmp_path: Path, data: Data) -> None:
    train(SEEDS, tmp_path / "three", data)
    for place, run in enumerate(SEEDS):
        train([run], tmp_path / f"one{place}", data)
        pd.testing.assert_frame_equal(
            table(tmp_path / "three" / str(place)), table(tmp_path / f"one{place}" / "0"), rtol=1e-4
        )


def test_each_run_has_a_whole_folder_and_says_how_many_trained_together(tmp_path: Path, data: Data) -> None:
    told = train(SEEDS, tmp_path, data)
    for place, own in enumerate(told):
        folder = RunFolder(tmp_path / str(place))
        assert [row["epoch"] for row in own[:-1] if isinstance(row, dict)] == [1, 2, 3]
        info = folder.read_info()
        assert info["status"] == "done" and info["rows"] == 3 and info["config"]["seed"] == place
        assert info["provenance"]["stack"] == 3
        saved = torch.load(folder.checkpoint, weights_only=True)
        assert saved["epoch"] == 3
        assert {name: tuple(tensor.shape) for name, tensor in saved["network"].items()} == {
            **{"W1": (784, 32), "b1": (32,), "W2": (32, 16), "b2": (16,), "W3": (16, 10), "b3": (10,)}
        }
        assert folder.checkpoint.stat().st_size < 200_000  # its own parameters, not the stack's
    lone = RunFolder(tmp_path / "lone")
    list(train_run(SEEDS[0], lone, data, CPU))
    assert lone.read_info()["provenance"]["stack"] == 1


def interrupt(runs: list[PlannedRun], folder: Path, data: Data, after: int) -> None:
    """Close the training after so many rows."""
    news = train_stack(runs, folders(runs, folder), data, CPU)
    for _ in range(after):
        next(news)
    news.close()


@pytest.mark.parametrize("after", [1, 3, 5])
def test_an_interrupted_stack_goes_on_to_the_same_tables(after: int, tmp_path: Path, data: Data) -> None:
    """Within an epoch too, when some runs have written it and others have not: these then go on as two stacks."""
    own: list[dict[str, Any]] = [
        {"mask": "per-batch", "drop_schedule": "random"},
        {"variant": "gaussian", "drop_schedule": "curriculum", "input_drop_prob": 0.1},
        {"variant": "none", "input_noise_std": 0.1},
    ]
    runs = [planned(seed=seed, momentum=0.5, lr_schedule="cosine", **keys) for seed, keys in enumerate(own)]
    train(runs, tmp_path / "whole", data)
    interrupt(runs, tmp_path / "cut", data, after)
    states = [folder.read_info()["status"] for folder in folders(runs, tmp_path / "cut")]
    assert states == ["interrupted"] * 3
    told = train(runs, tmp_path / "cut", data)
    assert len(told[0]) < 4  # it did not begin anew
    for place in range(3):
        pd.testing.assert_frame_equal(
            table(tmp_path / "cut" / str(place)), table(tmp_path / "whole" / str(place)), rtol=1e-4
        )


def test_a_run_begun_in_a_stack_goes_on_alone_and_back(tmp_path: Path, data: Data) -> None:
    train(SEEDS, tmp_path / "whole", data)
    interrupt(SEEDS, tmp_path / "cut", data, 3)
    alone = train_stack(SEEDS[:1], [RunFolder(tmp_path / "cut" / "0")], data, CPU)
    assert next(alone)[1]["epoch"] == 2  # type: ignore[index]  # a stack may also yield a sentence, but not here
    alone.close()
    train(SEEDS, tmp_path / "cut", data)
    for place in range(3):
        pd.testing.assert_frame_equal(
            table(tmp_path / "cut" / str(place)), table(tmp_path / "whole" / str(place)), rtol=1e-4
        )


def test_a_run_that_diverges_ends_and_the_others_do_not_notice(tmp_path: Path, data: Data) -> None:
    runs = [SEEDS[0], planned(seed=1, lr=1e30), SEEDS[2]]
    told = train(runs, tmp_path / "wild", data)
    assert [own[-1] for own in told] == [
        Outcome("done"),
        Outcome("diverged", "the loss is not finite in epoch 1"),
        Outcome("done"),
    ]
    assert len(told[1]) == 2  # one row, and how it ended
    train(SEEDS, tmp_path / "good", data)
    for place in (0, 2):
        assert table(tmp_path / "wild" / str(place)).equals(table(tmp_path / "good" / str(place)))


def test_a_run_that_stops_early_ends_and_the_others_go_on(tmp_path: Path, data: Data) -> None:
    stops: dict[str, Any] = {"lr": 1e-9, "early_stopping": 2}  # which learns nothing
    runs = [planned(seed=seed, epochs=6, validation_size=50, **keys) for seed, keys in enumerate([{}, stops, {}])]
    told = train(runs, tmp_path, data)
    assert [own[-1] for own in told] == [Outcome("done")] * 3
    assert [len(own) - 1 for own in told] == [6, 3, 6]
    saved = torch.load(RunFolder(tmp_path / "1").checkpoint, weights_only=True)
    assert saved["epoch"] == 3 and RunFolder(tmp_path / "1").read_info()["rows"] == 3


def test_a_run_that_was_killed_when_it_had_stopped_trains_no_further(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [planned(seed=seed, epochs=6, validation_size=50, lr=1e-9, early_stopping=2) for seed in range(2)]
    write_info = Run.write_info

    def killed(self: Run, status: str, why: str | None = None, **more: Any) -> None:
        if status == "running":
            write_info(self, status, why, **more)

    monkeypatch.setattr(Run, "write_info", killed)
    train(runs, tmp_path, data)
    monkeypatch.undo()
    assert train(runs, tmp_path, data) == [[Outcome("done")]] * 2
    assert [folder.read_info()["rows"] for folder in folders(runs, tmp_path)] == [3, 3]


def test_probes_measure_each_run_as_it_is_after_the_epoch(tmp_path: Path, data: Data) -> None:
    runs = [planned(seed=seed, probes=["weight_norms"]) for seed in range(2)]
    for place, own in enumerate(train(runs, tmp_path, data)):
        *_, last, _ = own
        W1 = torch.load(RunFolder(tmp_path / str(place)).checkpoint, weights_only=True)["network"]["W1"]
        assert isinstance(last, dict)
        assert any(value == pytest.approx(W1.norm().item(), rel=1e-5) for value in last.values())


def test_what_is_done_or_busy_is_left_and_the_rest_trains(tmp_path: Path, data: Data) -> None:
    train(SEEDS[:1], tmp_path, data)
    busy = train_stack(SEEDS[1:2], [RunFolder(tmp_path / "1")], data, CPU)
    next(busy)
    told = train(SEEDS, tmp_path, data)
    assert told[0] == [Outcome("done")]
    assert told[1] == [Outcome("busy", "another process is training it")]
    assert told[2][-1] == Outcome("done")
    assert RunFolder(tmp_path / "2").read_info()["provenance"]["stack"] == 1
    busy.close()


def test_a_folder_that_cannot_be_written_fails_its_run_alone(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RunFolder.append_row

    def full(self: RunFolder, row: Row) -> None:
        if self.path.name == "1":
            raise OSError("no space left on device")
        append(self, row)

    (tmp_path / "2").write_text("")  # a file where a folder should be
    monkeypatch.setattr(RunFolder, "append_row", full)
    told = train(SEEDS, tmp_path, data)
    assert [own[-1].status for own in told if isinstance(own[-1], Outcome)] == ["done", "failed", "failed"]
    assert told[1] == [Outcome("failed", "OSError: no space left on device")]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")]
)
@pytest.mark.parametrize(("room_for", "stacks"), [(2, [1, 2, 2, 2, 2, 2, 2]), (1, [1] * 7), (0, [])])
def test_a_stack_too_large_for_the_memory_is_halved(
    error: Exception, room_for: int, stacks: list[int], tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(Stack):
        def __init__(self, pages: Any, *args: Any) -> None:
            if len(pages) > room_for:
                raise error
            super().__init__(pages, *args)

    monkeypatch.setattr(stacked_run, "Stack", Small)
    runs = [planned(seed=seed, epochs=1) for seed in range(7)]
    told = train(runs, tmp_path, data)
    if room_for == 0:
        why = "the memory of cpu does not do; a smaller batch_size or narrower layers need less"
        assert told == [[Outcome("failed", why)]] * 7
        return
    assert [own[-1] for own in told] == [Outcome("done")] * 7
    sizes = [folder.read_info()["provenance"]["stack"] for folder in folders(runs, tmp_path)]
    assert sizes == stacks


def test_memory_that_gives_out_later_costs_no_finished_epoch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch, epochs = Stack.train_epoch, itertools.count(1)
    in_memory: weakref.WeakSet[Stack] = weakref.WeakSet()

    def gives_out(self: Stack, *args: Any) -> Tensor:
        in_memory.add(self)
        assert len(in_memory) == 1  # the larger one is gone before a smaller one is tried
        if next(epochs) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_epoch(self, *args)

    train(SEEDS, tmp_path / "whole", data)
    monkeypatch.setattr(Stack, "train_epoch", gives_out)
    told = train(SEEDS, tmp_path / "short", data)
    for place, own in enumerate(told):
        assert [row["epoch"] for row in own if isinstance(row, dict)] == [1, 2, 3]
        pd.testing.assert_frame_equal(
            table(tmp_path / "short" / str(place)), table(tmp_path / "whole" / str(place)), rtol=1e-4
        )


def test_whatever_else_goes_wrong_is_kept_for_every_run(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(stacked_run, "fit_stack", broken)
    assert train(SEEDS, tmp_path, data) == [[Outcome("failed", "ValueError: no")]] * 3
    assert "broken" in RunFolder(tmp_path / "0").read_info()["traceback"]


# Which runs make a stack


def test_runs_of_equal_shape_stack_and_others_train_alone() -> None:
    own: list[dict[str, Any]] = [
        *({"variant": variant} for variant in ("none", "unscaled", "classic", "gaussian", "three-point")),
        *({"mask": mask} for mask in ("randn-2019", "per-batch")),
        *({"seed": 1}, {"lr": 2.0}, {"sgd": "book"}, {"init": "normal"}, {"init_std": 0.1, "init": "normal"}),
        *({"drop_probs": [0.1, 0.1]}, {"input_drop_prob": 0.2}, {"input_noise_std": 0.1}, {"label_smoothing": 0.1}),
        *({"weight_decay": 0.1}, {"l1": 0.1}, {"max_norm": 2.0}),
        *({"drop_schedule": "curriculum"}, {"drop_schedule": "early", "drop_epochs": 2}),
    ]
    assert {stack_shape(planned(**keys).config) for keys in own} == {stack_shape(planned().config)}
    other: list[dict[str, Any]] = [
        *({"hidden": [8, 8]}, {"batch_size": 32}, {"epochs": 9}, {"lr_schedule": "step"}),
        *({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"variant": "dropconnect"}, {"placement": "before"}),
        *({"output_relu": True}, {"eval_train": False}, {"train_size": 100}, {"validation_size": 100}),
        {"probes": ["weight_norms"]},
    ]
    assert len({stack_shape(planned(**keys).config) for keys in [{}, *other]}) == len(other) + 1
    held_out = {"validation_size": 100}
    assert stack_shape(planned(early_stopping=3, **held_out).config) == stack_shape(planned(**held_out).config)
    assert stack_shape(planned(variant="dropconnect").config) == stack_shape(
        planned(variant="dropconnect-unscaled").config
    )
    alone: list[dict[str, Any]] = [{"variant": "nn"}, {"fused": False}, {"noise_at_eval": True}]
    assert stack_shape(Config(task="linear-regression", variant="scratch")) is None
    for keys in (*alone, {"precision": "bf16"}):
        assert stack_shape(planned(**keys).config) is None
    assert stack_shape(planned(variant="none", noise_at_eval=True).config) is not None  # it has no noise to leave on


def test_a_stack_knows_no_key_that_a_config_has_not() -> None:
    assert not SHARED_KEYS & OWN_KEYS
    assert SHARED_KEYS | OWN_KEYS - {"device", "plugin"} <= set(Config.model_fields)


@pytest.fixture
def stacks_here(data: Data, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[PlannedRun], Path], list[Event]]:
    monkeypatch.setattr("dropexp.data.fashion_mnist.load", lambda root, tell: data)

    def events(runs: list[PlannedRun], folder: Path) -> list[Event]:
        tasks = [Task(run, to) for run, to in zip(runs, folders(runs, folder), strict=True)]
        return list(execute.execute(tasks, Plan(folder, stacks=True), jobs=32))

    return events


def test_execute_groups_runs_by_shape_and_tells_of_each(
    stacks_here: Callable[[list[PlannedRun], Path], list[Event]], tmp_path: Path
) -> None:
    runs = [planned(seed=0), planned(variant="nn"), planned(seed=1), planned(hidden=[8, 8]), planned(variant="none")]
    events = stacks_here(runs, tmp_path)
    assert sorted(event.task for event in events if not event.row and not event.status) == [0, 1, 2, 3, 4]
    for place in range(5):
        own = [event for event in events if event.task == place]
        assert [event.row["epoch"] for event in own if event.row] == [1, 2, 3]
        assert own[-1].status == "done"
    sizes = [folder.read_info()["provenance"]["stack"] for folder in folders(runs, tmp_path)]
    assert sizes == [3, 1, 3, 1, 3]


@pytest.fixture
def per_row(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plugin's variant: whole rows are dropped, which a noise may decide for its batch alone."""

    @dataclass(frozen=True)
    class PerRow:
        p: float
        at_eval = 1.0

        def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
            return (torch.rand(len(like), 1, generator=generator) >= self.p).to(like) / (1 - self.p)

    monkeypatch.setattr("dropexp.config.plugins.being_loaded", ["a plugin's text"])
    register("per-row", PerRow)
    yield "per-row"
    del VARIANTS["per-row"]


def test_every_variant_by_hand_trains_in_a_stack(
    stacks_here: Callable[[list[PlannedRun], Path], list[Event]], per_row: str, tmp_path: Path
) -> None:
    runs = [
        planned(variant=variant, drop_probs=[0.1, 0.2], epochs=4, lr=0.3) for variant in VARIANTS if variant != "nn"
    ]
    assert per_row in [run.config.variant for run in runs]
    stacks_here(runs, tmp_path)
    for run, folder in zip(runs, folders(runs, tmp_path), strict=True):
        info = folder.read_info()
        assert info["status"] == "done" and info["last"]["test_acc"] > 0.5
        assert info["provenance"]["stack"] == (2 if "dropconnect" in run.config.variant else len(runs) - 2)


def test_a_stack_is_no_larger_than_jobs_says(tmp_path: Path) -> None:
    tasks = [Task(planned(seed=seed), RunFolder(tmp_path)) for seed in range(5)]
    assert execute._stacks(tasks, Plan(tmp_path, "cuda:0"), 2) == [[0, 1], [2, 3], [4]]
    assert execute._stacks(tasks, Plan(tmp_path, "cpu"), 2) == [[0], [1], [2], [3], [4]]


def test_runs_of_a_stack_keep_checkpoints_of_the_same_epoch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that they go on as one stack, though to write all of them takes longer than an epoch."""
    runs = [planned(seed=seed, epochs=9) for seed in range(3)]
    save = Run.save

    def slow(self: Run, record: Any) -> None:
        time.sleep(0.01 * (1 + self.planned.config.seed))
        save(self, record)

    monkeypatch.setattr(Run, "save", slow)
    news = train_stack(runs, folders(runs, tmp_path), data, CPU)
    for _, row in news:
        assert isinstance(row, dict)
        if row["epoch"] == 8:
            break
    news.close()
    saved = [torch.load(folder.checkpoint, weights_only=True)["epoch"] for folder in folders(runs, tmp_path)]
    assert len(set(saved)) == 1 and saved[0] < 8


# Sameness of training, by statistics


def test_a_stack_trains_as_lone_runs_do(data: Data) -> None:
    """Test accuracy after six epochs of 24 seeds, equivalent within 0.05 by two one-sided tests."""
    configs = [planned(seed=seed, lr=0.2).config for seed in range(24)]
    test, rows = (data.X_test, data.y_test), len(data.y_train)

    def streams(seed: int) -> tuple[torch.Generator, torch.Generator]:
        return stream(seed, "init"), stream(seed, "noise")

    def orders() -> list[torch.Generator]:
        return [stream(config.seed, "order") for config in configs]

    pages = [reference_mlp(config, *streams(config.seed)) for config in configs]
    stacked = Stack(pages, data.X_train, data.y_train, rows, 64)
    train = torch.arange(rows).expand(24, -1)
    *_, last = fit_stack(stacked, train, test, lrs=[0.2] * 24, epochs=6, orders=orders(), clean=False)
    differences = []
    for config, order, record in zip(configs, orders(), last, strict=True):
        network, data_set = build(config, *streams(config.seed)), (data.X_train, data.y_train)
        *_, alone = fit(network, data_set, test, lr=0.2, batch_size=64, epochs=6, order=order, clean=False)
        assert record is not None and alone.test_acc > 0.5
        differences.append(record.test_acc - alone.test_acc)
    assert len(set(differences)) > 3  # it is other noise
    assert tost_p(differences, 0.05) < 0.05


# Captured networks, with a graph that can be had on a CPU: it computes anew what a graph would replay


class Recomputed:
    def __init__(self, step: Callable[[], Tensor]) -> None:
        self.step, self.result = step, step()

    def replay(self) -> None:
        self.result.copy_(self.step())


@pytest.fixture
def recomputing(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(step: Callable[[], Tensor], device: torch.device) -> tuple[Recomputed, Tensor]:
        for _ in range(cuda_graph.WARM_UPS):
            step()
        graph = Recomputed(step)
        return graph, graph.result

    monkeypatch.setattr(cuda_graph, "capture", capture)


def network(kind: type[torch_nn.Network], sgd: SGD, device: torch.device = CPU) -> torch_nn.Network:
    layers, *_ = problem(SIZES, 1)
    layers = [(W.to(device), b.to(device)) for W, b in layers]
    net = torch_nn.mlp(SIZES, [None, nn.Dropout(0.2), nn.Dropout(0.5)])
    return kind(net, layers, torch.Generator(device).manual_seed(0), sgd, noise_at_eval=False)


def compare_steps(a: torch_nn.Network, b: torch_nn.Network, tolerance: float) -> None:
    """Whole and smaller batches, another rate, a loaded state in between."""
    device = a.generator.device
    _, X, y, _ = (tensor.to(device) if isinstance(tensor, Tensor) else tensor for tensor in problem(SIZES, 32))
    assert isinstance(X, Tensor) and isinstance(y, Tensor)
    for step, (n, lr) in enumerate([(32, 0.5), (32, 0.5), (9, 0.5), (32, 0.1), (9, 0.1)]):
        assert (a.step(X[:n], y[:n], lr) - b.step(X[:n], y[:n], lr)).abs().max() <= tolerance
        if step == 0:  # before a step like it: its graph knows the tensors of before
            for one in (a, b):
                one.load(copy.deepcopy(one.state()))
    assert torch.equal(a.generator.get_state(), b.generator.get_state())
    assert (a.logits(X) - b.logits(X)).abs().max() <= tolerance


@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01, divisor=4)])
def test_a_captured_network_changes_and_draws_nothing_but_by_its_steps(sgd: SGD, recomputing: None) -> None:
    networks = network(cuda_graph.Network, sgd), network(torch_nn.Network, sgd)
    before = torch.get_rng_state()
    compare_steps(*networks, 0.0)
    assert torch.equal(torch.get_rng_state(), before)  # the program's own draws neither


def test_products_of_a_gpu_are_ieee_float32_within_and_as_before_after() -> None:
    matmul = torch.backends.cuda.matmul
    for before in (True, False):
        matmul.allow_tf32 = before
        with cuda_graph.ieee_products():
            assert not matmul.allow_tf32
        assert matmul.allow_tf32 == before


@on_cuda
@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01)])
def test_a_captured_network_steps_as_uncaptured_on_cuda(sgd: SGD) -> None:
    device = torch.device("cuda")
    compare_steps(network(cuda_graph.Network, sgd, device), network(torch_nn.Network, sgd, device), 1e-5)


@on_cuda
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01, nesterov=True, l1=0.001, max_norm=1.0)])
def test_a_captured_block_is_the_uncaptured_one_on_cuda(
    sgd: SGD, on: Literal["after", "before", "weights"], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, num_rows, ends = torch.device("cuda"), 64 * (BLOCK + 2) + 10, []
    layers, X, y, _ = problem([784, 256, 256, 10], num_rows)
    X, y = X.to(device), y.to(device)
    for is_captured in (True, False):
        if not is_captured:
            monkeypatch.setattr(cuda_graph, "capture", lambda steps, device: (Eager(steps), None))
            monkeypatch.setattr(cuda_graph, "beside", lambda device: nullcontext())
        on_device = [(W.to(device), b.to(device)) for W, b in layers]
        noises = [torch.Generator(device).manual_seed(seed) for seed in range(3)]
        own: list[Noise | None] = [Inverted(0.1), Inverted(0.2, shared=True), Gaussian(0.5)]
        pages = [scratch.MLP(copied(on_device), own, g, sgd, placement=on, input_noise_std=0.1) for g in noises]
        stacked = Stack(pages, X, y, num_rows, 64)
        for lr in (0.1, 0.05):  # which a graph must not know
            outputs = stacked.train_epoch(torch.arange(num_rows, device=device).expand(3, -1), [lr] * 3)
        ends.append((outputs.clone(), stacked.theta.clone()))
    for a, b in zip(*ends, strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


class Eager:
    """A graph that launches its steps one by one."""

    def __init__(self, steps: Callable[[], None]) -> None:
        self.replay = steps
