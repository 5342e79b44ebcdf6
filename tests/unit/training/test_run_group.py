"""Runs that train as a stack: their figures, files and events, and which runs make a stack."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from helpers.training import end_of, fit_network, rows_of, train_run, train_stack
from torch import Tensor

from dropexp.analysis.stats import tost_p
from dropexp.config.planned_run import PlannedRun
from dropexp.config.plugins import register
from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS
from dropexp.data.fashion_mnist import Data
from dropexp.nets.stacked import Stack
from dropexp.runs import transitions
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import status_of
from dropexp.training import build, dispatch, run_group
from dropexp.training.active_run import ActiveRun
from dropexp.training.events import Ended, Epoch, Event, Started
from dropexp.training.jobs import Job, Plan
from dropexp.training.loop import fit
from dropexp.training.rng import stream
from dropexp.training.stack_shape import OWN_KEYS, SHARED_KEYS, stack_shape
from dropexp.training.trainees import StackTrainee

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")


def planned(**keys: Any) -> PlannedRun:
    keys = {"hidden": [32, 16], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1, "variant": "scratch"} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(runs: list[PlannedRun], folder: Path, data: Data, **options: Any) -> list[list[Event]]:
    """Train the runs as a stack, each into `folder/<its index>`; return the events of each run."""
    events: list[list[Event]] = [[] for _ in runs]
    for event in train_stack(runs, folders(runs, folder), data, CPU, **options):
        assert event.job is not None
        events[event.job].append(event)
    return events


def ends(events: list[list[Event]]) -> list[str]:
    """Return the status that each run ended with."""
    return [end_of(own).status for own in events]


def folders(runs: list[PlannedRun], folder: Path) -> list[RunFolder]:
    return [RunFolder(folder / str(index)) for index in range(len(runs))]


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "epochs.csv").drop(columns="seconds")


SEEDS = [planned(seed=seed) for seed in range(3)]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"validation_size": 50, "train_size": 300, "momentum": 0.5, "sgd": "book", "lr": 20.0},
        {"lr_schedule": "cosine", "momentum": 0.5, "nesterov": True, "label_smoothing": 0.1},
        {"validation_size": 50, "label_noise": 0.3, "eval_every": 2},
        {"lr_schedule": "step", "weight_decay": 0.01, "l1": 0.001, "max_norm": 1.0, "probes": ["weight_norms"]},
        {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "lr_schedule": "cosine"},
    ],
)
def test_without_noise_a_run_of_a_stack_equals_the_run_alone(keys: dict[str, Any], tmp_path: Path, data: Data) -> None:
    """It starts from the same parameters and sees the same batches; seeds, rates and variants differ in the stack."""
    none = {"drop_probs": [0.0, 0.0], **keys}
    plain = {**keys, "l1": 0.0, "max_norm": None, "label_smoothing": 0.0, "label_noise": 0.0}
    runs = [planned(**none), planned(seed=1, **none | {"lr": 0.3}), planned(variant="none", seed=2, **plain)]
    assert ends(train(runs, tmp_path / "stack", data)) == ["done"] * 3
    for index, run in enumerate(runs):
        list(train_run(run, RunFolder(tmp_path / "alone" / str(index)), data, CPU))
        stacked, alone = table(tmp_path / "stack" / str(index)), table(tmp_path / "alone" / str(index))
        pd.testing.assert_frame_equal(stacked, alone, rtol=1e-4)


def test_a_run_trains_equally_in_a_stack_of_three_and_of_one(tmp_path: Path, data: Data) -> None:
    train(SEEDS, tmp_path / "three", data)
    for index, run in enumerate(SEEDS):
        train([run], tmp_path / f"one{index}", data)
        pd.testing.assert_frame_equal(
            table(tmp_path / "three" / str(index)), table(tmp_path / f"one{index}" / "0"), rtol=1e-4
        )


def test_each_run_has_a_complete_folder_with_the_size_of_the_stack(tmp_path: Path, data: Data) -> None:
    events = train(SEEDS, tmp_path, data)
    for index, own in enumerate(events):
        folder = RunFolder(tmp_path / str(index))
        assert [row["epoch"] for row in rows_of(own)] == [1, 2, 3]
        info = folder.read_info()
        assert info.status == "done" and info.epoch == 3 and info.config["seed"] == index
        assert info.provenance["stack"] == 3
        saved = torch.load(folder.checkpoint, weights_only=True)
        assert saved["epoch"] == 3
        assert {name: tuple(tensor.shape) for name, tensor in saved["network"].items()} == {
            **{"W1": (784, 32), "b1": (32,), "W2": (32, 16), "b2": (16,), "W3": (16, 10), "b3": (10,)}
        }
        assert folder.checkpoint.stat().st_size < 200_000  # its own parameters, not the stack's
    lone = RunFolder(tmp_path / "lone")
    list(train_run(SEEDS[0], lone, data, CPU))
    assert lone.read_info().provenance["stack"] == 1


def interrupt(runs: list[PlannedRun], folder: Path, data: Data, after: int) -> None:
    """Close the training after `after` rows."""
    events = train_stack(runs, folders(runs, folder), data, CPU)
    for _ in range(after):
        next(events)
    events.close()


@pytest.mark.parametrize(
    ("after", "optimizer"),
    [*((after, {"momentum": 0.5}) for after in (1, 3, 5)), (3, {"optimizer": "adamw", "lr": 0.01})],
)
def test_an_interrupted_stack_resumes_to_the_same_tables(
    after: int, optimizer: dict[str, Any], tmp_path: Path, data: Data
) -> None:
    own: list[dict[str, Any]] = [
        {"mask": "per-batch", "drop_schedule": "random"},
        {"variant": "gaussian", "drop_schedule": "curriculum", "input_drop_prob": 0.1},
        {"variant": "none", "input_noise_std": 0.1},
    ]
    runs = [planned(seed=seed, lr_schedule="cosine", **optimizer, **keys) for seed, keys in enumerate(own)]
    train(runs, tmp_path / "whole", data)
    interrupt(runs, tmp_path / "cut", data, after)
    states = [folder.read_info().status for folder in folders(runs, tmp_path / "cut")]
    assert states == ["interrupted"] * 3
    events = train(runs, tmp_path / "cut", data)
    assert len(events[0]) < 4  # it did not restart
    for index in range(3):
        pd.testing.assert_frame_equal(
            table(tmp_path / "cut" / str(index)), table(tmp_path / "whole" / str(index)), rtol=1e-4
        )


def test_runs_at_different_epochs_train_as_several_stacks(tmp_path: Path, data: Data) -> None:
    train(SEEDS, tmp_path / "whole", data)
    interrupt(SEEDS, tmp_path / "cut", data, 3)
    alone = train_stack(SEEDS[:1], [RunFolder(tmp_path / "cut" / "0")], data, CPU)
    assert rows_of([next(alone)])[0]["epoch"] == 2
    alone.close()
    train(SEEDS, tmp_path / "cut", data)
    for index in range(3):
        pd.testing.assert_frame_equal(
            table(tmp_path / "cut" / str(index)), table(tmp_path / "whole" / str(index)), rtol=1e-4
        )


def test_a_run_that_diverges_ends_without_effect_on_the_others(tmp_path: Path, data: Data) -> None:
    runs = [SEEDS[0], planned(seed=1, lr=1e30), SEEDS[2]]
    events = train(runs, tmp_path / "wild", data)
    assert [own[-1] for own in events] == [
        Ended(0, Status.DONE),
        Ended(1, Status.DIVERGED, "the loss is not finite in epoch 1"),
        Ended(2, Status.DONE),
    ]
    assert len(events[1]) == 2  # one row and the end
    train(SEEDS, tmp_path / "good", data)
    for index in (0, 2):
        assert table(tmp_path / "wild" / str(index)).equals(table(tmp_path / "good" / str(index)))


def test_a_run_that_stops_early_ends_and_the_others_continue(tmp_path: Path, data: Data) -> None:
    stops: dict[str, Any] = {"lr": 1e-9, "early_stopping": 2}  # it learns nothing
    runs = [planned(seed=seed, epochs=6, validation_size=50, **keys) for seed, keys in enumerate([{}, stops, {}])]
    events = train(runs, tmp_path, data)
    assert ends(events) == ["done"] * 3
    assert [len(own) - 1 for own in events] == [6, 3, 6]
    saved = torch.load(RunFolder(tmp_path / "1").checkpoint, weights_only=True)
    assert saved["epoch"] == 3 and RunFolder(tmp_path / "1").read_info().epoch == 3


def test_a_run_that_was_killed_after_its_last_epoch_trains_no_further(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [planned(seed=seed, epochs=6, validation_size=50, lr=1e-9, early_stopping=2) for seed in range(2)]
    monkeypatch.setattr(transitions, "finish", lambda *arguments: None)
    train(runs, tmp_path, data)
    monkeypatch.undo()
    assert [status_of(folder) for folder in folders(runs, tmp_path)] == ["interrupted"] * 2
    assert train(runs, tmp_path, data) == [[Ended(0, Status.DONE)], [Ended(1, Status.DONE)]]
    assert [folder.read_info().epoch for folder in folders(runs, tmp_path)] == [3, 3]


def test_probes_measure_each_run_as_it_is_after_the_epoch(tmp_path: Path, data: Data) -> None:
    runs = [planned(seed=seed, probes=["weight_norms"]) for seed in range(2)]
    for index, own in enumerate(train(runs, tmp_path, data)):
        last = rows_of(own)[-1]
        W1 = torch.load(RunFolder(tmp_path / str(index)).checkpoint, weights_only=True)["network"]["W1"]
        assert any(value == pytest.approx(W1.norm().item(), rel=1e-5) for value in last.values())


def test_finished_and_busy_runs_are_left_and_the_others_train(tmp_path: Path, data: Data) -> None:
    train(SEEDS[:1], tmp_path, data)
    busy = train_stack(SEEDS[1:2], [RunFolder(tmp_path / "1")], data, CPU)
    next(busy)
    events = train(SEEDS, tmp_path, data)
    assert events[0] == [Ended(0, Status.DONE)]
    assert events[1] == [Ended(1, Status.BUSY, "another process is training it")]
    assert events[2][-1] == Ended(2, Status.DONE)
    assert RunFolder(tmp_path / "2").read_info().provenance["stack"] == 1
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
    events = train(SEEDS, tmp_path, data)
    assert ends(events) == ["done", "failed", "failed"]
    assert events[1] == [Ended(1, Status.FAILED, "OSError: no space left on device")]


def test_a_run_that_cannot_start_does_not_fail_other_runs(tmp_path: Path, data: Data) -> None:
    (tmp_path / "1" / "config.yaml").mkdir(parents=True)  # a folder where a file should be
    events = train(SEEDS, tmp_path, data)
    assert ends(events) == ["done", "failed", "done"]


@pytest.mark.parametrize(
    ("error", "fits", "stacks"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 2, [1, 2, 2, 2, 2, 2, 2]),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), 0, []),
    ],
)
def test_a_stack_too_large_for_the_memory_is_halved(
    error: Exception, fits: int, stacks: list[int], tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(Stack):
        def __init__(self, networks: Any, *args: Any) -> None:
            if len(networks) > fits:
                raise error
            super().__init__(networks, *args)

    monkeypatch.setattr(run_group, "Stack", Small)
    runs = [planned(seed=seed, epochs=1) for seed in range(7)]
    events = train(runs, tmp_path, data)
    if fits == 0:
        why = "the memory of cpu is too small; a smaller batch_size or narrower layers need less"
        assert events == [[Ended(index, Status.FAILED, why)] for index in range(7)]
        return
    assert ends(events) == ["done"] * 7
    sizes = [folder.read_info().provenance["stack"] for folder in folders(runs, tmp_path)]
    assert sizes == stacks


def test_running_out_of_memory_later_loses_no_finished_epoch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch, epochs = Stack.train_epoch, itertools.count(1)
    in_memory: weakref.WeakSet[Stack] = weakref.WeakSet()

    def gives_out(self: Stack, *args: Any) -> Tensor:
        in_memory.add(self)
        assert len(in_memory) == 1  # the larger stack is freed before a smaller one is tried
        if next(epochs) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_epoch(self, *args)

    train(SEEDS, tmp_path / "whole", data)
    monkeypatch.setattr(Stack, "train_epoch", gives_out)
    events = train(SEEDS, tmp_path / "short", data)
    for index, own in enumerate(events):
        assert [row["epoch"] for row in rows_of(own)] == [1, 2, 3]
        pd.testing.assert_frame_equal(
            table(tmp_path / "short" / str(index)), table(tmp_path / "whole" / str(index)), rtol=1e-4
        )


def test_a_stack_ends_its_threads(tmp_path: Path, data: Data) -> None:
    before = {*threading.enumerate()}
    assert ends(train(SEEDS, tmp_path, data)) == ["done"] * 3
    assert {*threading.enumerate()} <= before


def test_an_error_of_the_stack_fails_every_run(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(run_group, "fit", broken)
    assert train(SEEDS, tmp_path, data) == [[Ended(index, Status.FAILED, "ValueError: no")] for index in range(3)]
    assert "broken" in str(RunFolder(tmp_path / "0").read_info().traceback)


# Which runs make a stack


def test_runs_of_equal_shape_stack_and_others_train_alone() -> None:
    own: list[dict[str, Any]] = [
        *({"variant": variant} for variant in ("none", "unscaled", "classic", "gaussian", "three-point")),
        *({"mask": mask} for mask in ("randn-2019", "per-batch")),
        *({"seed": 1}, {"lr": 2.0}, {"sgd": "book"}, {"init": "normal"}, {"init_std": 0.1, "init": "normal"}),
        *({"drop_probs": [0.1, 0.1]}, {"input_drop_prob": 0.2}, {"input_noise_std": 0.1}, {"label_smoothing": 0.1}),
        {"label_noise": 0.1},
        *({"weight_decay": 0.1}, {"l1": 0.1}, {"max_norm": 2.0}),
        *({"drop_schedule": "curriculum"}, {"drop_schedule": "early", "drop_epochs": 2}),
    ]
    assert {stack_shape(planned(**keys).config) for keys in own} == {stack_shape(planned().config)}
    other: list[dict[str, Any]] = [
        *({"hidden": [8, 8]}, {"batch_size": 32}, {"epochs": 9}, {"lr_schedule": "step"}),
        *({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"variant": "dropconnect"}, {"placement": "before"}),
        *({"optimizer": "adam"}, {"optimizer": "adamw"}),
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
    alone.append({"variant": "dropconnect-per-example"})
    assert stack_shape(Config(task="linear-regression", variant="scratch")) is None
    for keys in (*alone, {"precision": "bf16"}):
        assert stack_shape(planned(**keys).config) is None
    assert stack_shape(planned(variant="none", noise_at_eval=True).config) is not None  # it has no noise


def test_the_keys_of_stacks_are_keys_of_configs() -> None:
    assert not SHARED_KEYS & OWN_KEYS
    assert SHARED_KEYS | OWN_KEYS - {"device", "plugin"} <= set(Config.model_fields)


@pytest.fixture
def stacks_here(data: Data, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[PlannedRun], Path], list[Event]]:
    monkeypatch.setattr("dropexp.data.fashion_mnist.load", lambda root: data)

    def events(runs: list[PlannedRun], folder: Path) -> list[Event]:
        jobs = [Job(run, to) for run, to in zip(runs, folders(runs, folder), strict=True)]
        return list(dispatch.execute(jobs, Plan(folder, stacks=True), at_once=32))

    return events


def test_execute_groups_runs_by_shape_and_yields_events_of_each(
    stacks_here: Callable[[list[PlannedRun], Path], list[Event]], tmp_path: Path
) -> None:
    runs = [planned(seed=0), planned(variant="nn"), planned(seed=1), planned(hidden=[8, 8]), planned(variant="none")]
    events = stacks_here(runs, tmp_path)
    assert sorted(event.job for event in events if isinstance(event, Started)) == [0, 1, 2, 3, 4]
    for index in range(5):
        own = [event for event in events if event.job == index]
        assert [row["epoch"] for row in rows_of(own)] == [1, 2, 3]
        assert own[-1] == Ended(index, Status.DONE)
    sizes = [folder.read_info().provenance["stack"] for folder in folders(runs, tmp_path)]
    assert sizes == [3, 1, 3, 1, 3]


@pytest.fixture
def per_row(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Register a variant that drops whole rows, as a plugin does; its noise needs the batch of one run."""

    @dataclass(frozen=True)
    class PerRow:
        p: float
        at_eval = 1.0

        def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
            return (torch.rand(len(like), 1, generator=generator) >= self.p).to(like) / (1 - self.p)

    monkeypatch.setattr("dropexp.config.plugins.loading", ["a plugin's text"])
    register("per-row", PerRow)
    yield "per-row"
    del VARIANTS["per-row"]


