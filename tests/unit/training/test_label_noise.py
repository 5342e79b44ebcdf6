"""Label noise: which labels a run is trained on and evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training import train_run
from helpers.weights import same
from unit.training.test_active_run import CPU, planned

from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder
from dropexp.training import run_group
from dropexp.training.loop import EpochRecord, Trainee
from dropexp.training.trainees import NetworkTrainee, Rows

pytestmark = pytest.mark.usefixtures("one_thread")

TraineeOf = Callable[..., NetworkTrainee]


@pytest.fixture
def trainee_of(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> TraineeOf:
    """Return a function that returns what the loop gets from a run with these keys."""
    found: list[NetworkTrainee] = []

    def fit(trainee: Trainee, **options: Any) -> Iterator[list[EpochRecord]]:
        assert isinstance(trainee, NetworkTrainee)
        found.append(trainee)
        return iter([])

    def trainee(**keys: Any) -> NetworkTrainee:
        list(train_run(planned(**{"variant": "none", **keys}), RunFolder(tmp_path / str(len(found))), data, CPU))
        return found[-1]

    monkeypatch.setattr(run_group, "fit", fit)
    return trainee


def labels_of(rows: Rows) -> dict[bytes, int]:
    """Return the label of each image."""
    X, y = rows
    return {image.numpy().tobytes(): int(label) for image, label in zip(X, y, strict=True)}


def test_only_training_labels_are_noisy_also_in_evaluation_mode(trainee_of: TraineeOf, data: Data) -> None:
    true = labels_of((data.X_train, data.y_train))
    trainee = trainee_of(label_noise=0.4, validation_size=100)
    noisy = labels_of(trainee.rows)
    assert 0.3 < sum(noisy[image] != true[image] for image in noisy) / len(noisy) < 0.5
    assert labels_of(trainee.evaluated["train"]) == noisy
    held_out = labels_of(trainee.evaluated["validation"])
    assert len(held_out) == 100 and held_out.items() <= true.items()
    assert torch.equal(trainee.evaluated["test"][1], data.y_test)


def test_the_label_of_an_image_depends_on_the_seed_alone(trainee_of: TraineeOf) -> None:
    every = labels_of(trainee_of(label_noise=0.4).rows)
    other_keys: list[dict[str, Any]] = [{"train_size": 50}, {"train_size": 300, "validation_size": 20, "lr": 0.2}]
    for keys in (*other_keys, {"variant": "scratch"}, {"variant": "nn"}):
        assert labels_of(trainee_of(label_noise=0.4, **keys).rows).items() <= every.items()
    other = labels_of(trainee_of(label_noise=0.4, seed=1).rows)
    assert other.keys() == every.keys() and other != every


def test_runs_with_and_without_label_noise_pair(trainee_of: TraineeOf) -> None:
    plain, noisy = (trainee_of(variant="scratch", label_noise=p, train_size=50) for p in (0.0, 0.4))
    assert torch.equal(plain.rows[0], noisy.rows[0]) and not torch.equal(plain.rows[1], noisy.rows[1])
    assert same(plain.network.state(), noisy.network.state())
    assert torch.equal(plain.order.get_state(), noisy.order.get_state())
