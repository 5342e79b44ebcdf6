"""`dropexp evaluate` of several runs: the ensemble of an arm's seeds beside its members and Monte-Carlo dropout."""

from __future__ import annotations

import csv
import io
import json
import shutil
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from helpers.configs import TINY
from helpers.fake_runs import change, set_status, write_arm, write_regression
from helpers.in_process import InProcess
from helpers.training import train_run
from torch import Tensor

from dropexp.config.planned_run import PlannedRun, SearchPart
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder
from dropexp.training.ensemble import ArmEvaluation, Ensemble, evaluate_arm
from dropexp.training.evaluate import evaluate, rotated
from dropexp.training.trained_network import At, Trained, load_trained

FIGURES = ("acc", "loss", "ece", "entropy", "mutual_information")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, data: Data) -> list[RunFolder]:
    """Two tiny runs of an arm; the best validation epoch of one is not the last."""
    folders = [RunFolder(tmp_path_factory.mktemp("seed")) for _ in range(2)]
    for seed, folder in enumerate(folders):
        keys = {"variant": "scratch", "hidden": [16], "drop_probs": [0.5], "batch_size": 32, "epochs": 4, "lr": 0.2}
        config = Config.model_validate({**keys, "init": "torch", "validation_size": 40, "seed": seed})
        list(train_run(PlannedRun("study", None, "cell", config), folder, data, torch.device("cpu")))
    return folders


def evaluated(folders: Sequence[RunFolder], data: Data, *rotations: float, at: At = "last") -> ArmEvaluation:
    return evaluate_arm("arm", (load_trained(folder, at) for folder in folders), data, rotations, 3)


def ensemble_of(arm: ArmEvaluation) -> Ensemble:
    assert arm.ensemble is not None
    return arm.ensemble


def by_hand(folders: Sequence[RunFolder], X: Tensor, y: Tensor, at: At) -> dict[str, float]:
    """Return the figures of the mean probability of two networks."""
    probabilities = []
    for folder in folders:
        V, U = (W.double() for W in load_trained(folder, at).network.weights())
        b, c = (layer[1].double() for layer in load_trained(folder, at).network.layers)  # type: ignore[attr-defined]  # a network from scratch
        probabilities.append(((X.double() @ V + b).relu() @ U + c).softmax(dim=1))
    p = (probabilities[0] + probabilities[1]) / 2
    confidence, classes = p.max(dim=1)
    correct = (classes == y).double()
    bins = (confidence * 15).ceil()
    gaps = [abs((correct - confidence)[bins == b].sum().item()) for b in range(1, 16)]
    entropy, single, other = (-(q * q.log()).sum(dim=1).mean().item() for q in (p, *probabilities))
    return {
        "acc": correct.mean().item(),
        "loss": -p[range(len(y)), y].log().mean().item(),
        "ece": sum(gaps) / len(y),
        "entropy": entropy,
        "mutual_information": entropy - (single + other) / 2,
    }


@pytest.mark.parametrize("at", ["last", "best-val"])
def test_an_ensemble_predicts_with_the_mean_probability_of_its_networks(
    at: At, seeds: list[RunFolder], data: Data
) -> None:
    ensemble = ensemble_of(evaluated(seeds, data, 30, at=at))
    assert [figures.rotation for figures in ensemble.figures] == [0, 30]
    for figures in ensemble.figures:
        expected = by_hand(seeds, rotated(data.X_test, figures.rotation), data.y_test, at)
        assert {name: getattr(figures, name) for name in FIGURES} == pytest.approx(expected, rel=1e-4)
        assert figures.mc_acc is None


def test_members_are_the_means_of_the_runs_figures_with_and_without_dropout(seeds: list[RunFolder], data: Data) -> None:
    arm = evaluated(seeds, data, 30)
    assert arm.runs == [evaluate(load_trained(folder), data, [30], 3, []) for folder in seeds]
    ensemble = ensemble_of(arm)
    for one, other, mean in zip(arm.runs[0].figures, arm.runs[1].figures, ensemble.members, strict=True):
        names = (*FIGURES, "mc_acc", "mc_loss", "mc_ece", "mc_entropy")
        assert [getattr(mean, name) for name in names] == pytest.approx(
            [(getattr(one, name) + getattr(other, name)) / 2 for name in names]
        )
        assert mean.moment_acc is None
    assert ensemble.figures[0].loss < ensemble.members[0].loss  # by Jensen's inequality