def test_every_variant_that_can_stack_trains_in_a_stack(
    stacks_here: Callable[[list[PlannedRun], Path], list[Event]], per_row: str, tmp_path: Path
) -> None:
    alone = ("nn", "dropconnect-per-example")
    variants = [variant for variant in VARIANTS if variant not in alone]
    runs = [planned(variant=variant, drop_probs=[0.1, 0.2], epochs=4, lr=0.3) for variant in variants]
    assert per_row in [run.config.variant for run in runs]
    stacks_here(runs, tmp_path)
    for run, folder in zip(runs, folders(runs, tmp_path), strict=True):
        info = folder.read_info()
        assert info.status == "done" and (info.last["test_acc"] or 0) > 0.5
        assert info.provenance["stack"] == (2 if "dropconnect" in run.config.variant else len(runs) - 2)


def test_jobs_limits_the_size_of_a_stack(tmp_path: Path) -> None:
    jobs = [Job(planned(seed=seed), RunFolder(tmp_path)) for seed in range(5)]
    assert dispatch._groups(jobs, Plan(tmp_path, "cuda:0"), 2) == [[0, 1], [2, 3], [4]]
    assert dispatch._groups(jobs, Plan(tmp_path, "cpu"), 2) == [[0], [1], [2], [3], [4]]


