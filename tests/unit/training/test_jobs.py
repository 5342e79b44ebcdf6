"""The jobs of studies: each run once, in the folder that is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import write_planned

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.config.study import Study
from dropexp.runs.folder import RunFolder
from dropexp.training.jobs import Job, jobs_of
from dropexp.training.pipeline import Training


def planned(name: str, cell: str, **keys: Any) -> PlannedRun:
    return PlannedRun(name, None, cell, Config.model_validate({"variant": "nn", **keys}))


def unfinished(study: Study, runs_dir: Path) -> list[Job]:
    return Training([study], runs_dir, "cpu").first.unfinished


def test_a_run_that_two_configs_request_is_one_job(tmp_path: Path) -> None:
    studies = [Study("tiny", [planned("tiny", cell)]) for cell in ("seed=0", "lr=0.5,seed=0")]
    (job,) = jobs_of(studies, tmp_path, "cpu")
    assert job.folder.path.name == f"seed=0-{job.planned.digest('cpu')}"
    (other, _) = jobs_of([studies[0], Study("other", [planned("other", "seed=0")])], tmp_path, "cpu")
    assert other.folder.path == job.folder.path


@pytest.mark.parametrize("done", ["a", "b"])
def test_of_two_folders_of_a_run_the_one_with_a_result_is_used(done: str, tmp_path: Path) -> None:
    run = planned("tiny", "seed=0")
    for cell in ("a", "b"):
        folder = RunFolder(tmp_path / "tiny" / f"{cell}-{run.digest('cpu')}")
        write_planned(folder, run, "done" if cell == done else "interrupted")
    study = Study("tiny", [run])
    (job,) = jobs_of([study], tmp_path, "cpu")
    assert job.folder.path.name.startswith(done)
    assert unfinished(study, tmp_path) == []


SAME_HASH = (39767, 50418)  # seeds


def test_two_runs_with_one_hash_have_different_folders(tmp_path: Path) -> None:
    study = Study("tiny", [planned("tiny", f"seed={seed}", seed=seed) for seed in SAME_HASH])
    first, second = jobs_of([study], tmp_path, "cpu")
    assert first.planned.digest("cpu") == second.planned.digest("cpu")
    assert first.folder.path != second.folder.path
    for job in (first, second):
        write_planned(job.folder, job.planned, "done")
        assert job.planned not in [left.planned for left in unfinished(study, tmp_path)]
    assert [job.folder.path for job in jobs_of([study], tmp_path, "cpu")] == [
        first.folder.path,
        second.folder.path,
    ]


def test_the_folder_of_another_run_with_the_same_hash_is_not_used(tmp_path: Path) -> None:
    one, other = (planned("tiny", f"seed={seed}", seed=seed) for seed in SAME_HASH)
    folder = RunFolder(tmp_path / "tiny" / f"seed=39767-{one.digest('cpu')}")
    write_planned(folder, one, "done")
    assert unfinished(Study("tiny", [one]), tmp_path) == []
    (job,) = unfinished(Study("tiny", [other]), tmp_path)
    assert job.folder.path.name.startswith("seed=50418-")
    folder.path.rename(job.folder.path)  # which dropexp never does
    (job,) = unfinished(Study("tiny", [other]), tmp_path)
    assert job.state().status == "unreadable"
    assert "holds another run with the same hash; train this one in a study" in (job.state().why or "")
