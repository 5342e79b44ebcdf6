"""Every shipped config says how to run it, loads, and trains a tiny epoch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from dropexp.data import Data
from dropexp.experiment import train_run
from dropexp.runs import RunFolder
from dropexp.study import load_config

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


def test_there_are_configs_for_the_study_and_for_the_book() -> None:
    assert "configs/dropout.yaml" in CONFIGS
    assert {Path(config).stem for config in CONFIGS if config.startswith("configs/book/")} == {
        *("a1-scratch", "a2-concise", "a3-own-layer", "a4-concise", "a7-scratch", "d2l-en-1.0", "d2l-zh-2.0"),
    }


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_opens_with_its_command_its_time_and_what_to_expect(config: str) -> None:
    opening = (ROOT / config).read_text(encoding="utf-8").split("\n\n")[0]
    assert re.search(rf"# +dropexp train -c {re.escape(config)}\b.*(second|minute)s? on 2 cores", opening)
    assert re.search(r"# +dropexp compare \S+ +test accuracy 0\.\d\d", opening)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_arm_of_a_config_trains(config: str, data: Data, tmp_path: Path) -> None:
    study = load_config(ROOT / config, ["epochs=1"])
    arms = {run.config.model_copy(update={"seed": 0}).model_dump_json(): run for run in study.runs}
    assert len(study.runs) == 5 * len(arms)
    for i, run in enumerate(arms.values()):
        rows = list(train_run(run, RunFolder(tmp_path / str(i)), data, torch.device("cpu")))
        assert [row["epoch"] for row in rows] == [1]


@pytest.mark.parametrize("stem", ["a1-scratch", "a2-concise", "a7-scratch"])
def test_published_figures_cover_every_epoch(stem: str) -> None:
    study = load_config(ROOT / f"configs/book/{stem}.yaml")
    for figure in ("loss", "train_acc", "test_acc"):
        assert len(study.published[figure]) == study.runs[0].config.epochs
    assert study.published["loss_scale"] == study.runs[0].config.batch_size
