"""The processes of `dropexp train`: killed and interrupted commands, workers that are killed, two commands at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from helpers.command import Command, Folder
from helpers.in_process import InProcess
from helpers.weights import same, saved_below

from dropexp.runs.record import read_runs

LONG = "name: long\nhidden: [64, 64]\ntrain_size: 6000\nepochs: 8\nmatrix:\n  variant: [nn, scratch]\n  seed: 0..0\n"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> InProcess:
    """The command in a folder where it has trained LONG without workers."""
    cli = InProcess(tmp_path_factory.mktemp("expected"), environment)
    cli("train", "-c", cli.write("long.yaml", LONG), "--jobs", "1")
    assert len(cli.tables()) == 2 and all(len(table) == 9 for table in cli.tables().values())
    return cli


def assert_equal_results(one: Folder, other: Folder) -> None:
    assert one.tables() == other.tables()
    assert same(*(saved_below(command.folder / "runs") for command in (one, other)))


def statuses(command: Command) -> list[str]:
    return [str(run.status) for run in read_runs([], command.folder / "runs")]


def workers_of(parent: int) -> list[int]:
    """Return the worker processes of a process, without the resource tracker of multiprocessing."""
    listing = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == parent and "spawn_main" in args]


def wait_until_gone(workers: list[int]) -> None:
    """Wait for the workers of a command that has ended; they exit by themselves."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker did not exit"
        time.sleep(0.05)


@pytest.mark.parametrize(("jobs", "rows"), [("1", 10), ("2", 3)])  # in the second run, and at the start of both
def test_a_killed_study_resumes_to_the_same_tables(
    jobs: str, rows: int, command: Command, cli: InProcess, expected: InProcess
) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", jobs)
    command.wait_for_rows(rows, process)
    workers = workers_of(process.pid)
    process.kill()  # SIGKILL: no handler runs
    process.communicate()
    wait_until_gone(workers)
    listed = {run["path"]: run for run in json.loads(cli("runs", "--format", "json").stdout)}
    prunable = json.loads(cli("runs", "--prune", "--format", "json").stdout)
    for row in (row for row in prunable if row["state"] == "interrupted"):  # a run may not have started yet
        path = command.folder / row["path"] / "checkpoint.pt"
        saved = torch.load(path, weights_only=True)["epoch"] if path.exists() else None
        assert listed[row["path"]]["epoch"] == saved
        assert row["why"] == (f"at least {saved} of 8 epochs in its checkpoint" if saved else "no checkpoint")
    cli("train", "-c", config, "--jobs", jobs)
    assert_equal_results(command, expected)


# Interrupts


@pytest.mark.parametrize(("jobs", "sent"), [("1", signal.SIGTERM), ("2", signal.SIGINT)])
def test_an_interrupt_marks_runs_and_prints_how_to_resume(jobs: str, sent: signal.Signals, command: Command) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", jobs, "--force")
    command.wait_for_rows(3, process)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert f"to resume: dropexp train -c {config} --jobs {jobs}\n" in stderr  # without --force, which would restart
    assert "interrupted" in statuses(command) and "running" not in statuses(command)


def interrupt_at_import(module: str, command: Command) -> None:
    command.write(
        "sitecustomize.py",  # Python imports it first
        "import os, signal, sys\n"
        f"interrupt = lambda event, about: event == 'import' and about[0] == {module!r} and "
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(interrupt)\n",
    )
    command.environment["PYTHONPATH"] = str(command.folder)


@pytest.mark.parametrize("module", ["typer", "dropexp.cli.app", "dropexp.training.dispatch", "filelock"])
def test_an_interrupt_during_imports_prints_how_to_resume(module: str, command: Command) -> None:
    interrupt_at_import(module, command)
    stderr = command("train", "-c", command.write("long.yaml", LONG), code=130).stderr
    assert stderr == "dropexp: interrupted; to resume: dropexp train -c long.yaml\n"


def test_the_command_that_resumes_names_the_folder_of_runs_that_the_environment_names(command: Command) -> None:
    interrupt_at_import("filelock", command)
    command.environment["DROPEXP_RUNS"] = "own runs"
    resuming = "dropexp: interrupted; to resume: dropexp train"
    config = command.write("long.yaml", LONG)
    assert command("train", "-c", config, code=130).stderr == f"{resuming} --runs-dir 'own runs' -c long.yaml\n"
    assert (
        command("train", "-c", config, "--runs-dir", "these", code=130).stderr
        == f"{resuming} -c long.yaml --runs-dir these\n"
    )


def test_an_interrupt_while_workers_start_leaves_no_process(command: Command) -> None:
    process = command.start("train", "-c", command.write("long.yaml", LONG), "--jobs", "2")
    while not (workers := workers_of(process.pid)):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to every process of the command
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "to resume: dropexp train" in stderr
    wait_until_gone(workers)


def test_a_hang_up_that_nohup_ignores_is_ignored(command: Command) -> None:
    config = command.write("short.yaml", LONG.replace("epochs: 8", "epochs: 3"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = command.start("train", "-c", config, "--jobs", "1")
    finally:
        signal.signal(signal.SIGHUP, before)
    command.wait_for_rows(1, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


# Killed workers


def test_runs_of_killed_workers_resume_in_half_as_many_workers(command: Command) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", "2")
    command.wait_for_rows(1, process)
    killed = workers_of(process.pid)
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    most = 0
    while process.poll() is None:
        most = max(most, len({*workers_of(process.pid)} - {*killed}))
        time.sleep(0.1)
    assert (len(killed), most, process.returncode) == (2, 1, 0)
    assert all(len(table) == 9 for table in command.tables().values())


def test_a_run_whose_worker_is_killed_twice_fails_and_the_others_train(command: Command, cli: InProcess) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", "2")
    command.wait_for_rows(2, process)
    workers = workers_of(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not (again := set(workers_of(process.pid)) - set(workers)):  # a single new one, once the other worker exits
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    os.kill(again.pop(), signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert stderr.count("its worker process ended (SIGKILL); it resumes after the others") == 1
    assert "failed: its worker process ended (SIGKILL); the same command trains it again" in stderr
    assert statuses(command).count("done") == 1  # the other has failed, or is missing if it had no epoch yet
    cli("train", "-c", config, "--jobs", "1")


# Two commands


def test_two_commands_on_the_same_runs_do_not_train_one_run_twice(command: Command) -> None:
    config = command.write("long.yaml", LONG)
    both = [command.start("train", "-c", config, "--jobs", "1") for _ in range(2)]
    messages = "".join(process.communicate(timeout=120)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert "another process is training it" in messages
    assert messages.count("  epoch ") == 2 * 8
    counts = re.findall(r"2 runs: (\d) trained now, (\d) before(?:, (\d) by other processes)?", messages)
    assert sum(int(now) for now, _, _ in counts) == 2
    assert 2 in [sum(map(int, filter(None, each))) for each in counts]  # the later one to end counts every run
    assert all(len(table) == 9 for table in command.tables().values())
