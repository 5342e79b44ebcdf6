"""Every shipped config says how to run it, loads, and trains a tiny epoch."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder
from dropexp.training.run import train_run

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


def stems(folder: str) -> set[str]:
    return {Path(config).stem for config in CONFIGS if config.startswith(f"configs/{folder}/")}


def chooses(config: str) -> bool:
    """Whether settings are chosen here, on validation rows, and the test set has no say."""
    return Path(config).stem.startswith("choose-")


def test_there_are_configs_for_the_study_and_for_the_book() -> None:
    assert "configs/dropout.yaml" in CONFIGS
    assert stems("book") == {
        *("a1-scratch", "a2-concise", "a3-own-layer", "a4-concise", "a5-input-noise", "a6-before-relu", "a7-scratch"),
        *("a8-weight-decay", "a10-monte-carlo", "a11-unscaled", "a12-rescaled", "a13-dropconnect", "a15-classic"),
        *("d2l-en-1.0", "d2l-zh-2.0"),
    }


def test_there_is_a_config_for_each_exercise_of_the_book() -> None:
    assert {stem.split("-")[0] for stem in stems("exercises")} == {*"123456789", "wd"}
    assert stems("exercises") >= {"wd-1-sweep", "wd-2-validation", "wd-3-l1"}


def test_there_is_a_config_for_each_experiment_of_the_paper() -> None:
    assert stems("srivastava") == {
        *("table-9-regularisers", "figure-9a-rate", "figure-9b-rate-at-fixed-units", "figure-10-training-set"),
        *("figure-11-monte-carlo", "figure-8-sparsity", "table-10-gaussian", "appendix-a-momentum", "schedules"),
    }


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_opens_with_its_command_its_time_and_what_to_expect(config: str) -> None:
    opening = (ROOT / config).read_text(encoding="utf-8").split("\n\n")[0]
    study = load_config(ROOT / config)
    figure = "test loss" if study.runs[0].config.task == "linear-regression" else "test accuracy"
    expected = "--metric val_acc" if chooses(config) else rf"{figure} \d"
    assert re.search(rf"# +dropexp train -c {re.escape(config)}\b.*(second|minute)s? on 2 cores", opening)
    assert re.search(rf"# +dropexp compare {re.escape(study.name)} +{expected}", opening)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_asks_for_five_seeds_or_more_the_same_in_every_arm(config: str) -> None:
    study = load_config(ROOT / config)
    arms = Counter(run.config.model_copy(update={"seed": 0}).model_dump_json() for run in study.runs)
    assert len(set(arms.values())) == 1
    assert min(arms.values()) >= 5 or chooses(config)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_arm_of_a_config_trains(config: str, data: Data, tmp_path: Path) -> None:
    arms = {}
    for run in load_config(ROOT / config).runs:
        given = run.config
        small: dict[str, Any] = {"seed": 0, "epochs": 1, "train_size": 100}
        small |= {"validation_size": min(given.validation_size, 100)}
        small |= {"hidden": [min(width, 16) for width in given.hidden]}
        small |= {"probes": [{"mc": 2} if isinstance(probe, dict) else probe for probe in given.probes]}
        short = given.model_copy(update=small)
        arms[short.model_dump_json()] = replace(run, config=short)
    for i, run in enumerate(arms.values()):
        none_given = run.config.task == "linear-regression"  # it draws its own
        rows = list(train_run(run, RunFolder(tmp_path / str(i)), None if none_given else data, torch.device("cpu")))
        assert [isinstance(row, dict) and row["epoch"] for row in rows] == [1]


@pytest.mark.parametrize("stem", ["a1-scratch", "a2-concise", "a7-scratch"])
def test_published_figures_cover_every_epoch(stem: str) -> None:
    study = load_config(ROOT / f"configs/book/{stem}.yaml")
    for figure in ("loss", "train_acc", "test_acc"):
        assert len(study.published[figure]) == study.runs[0].config.epochs
    assert study.published["loss_scale"] == study.runs[0].config.batch_size
