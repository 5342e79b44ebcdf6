"""What a notebook calls: `from dropexp import load_config, train, load_runs, compare`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command import Command
from helpers.weights import same, saved_below

import dropexp
from dropexp import compare, load_config, load_runs, train
from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun, Study
from dropexp.errors import RunError
from dropexp.nets import matmul
from dropexp.runs.folder import RunFolder
from dropexp.training.train import tasks_of, unfinished

TINY = "name: tiny\nhidden: [16, 16]\ntrain_size: 500\nepochs: 2\nmatrix: {variant: [none, nn], seed: 0..1}\n"


@pytest.fixture
def study(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    (tmp_path / "tiny.yaml").write_text(TINY)
    return load_config(tmp_path / "tiny.yaml")


@pytest.mark.parametrize("jobs", [1, 2])
def test_train_yields_every_new_row_once(jobs: int, study: Study, tmp_path: Path, real_root: Path) -> None:
    rows = list(train(study, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu", jobs=jobs))
    assert sorted((row["run"], row["epoch"]) for row in rows) == [
        (f"variant={variant},seed={seed}", epoch) for variant in ("nn", "none") for seed in (0, 1) for epoch in (1, 2)
    ]
    assert list(train(study, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu")) == []
    runs = load_runs(runs_dir=tmp_path / "runs")
    assert list(runs["status"]) == ["done"] * 4
    comparison = compare("tiny", runs_dir=tmp_path / "runs")
    assert list(comparison.arms["arm"]) == ["none", "nn"]
    assert list(comparison.differences["pairs"]) == [2]


def test_a_run_that_fails_is_raised_after_the_rest_is_trained(study: Study, tmp_path: Path, real_root: Path) -> None:
    wild = load_config(tmp_path / "tiny.yaml", ["lr=1e30", "variant=none"], "0,1")
    with pytest.raises(RuntimeError, match="seed=0: diverged, the loss is not finite in epoch 1"):
        list(train(wild, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu"))
    assert list(load_runs(runs_dir=tmp_path / "runs")["status"]) == ["diverged"] * 2


def planned(name: str, cell: str, **keys: Any) -> PlannedRun:
    return PlannedRun(name, None, cell, Config.model_validate({"variant": "nn", **keys}))


def test_one_run_of_two_configs_is_one_task_whatever_its_cells(tmp_path: Path) -> None:
    studies = [Study("tiny", [planned("tiny", cell)]) for cell in ("seed=0", "lr=0.5,seed=0")]
    (task,) = tasks_of(studies, tmp_path, "cpu")
    assert task.folder.path.name == f"seed=0-{task.planned.digest('cpu')}"
    (other, _) = tasks_of([studies[0], Study("other", [planned("other", "seed=0")])], tmp_path, "cpu")
    assert other.folder.path == task.folder.path


@pytest.mark.parametrize("done", ["a", "b"])
def test_of_two_folders_of_a_run_the_one_with_its_result_is_taken(done: str, tmp_path: Path) -> None:
    run = planned("tiny", "seed=0")
    for cell in ("a", "b"):
        folder = RunFolder(tmp_path / "tiny" / f"{cell}-{run.digest('cpu')}")
        folder.path.mkdir(parents=True)
        status = "done" if cell == done else "interrupted"
        folder.write_info({"status": status, "why": None, "settings": run.config.settings("cpu")})
    (task,) = tasks_of([Study("tiny", [run])], tmp_path, "cpu")
    assert task.folder.path.name.startswith(done)
    assert unfinished([task]) == []


SAME_HASH = (39767, 50418)  # seeds


def test_two_runs_of_one_hash_have_folders_of_their_own(tmp_path: Path) -> None:
    study = Study("tiny", [planned("tiny", f"seed={seed}", seed=seed) for seed in SAME_HASH])
    first, second = tasks_of([study], tmp_path, "cpu")
    assert first.planned.digest("cpu") == second.planned.digest("cpu")
    assert first.folder.path != second.folder.path
    for task in (first, second):
        task.folder.path.mkdir(parents=True)
        task.folder.write_info({"status": "done", "why": None, "settings": task.planned.config.settings("cpu")})
        assert task.planned not in [left.planned for left in unfinished(tasks_of([study], tmp_path, "cpu"))]
    assert [task.folder.path for task in tasks_of([study], tmp_path, "cpu")] == [first.folder.path, second.folder.path]


def test_the_folder_of_another_run_with_the_same_hash_is_not_taken_for_this_one(tmp_path: Path) -> None:
    one, other = (planned("tiny", f"seed={seed}", seed=seed) for seed in SAME_HASH)
    folder = RunFolder(tmp_path / "tiny" / f"seed=39767-{one.digest('cpu')}")
    folder.path.mkdir(parents=True)
    folder.write_info({"status": "done", "why": None, "settings": one.config.settings("cpu")})
    assert unfinished(tasks_of([Study("tiny", [one])], tmp_path, "cpu")) == []
    (task,) = unfinished(tasks_of([Study("tiny", [other])], tmp_path, "cpu"))
    assert task.folder.path.name.startswith("seed=50418-")
    folder.path.rename(task.folder.path)  # where only a hand puts it
    with pytest.raises(RunError, match="holds another run with the same hash; train this one in a study"):
        unfinished(tasks_of([Study("tiny", [other])], tmp_path, "cpu"))


SMALL_BATCHES = "lr: 0.5\n"
LARGE_BATCHES = "hidden: [32, 32]\ninit: torch\nbatch_size: 4000\nlr: 1\n"  # oneDNN would part its sums among threads
NARROW = LARGE_BATCHES.replace("32", "16")


@pytest.mark.parametrize("keys", [SMALL_BATCHES, LARGE_BATCHES, NARROW])
def test_results_do_not_depend_on_the_number_of_threads(keys: str, command: Command) -> None:
    if keys == NARROW and matmul.best_backend() == matmul.PLAIN:
        pytest.skip("MKL sums layers of 12 to 16 units under long batches otherwise on two threads")
    text = f"train_size: 5000\nepochs: 2\n{keys}matrix: {{variant: [none, nn, scratch]}}\n"
    config = command.write("threads.yaml", text)
    tables, weights = [], []
    for threads in ("1", "2"):
        command.environment["OMP_NUM_THREADS"] = threads
        command("train", "-c", config, "--jobs", "1", "--force", "-q")
        tables.append(command.tables())
        weights.append(saved_below(command.folder / "runs"))
    assert len(tables[0]) == len(weights[0]) == 3
    assert tables[0] == tables[1] and same(*weights)


@pytest.mark.parametrize("piped", [False, True])
def test_workers_serve_a_script_without_a_guard_or_from_standard_input(piped: bool, command: Command) -> None:
    command.write("tiny.yaml", TINY)
    script = "from dropexp import train\nprint(len(list(train('tiny.yaml', device='cpu', jobs=2))))\n"
    command.write("script.py", script)
    done = subprocess.run(
        [sys.executable] if piped else [sys.executable, "script.py"],
        input=script if piped else None,
        cwd=command.folder,
        env=command.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "8\n"
    assert "Traceback" not in done.stderr


def test_the_package_exports_what_it_says() -> None:
    for name in dropexp.__all__:
        assert callable(getattr(dropexp, name))
    with pytest.raises(AttributeError, match="nothing"):
        dropexp.nothing  # noqa: B018 - looking it up is the test
