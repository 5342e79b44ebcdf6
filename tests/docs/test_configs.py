"""Every shipped config documents itself, is in the index, loads, and trains one small epoch."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training import rows_of, train_run

from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))
INDEX = (ROOT / "configs/README.md").read_text(encoding="utf-8")


def stems(folder: str) -> set[str]:
    return {Path(config).stem for config in CONFIGS if config.startswith(f"configs/{folder}/")}


def is_selection(config: str) -> bool:
    """Return whether the study selects settings on validation rows and leaves the test set alone."""
    return Path(config).stem.startswith("choose-")


def opening(config: str) -> str:
    """Return the comment at the top of a config."""
    return (ROOT / config).read_text(encoding="utf-8").split("name:")[0]


def test_every_system_of_the_book_has_a_config() -> None:
    assert "configs/dropout.yaml" in CONFIGS
    assert stems("book") == {
        *("scratch", "concise", "own-layer", "blog-concise", "input-noise", "before-relu", "blog-scratch"),
        *("weight-decay", "monte-carlo", "rescaling", "dropconnect", "d2l-en-1.0", "d2l-zh-2.0"),
    }


def test_every_exercise_of_the_book_has_a_config() -> None:
    assert stems("exercises") == {
        *("drop-probs", "more-epochs", "activations", "dropout-at-test", "with-weight-decay", "noise-on-weights"),
        *("other-noise", "wider-net", "three-values", "weight-decay-sweep", "weight-decay-validation", "l1"),
    }


def test_every_experiment_of_the_paper_has_a_config() -> None:
    assert stems("srivastava") == {
        *("table-9-regularisers", "figure-9a-rate", "figure-9b-rate-at-fixed-units", "figure-10-training-set"),
        *("figure-11-monte-carlo", "figure-8-sparsity", "table-10-gaussian", "appendix-a-momentum", "schedules"),
    }


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_opens_with_its_question_command_time_and_result(config: str) -> None:
    study = load_config(ROOT / config)
    figure = "test loss" if study.runs[0].config.task == "linear-regression" else "test accuracy"
    expected = "--metric val_acc" if is_selection(config) else rf"(--\S+ \w+ +)?{figure} (up to )?\d"
    assert "?" in opening(config).splitlines()[0]
    assert re.search(rf"# +dropexp train -c {re.escape(config)}\b.*(second|minute)s? on 2 cores", opening(config))
    assert re.search(rf"# +dropexp compare {re.escape(study.name)} +{expected}", opening(config))


@pytest.mark.parametrize("config", CONFIGS)
def test_the_index_lists_a_config_with_its_study_and_minutes(config: str) -> None:
    path, name = config.removeprefix("configs/"), load_config(ROOT / config).name
    (number, unit), *_ = re.findall(r"about (\d+) (second|minute)", opening(config))
    minutes = number if unit == "minute" else "1"
    assert INDEX.count(f"| [{path}]({path}) | `{name}` | {minutes} |\n") == 1


def test_the_index_lists_only_files_that_exist() -> None:
    assert {f"configs/{path}" for path in re.findall(r"\]\(([\w./-]+\.yaml)\)", INDEX)} == set(CONFIGS)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_arm_of_a_config_has_the_same_number_of_seeds_at_least_five(config: str) -> None:
    study = load_config(ROOT / config)
    numbers = [len(seeds) for seeds in study.seeds.values()]
    assert len(set(numbers)) == 1
    assert min(numbers) >= 5 or is_selection(config)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_arm_of_a_config_trains(config: str, data: Data, tmp_path: Path) -> None:
    arms = {}
    runs = load_config(ROOT / config).runs
    first_repeat = min((run.tuning.repeat for run in runs if run.tuning is not None), default=None)
    for run in runs:
        if run.tuning is not None and run.tuning.repeat != first_repeat:
            continue  # the other repeats of a search draw from the same ranges
        given = run.config
        small: dict[str, Any] = {"seed": 0, "epochs": 1, "train_size": 100}
        small |= {"validation_size": min(given.validation_size, 100)}
        small |= {"hidden": [min(width, 16) for width in given.hidden]}
        small |= {"probes": [{"mc": 2} if isinstance(probe, dict) else probe for probe in given.probes]}
        short = given.model_copy(update=small)
        arms[short.model_dump_json()] = replace(run, config=short)
    assert arms
    for i, run in enumerate(arms.values()):
        without_data = run.config.task == "linear-regression"  # the task samples its own data
        events = train_run(run, RunFolder(tmp_path / str(i)), None if without_data else data, torch.device("cpu"))
        assert [row["epoch"] for row in rows_of(events)] == [1]


@pytest.mark.parametrize("stem", ["scratch", "concise", "blog-scratch"])
def test_published_figures_cover_every_epoch(stem: str) -> None:
    study = load_config(ROOT / f"configs/book/{stem}.yaml")
    for figure in ("loss", "train_acc", "test_acc"):
        assert len(study.published[figure]) == study.runs[0].config.epochs
    assert study.published["loss_scale"] == study.runs[0].config.batch_size