def test_only_finished_runs_are_in_an_ensemble_and_one_alone_has_none(
    seeds: list[RunFolder], data: Data, tmp_path: Path
) -> None:
    assert evaluated(seeds[:1], data).ensemble is None
    failed = RunFolder(tmp_path / "failed")
    shutil.copytree(seeds[1].path, failed.path)
    set_status(failed, "failed")
    arm = evaluated([seeds[0], failed], data)
    assert len(arm.runs) == 2 and arm.ensemble is None
    assert ensemble_of(evaluated([*seeds, failed], data)) == ensemble_of(evaluated(seeds, data))


def test_at_most_two_networks_are_in_memory_at_a_time(seeds: list[RunFolder], data: Data) -> None:
    def networks() -> Iterator[Trained]:
        earlier: list[weakref.ref[Trained]] = []
        for _ in range(4):
            trained = load_trained(seeds[0])
            assert sum(ref() is not None for ref in earlier) <= 1
            earlier.append(weakref.ref(trained))
            yield trained

    assert ensemble_of(evaluate_arm("arm", networks(), data, [], 1)).networks == 4


def test_the_command_prints_the_runs_of_a_study_by_arm_and_their_ensembles(
    cli: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("train", "-c", cli.write("tiny.yaml", TINY), "--seeds", "0..1", "--jobs", "1", "-q")
    call = ("evaluate", "tiny", "--mc", "1", "--format")
    none, scratch = cli(*call, "md").stdout.split("**scratch: test images**")
    assert [line.split("|")[1].strip() for line in scratch.splitlines() if line.startswith("|")] == [
        *("run", "---", "seed 0", "seed 1", "mean of 2", "ensemble of 2")
    ]
    assert none.count("no noise |") == 3 * 5 and "none: no noise to sample" in none
    next((cli.folder / "runs" / "tiny").glob("variant=none,seed=1-*/checkpoint.pt")).unlink()
    printed = cli(*call, "csv")
    assert "note: left out:" in printed.stderr and "its checkpoint was removed" in printed.stderr
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert [(row["arm"], row["of"], row["networks"], row["seed"]) for row in rows] == [
        ("none", "run", "1", "0"),
        ("scratch", "run", "1", "0"),
        ("scratch", "run", "1", "1"),
        ("scratch", "mean", "2", ""),
        ("scratch", "ensemble", "2", ""),
    ]
    monkeypatch.setattr("dropexp.cli.progress.on_terminal", lambda: True)
    cli.environment |= {"FORCE_COLOR": "1", "TERM": "xterm"}
    printed = cli(*call, "json")
    assert "4/4" in printed.stderr  # of the networks, also those that are left out
    alone, arm = json.loads(printed.stdout)["arms"]
    assert alone["ensemble"] is None and len(arm["runs"]) == 2
    for of in ("figures", "members"):
        figures = arm["ensemble"][of][0]
        row = rows[4 if of == "figures" else 3]
        assert {name: float(row[name]) for name in FIGURES} == {name: figures[name] for name in FIGURES}


def test_several_runs_without_a_network_are_an_error(cli: InProcess) -> None:
    write_arm(cli.folder / "runs", "none", [0.8, 0.8], init="torch")
    assert "none of these runs has a network to evaluate" in cli("evaluate", "dropout", code=5).stderr


def test_runs_of_linear_regression_have_no_ensemble(cli: InProcess) -> None:
    for seed in (0, 1):
        write_regression(cli.folder / "runs", seed=seed)
    assert "linear-regression has no images" in cli("evaluate", "weight-decay", code=2).stderr


def test_trials_of_a_search_are_left_out(cli: InProcess) -> None:
    part = SearchPart(role="trial", repeat=0, trial=0, arm="00000000", search="0a1b2c3d", keys=["lr"])
    for run in write_arm(cli.folder / "runs", "none", [0.8, 0.8], init="torch"):
        change(run, tune=part)
    assert "only trials are trained" in cli("evaluate", "dropout", code=5).stderr


def test_images_can_be_shown_of_a_single_run_only(cli: InProcess) -> None:
    write_arm(cli.folder / "runs", "none", [0.8, 0.8], init="torch")
    assert "requires a single run" in cli("evaluate", "dropout", "--images", "0", code=2).stderr
