"""The guarantees of docs/reproducibility.md that no other test covers, and that each of its lines names a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command import Command
from helpers.in_process import InProcess
from helpers.training import rows_of, train_run
from helpers.weights import same, saved, saved_below

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reproducibility.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(test_\w+)`", PAGE)
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef)
}
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and "| tested by |" not in line]
CPU = torch.device("cpu")


@pytest.mark.parametrize("line", LINES)
def test_every_line_names_its_test_or_that_there_is_none(line: str) -> None:
    assert "`test_" in line or "not tested here" in line


@pytest.mark.parametrize("test", sorted(set(NAMED)))
def test_every_named_test_exists(test: str) -> None:
    assert test in TESTS


def planned(**keys: Any) -> PlannedRun:
    keys = {"hidden": [32, 16], "batch_size": 64, "epochs": 2, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def trained(run: PlannedRun, folder: Path, data: Data) -> tuple[list[str], dict[str, Any]]:
    """Train; return the lines of the table without the last column, `seconds`, and the content of the checkpoint."""
    list(train_run(run, RunFolder(folder), data, CPU))
    table = [line.rpartition(",")[0] for line in (folder / "epochs.csv").read_text().splitlines()]
    return table, saved(folder)


@pytest.mark.parametrize(
    "keys",
    [
        {"variant": "none"},
        {"variant": "nn", "momentum": 0.9},
        {"variant": "nn", "optimizer": "adam", "lr": 0.01},
        {"variant": "scratch", "drop_schedule": "random", "lr_schedule": "cosine"},
        {"variant": "scratch", "fused": False},
        {"variant": "gaussian", "input_noise_std": 0.1, "weight_decay": 1e-3},
        {"variant": "dropconnect", "max_norm": 2.0, "optimizer": "adamw", "lr": 0.01},
        {"variant": "dropconnect-per-example"},
    ],
)
def test_the_same_config_trains_to_the_same_figures_and_weights(
    keys: dict[str, Any], tmp_path: Path, data: Data
) -> None:
    (table, weights), (again, same_weights) = (trained(planned(**keys), tmp_path / name, data) for name in "ab")
    assert again == table
    assert same(weights, same_weights)
    other, other_weights = trained(planned(seed=1, **keys), tmp_path / "c", data)
    assert other != table and not same(weights["network"], other_weights["network"])


def test_results_do_not_depend_on_folder_locale_time_zone_or_hash_seed(cli: InProcess, command: Command) -> None:
    text = "train_size: 500\nepochs: 2\nhidden: [32, 16]\nmatrix: {variant: [nn, scratch]}\n"
    config = cli.write("tiny.yaml", text)
    cli("train", "-c", config, "--jobs", "1", "-q")
    command.folder = command.folder / "elsewhere"
    command.folder.mkdir()
    command.environment |= {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LC_ALL": "C", "COLUMNS": "30"}
    command("train", "-c", f"../{config}", "--jobs", "1", "-q")
    assert len(cli.tables()) == 2 and command.tables() == cli.tables()
    assert same(*(saved_below(one.folder / "runs") for one in (cli, command)))


def test_a_run_started_by_another_torch_restarts(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = planned(variant="scratch"), RunFolder(tmp_path)
    rows = train_run(run, folder, data, CPU)
    next(rows)
    rows.close()
    monkeypatch.setattr(torch, "__version__", "99.0")
    again = rows_of(train_run(run, folder, data, CPU))
    assert [row["epoch"] for row in again] == [1, 2]