def test_runs_of_a_stack_keep_checkpoints_of_the_same_epoch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They resume as one stack, even if saving all of them takes longer than an epoch."""
    runs = [planned(seed=seed, epochs=9) for seed in range(3)]
    save = ActiveRun.save

    def slow(self: ActiveRun, record: Any) -> None:
        time.sleep(0.01 * (1 + self.planned.config.seed))
        save(self, record)

    monkeypatch.setattr(ActiveRun, "save", slow)
    events = train_stack(runs, folders(runs, tmp_path), data, CPU)
    for event in events:
        assert isinstance(event, Epoch)
        if event.row["epoch"] == 8:
            break
    events.close()
    saved = [torch.load(folder.checkpoint, weights_only=True)["epoch"] for folder in folders(runs, tmp_path)]
    assert len(set(saved)) == 1 and saved[0] < 8


# Statistical equivalence


def test_a_stack_trains_as_well_as_lone_runs(data: Data) -> None:
    """Test accuracy after six epochs of 24 seeds, equivalent within 0.05 by two one-sided tests."""
    configs = [planned(seed=seed, lr=0.2).config for seed in range(24)]
    test, rows = (data.X_test, data.y_test), len(data.y_train)

    def streams(seed: int) -> tuple[torch.Generator, torch.Generator]:
        return stream(seed, "init"), stream(seed, "noise")

    def orders() -> list[torch.Generator]:
        return [stream(config.seed, "order") for config in configs]

    networks = [build.reference_mlp(config, *streams(config.seed)) for config in configs]
    stacked = Stack(networks, data.X_train, data.y_train, rows, 64)
    train = torch.arange(rows).expand(24, -1)
    trainee = StackTrainee(stacked, train, test, orders=orders(), clean=False)
    *_, last = fit(trainee, lrs=[0.2] * 24, epochs=6)
    differences = []
    for config, order, record in zip(configs, orders(), last, strict=True):
        network, data_set = build.network(config, *streams(config.seed)), (data.X_train, data.y_train)
        *_, alone = fit_network(network, data_set, test, lr=0.2, batch_size=64, epochs=6, order=order, clean=False)
        accuracies = record.row()["test_acc"], alone.row()["test_acc"]
        assert accuracies[1] > 0.5
        differences.append(accuracies[0] - accuracies[1])
    assert len(set(differences)) > 3  # the noise differs
    assert tost_p(differences, 0.05) < 0.05
