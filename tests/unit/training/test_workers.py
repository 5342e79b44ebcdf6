"""Workers whose start is interrupted, that cannot import torch, or that are killed."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from helpers.command import TIMEOUT, Command
from helpers.fake_runs import write_run
from helpers.workers import work

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.runs.folder import RunFolder
from dropexp.runs.record import read_runs
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import mark
from dropexp.training.events import Ended, Epoch, Note
from dropexp.training.jobs import Job, Plan
from dropexp.training.workers import _Pool, _Worker, in_workers, starting_a_worker

ROOT = Path(__file__).parents[3]

posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot block a signal")
linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are counted in /proc")


@posix
def test_an_interrupt_while_a_worker_starts_leaves_the_main_module_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", "script.py", raising=False)
    before = main.__spec__, main.__file__
    with pytest.raises(KeyboardInterrupt), starting_a_worker():
        signal.raise_signal(signal.SIGINT)
    assert (main.__spec__, main.__file__) == before


@posix
def test_a_worker_whose_start_was_interrupted_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        start(process)
        started.append(process)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        _Worker(Plan(None))
    (left,) = started
    left.join(TIMEOUT)
    code = left.exitcode
    left.kill()
    assert code == 0
    assert caught  # its traceback keeps the worker alive as an object


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="this system has no real-time signals")
def test_a_worker_killed_by_a_signal_without_a_name_fails_its_run_alone(tmp_path: Path) -> None:
    config = Config.model_validate({"variant": "nn", "task": "linear-regression", "epochs": 100_000})
    planned = PlannedRun("lines", None, "cell", config)
    pool = _Pool([Job(planned, RunFolder(tmp_path / "run"))], Plan(None), 1)
    for event in pool.train([0]):
        if isinstance(event, Epoch) and event.row["epoch"] == 1:
            os.kill(pool.workers[0].process.pid or 0, signal.SIGRTMIN + 5)
    assert isinstance(event, Ended) and f"signal {signal.SIGRTMIN + 5}" in (event.why or "")


@linux
@pytest.mark.parametrize(
    ("runs", "workers", "fit", "then"), [(6, 6, 2, [(4, 3), (1, 1)]), (5, 3, 1, [(2, 1)]), (3, 3, 3, [])]
)
def test_the_number_of_workers_is_halved_until_they_fit_into_memory(
    runs: int, workers: int, fit: int, then: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropexp.training.workers._work", work)
    events = list(in_workers(jobs_below(tmp_path, runs), Plan(tmp_path / str(fit)), workers))
    assert sorted(event.job for event in events if isinstance(event, Ended)) == list(range(runs))
    assert {event.status for event in events if isinstance(event, Ended)} == {Status.DONE}
    assert [event.text for event in events if isinstance(event, Note) and event.job is None] == [
        f"workers were killed, most likely because memory ran out; the remaining runs ({left}) train {fewer} at a time"
        for left, fewer in then
    ]


@linux
def test_a_run_killed_while_running_alone_fails_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropexp.training.workers._work", work)
    events = list(in_workers(jobs_below(tmp_path, 3), Plan(tmp_path / "0"), 2))
    why = (
        "its worker process ended (SIGKILL); the same command trains it again; it was the only worker: the run may "
        "need more memory than there is"
    )
    assert sorted((event.job, event.status, event.why) for event in events if isinstance(event, Ended)) == [
        (job, Status.FAILED, why) for job in range(3)
    ]


def jobs_below(folder: Path, count: int) -> list[Job]:
    config = Config.model_validate({"variant": "nn"})
    return [Job(PlannedRun("study", None, f"run-{i}", config), RunFolder(folder / f"run-{i}")) for i in range(count)]


@posix
def test_ctrl_c_while_bench_measures_memory_does_not_reach_the_measured_process(command: Command) -> None:
    """It is sent while only that process imports torch."""
    command.write(
        "sitecustomize.py",
        "import importlib.abc, signal, sys\n"
        "class Interrupting(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch.nn':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        "    sys.meta_path.insert(0, Interrupting())\n",
    )
    command.environment["PYTHONPATH"] = str(command.folder)
    command.write(
        "peak.py",
        "from dropexp.data import dataset_files\nfrom dropexp.training import benchmark\n"
        "print(benchmark._peak_mb(dataset_files.find(None)))\n",
    )
    measuring = command.launch(sys.executable, "peak.py", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    peak, stderr = measuring.communicate(timeout=TIMEOUT)
    assert (measuring.returncode, stderr) == (0, "")
    assert 0 < float(peak) < 1000


def test_a_worker_that_cannot_import_torch_fails_its_runs_with_a_message(command: Command) -> None:
    hidden = command.folder / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError('libtorch.so: cannot allocate memory')\n")
    command.environment["PYTHONPATH"] = f"{hidden}{os.pathsep}{ROOT}"
    config = command.write("drawn.yaml", "task: linear-regression\nmatrix: {variant: [scratch, nn]}\n")
    done = command("train", "-c", config, "--jobs", "2", code=1)
    assert done.stderr.count("failed: ImportError: libtorch.so: cannot allocate memory") == 2


def test_a_run_whose_worker_was_killed_as_it_diverged_can_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, status="running")
    run.append_row({"epoch": 3, **run.read_info().last, "train_loss": math.inf, "test_loss": math.nan})
    mark(run, Status.FAILED, "its worker process ended (SIGKILL)")
    (found,) = read_runs((), tmp_path)
    assert (found.status, found.why, found.epoch) == ("failed", "its worker process ended (SIGKILL)", 2)
    assert len(found.rows()) == 3 and math.isnan(found.rows()[-1]["test_loss"])
