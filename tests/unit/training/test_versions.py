"""Runs of other versions: a later one is left unchanged, schema 1 counts if it is finished and otherwise restarts."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.recovery import CORRUPTIONS, DONE, Corruption, a_copy, content_of, corrupt_file, train
from helpers.training import table

from dropexp.analysis.comparison import compare
from dropexp.config.planned_run import PlannedRun
from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import Data
from dropexp.files import add_checksum
from dropexp.runs.folder import RunFolder
from dropexp.training.jobs import jobs_of
from dropexp.training.trained_network import load_trained

pytestmark = pytest.mark.usefixtures("checkpoint_each_epoch")

SCHEMA_1 = Path(__file__).parents[2] / "schema-1"


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
def test_a_run_of_a_later_version_is_rejected_and_left_unchanged(
    name: str, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    if name == "run.json":
        (folder / name).write_bytes(json.dumps({"schema": 3, "state": "paused", "sha256": "elsewhere"}).encode())
    else:
        file = io.BytesIO()
        torch.save({**torch.load(folder / name, weights_only=True), "schema": 3}, file)
        (folder / name).write_bytes(add_checksum(file.getvalue()))
    before = content_of(folder)
    for force in (False, True) if name == "run.json" else (False,):
        ended, notes, epochs = train(folder, data, force=force)
        assert ended.status == "failed" and notes == [] and epochs == 0
        assert str(ended.why).startswith(f"{folder / name} was written by a later version of dropexp")
        assert content_of(folder) == before


def test_a_changed_schema_is_corruption_and_no_later_version(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    corrupt_file(folder / "run.json", lambda content: content.replace(b'"schema": 2', b'"schema": 9'))
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "run.json.corrupted-1" in note


def schema_1(kind: str, to: Path) -> dict[str, tuple[PlannedRun, Path]]:
    """Copy runs that commit 84262e3 trained; return each one, as planned now, with its folder, by its arm."""
    shutil.copytree(SCHEMA_1 / kind, to)
    jobs = jobs_of([load_config(SCHEMA_1 / "schema-1.yaml")], to, "cpu")
    return {str(job.planned.arm): (job.planned, job.folder.path) for job in jobs}


def table_trained_here(run: PlannedRun, tmp_path: Path, data: Data) -> str:
    """Train the run on this machine and return its table, since processors round differently."""
    train(tmp_path / "here", data, run)
    return table(tmp_path / "here")


def test_finished_runs_of_schema_1_are_finished_and_evaluated(tmp_path: Path, data: Data) -> None:
    runs = schema_1("runs", tmp_path / "runs")
    before = {arm: content_of(path) for arm, (_, path) in runs.items()}
    for arm, (run, path) in runs.items():
        ended, notes, epochs = train(path, data, run)
        assert (ended.status, notes, epochs) == ("diverged" if arm == "diverges" else "done", [], 0)
    assert {arm: content_of(path) for arm, (_, path) in runs.items()} == before
    assert list(compare(runs_dir=tmp_path / "runs", filter={"task": "fashion-mnist"}).arms["n"]) == [1]
    found = load_trained(RunFolder(runs["images"][1]))
    assert found.epoch == 3 and not found.remarks


@pytest.mark.parametrize("corrupt", CORRUPTIONS["epochs.csv"])
def test_a_finished_run_of_schema_1_whose_table_is_corrupted_is_trained_again(
    corrupt: Corruption | None, tmp_path: Path, data: Data
) -> None:
    run, path = schema_1("runs", tmp_path / "runs")["lines"]
    expected = table_trained_here(run, tmp_path, data)
    content = corrupt_file(path / "epochs.csv", corrupt)
    ended, notes, epochs = train(path, data, run)
    assert (ended, epochs) == (DONE, 3)
    assert str(path / "epochs.csv") in notes[0] and "the run restarts, 3 epochs are lost" in notes[-1]
    if corrupt:
        assert (path / "epochs.csv.corrupted-1").read_bytes() == content
    assert table(path) == expected and RunFolder(path).read_info().version == 2


def test_an_interrupted_run_of_schema_1_restarts_with_a_message(tmp_path: Path, data: Data) -> None:
    run, path = schema_1("half", tmp_path / "half")["lines"]
    ended, (note,), epochs = train(path, data, run)
    assert (ended, epochs) == (DONE, 3)
    assert "earlier version" in note
    assert note.endswith("the run restarts, 2 epochs are lost; kept as epochs.csv.before-1 and checkpoint.pt.before-1")
    assert table(path) == table_trained_here(run, tmp_path, data)


def test_the_tables_of_schema_1_are_the_same_today_up_to_the_rounding_of_other_processors(
    tmp_path: Path, data: Data
) -> None:
    run, path = schema_1("runs", tmp_path / "runs")["lines"]
    then, now = (
        np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1)
        for text in (table(path), table_trained_here(run, tmp_path, data))
    )
    np.testing.assert_allclose(now, then, rtol=1e-5)
