"""Signals, closed terminals and pipes, memory that runs out, and a second command on the same runs."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from helpers.command import DROPEXP, TIMEOUT, Command

from torture.counts import COUNTS
from torture.study import (
    CONFIG,
    TEXT,
    Study,
    are_running,
    epochs_reported,
    messages_of,
    start,
    wait_until_gone,
)

BALLAST, ENOUGH_FOR_ONE = 1200, 2000  # megabytes that a worker takes, and that all may have; two take 2400


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_at_any_time_ends_all_processes_and_prints_how_to_resume(
    sent: signal.Signals, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    for part in range(1 if quick else 4):
        jobs = str(draw.choice([1, 2]))
        process = start(command, "train", "-c", CONFIG, "--jobs", jobs)
        if part:
            time.sleep(draw.uniform(0, undisturbed.seconds))
        else:  # surely while it trains
            command.wait_for_rows(draw.randrange(1, undisturbed.epochs // 2), process)
        if process.poll() is None:
            os.killpg(process.pid, sent) if draw.random() < 0.5 else process.send_signal(sent)
            COUNTS.faults += 1
        wait_until_gone(process)
        stderr = messages_of(command)
        if process.returncode == 130:
            assert f"to resume: dropexp train -c {CONFIG} --jobs {jobs}\n" in stderr
        elif stderr:  # there was so little left to do that the signal came after it
            assert part and "next: dropexp compare torture" in stderr and process.returncode in (0, -sent), stderr
        else:  # it came before Python had begun with the command
            assert part and process.returncode == -sent
        assert not are_running(command)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def test_a_closed_terminal_ends_all_processes_and_the_same_command_resumes(
    command: Command, undisturbed: Study
) -> None:
    command.write(CONFIG, TEXT)
    ours, theirs = pty.openpty()
    process = command.launch(
        *("setsid", "--ctty", DROPEXP, "train", "-c", CONFIG, "--jobs", "2"),  # with this terminal as its own
        env=command.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        process_group=None,  # setsid makes one
    )
    os.close(theirs)
    deadline = time.monotonic() + TIMEOUT
    while not list(command.folder.glob("runs/*/*/epochs.csv")):
        assert time.monotonic() < deadline and process.poll() is None
        if select.select([ours], [], [], 1)[0]:
            os.read(ours, 1 << 16)
    os.close(ours)
    COUNTS.faults += 1
    wait_until_gone(process)
    assert process.returncode == 130
    assert not are_running(command)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@pytest.mark.parametrize(
    "line",
    [
        "dropexp compare | head -n 1",
        "dropexp compare --format json | head -c 1",
        "dropexp runs | true",
        "dropexp runs --format json | true",
    ],
)
def test_a_reader_that_has_seen_enough_leaves_no_traceback(line: str, command: Command, undisturbed: Study) -> None:
    command.environment["DROPEXP_RUNS"] = str(undisturbed.runs)
    assert _cut_off(command, line) in (0, 1)  # 0: it had written everything before


def test_training_into_a_closed_pipe_is_interrupted_and_resumes(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    assert _cut_off(command, f"dropexp train -c {CONFIG} --force 2>&1 | head -n 1") == 1
    assert not are_running(command)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def _cut_off(command: Command, line: str) -> int:
    """The exit code of the first command in a pipeline, of which nothing is left."""
    path = os.pathsep.join([str(DROPEXP.parent), command.environment["PATH"]])
    shell = command.launch(
        *("bash", "-c", f"{line}; code=${{PIPESTATUS[0]}}; echo; echo $code"),
        env=command.environment | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = shell.communicate(timeout=TIMEOUT)
    COUNTS.faults += 1
    assert error == ""
    wait_until_gone(shell)
    return int(out.splitlines()[-1])


def test_two_commands_on_the_same_runs_share_the_work_and_do_nothing_twice(
    command: Command, undisturbed: Study, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    for part in range(1 if quick else 3):
        folder = f"runs-{part}"
        both = [start(command, "train", "-c", CONFIG, "--jobs", "2", "--runs-dir", folder) for _ in range(2)]
        COUNTS.faults += 1
        for process in both:
            wait_until_gone(process)
        stderr = messages_of(command)
        assert all(process.returncode in (0, 1) for process in both), stderr  # 1: what the other had was not waited for
        assert epochs_reported(stderr) == undisturbed.epochs
        undisturbed.check(command.folder / folder)


def test_a_worker_that_runs_out_of_memory_resumes_when_there_are_fewer(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _memory(ENOUGH_FOR_ONE) as prefix:
        COUNTS.faults += 1
        process = start(command, "train", "-c", CONFIG, "--jobs", "2", prefix=prefix, ballast=BALLAST)
        wait_until_gone(process)
    stderr = messages_of(command)
    killed = stderr.count(": its worker process ended (SIGKILL); it resumes after the others")
    COUNTS.kills += killed
    assert killed, stderr
    assert process.returncode == 0, stderr
    undisturbed.check(command.folder / "runs")


def test_a_run_whose_worker_dies_under_force_resumes_and_does_not_restart(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    command("train", "-c", CONFIG, "--jobs", "2")
    marker = str(command.folder / "struck")
    die = {"event": "open", "file": "epochs.csv", "nth": 4, "tear": None, "who": "self", "marker": marker}
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", "--force", die=die)
    wait_until_gone(process)
    stderr = messages_of(command)
    COUNTS.kills += stderr.count("its worker process ended (SIGKILL)")
    assert process.returncode == 0 and "it resumes after the others" in stderr, stderr
    assert stderr.count("  epoch 1/") == 6  # none of the six again
    undisturbed.check(command.folder / "runs")


def test_a_worker_that_dies_each_time_fails_its_run_and_no_other(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    die = {"event": "os.rename", "file": "config.yaml", "nth": 1, "tear": None, "who": "self", "marker": None}
    command("train", "-c", CONFIG, "--jobs", "2")
    runs = sorted(command.folder.glob("runs/torture/*/"))
    for run in runs[:2]:  # they start again, and write their config there
        (run / "run.json").unlink()
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", die=die)
    wait_until_gone(process)
    stderr = messages_of(command)
    COUNTS.kills += stderr.count("its worker process ended (SIGKILL)")
    assert process.returncode == 1
    for run in runs[:2]:
        assert f"{run.name}: its worker process ended (SIGKILL); it resumes after the others" in stderr
        cell = run.name.rpartition("-")[0]
        assert f"{cell}  failed: its worker process ended (SIGKILL); the same command trains it again" in stderr
    assert "6 runs: 0 trained now, 4 before" in stderr
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@contextmanager
def _memory(megabytes: int) -> Iterator[list[str]]:
    """What to put before a command so that it may take no more memory."""
    group = _memory_group()
    try:
        limit = next(path for name in ("memory.limit_in_bytes", "memory.max") if (path := group / name).exists())
        limit.write_text(str(megabytes << 20))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def _memory_group() -> Path:
    """A new control group below this process's own, of version 1 or 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers in ("", "memory"):
            group = Path("/sys/fs/cgroup", controllers, own.lstrip("/"), f"torture-{os.getpid()}")
            with suppress(OSError):  # a tree that is mounted elsewhere, or that one may only read
                group.mkdir()
                if (group / "memory.max").exists() or (group / "memory.limit_in_bytes").exists():
                    return group
                group.rmdir()
    if os.geteuid() != 0:
        pytest.skip("only root may limit the memory of a group of processes")
    pytest.fail("memory cannot be limited here: no memory controller lets this process make a group", pytrace=False)
